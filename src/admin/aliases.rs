//! `/v1/aliases/{instance}`: the numbers behind the account's LIDs. Shows them, and takes better ones from programs:
//! `PUT` with `{"123@lid": "628…@c.us", "124@lid": null}`, where null removes a number.

use std::collections::BTreeMap;

use bytes::Bytes;
use http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

use super::{Admin, Error};
use crate::{
    avatar::{IdentitySource, Jid, Kind},
    http::respond,
    pipeline::Instance,
    server::Reply,
};

/// The longest body in bytes, enough for as many aliases as may be set.
pub(super) const MAX_BODY: usize = 1024 * 1024;

/// The numbers behind the LIDs of an account.
#[derive(Serialize, ToSchema)]
pub(super) struct AliasesRecord {
    /// The LIDs whose numbers are known.
    aliases: Vec<AliasRecord>,
}

/// A LID and its number.
#[derive(Serialize, ToSchema)]
pub(super) struct AliasRecord {
    /// The LID.
    #[schema(example = "100875997589545@lid")]
    lid: String,
    /// The number.
    #[schema(example = "628123456789@c.us")]
    number: String,
    /// `gateway`, or `program` for one that was set here.
    source: &'static str,
}

impl AliasesRecord {
    pub(super) fn new(instance: &Instance) -> Self {
        let known = instance.identities().known().into_iter();
        let aliases = known.map(|known| AliasRecord {
            lid: known.lid.to_string(),
            number: known.number.to_string(),
            source: match known.source {
                IdentitySource::Gateway => "gateway",
                IdentitySource::Program => "program",
            },
        });
        Self {
            aliases: aliases.collect(),
        }
    }
}

impl Admin {
    pub(super) async fn show_aliases(&self, name: &str) -> Result<Reply, Error> {
        let instance = self.instance(name).await?;
        Ok(respond::json(&AliasesRecord::new(&instance)))
    }

    /// Sets the numbers of LIDs, and shows all numbers.
    pub(super) async fn set_aliases(&self, name: &str, body: &Bytes) -> Result<Reply, Error> {
        let instance = self.instance(name).await?;
        let written: BTreeMap<String, Option<String>> =
            serde_json::from_slice(body).map_err(|_| Error::Aliases)?;
        let written = written.into_iter();
        let aliases = written
            .map(|(lid, number)| {
                let number = number.map(|number| jid(&number, Kind::Contact));
                Ok((jid(&lid, Kind::Lid)?, number.transpose()?))
            })
            .collect::<Result<Vec<_>, Error>>()?;
        let set = self.faces.set_aliases(&instance, &aliases);
        set.await.map_err(Error::TooManyAliases)?;
        Ok(respond::json(&AliasesRecord::new(&instance)))
    }

    /// Removes the numbers that were set.
    pub(super) async fn remove_aliases(&self, name: &str) -> Result<Reply, Error> {
        let instance = self.instance(name).await?;
        self.faces.remove_aliases(&instance).await;
        Ok(Reply::empty(StatusCode::NO_CONTENT))
    }
}

/// Parses a JID of this kind. A LID that is no number of 64 bits is refused; WhatsApp's longest ones have 18 digits.
fn jid(text: &str, kind: Kind) -> Result<Jid, Error> {
    let jid: Jid = text.parse().map_err(|_| Error::Aliases)?;
    let is_meant = jid.kind() == kind && jid.user().parse::<u64>().is_ok();
    is_meant.then_some(jid).ok_or(Error::Aliases)
}

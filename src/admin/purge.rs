//! `POST /v1/purge`: expires or removes entries.
//!
//! `instance` and `jid` select one face, `instance` alone all of its faces, `all=true` all faces. Expired
//! entries are shown once more while the vendor is asked again; `hard=true` removes them instead.

use serde::Serialize;
use utoipa::ToSchema;

use super::{Admin, Error};
use crate::{
    http::query,
    pipeline::{PurgeMode, PurgeScope},
    representation::view::InvalidParameter,
};

const INVALID: Error = Error::Parameter(InvalidParameter::new(
    "purge",
    "write ?instance=NAME&jid=JID, ?instance=NAME or ?all=true, and hard=true to remove them",
));

/// The result of a purge.
#[derive(Serialize, ToSchema)]
pub(super) struct Purged {
    /// The number of faces that were purged.
    purged: usize,
}

impl Admin {
    /// Purges the entries that `query` selects.
    pub(super) async fn purge(&self, query: &str) -> Result<Purged, Error> {
        let (mut instance, mut jid, mut all, mut mode) = (None, None, false, PurgeMode::Soft);
        for (name, value) in query::pairs(query) {
            match (name.as_ref(), value.as_ref()) {
                ("instance", name) => instance = Some(self.instance(name)?),
                ("jid", text) => jid = Some(text.parse().map_err(Error::Jid)?),
                ("all", "true") => all = true,
                ("hard", "true") => mode = PurgeMode::Hard,
                ("all" | "hard", "false") => {}
                _ => return Err(INVALID),
            }
        }
        let scope = match (instance, jid, all) {
            (Some(instance), Some(subject), false) => PurgeScope::Face(instance, subject),
            (Some(instance), None, false) => PurgeScope::Instance(instance),
            (None, None, true) => PurgeScope::All,
            _ => return Err(INVALID),
        };
        let counts = self.faces.purge(scope, mode).await?;
        if counts.failed > 0 {
            return Err(Error::NotOnDisk);
        }
        Ok(Purged {
            purged: counts.done,
        })
    }
}

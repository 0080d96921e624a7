//! Purging: on the admin listener by query, on the faces' listener by method.
//!
//! `POST /v1/purge` takes `instance` and `jid` for one face, `instance` alone for all of its faces, or
//! `all=true`; `hard=true` removes them, and else they are shown once more while they are asked for
//! again. `PURGE /avatar/{instance}/{jid}` with a bearer token does the same for one face, softly.

use http::HeaderMap;
use serde::Serialize;

use crate::pipeline::{Instance, PurgeMode, PurgeScope};
use crate::server::Reply;
use crate::{
    front::Front,
    http::problem::Problem,
    public::{self as access, route::Wanted},
    representation::headers as represent,
};

/// How many faces were purged.
#[derive(Serialize)]
pub(crate) struct Purged {
    purged: usize,
}

/// Does what a query says.
pub(crate) async fn run(front: &Front, query: &str) -> Result<Purged, Problem> {
    let (mut instance, mut jid, mut all, mut how) = (None, None, false, PurgeMode::Soft);
    for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
        match (name.as_ref(), value.as_ref()) {
            ("instance", name) => {
                instance = Some(front.instance(name).ok_or(Problem::NoInstance)?.clone());
            }
            ("jid", text) => jid = Some(text.parse().map_err(Problem::Jid)?),
            ("all", "true") => all = true,
            ("hard", "true") => how = PurgeMode::Hard,
            ("all" | "hard", "false") => {}
            _ => return Err(Problem::Parameter("purge", REMEDY)),
        }
    }
    let which = match (&instance, jid, all) {
        (Some(instance), Some(subject), false) => PurgeScope::Face(instance, subject),
        (Some(instance), None, false) => PurgeScope::Instance(instance),
        (None, None, true) => PurgeScope::All,
        _ => return Err(Problem::Parameter("purge", REMEDY)),
    };
    purge(front, which, how).await
}

async fn purge(front: &Front, which: PurgeScope<'_>, how: PurgeMode) -> Result<Purged, Problem> {
    let purged = front.faces().purge(which, how).await;
    let purged = purged.map_err(Problem::Unsupported)?;
    if purged.failed > 0 {
        return Err(Problem::NotOnDisk);
    }
    Ok(Purged {
        purged: purged.done,
    })
}

const REMEDY: &str =
    "write ?instance=NAME&jid=JID, ?instance=NAME or ?all=true, and hard=true to remove them";

impl Front {
    /// Answers `PURGE /avatar/{instance}/{jid}`. A signed URL gives no right to that.
    pub(crate) async fn purge(
        &self,
        wanted: &Wanted<'_>,
        headers: &HeaderMap,
    ) -> Result<Reply, Problem> {
        if !access::has_bearer(headers, &self.shared.settings.access.bearer_tokens) {
            return Err(Problem::PurgeToken);
        }
        let instance: &Instance = self.instance(&wanted.instance).ok_or(Problem::NoInstance)?;
        let which = PurgeScope::Face(instance, wanted.subject);
        Ok(represent::json(&purge(self, which, PurgeMode::Soft).await?))
    }
}

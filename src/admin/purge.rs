//! `POST /v1/purge`: expires or removes entries.
//!
//! `instance` and `jid` select one face, `instance` alone all of its faces, `earlier=true` those of accounts that
//! it had before, `all=true` all faces. `instance` may also be a name that only the cache has. Expired
//! entries are shown once more while the vendor is asked again; `hard=true` removes them instead.

use serde::Serialize;
use utoipa::ToSchema;

use super::{Admin, Error, entries::NamedInstance};
use crate::{
    http::query,
    pipeline::{Instance, PurgeMode, PurgeScope},
    representation::view::InvalidParameter,
};

const INVALID: Error = Error::Parameter(InvalidParameter::new(
    "purge",
    "write ?instance=NAME&jid=JID, ?instance=NAME (and earlier=true for accounts that it had before) or ?all=true, and hard=true to remove them",
));

/// The result of a purge.
#[derive(Serialize, ToSchema)]
pub(super) struct PurgeCount {
    /// The number of faces that were purged.
    purged: usize,
}

impl Admin {
    /// Purges the entries that `query` selects.
    pub(super) async fn purge(&self, query: &str) -> Result<PurgeCount, Error> {
        let (mut name, mut jid, mut all, mut earlier) = (None, None, false, false);
        let mut mode = PurgeMode::Soft;
        for (key, value) in query::pairs(query) {
            match (key.as_ref(), value.as_ref()) {
                ("instance", value) => name = Some(value.to_owned()),
                ("jid", text) => jid = Some(text.parse().map_err(Error::Jid)?),
                ("all", "true") => all = true,
                ("earlier", "true") => earlier = true,
                ("hard", "true") => mode = PurgeMode::Hard,
                ("all" | "earlier" | "hard", "false") => {}
                _ => return Err(INVALID),
            }
        }
        let named = match name.as_deref() {
            Some(name) => Some(self.named(name).await),
            None => None,
        };
        let scope = match (&named, jid, earlier, all) {
            (Some(NamedInstance::Configured(instance)), Some(subject), false, false) => {
                PurgeScope::Face(instance, subject)
            }
            (Some(NamedInstance::Configured(instance)), None, true, false) => {
                PurgeScope::Earlier(instance)
            }
            (Some(NamedInstance::Configured(instance)), None, false, false) => {
                PurgeScope::Instance(instance)
            }
            (Some(NamedInstance::Stored(name)), Some(subject), false, false) => {
                PurgeScope::StoredFace(name, subject)
            }
            (Some(NamedInstance::Stored(name)), None, false, false) => PurgeScope::Stored(name),
            (None, None, false, true) => PurgeScope::All,
            _ => return Err(INVALID),
        };
        let counts = self.faces.purge(scope, mode).await?;
        if counts.failed > 0 {
            return Err(Error::NotOnDisk);
        }
        if let Some(NamedInstance::Stored(_)) = named
            && counts.done == 0
        {
            return Err(Error::UnknownInstance);
        }
        if mode == PurgeMode::Hard {
            self.remove_states(scope).await;
        }
        Ok(PurgeCount {
            purged: counts.done,
        })
    }

    /// Removes the states of accounts that no instance has and whose faces are gone.
    async fn remove_states(&self, purged: PurgeScope<'_>) {
        let earlier = |instance: &Instance| instance.earlier_cache_names().to_vec();
        let names = match purged {
            PurgeScope::Instance(instance) | PurgeScope::Earlier(instance) => earlier(instance),
            PurgeScope::Stored(name) => vec![name.into()],
            PurgeScope::All => self
                .instances
                .iter()
                .flat_map(|one| earlier(&one))
                .collect(),
            PurgeScope::Face(..) | PurgeScope::StoredFace(..) => Vec::new(),
        };
        for name in names {
            self.faces.remove_state(&self.instances, &name).await;
        }
    }
}

//! `POST /v1/cache/rename?from=OLD&to=NEW`: gives the faces of an account that no instance has any more to an
//! instance.

use serde::Serialize;
use utoipa::ToSchema;

use super::{Admin, Error};
use crate::{http::query, representation::view::InvalidParameter};

const INVALID: Error = Error::Parameter(InvalidParameter::new(
    "rename",
    "write ?from=OLD&to=NEW: the name that the cache has, and the name of a configured instance",
));

/// The result of a renaming.
#[derive(Serialize, ToSchema)]
pub(super) struct RenameResult {
    /// The number of faces that have the new name now.
    renamed: usize,
    /// The number of faces that the new name had already; the old entries are removed.
    known: usize,
}

impl Admin {
    /// Renames the faces that `query` names.
    pub(super) async fn rename(&self, query: &str) -> Result<RenameResult, Error> {
        let (mut from, mut to) = (None, None);
        for (key, value) in query::pairs(query) {
            match key.as_ref() {
                "from" => from = Some(value),
                "to" => to = Some(value),
                _ => return Err(INVALID),
            }
        }
        let (Some(from), Some(to)) = (from, to) else {
            return Err(INVALID);
        };
        let renaming = self.faces.rename(&self.instances, &from, &to);
        let counts = renaming.await.map_err(Error::Rename)?;
        if counts.failed > 0 {
            return Err(Error::NotOnDisk);
        }
        Ok(RenameResult {
            renamed: counts.renamed,
            known: counts.known,
        })
    }
}

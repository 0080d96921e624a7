//! The rules of listening.

use std::sync::Arc;

use http::{HeaderMap, Uri};

use super::settings::LiveSettings;
use crate::{
    clock::Timestamp,
    pipeline::{ChangeFeed, Faces, Instances},
    public::{
        access::Access,
        error::Error,
        route::{LiveUrl, Route},
    },
};

/// The rules of listening. A reload replaces them.
#[derive(Clone, Debug)]
pub(super) struct Rules {
    pub(super) access: Arc<Access>,
    pub(super) instances: Instances,
    pub(super) settings: LiveSettings,
}

/// The end of a permission that does not end by itself.
const NEVER: Timestamp = Timestamp::from_secs(u64::MAX);

impl Rules {
    /// Checks that a client may listen, and says until when.
    pub(super) fn allow(
        &self,
        url: &LiveUrl<'_>,
        headers: &HeaderMap,
        now: Timestamp,
    ) -> Result<Timestamp, Error> {
        let until = self.access.check_live(url, headers, now)?;
        if !self.settings.enabled {
            return Err(Error::LiveOff);
        }
        Ok(until.unwrap_or(NEVER))
    }

    /// Checks a client's request again after a reload, and lets its feed follow its instance. `None` if the client
    /// may no longer listen, or the instance is gone.
    pub(super) fn allow_again(
        &self,
        uri: &Uri,
        headers: &HeaderMap,
        feed: &mut ChangeFeed,
        faces: &Faces,
    ) -> Option<Timestamp> {
        let Ok(Some(Route::Live(url))) = Route::parse(uri) else {
            return None;
        };
        let until = self.allow(&url, headers, faces.now()).ok()?;
        match self.instances.get(&url.instance) {
            Some(instance) => feed.follow(faces, &instance),
            // An instance of a pattern that is not in memory is not made for this.
            None if self.instances.is_configured(&url.instance) => {}
            None => return None,
        }
        Some(until)
    }
}

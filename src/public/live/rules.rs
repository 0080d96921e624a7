//! The rules of listening.

use std::sync::Arc;

use http::{HeaderMap, Uri};

use super::settings::LiveSettings;
use crate::{
    clock::Timestamp,
    pipeline::{Instance, Instances},
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

/// The permission of one client.
#[derive(Debug)]
pub(super) struct Permission {
    pub(super) instance: Arc<Instance>,
    /// When it ends.
    pub(super) until: Timestamp,
}

/// A permission that does not end by itself.
const FOR_EVER: Timestamp = Timestamp::from_secs(u64::MAX);

impl Rules {
    /// Checks a client that wants to listen.
    pub(super) fn check(
        &self,
        url: &LiveUrl<'_>,
        headers: &HeaderMap,
        now: Timestamp,
    ) -> Result<Permission, Error> {
        // Before the instance is looked up, so that a client without access learns no names.
        let until = self.access.check_live(url, headers, now)?;
        if !self.settings.enabled {
            return Err(Error::LiveOff);
        }
        let instance = self.instances.get(&url.instance);
        Ok(Permission {
            instance: instance.ok_or(Error::UnknownInstance)?.clone(),
            until: until.unwrap_or(FOR_EVER),
        })
    }

    /// Checks a client that listens already once more.
    pub(super) fn check_again(
        &self,
        uri: &Uri,
        headers: &HeaderMap,
        now: Timestamp,
    ) -> Option<Permission> {
        match Route::parse(uri) {
            Ok(Some(Route::Live(url))) => self.check(&url, headers, now).ok(),
            _ => None,
        }
    }
}

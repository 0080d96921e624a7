//! One configured account, with everything that is its own: dialect, client, admission.

use std::sync::Arc;

use crate::{
    avatar::Subject,
    limits::Admission,
    upstream::{Account, Client, Provider, Question, UnsupportedSubject, Vendor, VendorCall},
};

/// One instance.
#[derive(Debug)]
pub struct Instance {
    name: Arc<str>,
    vendor: Vendor,
    account: Account,
    pub(super) client: Client,
    admission: Admission,
}

impl Instance {
    /// An instance from its parts.
    pub fn new(
        name: &str,
        vendor: Vendor,
        account: Account,
        client: Client,
        admission: Admission,
    ) -> Self {
        Self {
            name: name.into(),
            vendor,
            account,
            client,
            admission,
        }
    }

    /// The name in the configuration and in URLs.
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// The vendor.
    pub fn vendor(&self) -> Vendor {
        self.vendor
    }

    /// The account with the vendor.
    pub fn account(&self) -> &Account {
        &self.account
    }

    /// What decides whether the vendor may be called.
    pub fn admission(&self) -> &Admission {
        &self.admission
    }

    pub(super) fn provider(&self) -> &'static dyn Provider {
        self.vendor.provider()
    }

    pub(super) fn call(
        &self,
        subject: Subject,
        refresh: bool,
    ) -> Result<VendorCall, UnsupportedSubject> {
        self.provider()
            .picture_call(&self.account, &Question { subject, refresh })
    }

    /// `me` is the configured own JID, and shares its entry, where the vendor has no call for it.
    pub(super) fn aliased(&self, subject: Subject) -> Result<Subject, UnsupportedSubject> {
        match subject {
            Subject::Me if !self.provider().has_own_profile() => self
                .account
                .own
                .map(Subject::Chat)
                .ok_or(UnsupportedSubject::OwnUnknown),
            subject => Ok(subject),
        }
    }
}

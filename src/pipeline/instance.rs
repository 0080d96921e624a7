//! A configured account, with its vendor, its HTTP client and its admission control.

use std::sync::Arc;

use crate::{
    avatar::Subject,
    limits::Admission,
    upstream::{Account, Client, Provider, Question, UnsupportedSubject, Vendor, VendorCall},
};

/// A configured account.
#[derive(Debug)]
pub struct Instance {
    name: Arc<str>,
    vendor: Vendor,
    account: Account,
    pub(super) client: Client,
    admission: Admission,
}

impl Instance {
    /// Joins the parts of an instance.
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

    /// The admission control, which decides whether the vendor may be called.
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

    /// Replaces `me` by the configured own JID if the vendor has no call for it, so that both share one
    /// entry.
    pub(super) fn resolve_own(&self, subject: Subject) -> Result<Subject, UnsupportedSubject> {
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

//! Checks that a request may see a face, and that it may have it refreshed.

use http::{HeaderMap, header};
use secrecy::SecretString;

use super::{
    access_error::AccessError,
    route::{AvatarUrl, LiveUrl, Signature},
};
use crate::{
    avatar::Subject,
    clock::Timestamp,
    http::{Scope, SigningKey, Ticket, credentials},
    representation::Sharing,
};

/// The rules of access.
#[derive(Debug)]
pub struct Access {
    /// Whether URLs have to be signed.
    pub mode: Mode,
    /// Whether open faces are for programs and pages of this machine alone. Every page in a browser on it can
    /// send requests here, so a page of another site is refused.
    pub is_for_this_machine: bool,
    /// The signing keys; a signature by any of them is good.
    pub keys: Vec<SigningKey>,
    /// Bearer tokens of servers, which may see and refresh every face.
    pub bearer_tokens: Vec<SecretString>,
}

/// Whether URLs have to be signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// They have to be.
    Signed,
    /// They need not be: every client that reaches the listener may see and refresh every face.
    Open,
}

impl Access {
    /// Rules that refuse every request.
    pub(super) fn closed() -> Self {
        Self {
            mode: Mode::Signed,
            is_for_this_machine: true,
            keys: Vec::new(),
            bearer_tokens: Vec::new(),
        }
    }

    /// Checks the bearer token, else the signature, and says who may store the reply. Verifies each
    /// signature once.
    pub(super) fn check(
        &self,
        url: &AvatarUrl<'_>,
        headers: &HeaderMap,
        now: Timestamp,
    ) -> Result<Sharing, AccessError> {
        if self.mode == Mode::Open {
            self.check_site(headers)?;
            let has_credential =
                headers.contains_key(header::AUTHORIZATION) || url.signature.sig.is_some();
            return Ok(if has_credential {
                Sharing::Private
            } else {
                Sharing::Public
            });
        }
        if credentials::has_bearer(headers, &self.bearer_tokens) {
            return Ok(Sharing::Private);
        }
        let ticket = self.ticket_of(url, now)?;
        if url.refresh && !ticket.refresh {
            return Err(AccessError::NoRefreshGrant);
        }
        Ok(Sharing::Private)
    }

    /// Whether a request whose access was checked has a credential: it may wait for longer than others, for example.
    pub(super) fn has_credential(
        &self,
        url: &AvatarUrl<'_>,
        headers: &HeaderMap,
        now: Timestamp,
    ) -> bool {
        self.mode == Mode::Signed
            || credentials::has_bearer(headers, &self.bearer_tokens)
            || self.ticket_of(url, now).is_ok()
    }

    /// Checks that a request may listen to all faces of an instance: the bearer token, else the signature, which has to be
    /// for the whole instance. Returns when the access ends, if it does.
    pub(super) fn check_live(
        &self,
        url: &LiveUrl<'_>,
        headers: &HeaderMap,
        now: Timestamp,
    ) -> Result<Option<Timestamp>, AccessError> {
        if self.mode == Mode::Open {
            self.check_site(headers)?;
            return Ok(None);
        }
        if credentials::has_bearer(headers, &self.bearer_tokens) {
            return Ok(None);
        }
        let ticket = self.ticket(&url.signature, &url.instance, None, now)?;
        Ok(Some(Timestamp::from_secs(ticket.expires)))
    }

    /// Whether a request that may listen has a credential, which open faces do not need.
    pub(super) fn has_live_credential(
        &self,
        url: &LiveUrl<'_>,
        headers: &HeaderMap,
        now: Timestamp,
    ) -> bool {
        self.mode == Mode::Signed
            || credentials::has_bearer(headers, &self.bearer_tokens)
            || self
                .ticket(&url.signature, &url.instance, None, now)
                .is_ok()
    }

    /// Checks that an open face is not shown to another site, if it is for this machine.
    fn check_site(&self, headers: &HeaderMap) -> Result<(), AccessError> {
        if self.is_for_this_machine && credentials::is_from_elsewhere(headers) {
            return Err(AccessError::AnotherSite);
        }
        Ok(())
    }

    fn ticket_of(&self, url: &AvatarUrl<'_>, now: Timestamp) -> Result<Ticket, AccessError> {
        self.ticket(&url.signature, &url.instance, Some(url.subject), now)
    }

    /// The ticket of a URL about `subject`, or about the whole instance, if one of the keys signed it and it has not
    /// expired.
    fn ticket(
        &self,
        signature: &Signature<'_>,
        instance: &str,
        subject: Option<Subject>,
        now: Timestamp,
    ) -> Result<Ticket, AccessError> {
        let Signature {
            exp,
            sig,
            grant,
            scope,
        } = signature;
        let signature = sig.as_deref().ok_or(AccessError::Unsigned)?;
        let expires: u64 = exp
            .as_deref()
            .and_then(|exp| exp.parse().ok())
            .ok_or(AccessError::NoExpiry)?;
        let ticket = Ticket {
            scope: match scope.as_deref() {
                None => Scope::Face(subject.ok_or(AccessError::NotWholeInstance)?),
                Some("instance") => Scope::Instance,
                Some(_) => return Err(AccessError::Scope),
            },
            expires,
            refresh: match grant.as_deref() {
                None | Some("") => false,
                Some("refresh") => true,
                Some(_) => return Err(AccessError::Grant),
            },
        };
        // Every key is tried, so that the time does not depend on which one matches.
        let is_ours = self.keys.iter().fold(false, |is_ours, key| {
            key.verify(signature, instance, &ticket) | is_ours
        });
        if !is_ours {
            return Err(AccessError::WrongSignature);
        }
        // Only a URL with a good signature is told that it has expired.
        if now.as_secs() >= expires {
            return Err(AccessError::Expired);
        }
        Ok(ticket)
    }
}

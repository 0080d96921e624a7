//! Who may see a face, and who may ask for a fresh one.

use http::{HeaderMap, header};
use secrecy::{ExposeSecret, SecretString};
use subtle::ConstantTimeEq;

use super::{
    problem::Problem,
    route::{RawTicket, Wanted},
    signature::{Refusal, Scope, SigningKey, Ticket},
};
use crate::clock::Timestamp;

/// The front's rules of access.
#[derive(Debug)]
pub struct Access {
    /// Whether URLs have to be signed.
    pub mode: Mode,
    /// The keys that sign them; any one will do.
    pub keys: Vec<SigningKey>,
    /// Tokens of servers, which may see everything and refresh it.
    pub bearer_tokens: Vec<SecretString>,
}

/// Whether URLs have to be signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// They have to be.
    Signed,
    /// Everybody who can reach the listener may see, and refresh, every face.
    Open,
}

impl Access {
    /// Lets the request pass, or says why not.
    pub(super) fn admit(
        &self,
        wanted: &Wanted<'_>,
        headers: &HeaderMap,
        now: Timestamp,
    ) -> Result<(), Problem> {
        if self.mode == Mode::Open || has_bearer(headers, &self.bearer_tokens) {
            return Ok(());
        }
        let ticket = self.ticket(wanted, now).map_err(Problem::Access)?;
        if wanted.refresh && !ticket.refresh {
            return Err(Problem::Access(Refusal::NoRefreshGrant));
        }
        Ok(())
    }

    /// The ticket that the URL carries, if one of the keys made it and it is still good.
    fn ticket(&self, wanted: &Wanted<'_>, now: Timestamp) -> Result<Ticket, Refusal> {
        let RawTicket {
            exp,
            sig,
            grant,
            scope,
        } = &wanted.ticket;
        let signature = sig.as_deref().ok_or(Refusal::Unsigned)?;
        let expires: u64 = exp
            .as_deref()
            .and_then(|exp| exp.parse().ok())
            .ok_or(Refusal::NoExpiry)?;
        let ticket = Ticket {
            scope: match scope.as_deref() {
                None => Scope::Face(wanted.subject),
                Some("instance") => Scope::Instance,
                Some(_) => return Err(Refusal::Scope),
            },
            expires,
            refresh: match grant.as_deref() {
                None | Some("") => false,
                Some("refresh") => true,
                Some(_) => return Err(Refusal::Grant),
            },
        };
        let is_ours = self
            .keys
            .iter()
            // Every key is tried, so that time does not tell which one it was.
            .fold(false, |is_ours, key| {
                key.made(signature, &wanted.instance, &ticket) | is_ours
            });
        if !is_ours {
            return Err(Refusal::Wrong);
        }
        // After the signature: an expiry is only worth a word if it is ours.
        if now.as_secs() >= expires {
            return Err(Refusal::Expired);
        }
        Ok(ticket)
    }
}

/// Whether the request carries one of `tokens` as its bearer token.
pub(super) fn has_bearer(headers: &HeaderMap, tokens: &[SecretString]) -> bool {
    let Some(given) = headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "))
    else {
        return false;
    };
    // Hashes have one length, so the comparison tells nothing about the tokens'.
    let given = blake3::hash(given.as_bytes());
    tokens.iter().fold(false, |is_known, token| {
        let token = blake3::hash(token.expose_secret().as_bytes());
        bool::from(token.as_bytes().ct_eq(given.as_bytes())) | is_known
    })
}

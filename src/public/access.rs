//! Who may see a face, and who may ask for a fresh one.

use std::net::IpAddr;

use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use http::{HeaderMap, header, uri::Authority};
use secrecy::{ExposeSecret, SecretString};
use subtle::ConstantTimeEq;

use super::route::{RawTicket, Wanted};
use crate::{
    clock::Timestamp,
    http::{
        problem::Problem,
        signed_url::{Refusal, Scope, SigningKey, Ticket},
    },
};

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
    pub(crate) fn admit(
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

/// Whether the request carries `token`: as a bearer token, or as the password that a browser asks for.
pub(crate) fn has_token(headers: &HeaderMap, token: &SecretString) -> bool {
    let password = headers.get(header::AUTHORIZATION).and_then(|value| {
        let text = value.to_str().ok()?.strip_prefix("Basic ")?;
        let pair = BASE64.decode(text.trim()).ok()?;
        let colon = pair.iter().position(|byte| *byte == b':')?;
        Some(pair[colon + 1..].to_vec())
    });
    match password {
        Some(password) => is_one_of(&password, std::slice::from_ref(token)),
        None => has_bearer(headers, std::slice::from_ref(token)),
    }
}

/// Whether `Host` can only mean this machine, or an address. A name may be anybody's: pointed here, it
/// would let its owner's pages ask what the operator's browser may ask.
pub(crate) fn names_us(headers: &HeaderMap) -> bool {
    let host = headers.get(header::HOST);
    let Some(host) = host.and_then(|host| host.to_str().ok()) else {
        return host.is_none();
    };
    let Ok(authority) = host.parse::<Authority>() else {
        return false;
    };
    let name = authority.host();
    let address = name.trim_start_matches('[').trim_end_matches(']');
    // Our own commands write `faceplate`, a name without a domain.
    matches!(name, "localhost" | "faceplate") || address.parse::<IpAddr>().is_ok()
}

/// Whether a browser sends this for a page of another site.
pub(crate) fn is_of_another_site(headers: &HeaderMap) -> bool {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    match (text("sec-fetch-site"), text("origin")) {
        (Some(site), _) => !matches!(site, "same-origin" | "none"),
        (None, Some(origin)) => {
            let origin = origin.split_once("://").map(|(_, authority)| authority);
            origin.is_none() || origin != text("host")
        }
        (None, None) => false,
    }
}

/// Whether the request carries one of `tokens` as its bearer token.
pub(crate) fn has_bearer(headers: &HeaderMap, tokens: &[SecretString]) -> bool {
    let Some(given) = headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "))
    else {
        return false;
    };
    is_one_of(given.as_bytes(), tokens)
}

/// Hashes have one length, so the comparison tells nothing about the tokens'.
fn is_one_of(given: &[u8], tokens: &[SecretString]) -> bool {
    let given = blake3::hash(given);
    tokens.iter().fold(false, |is_known, token| {
        let token = blake3::hash(token.expose_secret().as_bytes());
        bool::from(token.as_bytes().ct_eq(given.as_bytes())) | is_known
    })
}

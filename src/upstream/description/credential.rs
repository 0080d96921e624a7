//! Finds the credential of an account in a request that is none of the described calls, at the places where the
//! gateway's calls have it.

use std::borrow::Cow;

use http::header;

use super::{
    Description,
    call_head::CallHead,
    call_place::{CallPart, Findings, Place},
    request::Request,
    template::{Template, Values},
};
use crate::upstream::provider::Account;

/// The credential of a request, compared with that of an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum CredentialMatch {
    /// The request has none.
    Absent,
    /// It has another one.
    Wrong,
    /// It has the account's.
    Right,
}

impl Description {
    /// Compares the credential of a request with that of an account. Every place is compared in the same time. A
    /// credential that belongs into a header may be a parameter of the query with the name of the header:
    /// browsers cannot set headers of a WebSocket.
    pub fn match_credential(&self, account: &Account, head: &CallHead<'_>) -> CredentialMatch {
        let matches = self.requests().map(|request| {
            let places = self.secret_places(request, head);
            if places.iter().all(|place| place.given.is_none()) {
                return CredentialMatch::Absent;
            }
            let values = Values::of(account);
            let mut findings = Findings::default();
            for place in &places {
                let pattern = self.pattern(&place.template, &values);
                if pattern.chosen.is_some() || findings.add(&pattern, place).is_none() {
                    return CredentialMatch::Wrong;
                }
            }
            match findings.is_proven && !findings.is_wrong_credential {
                true => CredentialMatch::Right,
                false => CredentialMatch::Wrong,
            }
        });
        matches.max().unwrap_or(CredentialMatch::Absent)
    }

    /// The places of a call that have a credential.
    fn secret_places<'a>(&'a self, request: &'a Request, head: &'a CallHead<'_>) -> Vec<Place<'a>> {
        let is_secret = |template: &Template| template.placeholders().any(|of| self.is_secret(of));
        let segments = request.path.segments().into_iter().skip(1).enumerate();
        let in_path = segments.filter(|(_, template)| is_secret(template));
        let in_path = in_path.map(|(index, template)| Place {
            template: Cow::Owned(template),
            given: head.segments.get(index).map(AsRef::as_ref),
            part: CallPart::Segment,
        });
        let in_query = self.query.iter().chain(&request.query);
        let in_query = in_query.filter(|(_, template)| is_secret(template));
        let in_query = in_query.map(|(name, template)| Place {
            template: Cow::Borrowed(template),
            given: head.query(name),
            part: CallPart::Query,
        });
        let in_headers = self.headers.iter().chain(&request.headers);
        let in_headers = in_headers.filter(|(_, template)| is_secret(template));
        let in_headers = in_headers.map(|(name, template)| Place {
            template: Cow::Borrowed(template),
            given: match head.headers.get(name) {
                Some(value) => value.to_str().ok(),
                None => head.query(name.as_str()),
            },
            part: match *name == header::AUTHORIZATION {
                true => CallPart::Authorization,
                false => CallPart::Header,
            },
        });
        in_path.chain(in_query).chain(in_headers).collect()
    }
}

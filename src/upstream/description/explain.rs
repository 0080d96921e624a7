//! Shows how a reply is read: by which call, member and rule. It names members and types only, because the values of
//! a reply are names, numbers and links.

use std::fmt;

use bytes::Bytes;
use serde_json::Value;

use super::{
    Description, members,
    pointer::Pointer,
    reading::{self, Basis, Body},
    rule::Then,
    sample,
};
use crate::{
    avatar::{Jid, Subject},
    upstream::{
        link::Link,
        provider::{Account, VendorAnswer, VendorReply},
    },
};

/// How a reply is read, line by line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    lines: Vec<String>,
    /// The bytes that are taken for the picture, not validated yet.
    pub bytes: Option<Bytes>,
    /// The link that is taken for the picture's.
    pub link: Option<Link>,
}

impl Description {
    /// The call about a face, without values; `None` if the gateway cannot be asked for it.
    pub fn redacted_call(&self, own: Option<Jid>, subject: Option<Subject>) -> Option<String> {
        let index = self.explained_picture(own, subject)?;
        Some(self.pictures[index].request.redacted(&self.query))
    }

    /// How the reply to that call is read.
    pub fn explain(
        &self,
        own: Option<Jid>,
        subject: Option<Subject>,
        reply: &VendorReply,
    ) -> Explanation {
        let mut lines = vec![format!("status {}", reply.status.as_u16())];
        let Some(index) = self.explained_picture(own, subject) else {
            lines.push("gives unsupported".to_owned());
            return Explanation {
                lines,
                bytes: None,
                link: None,
            };
        };
        let places = &self.pictures[index].places;
        let body = Body::of(reply);
        match &body.json {
            Some(json) => {
                for pointer in places.link.iter().flatten() {
                    lines.push(format!(
                        " link at '{pointer}' is {}",
                        content(pointer, json)
                    ));
                }
                for pointer in &places.base64 {
                    lines.push(format!(
                        " base64 at '{pointer}' is {}",
                        content(pointer, json)
                    ));
                }
                if places.link.is_none() && places.base64.is_empty() {
                    lines.push(format!(" the answer has: {}", members::list(json)));
                }
            }
            None => lines.push(format!(
                " the answer is no JSON; it has {} bytes",
                reply.body.len()
            )),
        }
        let reading = reading::read(places, &self.rules, reply);
        lines.push(format!(" {}", self.describe_basis(reading.basis, index)));
        lines.push(match &reading.result {
            Ok(VendorAnswer::Link(_)) => "gives a link".to_owned(),
            Ok(answer) => format!("gives {}", sample::describe_answer(answer)),
            Err(failure) => format!("gives {}: {}", failure.why.as_str(), failure.detail),
        });
        let (bytes, link) = match reading.result {
            Ok(VendorAnswer::Bytes(bytes)) => (Some(bytes), None),
            Ok(VendorAnswer::Link(link)) => (None, Link::parse(&link).ok()),
            _ => (None, None),
        };
        Explanation { lines, bytes, link }
    }

    /// The step that decided, in words.
    pub(super) fn describe_basis(&self, basis: Basis, picture: usize) -> String {
        let places = &self.pictures[picture].places;
        match basis {
            Basis::Bytes => "the body is the picture".to_owned(),
            Basis::Base64(at) => format!("the picture is at '{}'", places.base64[at]),
            Basis::Link(at) => match &places.link {
                Some(links) => format!("the link is at '{}'", links[at]),
                None => "the link is in a member that most gateways use".to_owned(),
            },
            Basis::Rule(index) => format!("rule {} holds{}", index + 1, self.verdict_of(index)),
            Basis::Words => "no rule holds; WhatsApp's words in an error member decide".to_owned(),
            Basis::ErrorInside => "no rule holds; the answer says that it is an error".to_owned(),
            Basis::SaysNone => "no rule holds; the answer says that there is none".to_owned(),
            Basis::Status => "no rule holds; the status decides".to_owned(),
            Basis::Unusable => {
                "no rule holds, and a member of the description has no picture in it".to_owned()
            }
            Basis::NotUnderstood => {
                "no rule holds, and no member of the description is there".to_owned()
            }
        }
    }

    fn verdict_of(&self, index: usize) -> String {
        let then = self.rules[index].then;
        let mut names = Then::NAMES.into_iter();
        let name = names.find(|(_, known)| *known == then);
        name.map(|(name, _)| format!(": {name}"))
            .unwrap_or_default()
    }

    fn explained_picture(&self, own: Option<Jid>, subject: Option<Subject>) -> Option<usize> {
        let account = Account {
            own,
            ..sample::account()
        };
        let subject = subject.unwrap_or_else(|| self.usual_subject());
        self.picture_for(&account, subject).ok()
    }
}

/// The type of a place's value; for a place that is missing, the members that are there.
fn content(pointer: &Pointer, json: &Value) -> String {
    if let Some(value) = pointer.find(json) {
        return members::kind(value).to_owned();
    }
    let (reached, value) = pointer.reached(json);
    let place = if reached.is_empty() {
        "the answer"
    } else {
        &reached
    };
    format!("missing; members of {place}: {}", members::list(value))
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.lines.join("\n"))
    }
}

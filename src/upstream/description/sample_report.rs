//! Runs a description's samples, and reports those that come out otherwise than they say.

use serde_json::Value;

use super::{
    Description, PictureSubject,
    jid_forms::KINDS,
    lists::Session,
    reading::{self, Basis},
    sample::{CallKind, Sample, account, describe_answer, jid},
};
use crate::{
    avatar::{Jid, Subject},
    upstream::provider::{Page, Question, VendorAnswer, VendorCall, VendorFailure, VendorReply},
};

/// The result of a description's samples.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SampleReport {
    /// How many samples there are.
    pub count: usize,
    /// Samples that came out otherwise than they say.
    pub failures: Vec<String>,
    /// Parts of the description that no sample reaches.
    pub hints: Vec<String>,
}

/// The parts of the description that one sample reaches.
#[derive(Default)]
struct Reach {
    picture: Option<usize>,
    basis: Option<Basis>,
    event: Option<usize>,
}

impl Description {
    /// Runs all samples.
    pub fn check_samples(&self) -> SampleReport {
        let mut report = SampleReport {
            count: self.samples.len(),
            ..SampleReport::default()
        };
        let mut reached = Vec::new();
        for (index, sample) in self.samples.iter().enumerate() {
            match self.run(sample) {
                Ok(parts) => reached.push(parts),
                Err(problem) => {
                    let number = index + 1;
                    let from = &sample.from;
                    report
                        .failures
                        .push(format!("sample {number} ({from}): {problem}"));
                }
            }
        }
        report.failures.extend(self.check_answers());
        if report.failures.is_empty() {
            report.hints = self.hints(&reached);
        }
        report
    }

    fn run(&self, sample: &Sample) -> Result<Reach, String> {
        match sample.call {
            CallKind::Picture => self.run_picture(sample),
            CallKind::Chats => {
                let page = Page {
                    offset: 20,
                    limit: 10,
                    cursor: None,
                };
                let list = self.chat_list_call(&account(), &page);
                let list = list.ok_or("there is no [chats]")?;
                check_call(sample, &list.call)?;
                self.check_reply(sample, |reply| match self.read_chat_list(reply) {
                    Ok(list) => {
                        let chats = list.chats.iter();
                        let chats =
                            chats.map(|chat| with_link(chat.jid.as_str(), chat.face.as_ref()));
                        or_nothing(chats.chain(list.same.iter().map(one_person)).collect())
                    }
                    Err(failure) => failed(&failure),
                })
            }
            CallKind::Session => {
                let (call, _) = self
                    .session_call(&account())
                    .ok_or("there is no [session]")?;
                check_call(sample, &call)?;
                self.check_reply(sample, |reply| match self.read_session(reply) {
                    Some(Ok(Session { is_up: true, own })) => {
                        own.map_or_else(|| "up".to_owned(), |own| format!("up own={own}"))
                    }
                    Some(Ok(_)) => "down".to_owned(),
                    Some(Err(failure)) => failed(&failure),
                    None => String::new(),
                })
            }
            CallKind::Lid => self.run_lid(sample),
            CallKind::Hook => self.run_hook(sample),
        }
    }

    fn run_picture(&self, sample: &Sample) -> Result<Reach, String> {
        let account = account();
        let subject = sample.ask.unwrap_or_else(|| self.usual_subject());
        let question = Question {
            subject,
            refresh: sample.refresh,
        };
        let call = match self.picture_call(&account, &question) {
            Ok(call) => call,
            Err(_) if sample.gives.as_deref() == Some("unsupported") => {
                return Ok(Reach::default());
            }
            Err(unsupported) => return Err(unsupported.to_string()),
        };
        check_call(sample, &call)?;
        let index = self
            .picture_for(&account, subject)
            .map_err(|unsupported| unsupported.to_string())?;
        let mut reached = Reach {
            picture: sample.ask.map(|_| index),
            ..Reach::default()
        };
        if let Some(expected) = &sample.gives {
            let reading = reading::read(&self.pictures[index].places, &self.rules, &sample.reply());
            let given = match &reading.result {
                Ok(answer) => describe_answer(answer),
                Err(failure) => failed(failure),
            };
            if given != *expected {
                let how = self.describe_basis(reading.basis, index);
                return Err(format!("gives {given}, not {expected}; {how}"));
            }
            reached.picture = Some(index);
            reached.basis = Some(reading.basis);
        }
        Ok(reached)
    }

    fn run_lid(&self, sample: &Sample) -> Result<Reach, String> {
        let Some(Subject::Chat(jid)) = sample.ask else {
            return Err("ask is missing; write a LID".to_owned());
        };
        let call = self.lid_call(&account(), &jid);
        check_call(sample, &call.ok_or("there is no [lid]")?)?;
        self.check_reply(sample, |reply| match self.read_lid(reply) {
            Ok(Some(phone)) => phone.to_string(),
            Ok(None) => "none".to_owned(),
            Err(failure) => failed(&failure),
        })
    }

    fn run_hook(&self, sample: &Sample) -> Result<Reach, String> {
        let text = sample.reply.as_deref().unwrap_or_default();
        let json: Value = serde_json::from_str(text).map_err(|_| "reply is no JSON")?;
        let event = self.read_event_json(&json);
        let event = event.map_err(|error| error.to_string())?;
        let faces = event.faces.iter().map(|face| {
            let link = face
                .link
                .as_ref()
                .map(|link| format!(" {link}"))
                .unwrap_or_default();
            let removed = if face.is_removed { " removed" } else { "" };
            let hint = if face.is_hint { " hint" } else { "" };
            format!("{}{link}{removed}{hint}", face.jid)
        });
        let account = event.account.as_deref().unwrap_or("?");
        let given = format!(
            "{account}: {}",
            or_nothing(faces.chain(event.same.iter().map(one_person)).collect())
        );
        match &sample.gives {
            Some(expected) if *expected != given => Err(format!("gives {given}, not {expected}")),
            _ => Ok(Reach {
                event: event.kind,
                ..Reach::default()
            }),
        }
    }

    fn check_reply(
        &self,
        sample: &Sample,
        read: impl FnOnce(&VendorReply) -> String,
    ) -> Result<Reach, String> {
        if let Some(expected) = &sample.gives {
            let given = read(&sample.reply());
            if given != *expected {
                return Err(format!("gives {given}, not {expected}"));
            }
        }
        Ok(Reach::default())
    }

    /// A face that the gateway can be asked for.
    pub(super) fn usual_subject(&self) -> Subject {
        let has = |wanted| {
            let mut pictures = self.pictures.iter();
            pictures.any(|picture| picture.subjects.contains(&wanted))
        };
        let mut kinds = KINDS.into_iter();
        let kind = kinds.find(|(_, kind)| has(PictureSubject::Kind(*kind)));
        kind.and_then(|(_, kind)| jid(kind))
            .map_or(Subject::Me, Subject::Chat)
    }

    /// The parts that this file writes and that no sample reaches.
    fn hints(&self, reached: &[Reach]) -> Vec<String> {
        let is_written = |section| self.written.contains(&section);
        let mut hints = Vec::new();
        let mut wish = |about: String| hints.push(format!("no sample reaches {about}"));
        let has_basis = |picture: usize, basis: Basis| {
            let mut parts = reached.iter();
            parts.any(|parts| parts.picture == Some(picture) && parts.basis == Some(basis))
        };
        if is_written("picture") {
            for (index, picture) in self.pictures.iter().enumerate() {
                let number = index + 1;
                if !reached.iter().any(|parts| parts.picture == Some(index)) {
                    wish(format!("picture {number}"));
                }
                let links = picture.places.link.iter().flatten();
                for (at, pointer) in links.enumerate() {
                    if !has_basis(index, Basis::Link(at)) {
                        wish(format!("{pointer} of picture {number}"));
                    }
                }
                for (at, pointer) in picture.places.base64.iter().enumerate() {
                    if !has_basis(index, Basis::Base64(at)) {
                        wish(format!("{pointer} of picture {number}"));
                    }
                }
            }
        }
        if is_written("reply") {
            for index in 0..self.rules.len() {
                if !reached
                    .iter()
                    .any(|parts| parts.basis == Some(Basis::Rule(index)))
                {
                    wish(format!("rule {}", index + 1));
                }
            }
        }
        if is_written("jid") {
            for (name, kind) in KINDS {
                let is_asked = |sample: &Sample| matches!(sample.ask, Some(Subject::Chat(jid)) if jid.kind() == kind);
                if self.jid.has(kind) && !self.samples.iter().any(is_asked) {
                    wish(format!("a JID of the kind {name}"));
                }
            }
        }
        for (name, call) in CallKind::NAMES {
            let mut samples = self.samples.iter();
            if is_written(name) && !samples.any(|sample| sample.call == call) {
                wish(format!("the call {name}"));
            }
        }
        if let Some(hook) = self.hook.as_ref().filter(|_| is_written("hook")) {
            for index in 0..hook.events.len() {
                if !reached.iter().any(|parts| parts.event == Some(index)) {
                    wish(format!("event {}", index + 1));
                }
            }
        }
        hints
    }
}

fn check_call(sample: &Sample, call: &VendorCall) -> Result<(), String> {
    let sent = format!("{} {}", call.method, call.target);
    if let Some(expected) = &sample.sends
        && *expected != sent
    {
        return Err(format!("sends {sent}, not {expected}"));
    }
    if let Some(expected) = &sample.body {
        let sent: Value = serde_json::from_slice(&call.body).unwrap_or_default();
        if *expected != sent {
            return Err(format!("sends the body {sent}, not {expected}"));
        }
    }
    Ok(())
}

fn failed(failure: &VendorFailure) -> String {
    failure.why.as_str().to_owned()
}

fn with_link(jid: &str, face: Option<&VendorAnswer>) -> String {
    match face {
        Some(VendorAnswer::Link(link)) => format!("{jid} {link}"),
        _ => jid.to_owned(),
    }
}

fn one_person((lid, number): &(Jid, Jid)) -> String {
    format!("{lid}={number}")
}

fn or_nothing(items: Vec<String>) -> String {
    if items.is_empty() {
        "nothing".to_owned()
    } else {
        items.join(", ")
    }
}

//! A gateway's API, described in a file: how its calls are made and how their answers are read. `docs/providers.md`
//! is the language; it has no regular expressions, no loops and no code.
//!
//! * Loading: a TOML text → [`table`], which reports every problem with its line → [`parse`] → [`Description`].
//! * Asking: [`Question`] and [`Account`] → [`request`], filled by [`template`] → [`VendorCall`].
//! * Reading: [`VendorReply`] → [`reading`], by [`pointer`]s, [`rule`]s and [`words`] → [`VendorAnswer`] or
//!   [`VendorFailure`]. [`lists`] and [`event`] read the other calls and webhooks.
//! * Answering a program that calls this server instead of the gateway: [`matching`] finds the question that a
//!   request is, [`answer`] writes the gateway's answer, [`outline`] lists the calls for the OpenAPI document.
//! * Testing: [`sample_report`] runs the description's own [`sample`]s, [`answer_report`] reads its answers,
//!   [`explain`] shows how one reply is read.
//!
//! [`Description`] knows nothing of the modules that load, collect, test and explain descriptions.
//!
//! # Files
//!
//! Loading:
//!
//! * `catalog`: all descriptions that can be used
//! * `shipped`: those in this program
//! * `parse`: loads one from TOML
//! * `table`: reads a table key by key, and reports every problem
//! * `account`: checks an instance's values
//!
//! Asking:
//!
//! * `request`: the request of a call
//! * `template`: text with placeholders
//! * `jid_forms`: how the gateway writes JIDs
//!
//! Reading:
//!
//! * `reading`: the reply about a picture
//! * `pointer`: JSON Pointers
//! * `rule`: rules about replies
//! * `embedded`: pictures inside of JSON
//! * `unusable`: members without the picture that they should have
//! * `words`: WhatsApp's words in errors
//! * `status`: statuses that mean the same with every gateway
//! * `lists`: chats, session, and the number of a LID
//! * `names`: two names of one person
//! * `event`: webhook events
//!
//! Answering programs:
//!
//! * `call_head`: the head of a program's request
//! * `matching`: recognizes a picture call in it
//! * `call_place`: the values in its places
//! * `matched_jid`: the face that it names
//! * `credential`: the account's credential in any request
//! * `answer`: the gateway's answer
//! * `outline`: the calls that are answered, for the OpenAPI document
//!
//! Testing:
//!
//! * `sample`: the samples of a description
//! * `sample_report`: runs them
//! * `answer_report`: reads the answers by the description's own rules
//! * `explain`: shows how a reply is read
//! * `members`: member names for messages, never values

pub(super) mod account;
pub(super) mod answer;
mod answer_report;
pub(super) mod call_head;
mod call_place;
pub(super) mod catalog;
pub(super) mod credential;
mod embedded;
pub(super) mod event;
pub(super) mod explain;
mod jid_forms;
pub(super) mod lists;
mod matched_jid;
pub(super) mod matching;
mod members;
mod names;
pub(super) mod outline;
pub(super) mod parse;
mod pointer;
mod reading;
mod request;
mod rule;
mod sample;
pub(super) mod sample_report;
pub(super) mod shipped;
mod status;
pub(super) mod table;
mod template;
mod unusable;
mod words;

use std::{fmt, sync::Arc, time::Duration};

use http::HeaderName;

use self::{
    answer::AnswerForm,
    event::{Event, EventError, HookReader},
    jid_forms::JidForms,
    lists::{ChatLister, LidCall, Session, SessionCall},
    reading::Places,
    request::Request,
    rule::Rule,
    sample::Sample,
    template::{Template, Values},
};
use super::{
    guard::HostPattern,
    provider::{
        Account, ChatList, ChatListCall, Page, Question, UnsupportedSubject, VendorAnswer,
        VendorCall, VendorFailure, VendorReply,
    },
};
use crate::avatar::{Jid, Kind, Subject};

/// A gateway's API.
#[derive(Clone)]
pub struct Description {
    /// The name in configuration, logs, metrics and webhooks.
    pub name: Arc<str>,
    /// Whether it is one of this program's, which may name hosts.
    pub is_shipped: bool,
    /// The name for people.
    pub title: String,
    /// The sources of its facts.
    pub docs: Vec<String>,
    /// The address of a hosted gateway.
    pub base_url: Option<String>,
    /// The instance's `account`, in words.
    pub account: String,
    /// The instance's `token`, in words.
    pub token: String,
    /// Further values that an instance sets.
    pub params: Vec<Param>,
    /// Limits for instances that set none.
    pub defaults: Defaults,
    /// Whether the gateway caches answers, nulls included, until a call with a refresh.
    pub keeps_answers: bool,
    headers: Vec<(HeaderName, Template)>,
    query: Vec<(String, Template)>,
    jid: JidForms,
    pictures: Vec<PictureCall>,
    rules: Vec<Rule>,
    chats: Option<ChatLister>,
    session: Option<SessionCall>,
    lid: Option<LidCall>,
    hook: Option<HookReader>,
    answers: Vec<AnswerForm>,
    samples: Vec<Sample>,
    /// Sections of this file; the others are those of the description that it extends.
    written: Vec<&'static str>,
}

/// A value that an instance sets beside account and token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Param {
    /// Its name in `params`.
    pub name: String,
    /// Its meaning.
    pub what: String,
    /// Whether it is a credential.
    pub is_secret: bool,
    /// The value of an instance that sets none; `None`: the instance has to.
    pub default: Option<String>,
}

/// Limits of an instance that sets none.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Defaults {
    /// Calls a minute, and at once.
    pub lookups: Option<(u32, u32)>,
    /// Those that bypass the gateway's cache.
    pub refreshes: Option<(u32, u32)>,
    /// Calls in a day.
    pub daily: Option<u32>,
    /// Hosts of links.
    pub picture_hosts: Vec<HostPattern>,
    /// The time limit of a call.
    pub call_timeout: Option<Duration>,
}

/// A call for pictures.
#[derive(Clone)]
struct PictureCall {
    subjects: Vec<PictureSubject>,
    request: Request,
    places: Places,
}

/// A kind of face that a call is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum PictureSubject {
    /// A chat of this kind.
    Kind(Kind),
    /// The account itself, without a JID.
    Me,
    /// The account's own JID, where it has another call than others.
    Own,
}

// === impl Description ===

impl Description {
    /// The call that asks for a face's picture.
    pub fn picture_call(
        &self,
        account: &Account,
        question: &Question,
    ) -> Result<VendorCall, UnsupportedSubject> {
        let picture = &self.pictures[self.picture_for(account, question.subject)?];
        let written = match question.subject {
            Subject::Me | Subject::Faceless(_) => None,
            Subject::Chat(jid) => Some((self.jid.write(&jid).unwrap_or_default(), jid)),
        };
        let values = Values {
            jid: written
                .as_ref()
                .map(|(text, jid)| (text.as_str(), jid.user())),
            refresh: question.refresh,
            ..Values::of(account)
        };
        self.fill(&picture.request, &values)
    }

    /// Interprets the reply to that call.
    pub fn read_picture(
        &self,
        account: &Account,
        question: &Question,
        reply: &VendorReply,
    ) -> Result<VendorAnswer, VendorFailure> {
        match self.picture_for(account, question.subject) {
            Ok(index) => reading::read(&self.pictures[index].places, &self.rules, reply).result,
            Err(unsupported) => Err(VendorFailure::new(
                crate::avatar::Trouble::VendorError,
                unsupported.to_string(),
            )),
        }
    }

    /// Whether there is no gateway: programs push the pictures.
    pub fn is_push(&self) -> bool {
        self.pictures.is_empty()
    }

    /// Whether the gateway has a call for the account's own picture. If not, `me` is the account's configured JID.
    pub fn has_own_profile(&self) -> bool {
        let mut pictures = self.pictures.iter();
        pictures.any(|picture| picture.subjects.contains(&PictureSubject::Me))
    }

    /// Whether this file itself names the host that credentials are sent to.
    pub fn names_host(&self) -> bool {
        self.written.contains(&"base_url")
    }

    /// Whether the gateway has a list of chats.
    pub fn has_chats(&self) -> bool {
        self.chats.is_some()
    }

    /// Whether the gateway has a call for the state of its session.
    pub fn has_session(&self) -> bool {
        self.session.is_some()
    }

    /// Whether the gateway has a call for the number of a LID.
    pub fn has_lid(&self) -> bool {
        self.lid.is_some()
    }

    /// The cost of that call in lookups.
    pub fn session_cost(&self) -> Option<usize> {
        self.session.as_ref().map(|session| session.cost)
    }

    /// Whether the gateway has webhooks that this description can read.
    pub fn has_hook(&self) -> bool {
        self.hook.is_some()
    }

    /// The call for a page of the chats, newest first; `None` for a gateway without a list.
    pub fn chat_list_call(&self, account: &Account, page: &Page) -> Option<ChatListCall> {
        let chats = self.chats.as_ref()?;
        let page = chats.fit(page);
        let values = Values {
            page: Some(&page),
            ..Values::of(account)
        };
        Some(ChatListCall {
            call: self.fill(&chats.request, &values).ok()?,
            limit: page.limit,
            is_paged: chats.is_paged(),
            cost: chats.cost(&page),
        })
    }

    /// Interprets the reply to that call.
    pub fn read_chat_list(&self, reply: &VendorReply) -> Result<ChatList, VendorFailure> {
        match &self.chats {
            Some(chats) => chats.read(&self.rules, &self.jid, reply),
            None => Ok(ChatList::default()),
        }
    }

    /// Replaces the links to pictures in such a list by those that `link` makes.
    pub fn relink_chats(&self, list: &mut serde_json::Value, link: impl Fn(Jid) -> String) {
        if let Some(chats) = &self.chats {
            chats.relink(list, &self.jid, link);
        }
    }

    /// The call for the state of the session, and its cost in lookups; `None` for a gateway without one.
    pub fn session_call(&self, account: &Account) -> Option<(VendorCall, usize)> {
        let session = self.session.as_ref()?;
        let call = self.fill(&session.request, &Values::of(account)).ok()?;
        Some((call, session.cost))
    }

    /// Interprets the reply to that call.
    pub fn read_session(&self, reply: &VendorReply) -> Option<Result<Session, VendorFailure>> {
        let session = self.session.as_ref()?;
        Some(session.read(&self.rules, &self.jid, reply))
    }

    /// The call for the number of a LID; `None` for a gateway without one.
    pub fn lid_call(&self, account: &Account, lid: &Jid) -> Option<VendorCall> {
        let call = self.lid.as_ref()?;
        let written = self.jid.write(lid).unwrap_or_else(|| lid.to_string());
        let values = Values {
            jid: Some((&written, lid.user())),
            ..Values::of(account)
        };
        self.fill(&call.request, &values).ok()
    }

    /// Interprets the reply to that call: the number; `None` if the gateway knows none.
    pub fn read_lid(&self, reply: &VendorReply) -> Result<Option<Jid>, VendorFailure> {
        match &self.lid {
            Some(lid) => lid.read(&self.rules, &self.jid, reply),
            None => Ok(None),
        }
    }

    /// Reads the body of a webhook: JSON, or a form.
    pub fn read_event(&self, body: &[u8], is_form: bool) -> Result<Event, EventError> {
        self.read_event_json(&event::json(body, is_form)?)
    }

    fn read_event_json(&self, sent: &serde_json::Value) -> Result<Event, EventError> {
        let hook = self.hook.as_ref().ok_or(EventError::NoHook)?;
        match sent.is_object() {
            true => Ok(hook.read(sent, &self.jid)),
            false => Err(EventError::NoObject),
        }
    }

    /// The picture call for a face.
    fn picture_for(
        &self,
        account: &Account,
        subject: Subject,
    ) -> Result<usize, UnsupportedSubject> {
        let find = |wanted| {
            let mut pictures = self.pictures.iter();
            pictures.position(|picture| picture.subjects.contains(&wanted))
        };
        match subject {
            Subject::Me => find(PictureSubject::Me).ok_or(UnsupportedSubject::OwnUnknown),
            Subject::Faceless(_) => Err(UnsupportedSubject::Faceless),
            Subject::Chat(jid) => {
                let own = (account.own == Some(jid))
                    .then(|| find(PictureSubject::Own))
                    .flatten();
                own.or_else(|| find(PictureSubject::Kind(jid.kind())))
                    .ok_or_else(|| self.unsupported(jid.kind()))
            }
        }
    }

    fn unsupported(&self, kind: Kind) -> UnsupportedSubject {
        let mut subjects = self.pictures.iter().flat_map(|picture| &picture.subjects);
        if subjects.all(|subject| *subject == PictureSubject::Me) {
            UnsupportedSubject::OnlyOwn
        } else {
            UnsupportedSubject::Kind(kind)
        }
    }

    fn fill(
        &self,
        request: &Request,
        values: &Values<'_>,
    ) -> Result<VendorCall, UnsupportedSubject> {
        request
            .fill(&self.query, &self.headers, values)
            .map_err(|template::UnfillablePath| UnsupportedSubject::Unfillable)
    }
}

impl fmt::Debug for Description {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Description")
            .field("name", &self.name)
            .field("is_shipped", &self.is_shipped)
            .finish_non_exhaustive()
    }
}

impl<'v> Values<'v> {
    fn of(account: &'v Account) -> Self {
        Self {
            account,
            jid: None,
            refresh: false,
            page: None,
            answer: None,
        }
    }
}

#[cfg(test)]
fn reply(status: u16, body: impl Into<bytes::Bytes>) -> VendorReply {
    VendorReply {
        status: http::StatusCode::from_u16(status).expect("a valid status"),
        headers: http::HeaderMap::new(),
        body: body.into(),
    }
}

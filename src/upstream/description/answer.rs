//! The gateway's own answers, for programs that call this server instead of the gateway. The faces come from the
//! cache, so an answer is written from its outcome, never from a reply of the gateway.

use bytes::Bytes;
use http::StatusCode;

use super::{
    Description, PictureCall, PictureSubject,
    request::Json,
    template::{AnswerValues, Template, Values},
};
use crate::{
    avatar::{Empty, Subject, Trouble},
    upstream::provider::Account,
};

/// An answer of the gateway's.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct AnswerForm {
    pub(super) to: Vec<AnswerKind>,
    /// The calls that it belongs to, by their faces; if empty, all but `me`.
    pub(super) subjects: Vec<PictureSubject>,
    /// The status; without one, that of the kind.
    pub(super) status: Option<StatusCode>,
    pub(super) body: AnswerBody,
}

/// The body of an answer.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum AnswerBody {
    Json(Json),
    Text(Template),
}

/// The statement of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AnswerKind {
    /// There is a picture.
    Picture,
    /// There is none.
    Empty(Empty),
    /// There is none, for any reason.
    None,
    /// The gateway cannot say.
    Trouble(Trouble),
    /// The gateway did not answer in time.
    TimedOut,
    /// The call is malformed.
    Malformed,
    /// There is no such account.
    NoAccount,
    /// Everything that is neither a picture nor none.
    Error,
}

/// An answer, written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WrittenAnswer {
    /// The status.
    pub status: StatusCode,
    /// The media type.
    pub media: &'static str,
    /// The body.
    pub body: Bytes,
}

/// The facts of an answer.
#[derive(Clone, Copy)]
pub struct AnswerFacts<'a> {
    /// The statement.
    pub kind: AnswerKind,
    /// The account, as the program wrote it.
    pub account: &'a str,
    /// The face, if the call was understood.
    pub subject: Option<Subject>,
    /// The link to the picture; only [`AnswerKind::Picture`] has one.
    pub link: Option<&'a str>,
    /// When the picture changed, in Unix seconds.
    pub changed: u64,
}

// === impl AnswerKind ===

impl AnswerKind {
    pub(super) const NAMES: [(&'static str, AnswerKind); 13] = [
        ("picture", AnswerKind::Picture),
        ("none", AnswerKind::None),
        ("not_set", AnswerKind::Empty(Empty::NotSet)),
        ("hidden", AnswerKind::Empty(Empty::Hidden)),
        ("unknown", AnswerKind::Empty(Empty::Unknown)),
        ("not_found", AnswerKind::Empty(Empty::NotFound)),
        ("auth", AnswerKind::Trouble(Trouble::Auth)),
        ("session_down", AnswerKind::Trouble(Trouble::SessionDown)),
        ("rate_limited", AnswerKind::Trouble(Trouble::RateLimited)),
        ("timed_out", AnswerKind::TimedOut),
        ("malformed", AnswerKind::Malformed),
        ("no_account", AnswerKind::NoAccount),
        ("error", AnswerKind::Error),
    ];

    /// The kind whose answer is used if this one has none.
    fn wider(self) -> Option<Self> {
        match self {
            AnswerKind::Empty(_) => Some(AnswerKind::None),
            AnswerKind::Picture | AnswerKind::None | AnswerKind::Error => None,
            _ => Some(AnswerKind::Error),
        }
    }

    fn usual_status(self) -> StatusCode {
        match self {
            AnswerKind::Picture | AnswerKind::Empty(_) | AnswerKind::None => StatusCode::OK,
            AnswerKind::Malformed => StatusCode::BAD_REQUEST,
            AnswerKind::NoAccount => StatusCode::NOT_FOUND,
            AnswerKind::TimedOut => StatusCode::GATEWAY_TIMEOUT,
            AnswerKind::Trouble(Trouble::Auth) => StatusCode::UNAUTHORIZED,
            AnswerKind::Trouble(Trouble::SessionDown) => StatusCode::SERVICE_UNAVAILABLE,
            AnswerKind::Trouble(Trouble::RateLimited | Trouble::OverBudget) => {
                StatusCode::TOO_MANY_REQUESTS
            }
            AnswerKind::Trouble(Trouble::VendorError) | AnswerKind::Error => {
                StatusCode::INTERNAL_SERVER_ERROR
            }
        }
    }
}

impl Description {
    /// Writes the gateway's answer to its picture call of this index.
    pub fn write_answer(&self, picture: usize, facts: &AnswerFacts<'_>) -> WrittenAnswer {
        let form = self.answer_form(picture, facts.kind);
        let status = form.and_then(|form| form.status);
        let status = status.unwrap_or_else(|| facts.kind.usual_status());
        let account = Account {
            name: facts.account.to_owned(),
            token: Default::default(),
            own: None,
            params: Default::default(),
        };
        let written = match facts.subject {
            Some(Subject::Chat(jid)) => {
                let text = self.jid.write(&jid).unwrap_or_else(|| jid.to_string());
                Some((text, jid.user().to_owned()))
            }
            _ => None,
        };
        let canonical = facts.subject.as_ref().map_or("", Subject::as_str);
        let answer = AnswerValues {
            link: facts.link,
            canonical,
            changed: facts.changed,
            status,
        };
        let values = Values {
            jid: written
                .as_ref()
                .map(|(jid, user)| (jid.as_str(), user.as_str())),
            answer: Some(&answer),
            ..Values::of(&account)
        };
        let (media, body) = match form.map(|form| &form.body) {
            Some(AnswerBody::Json(json)) => {
                let json = json.fill(&values).unwrap_or_default();
                ("application/json", json.to_string())
            }
            Some(AnswerBody::Text(text)) => ("text/plain; charset=utf-8", text.fill(&values)),
            None => {
                let error = status.canonical_reason().unwrap_or("Error");
                let json = serde_json::json!({ "error": error });
                ("application/json", json.to_string())
            }
        };
        WrittenAnswer {
            status,
            media,
            body: body.into(),
        }
    }

    /// Whether the answer to the picture call of this index is the picture itself.
    pub fn answers_with_bytes(&self, picture: usize) -> bool {
        let form = self.answer_form(picture, AnswerKind::Picture);
        form.is_none() && self.pictures[picture].places.bytes
    }

    /// Whether the description has both answers to a picture call: with a picture, and without one.
    pub(super) fn is_answered(&self, picture: usize) -> bool {
        let has = |kind| self.answer_form(picture, kind).is_some();
        has(AnswerKind::None) && (has(AnswerKind::Picture) || self.pictures[picture].places.bytes)
    }

    /// The answer of this kind or of the next wider one.
    pub(super) fn answer_form(&self, picture: usize, kind: AnswerKind) -> Option<&AnswerForm> {
        let picture_call = &self.pictures[picture];
        let mut forms = self.answers.iter();
        let form = forms.find(|form| form.to.contains(&kind) && form.is_of(picture_call));
        form.or_else(|| self.answer_form(picture, kind.wider()?))
    }
}

impl AnswerForm {
    fn is_of(&self, picture: &PictureCall) -> bool {
        let mut subjects = picture.subjects.iter();
        if self.subjects.is_empty() {
            return subjects.any(|subject| *subject != PictureSubject::Me);
        }
        subjects.any(|subject| self.subjects.contains(subject))
    }
}

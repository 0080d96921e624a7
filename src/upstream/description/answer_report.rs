//! Reads the answers of a description by its own rules: what it writes for a picture has to be read as that picture,
//! what it writes for none as none, and what it writes for trouble as neither.

use http::HeaderMap;

use super::{
    Description, PictureSubject,
    answer::{AnswerFacts, AnswerKind},
    reading, sample,
};
use crate::{
    avatar::{Empty, Subject},
    upstream::provider::{VendorAnswer, VendorFailure, VendorReply},
};

/// A link such as this server writes.
const LINK: &str =
    "https://faces.example/avatar/sales/628123@c.us?exp=1795286400&sig=jLudbSys0000000000000000";

impl Description {
    /// The answers that come out otherwise than they say, and parts of them that cannot be used.
    pub(super) fn check_answers(&self) -> Vec<String> {
        let mut failures = Vec::new();
        for picture in 0..self.pictures.len() {
            let number = picture + 1;
            let has = |kind| self.answer_form(picture, kind).is_some();
            let is_begun = has(AnswerKind::Picture) || has(AnswerKind::None);
            if is_begun && !self.is_answered(picture) {
                let missing = if has(AnswerKind::None) {
                    "picture"
                } else {
                    "none"
                };
                failures.push(format!(
                    "picture {number} has no answer to {missing}, so its call is not served; add [[answer]] to = \"{missing}\""
                ));
            }
            if !self.is_answered(picture) {
                continue;
            }
            if let Err(why) = self.is_matchable(picture) {
                failures.push(format!(
                    "picture {number} has answers, but its call cannot be recognized: {why}"
                ));
            }
            for (name, kind) in AnswerKind::NAMES {
                let is_bytes = kind == AnswerKind::Picture && self.answers_with_bytes(picture);
                if is_bytes {
                    continue;
                }
                let given = self.read_own_answer(picture, kind);
                if !is_as_meant(kind, &given) {
                    let given = match &given {
                        Ok(answer) => sample::describe_answer(answer),
                        Err(failure) => failure.why.as_str().to_owned(),
                    };
                    failures.push(format!(
                        "the answer to {name} of picture {number} is read as {given}"
                    ));
                }
            }
        }
        failures
    }

    fn read_own_answer(
        &self,
        picture: usize,
        kind: AnswerKind,
    ) -> Result<VendorAnswer, VendorFailure> {
        let subjects = &self.pictures[picture].subjects;
        let facts = AnswerFacts {
            kind,
            account: "ACCOUNT",
            subject: subjects.iter().find_map(|subject| match subject {
                PictureSubject::Kind(kind) => Some(Subject::Chat(sample::jid(*kind)?)),
                _ => None,
            }),
            link: (kind == AnswerKind::Picture).then_some(LINK),
            changed: 1_795_200_000,
        };
        let written = self.write_answer(picture, &facts);
        let reply = VendorReply {
            status: written.status,
            headers: HeaderMap::new(),
            body: written.body,
        };
        reading::read(&self.pictures[picture].places, &self.rules, &reply).result
    }
}

fn is_as_meant(kind: AnswerKind, given: &Result<VendorAnswer, VendorFailure>) -> bool {
    match (kind, given) {
        (AnswerKind::Picture, Ok(VendorAnswer::Link(link))) => link == LINK,
        // The reason may be lost, but must not be another one.
        (AnswerKind::Empty(meant), Ok(VendorAnswer::Empty(read))) => {
            read == &meant || is_vague(*read) || is_vague(meant)
        }
        (AnswerKind::None, Ok(VendorAnswer::Empty(_))) => true,
        // A gateway's 404 about its account may look like one about a contact.
        (AnswerKind::NoAccount, Ok(VendorAnswer::Empty(_)) | Err(_)) => true,
        (
            AnswerKind::Trouble(_)
            | AnswerKind::TimedOut
            | AnswerKind::Malformed
            | AnswerKind::Error,
            Err(_),
        ) => true,
        _ => false,
    }
}

/// Whether a reason says no more than that there is no picture.
fn is_vague(empty: Empty) -> bool {
    matches!(empty, Empty::Unknown | Empty::NotSet)
}

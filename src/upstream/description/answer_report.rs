//! Reads the answers of a description by its own rules: the one to a picture has to be read as that picture, the one to
//! none as none, and those to trouble as neither.

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

#[cfg(test)]
mod tests {
    use crate::upstream::{Source, load};

    /// The failures that `check` reports of a gateway with these answers.
    fn check(call: &str, answers: &str) -> Vec<String> {
        let text = format!(
            "format = 1\nname = \"acme\"\nheaders = {{ X-Key = \"{{token}}\" }}\n[jid]\ncontact = \"{{user}}\"\n\
             [[picture]]\nfor = [\"contact\"]\npath = \"/photo\"\n{call}\nlink = [\"/href\"]\n{answers}"
        );
        let source = Source {
            file: "acme.toml",
            text: &text,
            has_lines: true,
            name: None,
        };
        match load(source, |_| None) {
            Ok(description) => description.check_samples().failures,
            Err(problems) => problems.into_iter().map(|problem| problem.remedy).collect(),
        }
    }

    fn answer(to: &str, body: &str) -> String {
        format!("[[answer]]\nto = {to}\n{body}\n")
    }

    const CALL: &str = "query = { of = \"{jid}\" }";

    #[test]
    fn answers_that_are_read_as_they_are_meant_pass() {
        let both = answer(r#"["picture", "none"]"#, r#"json = { href = "{link}" }"#);
        let error = answer(r#""error""#, r#"json = { error = "{reason}" }"#);
        assert_eq!(check(CALL, &format!("{both}{error}")), [""; 0]);
        assert_eq!(check(CALL, &both), [""; 0]);
        assert_eq!(check(CALL, ""), [""; 0]);
    }

    #[test]
    fn an_answer_that_is_read_as_something_else_fails() {
        let picture = answer(r#""picture""#, r#"json = { href = "{link}" }"#);
        let moved = answer(r#""picture""#, r#"json = { url = "{link}" }"#);
        let none = answer(r#""none""#, r#"json = { href = "{null}" }"#);
        let hidden = answer(r#""hidden""#, "status = 403\njson = {}");
        let error = answer(r#""error""#, "status = 200\njson = { href = \"{null}\" }");
        let fails = |answers: &[&str], about: &str| {
            let failures = check(CALL, &answers.concat());
            let is_named = failures.iter().any(|failure| failure.contains(about));
            assert!(is_named, "{about} is not in {failures:?}");
        };
        fails(
            &[&moved, &none],
            "the answer to picture of picture 1 is read as vendor_error",
        );
        fails(
            &[&picture, &none, &hidden],
            "the answer to hidden of picture 1 is read as auth",
        );
        fails(
            &[&picture, &none, &error],
            "the answer to error of picture 1 is read as unknown",
        );
        fails(&[&picture], "has no answer to none");
        fails(&[&none], "has no answer to picture");
    }

    #[test]
    fn an_answer_needs_a_known_kind_a_link_and_no_credential() {
        for (answers, about) in [
            (
                answer(r#""pictures""#, "json = {}"),
                "did you mean picture?",
            ),
            (answer(r#""picture""#, "json = {}"), "needs {link}"),
            (answer(r#""none""#, ""), "needs either json or text"),
            (
                answer(r#""none""#, "json = {}\ntext = \"x\""),
                "needs either json or text",
            ),
            (
                answer(r#""none""#, "status = 99\njson = {}"),
                "no status from 200",
            ),
            (
                answer(r#""none""#, "text = \"{token}\""),
                "known here: account",
            ),
            ("[[answer]]\njson = {}".to_owned(), "answer.to is missing"),
        ] {
            let problems = check(CALL, &answers);
            assert!(
                problems.iter().any(|problem| problem.contains(about)),
                "{problems:?}"
            );
        }
    }

    #[test]
    fn a_call_that_cannot_be_recognized_is_reported() {
        let both = answer(r#"["picture", "none"]"#, r#"json = { href = "{link}" }"#);
        let in_body = "method = \"POST\"\njson = { key = \"{token}\", of = \"{jid}\" }";
        let mixed = "query = { of = \"{token}-{jid}\" }";
        for (call, about) in [(in_body, "is in the body"), (mixed, "together with")] {
            let failures = check(call, &both);
            assert!(
                failures.iter().any(|failure| failure.contains(about)),
                "{failures:?}"
            );
        }
    }
}

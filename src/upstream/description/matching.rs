//! Recognizes a gateway's picture call in a request: a description, read backwards.
//!
//! 1. [`Description::match_shape`]: the method and the path.
//! 2. [`Description::match_head`]: the credential and the account of one instance. Nothing but the head is needed.
//! 3. [`Description::match_face`]: the face, which may be in the body.

use std::borrow::Cow;

use http::{Method, header};
use serde_json::Value;

use super::{
    Description, PictureSubject,
    call_head::CallHead,
    call_place::{CallPart, Findings, Pattern, Place, fits, is_chosen},
    matched_jid::subject,
    request::Json,
    template::{Part, Placeholder, Template, Values},
};
use crate::{
    avatar::Subject,
    upstream::provider::{Account, Question},
};

/// The relation of a head to one instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HeadMatch {
    /// It is no picture call of its gateway.
    Other,
    /// The credential is missing or another one.
    WrongCredential,
    /// The credential is right; the account is missing or another one.
    WrongAccount,
    /// It is one of these picture calls, the likeliest first.
    Call(Vec<usize>),
}

/// A call of the gateway by its method and its path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShapeMatch {
    /// The index of the picture call.
    pub picture: usize,
    /// How many places of a credential the head fills.
    pub credentials: usize,
}

/// A request, read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MatchedCall {
    /// The index of the picture call.
    pub picture: usize,
    /// The question that it asks.
    pub question: Question,
}

/// Why a request of the right shape and credential asks nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoQuestion {
    /// The account, in the body, is another one.
    Account,
    /// The face is missing or malformed.
    Malformed,
}

// === impl Description ===

impl Description {
    /// The picture call that has this method and path and whose answers are written.
    pub fn match_shape(&self, head: &CallHead<'_>) -> Option<ShapeMatch> {
        let pictures = self.answered();
        let pictures = pictures.filter(|picture| self.is_method(*picture, head));
        let matches = pictures.filter_map(|picture| {
            let places = self.places(picture, head)?;
            let filled = places.iter().filter(|place| {
                let mut placeholders = place.template.placeholders();
                place.given.is_some() && placeholders.any(|of| self.is_secret(of))
            });
            Some(ShapeMatch {
                picture,
                credentials: filled.count(),
            })
        });
        matches.max_by_key(|found| found.credentials)
    }

    /// The methods of the picture calls with this path.
    pub fn methods_at(&self, head: &CallHead<'_>) -> Vec<Method> {
        let pictures = self.answered();
        let at_path = pictures.filter(|picture| self.places(*picture, head).is_some());
        at_path
            .map(|picture| self.pictures[picture].request.method.clone())
            .collect()
    }

    /// Compares a head with an account of the gateway. Every credential is compared in the same time.
    pub fn match_head(&self, account: &Account, head: &CallHead<'_>) -> HeadMatch {
        self.match_pictures(self.answered(), account, head)
    }

    /// Whether the face of a picture call is in its body.
    pub fn needs_body(&self, picture: usize) -> bool {
        self.pictures[picture].request.json.is_some()
    }

    /// The question of a request whose head is one of these picture calls.
    pub fn match_face(
        &self,
        pictures: &[usize],
        account: &Account,
        head: &CallHead<'_>,
        body: Option<&Value>,
    ) -> Result<MatchedCall, NoQuestion> {
        let mut reason = NoQuestion::Malformed;
        for picture in pictures {
            match self.question(*picture, account, head, body) {
                Ok(question) => {
                    return Ok(MatchedCall {
                        picture: *picture,
                        question,
                    });
                }
                Err(NoQuestion::Account) => reason = NoQuestion::Account,
                Err(NoQuestion::Malformed) => {}
            }
        }
        Err(reason)
    }

    /// The account that a request names, as it is written there.
    pub fn named_account(&self, picture: usize, head: &CallHead<'_>) -> String {
        let places = self.places(picture, head).unwrap_or_default();
        let named = places.iter().find_map(|place| {
            let (before, after) = match place.template.parts() {
                [
                    Part::Value {
                        of: Placeholder::Account,
                        is_base64: false,
                    },
                ] => ("", ""),
                [
                    Part::Text(before),
                    Part::Value {
                        of: Placeholder::Account,
                        is_base64: false,
                    },
                ] => (before.as_str(), ""),
                [
                    Part::Value {
                        of: Placeholder::Account,
                        is_base64: false,
                    },
                    Part::Text(after),
                ] => ("", after.as_str()),
                _ => return None,
            };
            place.given?.strip_prefix(before)?.strip_suffix(after)
        });
        named.unwrap_or_default().to_owned()
    }

    /// Whether a request can be recognized as this picture call; the error says why not.
    pub(super) fn is_matchable(&self, picture: usize) -> Result<(), &'static str> {
        let picture = &self.pictures[picture];
        let request = &picture.request;
        let in_query = self.query.iter().chain(&request.query);
        let in_headers = self.headers.iter().chain(&request.headers);
        let segments = request.path.segments();
        let templates = in_query.map(|(_, template)| template);
        let templates = templates.chain(in_headers.map(|(_, template)| template));
        let templates: Vec<_> = templates.chain(&segments).collect();
        let count = |template: &Template, wanted: &dyn Fn(&Placeholder) -> bool| {
            template.placeholders().filter(|of| wanted(of)).count()
        };
        let is_secret = |of: &Placeholder| self.is_secret(of);
        let is_mixed = |template: &&&Template| {
            let chosen = count(template, &is_chosen);
            chosen > 1 || chosen == 1 && count(template, &is_secret) > 0
        };
        let in_json =
            |wanted: &Placeholder| request.json.as_ref().is_some_and(|json| json.has(wanted));
        let params = self.params.iter().filter(|param| param.is_secret);
        let mut params = params.map(|param| Placeholder::Param(param.name.clone()));
        if in_json(&Placeholder::Token) || params.any(|param| in_json(&param)) {
            return Err("the credential is in the body, which is read only after it was checked");
        }
        if !templates
            .iter()
            .any(|template| count(template, &is_secret) > 0)
        {
            return Err("it has no credential");
        }
        if templates.iter().find(is_mixed).is_some() {
            return Err("a text in it has the face together with a credential, or twice");
        }
        Ok(())
    }

    pub(super) fn match_pictures(
        &self,
        pictures: impl Iterator<Item = usize>,
        account: &Account,
        head: &CallHead<'_>,
    ) -> HeadMatch {
        let mut calls = Vec::new();
        let mut best = HeadMatch::Other;
        for picture in pictures.filter(|picture| self.is_method(*picture, head)) {
            let Some(places) = self.places(picture, head) else {
                continue;
            };
            let Some(findings) = self.find(&places, account) else {
                continue;
            };
            if findings.is_wrong_credential || !findings.is_proven {
                if best == HeadMatch::Other {
                    best = HeadMatch::WrongCredential;
                }
            } else if findings.is_wrong_account {
                best = HeadMatch::WrongAccount;
            } else {
                let rank = (findings.missing, usize::MAX - findings.agreeing);
                calls.push((rank, picture));
            }
        }
        if calls.is_empty() {
            return best;
        }
        calls.sort();
        HeadMatch::Call(calls.into_iter().map(|(_, picture)| picture).collect())
    }

    /// The picture calls whose answers are written.
    pub(super) fn answered(&self) -> impl Iterator<Item = usize> {
        (0..self.pictures.len())
            .filter(|picture| self.is_answered(*picture) && self.is_matchable(*picture).is_ok())
    }

    fn is_method(&self, picture: usize, head: &CallHead<'_>) -> bool {
        head.is_method(&self.pictures[picture].request.method)
    }

    /// The places of a picture call with the request's values; `None` if the path is another one, or a text of
    /// the query is.
    fn places<'a>(&'a self, picture: usize, head: &'a CallHead<'_>) -> Option<Vec<Place<'a>>> {
        let request = &self.pictures[picture].request;
        // The path begins with a slash, and the text before it is no segment.
        let segments = request.path.segments().into_iter().skip(1);
        let segments: Vec<_> = segments.collect();
        if segments.len() != head.segments.len() {
            return None;
        }
        let mut places = Vec::new();
        for (template, given) in segments.into_iter().zip(&head.segments) {
            if !fits(&template, given) {
                return None;
            }
            places.push(Place {
                template: Cow::Owned(template),
                given: Some(given.as_ref()),
                part: CallPart::Segment,
            });
        }
        for (name, template) in self.query.iter().chain(&request.query) {
            let given = head.query(name);
            let is_literal = template.placeholders().next().is_none();
            if is_literal && given.is_some_and(|given| !fits(template, given)) {
                return None;
            }
            places.push(Place {
                template: Cow::Borrowed(template),
                given,
                part: CallPart::Query,
            });
        }
        let is_replaced = |name| request.headers.iter().any(|(own, _)| own == name);
        let common = self.headers.iter().filter(|(name, _)| !is_replaced(name));
        for (name, template) in common.chain(&request.headers) {
            let given = head.headers.get(name);
            places.push(Place {
                template: Cow::Borrowed(template),
                given: given.and_then(|value| value.to_str().ok()),
                part: match *name == header::AUTHORIZATION {
                    true => CallPart::Authorization,
                    false => CallPart::Header,
                },
            });
        }
        Some(places)
    }

    /// Compares the places with an account; `None` if a text around a value is another one.
    fn find<'a>(&self, places: &'a [Place<'a>], account: &Account) -> Option<Findings<'a>> {
        let values = Values::of(account);
        let mut findings = Findings::default();
        for place in places {
            if place.template.placeholders().next().is_none() {
                match (place.part, place.given) {
                    (CallPart::Query, Some(_)) => findings.agreeing += 1,
                    (CallPart::Query, None) => findings.missing += 1,
                    _ => {}
                }
                continue;
            }
            let pattern = self.pattern(&place.template, &values);
            findings.add(&pattern, place)?;
        }
        Some(findings)
    }

    fn question(
        &self,
        picture: usize,
        account: &Account,
        head: &CallHead<'_>,
        body: Option<&Value>,
    ) -> Result<Question, NoQuestion> {
        let places = self.places(picture, head).ok_or(NoQuestion::Malformed)?;
        let found = self.find(&places, account);
        let mut findings = found.ok_or(NoQuestion::Malformed)?;
        if let Some(json) = &self.pictures[picture].request.json {
            let body = body.ok_or(NoQuestion::Malformed)?;
            let values = Values::of(account);
            self.find_in_json(json, Some(body), &values, &mut findings)
                .ok_or(NoQuestion::Malformed)?;
        }
        if findings.is_wrong_account {
            return Err(NoQuestion::Account);
        }
        let subjects = &self.pictures[picture].subjects;
        let subject = match &findings.face {
            None if subjects.contains(&PictureSubject::Me) => Some(Subject::Me),
            None => None,
            Some((of, text)) => subject(&self.jid, subjects, account, of, text),
        };
        Ok(Question {
            subject: subject.ok_or(NoQuestion::Malformed)?,
            refresh: findings.refresh,
        })
    }

    /// Compares a body with the JSON of a call; `None` if it is another one's. Numbers and flags are options of the
    /// caller's.
    fn find_in_json<'a>(
        &'a self,
        json: &'a Json,
        given: Option<&Value>,
        values: &Values<'_>,
        findings: &mut Findings<'a>,
    ) -> Option<()> {
        match json {
            Json::Literal(_) => Some(()),
            Json::List(items) => {
                let given = given?.as_array()?;
                let mut items = items.iter().enumerate();
                items.try_for_each(|(index, json)| {
                    self.find_in_json(json, given.get(index), values, findings)
                })
            }
            Json::Object(members) => {
                let given = given?.as_object()?;
                let mut members = members.iter();
                members.try_for_each(|(name, json)| {
                    self.find_in_json(json, given.get(name), values, findings)
                })
            }
            Json::Text(template) => {
                let text = match given {
                    Some(Value::String(text)) => Some(text.clone()),
                    Some(Value::Number(number)) => Some(number.to_string()),
                    Some(Value::Bool(flag)) => Some(flag.to_string()),
                    _ => None,
                };
                let place = Place {
                    template: Cow::Borrowed(template),
                    given: text.as_deref(),
                    part: CallPart::Query,
                };
                if template.placeholders().next().is_none() {
                    return fits(template, place.given?).then_some(());
                }
                findings.add(&self.pattern(template, values), &place)
            }
        }
    }

    /// The template with the account's values.
    pub(super) fn pattern<'a>(&self, template: &'a Template, values: &Values<'_>) -> Pattern<'a> {
        let mut pattern = Pattern {
            before: String::new(),
            chosen: None,
            is_secret: false,
        };
        for part in template.parts() {
            let text = match part {
                Part::Text(text) => Cow::Borrowed(text.as_str()),
                Part::Value { of, .. } if is_chosen(of) => {
                    pattern.chosen = Some((of, String::new()));
                    continue;
                }
                Part::Value { of, is_base64 } => {
                    pattern.is_secret |= self.is_secret(of);
                    values.text(of, *is_base64)
                }
            };
            let end = pattern.chosen.as_mut().map(|(_, after)| after);
            end.unwrap_or(&mut pattern.before).push_str(&text);
        }
        pattern
    }

    pub(super) fn is_secret(&self, of: &Placeholder) -> bool {
        match of {
            Placeholder::Token => true,
            Placeholder::Param(name) => {
                let mut params = self.params.iter();
                params.any(|param| param.name == *name && param.is_secret)
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use http::{HeaderMap, Uri};
    use proptest::prelude::*;

    use super::*;
    use crate::upstream::{SHIPPED, VendorCall, shipped};

    fn account(name: &str, token: &str) -> Account {
        Account {
            name: name.into(),
            token: token.into(),
            own: "628000000000@c.us".parse().ok(),
            params: BTreeMap::from([("client_token".to_owned(), "a second secret".into())]),
        }
    }

    /// The request as a client library of the gateway's sends it, and the question that is read from it.
    fn read(
        description: &Description,
        call: &VendorCall,
        account: &Account,
    ) -> Result<MatchedCall, HeadMatch> {
        let uri: Uri = call.target.parse().unwrap();
        let headers: HeaderMap = call.headers.iter().cloned().collect();
        let head = CallHead::new(&call.method, &uri, &headers).unwrap();
        let all = 0..description.pictures.len();
        match description.match_pictures(all, account, &head) {
            HeadMatch::Call(pictures) => {
                let body = serde_json::from_slice(&call.body).ok();
                let read = description.match_face(&pictures, account, &head, body.as_ref());
                Ok(read.unwrap())
            }
            other => Err(other),
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn each_gateway_s_call_is_read_as_the_question_that_it_was_made_of(
            name in "[a-zA-Z0-9 +_@./-]{0,12}[a-z]",
            token in "[a-zA-Z0-9:%+=/_-]{1,32}",
            user in "[1-9][0-9]{9,12}",
            id in "[1-9][0-9]{16,18}",
            refresh: bool,
        ) {
            let account_of = account(&name, &token);
            let subjects = [
                "me".to_owned(),
                "628000000000@c.us".to_owned(),
                format!("{user}@c.us"),
                format!("{id}@g.us"),
                format!("{user}-1581234048@g.us"),
                format!("{id}@lid"),
                format!("{id}@newsletter"),
            ];
            for (name, _) in SHIPPED {
                let description = shipped(name).unwrap();
                for subject in &subjects {
                    let question = Question { subject: subject.parse().unwrap(), refresh };
                    let Ok(call) = description.picture_call(&account_of, &question) else {
                        continue;
                    };
                    let read = read(&description, &call, &account_of).unwrap();
                    prop_assert_eq!(read.question.subject, question.subject, "{}", name);
                    let asked = &description.pictures[read.picture];
                    let has_refresh = asked.request.has(&Placeholder::Refresh);
                    prop_assert_eq!(read.question.refresh, refresh && has_refresh, "{}", name);
                    let of = description.picture_for(&account_of, question.subject);
                    prop_assert_eq!(Ok(read.picture), of, "{}", name);
                }
            }
        }
    }

    #[test]
    fn a_call_is_of_one_account_and_one_credential() {
        let mine = account("shop", "a secret");
        for (name, _) in SHIPPED {
            let description = shipped(name).unwrap();
            let subject = description.usual_subject();
            let question = Question {
                subject,
                refresh: false,
            };
            let call = description.picture_call(&mine, &question).unwrap();
            let read = |account: &Account| read(&description, &call, account).map(|_| ());
            assert_eq!(read(&mine), Ok(()), "{name}");
            let other = account("shop", "another secret");
            assert_eq!(read(&other), Err(HeadMatch::WrongCredential), "{name}");
            // An instance without a credential lets no client in.
            let empty = account("shop", "");
            assert_ne!(read(&empty), Ok(()), "{name}");
            if description.pictures[0].request.has(&Placeholder::Account) {
                let other = account("shop2", "a secret");
                assert_eq!(read(&other), Err(HeadMatch::WrongAccount), "{name}");
            }
        }
    }

    #[test]
    fn a_face_is_read_in_every_spelling_that_programs_use() {
        for (gateway, text, expected) in [
            ("evolution", "5511999999999", "5511999999999@c.us"),
            ("evolution", "+5511999999999", "5511999999999@c.us"),
            ("evolution", "5511999999999@c.us", "5511999999999@c.us"),
            (
                "evolution",
                "5511999999999@s.whatsapp.net",
                "5511999999999@c.us",
            ),
            ("evolution", "120363000000000001", "120363000000000001@g.us"),
            (
                "evolution",
                "628100000001-1581234048",
                "628100000001-1581234048@g.us",
            ),
            ("evolution", "81896604192873@lid", "81896604192873@lid"),
            ("evolution", "status@broadcast", "status@broadcast"),
            ("evolution", "120363000000000009@newsletter", ""),
            ("evolution", "me", ""),
            ("evolution", "nobody", ""),
            (
                "z-api",
                "120363000000000001-group",
                "120363000000000001@g.us",
            ),
            ("z-api", "5511999999999", "5511999999999@c.us"),
            ("whapi", "5511999999999", "5511999999999@c.us"),
            ("whapi", "120363000000000001@g.us", ""),
            ("wppconnect", "5511999999999", "5511999999999@c.us"),
            ("wppconnect", "100875997589545", "100875997589545@lid"),
            ("wppconnect", "5511999999999@c.us", "5511999999999@c.us"),
        ] {
            let description = shipped(gateway).unwrap();
            let picture = &description.pictures[0];
            let of = match picture.request.has(&Placeholder::User) {
                true => Placeholder::User,
                false => Placeholder::Jid,
            };
            let read = subject(
                &description.jid,
                &picture.subjects,
                &account("shop", "x"),
                &of,
                text,
            );
            let read = read.as_ref().map_or("", Subject::as_str);
            assert_eq!(read, expected, "{gateway} {text}");
        }
    }

    #[test]
    fn every_answer_of_a_gateway_can_be_asked_for() {
        let written = SHIPPED.iter().filter(|(name, _)| {
            let description = shipped(name).unwrap();
            description.answered().next().is_some()
        });
        // The others have routes of their own.
        assert_eq!(written.count(), SHIPPED.len() - 5);
    }
}

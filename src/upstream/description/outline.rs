//! The picture calls that are answered, for a document about them: the same calls that [`super::matching`] recognizes.

use std::collections::BTreeSet;

use http::{Method, header};

use super::{
    Description, PictureSubject,
    request::Json,
    template::{Part, Placeholder, Template},
};

/// A picture call that is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallOutline {
    /// Its index, for [`Description::write_answer`].
    pub picture: usize,
    /// The method.
    pub method: Method,
    /// The path, with a name in braces for each value.
    pub path: String,
    /// The values in the path, the query and the headers.
    pub values: Vec<CallValue>,
    /// The members of the JSON body, with a text for each; `None` for a call without a body.
    pub body: Option<Vec<(String, Option<CallMeaning>)>>,
}

/// A value of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallValue {
    /// Its place.
    pub place: CallValuePlace,
    /// Its name there.
    pub name: String,
    /// Its meaning.
    pub meaning: CallMeaning,
    /// Whether a call without it is another one, or none.
    pub is_required: bool,
}

/// The place of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum CallValuePlace {
    /// A part of the path.
    Path,
    /// A parameter of the query.
    Query,
    /// A header.
    Header,
    /// `Authorization: Bearer`.
    Bearer,
    /// `Authorization: Basic`.
    Basic,
}

/// The meaning of a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CallMeaning {
    /// The account's name.
    Account,
    /// A credential.
    Credential,
    /// The JID of the chat.
    Chat,
    /// Whether the gateway is to be asked again.
    Refresh,
    /// Another value of the instance, in words.
    Param(String),
    /// This text.
    Fixed(String),
}

// === impl Description ===

impl Description {
    /// The picture calls that are answered.
    pub fn outlines(&self) -> impl Iterator<Item = CallOutline> {
        self.answered().map(|picture| self.describe_call(picture))
    }

    fn describe_call(&self, picture: usize) -> CallOutline {
        let call = &self.pictures[picture];
        let request = &call.request;
        let mut path = String::new();
        let mut values = Vec::new();
        for part in request.path.parts() {
            match part {
                Part::Text(text) => path.push_str(text),
                Part::Value { of, .. } => {
                    let name = name(of);
                    path.push_str(&format!("{{{name}}}"));
                    values.push(CallValue {
                        place: CallValuePlace::Path,
                        name: name.to_owned(),
                        meaning: self.meaning_of(of),
                        is_required: true,
                    });
                }
            }
        }
        let is_own = call.subjects.contains(&PictureSubject::Me);
        for (name, template) in self.query.iter().chain(&request.query) {
            let meaning = self.meaning(template);
            values.push(CallValue {
                place: CallValuePlace::Query,
                name: name.clone(),
                is_required: match meaning {
                    CallMeaning::Chat => !is_own,
                    CallMeaning::Account => true,
                    CallMeaning::Credential => self.needs(template),
                    _ => false,
                },
                meaning,
            });
        }
        let is_replaced = |name| request.headers.iter().any(|(own, _)| own == name);
        let common = self.headers.iter().filter(|(name, _)| !is_replaced(name));
        for (name, template) in common.chain(&request.headers) {
            let meaning = self.meaning(template);
            // A header without a value of the instance is not compared.
            if let CallMeaning::Fixed(_) = meaning {
                continue;
            }
            let scheme = match template.parts() {
                [Part::Text(scheme), Part::Value { .. }] if *name == header::AUTHORIZATION => {
                    scheme.trim_end()
                }
                _ => "",
            };
            let place = match scheme {
                scheme if scheme.eq_ignore_ascii_case("bearer") => CallValuePlace::Bearer,
                scheme if scheme.eq_ignore_ascii_case("basic") => CallValuePlace::Basic,
                _ => CallValuePlace::Header,
            };
            values.push(CallValue {
                place,
                name: name.as_str().to_owned(),
                is_required: match meaning {
                    CallMeaning::Account => true,
                    CallMeaning::Credential => self.needs(template),
                    _ => false,
                },
                meaning,
            });
        }
        CallOutline {
            picture,
            method: request.method.clone(),
            path,
            values,
            body: request.json.as_ref().map(|json| self.members(json)),
        }
    }

    fn members(&self, json: &Json) -> Vec<(String, Option<CallMeaning>)> {
        let Json::Object(members) = json else {
            return Vec::new();
        };
        let members = members.iter().map(|(name, json)| {
            let meaning = match json {
                Json::Text(template) => Some(self.meaning(template)),
                _ => None,
            };
            (name.clone(), meaning)
        });
        members.collect()
    }

    /// Whether a value of the template is one that every instance has.
    fn needs(&self, template: &Template) -> bool {
        template.placeholders().any(|of| match of {
            Placeholder::Param(name) => {
                let mut params = self.params.iter();
                params.any(|param| param.name == *name && param.default.is_none())
            }
            _ => true,
        })
    }

    /// The meaning of a template by its most telling placeholder.
    fn meaning(&self, template: &Template) -> CallMeaning {
        let mut placeholders: Vec<_> = template.placeholders().collect();
        placeholders.sort_by_key(|of| !self.is_secret(of));
        match placeholders.first() {
            Some(of) => self.meaning_of(of),
            None => CallMeaning::Fixed(template.literals().collect()),
        }
    }

    fn meaning_of(&self, of: &Placeholder) -> CallMeaning {
        match of {
            of if self.is_secret(of) => CallMeaning::Credential,
            Placeholder::Jid | Placeholder::User => CallMeaning::Chat,
            Placeholder::Refresh => CallMeaning::Refresh,
            Placeholder::Param(name) => {
                let mut params = self.params.iter();
                let param = params.find(|param| param.name == *name);
                CallMeaning::Param(param.map_or_else(String::new, |param| param.what.clone()))
            }
            _ => CallMeaning::Account,
        }
    }
}

impl CallOutline {
    /// The places of the credentials that every call needs.
    pub fn credentials(&self) -> BTreeSet<(CallValuePlace, &str)> {
        let values = self.values.iter();
        let values = values.filter(|value| value.is_required);
        let values = values.filter(|value| value.meaning == CallMeaning::Credential);
        values
            .map(|value| (value.place, value.name.as_str()))
            .collect()
    }
}

fn name(of: &Placeholder) -> &str {
    match of {
        Placeholder::Account => "account",
        Placeholder::Token => "token",
        Placeholder::Param(name) => name,
        Placeholder::User => "user",
        _ => "jid",
    }
}

//! The picture calls of the configured gateways' descriptions in OpenAPI 3.1. Calls of several gateways with one method
//! and one path are one operation.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use http::{Method, StatusCode};
use utoipa::openapi::{
    HttpMethod,
    path::ParameterIn,
    schema::{ObjectBuilder, SchemaType, Type},
    security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme},
};

use super::{
    body_reader,
    described::{self, answer_kind},
    openapi::{FAILURES, LINK_OR_IMAGE, image_responses},
};
use crate::{
    avatar::Empty,
    http::{
        openapi::{Document, Operation, choice, parameter, required, shape, text},
        problem::Problem,
    },
    pipeline::Instances,
    representation::{openapi::IMAGES, problems},
    upstream::{
        AnswerFacts, AnswerKind, CallMeaning, CallOutline, CallValue, CallValuePlace, Description,
    },
};

/// The calls of one method and one path.
type Calls = Vec<(Arc<Description>, CallOutline)>;

const CREDENTIAL: &str = "The vendor's credential.";

/// Adds the picture calls of the gateways that `instances` have.
pub(super) fn describe(
    document: &mut Document,
    common: fn() -> Vec<Problem>,
    instances: &Instances,
) {
    let descriptions = instances.descriptions();
    let descriptions: BTreeMap<_, _> = descriptions
        .map(|description| (description.name.clone(), description))
        .collect();
    let mut operations: BTreeMap<(String, bool), Calls> = BTreeMap::new();
    for description in descriptions.into_values() {
        for outline in description.outlines() {
            let key = (shape(&outline.path), outline.method == Method::POST);
            let calls = operations.entry(key).or_default();
            calls.push((description.clone(), outline));
        }
    }
    for ((_, is_post), calls) in &operations {
        let Some((_, first)) = calls.first() else {
            continue;
        };
        let method = match is_post {
            true => HttpMethod::Post,
            false => HttpMethod::Get,
        };
        // The routes before this one win.
        if document.has(&first.path, &method) {
            continue;
        }
        let allowed = described::allowed(!is_post, *is_post);
        let operation = describe_calls(document, calls)
            .problems([Problem::method_not_allowed(allowed)])
            .problems(common());
        document.add(&first.path, method, operation);
    }
}

fn describe_calls(document: &mut Document, calls: &Calls) -> Operation {
    let mut titles: Vec<_> = calls.iter().map(|(one, _)| one.title.as_str()).collect();
    titles.dedup();
    let summary = format!("Shows the picture of a chat as {} do", join(&titles));
    let summary = match titles.len() {
        1 => summary.trim_end_matches("do").to_owned() + "does",
        _ => summary,
    };
    let (first, outline) = &calls[0];
    let id = format!("{}-picture-{}", first.name, outline.picture + 1);
    let mut operation = Operation::new(&id, &summary);
    let requirements: BTreeSet<Vec<String>> = calls
        .iter()
        .map(|(_, outline)| requirement(document, outline))
        .collect();
    operation = operation.any_of(requirements);
    operation = with_parameters(operation, calls);
    operation = with_body(operation, calls);
    for (description, outline) in calls {
        operation = with_answers(operation, description, outline.picture);
    }
    operation = image_responses(operation);
    if calls.iter().any(|(_, outline)| outline.body.is_some()) {
        operation = operation.problems(body_reader::problems());
    }
    operation
        .problems([
            described::ambiguous(),
            problems::no_space(),
            problems::instances_full(),
        ])
        // Another text in the query is another call.
        .problems([Problem::encoding(), Problem::no_route(described::NO_CALL)])
}

/// The names of the credentials that a call needs outside of its path.
fn requirement(document: &mut Document, outline: &CallOutline) -> Vec<String> {
    let mut names = Vec::new();
    for (place, name) in outline.credentials() {
        let http = |scheme| {
            let builder = HttpBuilder::new().scheme(scheme);
            SecurityScheme::Http(builder.description(Some(CREDENTIAL)).build())
        };
        let key = ApiKeyValue::with_description(name, CREDENTIAL);
        let (name, scheme) = match place {
            CallValuePlace::Path => continue,
            CallValuePlace::Bearer => ("vendorBearer".to_owned(), http(HttpAuthScheme::Bearer)),
            CallValuePlace::Basic => ("vendorBasic".to_owned(), http(HttpAuthScheme::Basic)),
            CallValuePlace::Query => {
                let scheme = SecurityScheme::ApiKey(ApiKey::Query(key));
                (format!("query.{name}"), scheme)
            }
            CallValuePlace::Header => {
                let scheme = SecurityScheme::ApiKey(ApiKey::Header(key));
                (format!("header.{name}"), scheme)
            }
        };
        document.add_security_scheme(&name, scheme);
        names.push(name);
    }
    names
}

fn with_parameters(mut operation: Operation, calls: &Calls) -> Operation {
    let mut known: BTreeMap<(CallValuePlace, &str), (&CallValue, usize)> = BTreeMap::new();
    let mut order = Vec::new();
    for (index, (_, outline)) in calls.iter().enumerate() {
        for value in &outline.values {
            let is_scheme = value.is_required && value.meaning == CallMeaning::Credential;
            let is_in_path = value.place == CallValuePlace::Path;
            // Of a path, the first call's names count.
            if is_in_path && index > 0 || is_scheme && !is_in_path {
                continue;
            }
            let key = (value.place, value.name.as_str());
            let (_, times) = known.entry(key).or_insert_with(|| {
                order.push(key);
                (value, 0)
            });
            *times += usize::from(value.is_required);
        }
    }
    for key in order {
        let Some((value, times)) = known.remove(&key) else {
            continue;
        };
        let place = match value.place {
            CallValuePlace::Path => ParameterIn::Path,
            CallValuePlace::Query => ParameterIn::Query,
            _ => ParameterIn::Header,
        };
        let schema = match &value.meaning {
            CallMeaning::Refresh => choice(["true", "1", "false"]),
            CallMeaning::Fixed(fixed) => choice([fixed.as_str()]),
            _ => text(),
        };
        let described = parameter(place, &value.name, meaning(&value.meaning), schema);
        operation = operation.parameter(match times == calls.len() {
            true => required(described),
            false => described,
        });
    }
    operation
}

fn with_body(operation: Operation, calls: &Calls) -> Operation {
    let mut schema = ObjectBuilder::new().schema_type(Type::Object);
    let mut has_body = false;
    for (_, outline) in calls {
        for (name, about) in outline.body.iter().flatten() {
            has_body = true;
            let member = match about {
                Some(CallMeaning::Fixed(fixed)) => choice([fixed.as_str()]),
                // A number may stand without quotes.
                Some(about) => any().description(Some(meaning(about))),
                None => any(),
            };
            schema = schema.property(name, member);
        }
    }
    if !has_body {
        return operation;
    }
    let members = calls.iter().flat_map(|(_, outline)| outline.body.iter());
    let members = members.flatten().map(|(name, about)| match about {
        Some(CallMeaning::Fixed(fixed)) => format!("`{name}` is `{fixed}`"),
        Some(about) => format!("`{name}`: {}", meaning(about).trim_end_matches('.')),
        None => format!("`{name}` is ignored"),
    });
    let members: BTreeSet<_> = members.collect();
    let members: Vec<_> = members.into_iter().collect();
    let about = format!("{}. Other members are ignored.", members.join("; "));
    operation.body(&about, "application/json", schema.build(), true)
}

/// The gateway's own answers: those that the server writes.
fn with_answers(
    mut operation: Operation,
    description: &Arc<Description>,
    picture: usize,
) -> Operation {
    let write = |kind, link| {
        let facts = AnswerFacts {
            kind,
            account: "",
            subject: None,
            link,
            changed: 0,
        };
        description.write_answer(picture, &facts)
    };
    if !description.answers_with_bytes(picture) {
        let answer = write(AnswerKind::Picture, Some("https://faces.example"));
        operation = operation.media_once(answer.status, LINK_OR_IMAGE, &[media(answer.media)]);
    }
    operation = operation.media_once(StatusCode::OK, LINK_OR_IMAGE, &IMAGES);
    let empties = [Empty::NotSet, Empty::Hidden, Empty::Unknown];
    for empty in empties {
        let answer = write(AnswerKind::Empty(empty), None);
        operation =
            operation.media_once(answer.status, "There is no picture", &[media(answer.media)]);
    }
    for (failure, about) in FAILURES {
        let answer = write(answer_kind(failure), None);
        operation = operation.media_once(answer.status, about, &[media(answer.media)]);
    }
    operation
}

/// The schema of any value.
fn any() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(SchemaType::AnyValue)
}

fn media(media: &'static str) -> &'static str {
    media.split(';').next().unwrap_or(media)
}

fn meaning(of: &CallMeaning) -> &str {
    match of {
        CallMeaning::Account => "The name of the account.",
        CallMeaning::Credential => CREDENTIAL,
        CallMeaning::Chat => "The JID of the chat, as the vendor writes it.",
        CallMeaning::Refresh => "`true` asks the vendor now.",
        CallMeaning::Param(what) => what,
        CallMeaning::Fixed(_) => "The kind of the chat.",
    }
}

fn join(names: &[&str]) -> String {
    match names {
        [] => String::new(),
        [one] => (*one).to_owned(),
        [begin @ .., last] => format!("{} and {last}", begin.join(", ")),
    }
}

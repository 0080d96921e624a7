//! The admin routes in OpenAPI 3.1, made from the table of routes, the records and the errors.

use std::{sync::LazyLock, time::Duration};

use http::StatusCode;
use utoipa::openapi::{
    HttpMethod, Object,
    path::{Parameter, ParameterIn},
    schema::{ObjectBuilder, Type},
    security::{HttpAuthScheme, HttpBuilder, SecurityScheme},
};

use super::{
    Error,
    aliases::AliasesRecord,
    dashboard::Overview,
    entries::ForgetResult,
    fleet::FleetRecord,
    purge::PurgeCount,
    records::{CacheRecord, DeferredRecord, EntryRecord, InstanceRecord},
    rename::RenameResult,
    routes::{Endpoint, ROUTES, Route},
    warm::WarmRecord,
};
use crate::{
    avatar::{MalformedJid, Trouble},
    http::{
        BodyError,
        openapi::{self, Document, Operation, choice, integer, required},
    },
    pipeline::{EventCounts, PushError, RenameError, TooManyAliases},
    representation::{
        openapi::{instance, instance_schema, jid, jid_schema},
        view::InvalidParameter,
    },
    upstream::UnsupportedSubject,
};

/// The document, serialized once.
pub(super) static DOCUMENT: LazyLock<String> = LazyLock::new(|| {
    let mut document = Document::default();
    for route in &ROUTES {
        for (name, method) in methods(route) {
            document.add(route.path, method, describe(route, name));
        }
    }
    let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer);
    document.add_security_scheme("bearer", SecurityScheme::Http(bearer.build()));
    document.finish(
        "Faceplate for operators",
        "Probes, metrics, records and commands, on a listener of their own. HEAD is answered like GET, without the body. Any other path is a 404 of type `no-route`.",
    )
});

const OK: StatusCode = StatusCode::OK;

/// The methods of a route. HEAD is described with GET.
fn methods(route: &Route) -> impl Iterator<Item = (&'static str, HttpMethod)> {
    route.methods.split(", ").filter_map(|name| {
        let method = match name {
            "GET" => HttpMethod::Get,
            "POST" => HttpMethod::Post,
            "PUT" => HttpMethod::Put,
            "DELETE" => HttpMethod::Delete,
            _ => return None,
        };
        Some((name, method))
    })
}

/// The description of a method: the part of its endpoint, and the part that is common to all.
fn describe(route: &Route, method: &str) -> Operation {
    let mut operation = describe_endpoint(route, method);
    for segment in route.path.split('/') {
        operation = match segment {
            "{instance}" => operation
                .parameter(instance())
                .problems([Error::UnknownInstance]),
            "{jid}" => operation.parameter(jid()).problems([
                Error::Jid(MalformedJid::User),
                Error::Encoding,
                Error::Unsupported(UnsupportedSubject::OnlyOwn),
            ]),
            "{provider}" => operation.parameter(provider()),
            _ => operation,
        };
    }
    if route.max_body > 0 && method == "POST" {
        operation = operation.problems([
            Error::Body(BodyError::TooLarge(route.max_body)),
            Error::Body(BodyError::Timeout),
            Error::Body(BodyError::Ended),
        ]);
    }
    operation = operation.problems([Error::Method(route.methods)]);
    if route.is_probe() {
        return operation.security(&[""]);
    }
    let token = match route.endpoint {
        Endpoint::Dashboard => Error::PageToken,
        _ => Error::Token,
    };
    operation
        .problems([token, Error::Host, Error::CrossSite])
        .security(&["", "bearer"])
}

fn describe_endpoint(route: &Route, method: &str) -> Operation {
    let plain = &["text/plain"];
    match route.endpoint {
        Endpoint::Livez => Operation::new("livez", "Checks that the process runs").media(
            OK,
            "The process runs.",
            plain,
        ),
        Endpoint::Readyz => Operation::new("readyz", "Checks that faces are served").media(
            OK,
            "Faces are served; the text names a degraded disk.",
            plain,
        ),
        Endpoint::Dashboard => Operation::new("dashboard", "Shows the dashboard").media(
            OK,
            "The page.",
            &["text/html"],
        ),
        Endpoint::Metrics => Operation::new("metrics", "Shows the metrics for Prometheus").media(
            OK,
            "Metrics in OpenMetrics text.",
            &["application/openmetrics-text"],
        ),
        Endpoint::OpenApi => Operation::new("getOpenApi", "Shows this document").media(
            OK,
            "This document.",
            &["application/json"],
        ),
        Endpoint::Overview => Operation::new("overview", "Shows the dashboard's figures")
            .json::<Overview>(OK, "The figures."),
        Endpoint::Instances => {
            let summary = "Shows each instance's budget, pause and session";
            Operation::new("listInstances", summary)
                .json_list::<InstanceRecord>(OK, "The instances.")
        }
        Endpoint::Pause => {
            let summary = "Lifts the pause of an instance: its vendor may be called again";
            Operation::new("liftPause", summary)
                .empty(StatusCode::NO_CONTENT, "The pause is lifted.")
                .problems([Error::NoPause])
        }
        Endpoint::Aliases => describe_aliases(route, method),
        Endpoint::Cache => Operation::new("getCache", "Shows the state of the cache")
            .json::<CacheRecord>(OK, "The state of the cache."),
        Endpoint::Fleet => {
            let summary = "Shows this replica's state in its fleet";
            Operation::new("getFleet", summary)
                .json::<FleetRecord>(OK, "The state.")
                .problems([Error::NoFleet])
        }
        Endpoint::Maintenance => {
            let (id, summary) = match route.path {
                "/v1/cache/tend" => ("tendCache", "The former name of /v1/cache/gc"),
                _ => (
                    "gcCache",
                    "Evicts entries over the limits and collects garbage now",
                ),
            };
            Operation::new(id, summary)
                .json::<CacheRecord>(OK, "The state of the cache afterwards.")
        }
        Endpoint::Rename => describe_rename(),
        Endpoint::Purge => describe_purge(),
        Endpoint::Warm => describe_warm(method),
        Endpoint::Webhook => {
            let about = "The event as the gateway sends it, which its description reads; a form, too, if the gateway sends forms. It has to name the account.";
            let event = Object::with_type(Type::Object);
            Operation::new(
                "takeEvent",
                "Takes a gateway's webhook event about contacts",
            )
            .body(about, "application/json", event, true)
            .json::<EventCounts>(OK, "The result of the event.")
            .problems([Error::WebhookAccount, Error::UnknownInstance])
        }
        Endpoint::Entry => describe_entry(method),
        Endpoint::Picture => {
            let summary = "Shows the picture in a small size, without a call to the vendor";
            let media = ["image/jpeg", "image/png", "image/webp", "image/gif"];
            Operation::new("picture", summary)
                .media(OK, "The picture; JPEG unless it cannot be resized.", &media)
                .problems([Error::NoPicture])
        }
    }
}

fn describe_aliases(route: &Route, method: &str) -> Operation {
    let operation = match method {
        "PUT" => {
            let about = "Numbers by LID; null removes one.";
            let table = Object::with_type(Type::Object);
            Operation::new("setAliases", "Sets the numbers behind LIDs")
                .body(about, "application/json", table, true)
                .json::<AliasesRecord>(OK, "All that are known then.")
                .problems([
                    Error::Aliases,
                    Error::TooManyAliases(TooManyAliases),
                    Error::Body(BodyError::TooLarge(route.max_body)),
                    Error::Body(BodyError::Timeout),
                    Error::Body(BodyError::Ended),
                ])
        }
        "DELETE" => Operation::new("removeAliases", "Removes the numbers that were set")
            .empty(StatusCode::NO_CONTENT, "They are removed."),
        _ => Operation::new("listAliases", "Shows the numbers behind the account's LIDs")
            .json::<AliasesRecord>(OK, "Those that are known."),
    };
    operation.problems([Error::InstancesFull])
}

fn describe_entry(method: &str) -> Operation {
    match method {
        "POST" => {
            let summary = "Asks the vendor for the face again, within the budget";
            Operation::new("refresh", summary)
                .json::<EntryRecord<'_>>(OK, "The entry.")
                .json::<DeferredRecord<'_>>(
                    StatusCode::ACCEPTED,
                    "The vendor, or a slow disk, has not answered within `cache.first_paint`; the fetch goes on.",
                )
                .problems([Error::Forgotten, Error::NoEntry, Error::InstancesFull])
                .problems([Error::Unreadable])
                .problems([Error::NotAsked {
                    why: Trouble::OverBudget,
                    wait: Duration::ZERO,
                }])
        }
        "PUT" => {
            let about = "The picture; or as `application/json` `{\"link\": \"https://...\"}`, or `{\"link\": null}` for a contact without a picture. A picture may have `upstream.max_picture` bytes.";
            let refused = PushError::Refused(String::new());
            Operation::new(
                "push",
                "Takes a picture from a program, without a call to the vendor",
            )
            .body(about, "image/*", openapi::text().build(), true)
            .json::<EntryRecord<'_>>(OK, "The entry.")
            .problems([
                Error::InstancesFull,
                Error::PushMedia,
                Error::PushBody,
                Error::Push(refused),
                Error::Forgotten,
                Error::Body(BodyError::TooLarge(0)),
                Error::Body(BodyError::Timeout),
                Error::Body(BodyError::Ended),
            ])
        }
        "DELETE" => {
            let summary =
                "Forgets the face: deletes its picture, and does not ask for it for a time";
            Operation::new("forget", summary)
                .empty(StatusCode::NO_CONTENT, "The face is forgotten.")
                .json::<ForgetResult>(OK, "In a fleet: how many replicas have forgotten the face, after five seconds at most.")
                .problems([Error::NotOnDisk])
        }
        _ => Operation::new("getRecord", "Shows the entry of a face")
            .json::<EntryRecord<'_>>(OK, "The entry.")
            .problems([Error::NoEntry]),
    }
}

fn describe_rename() -> Operation {
    let summary = "Gives the faces of an account that no instance has any more to an instance";
    let from = query("from", "The name that the cache has.", openapi::text());
    let to = query("to", "The name of a configured instance.", openapi::text());
    Operation::new("rename", summary)
        .parameter(required(from))
        .parameter(required(to))
        .json::<RenameResult>(OK, "The number of renamed faces.")
        .problems([
            invalid(),
            Error::Rename(RenameError::InUse),
            Error::Rename(RenameError::NoFaces),
            Error::Rename(RenameError::Full),
            Error::NotOnDisk,
        ])
}

fn describe_purge() -> Operation {
    Operation::new("purge", "Expires or removes entries")
        .parameter(query(
            "instance",
            "All faces of this instance, or with `jid` one of them.",
            instance_schema(),
        ))
        .parameter(query("jid", "One face of the instance.", jid_schema()))
        .parameter(query(
            "earlier",
            "`true` for the faces of accounts that the instance had before.",
            flag(),
        ))
        .parameter(query("all", "All faces of all instances.", flag()))
        .parameter(query(
            "hard",
            "`true` removes the entries. Otherwise a picture is shown once more while the vendor is asked again.",
            flag(),
        ))
        .json::<PurgeCount>(OK, "The number of purged faces.")
        .problems([
            invalid(),
            Error::Jid(MalformedJid::User),
            Error::UnknownInstance,
            Error::Unsupported(UnsupportedSubject::OnlyOwn),
            Error::NotOnDisk,
        ])
}

fn describe_warm(method: &str) -> Operation {
    let instance = || required(query("instance", "The instance.", openapi::text()));
    match method {
        "POST" => {
            let lines = openapi::text().build();
            let summary = "Starts a warm-up: fetches many faces ahead, within the budget";
            Operation::new("warm", summary)
                .parameter(instance())
                .parameter(query(
                    "chats",
                    "`true` fetches the chats with the latest messages, from the vendor's list.",
                    flag(),
                ))
                .parameter(query(
                    "top",
                    "The number of chats; 50 if it is left out.",
                    integer().minimum(Some(1)),
                ))
                .body("A JID a line, without `chats`.", "text/plain", lines, false)
                .json::<WarmRecord>(StatusCode::ACCEPTED, "The warm-up has started.")
                .problems([
                    invalid(),
                    Error::ListLine {
                        line: 1,
                        error: MalformedJid::User,
                    },
                    Error::UnknownInstance,
                    Error::InstancesFull,
                    Error::WarmupRunning,
                ])
        }
        "DELETE" => Operation::new("endWarmUp", "Stops a warm-up")
            .parameter(instance())
            .empty(StatusCode::NO_CONTENT, "The warm-up has stopped.")
            .problems([invalid(), Error::UnknownInstance, Error::NoWarmup]),
        _ => {
            let summary = "Shows the progress of the newest warm-up of each instance";
            Operation::new("warmUps", summary)
                .json_list::<WarmRecord>(OK, "A record for each instance.")
        }
    }
}

fn provider() -> Parameter {
    let about = "The instance's provider.";
    openapi::parameter(ParameterIn::Path, "provider", about, openapi::text())
}

fn query(name: &str, about: &str, schema: ObjectBuilder) -> Parameter {
    openapi::parameter(ParameterIn::Query, name, about, schema)
}

fn flag() -> ObjectBuilder {
    choice(["true", "false"])
}

fn invalid() -> Error {
    Error::Parameter(InvalidParameter::new("", ""))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value;

    use super::*;

    #[test]
    fn the_document_has_exactly_the_routes_and_methods_of_the_table() {
        let document: Value = serde_json::from_str(&DOCUMENT).unwrap();
        let mut documented = BTreeSet::new();
        for (path, item) in document["paths"].as_object().unwrap() {
            for method in item.as_object().unwrap().keys() {
                documented.insert(format!("{} {path}", method.to_uppercase()));
            }
        }
        let routed = ROUTES.iter().flat_map(|route| {
            let methods = route.methods.split(", ").filter(|name| *name != "HEAD");
            methods.map(|name| format!("{name} {}", route.path))
        });
        assert_eq!(documented, routed.collect());
    }

    #[test]
    fn each_operation_has_a_name_of_its_own() {
        let document: Value = serde_json::from_str(&DOCUMENT).unwrap();
        let mut names = BTreeSet::new();
        for item in document["paths"].as_object().unwrap().values() {
            for operation in item.as_object().unwrap().values() {
                let name = operation["operationId"].as_str().unwrap();
                assert!(names.insert(name.to_owned()), "{name}");
            }
        }
    }
}

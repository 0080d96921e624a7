//! The service for events in OpenAPI 3.1.

use std::sync::LazyLock;

use http::StatusCode;
use utoipa::openapi::{HttpMethod, Object, path::ParameterIn, schema::Type};

use super::Error;
use crate::{
    http::{
        BodyError,
        openapi::{self, Document, Operation},
    },
    pipeline::EventCounts,
    representation::openapi::instance,
    upstream::EventError,
};

/// The document, serialized once.
pub(super) static DOCUMENT: LazyLock<String> = LazyLock::new(|| {
    let mut document = Document::default();
    document.add("/v1/hooks/{instance}/{secret}", HttpMethod::Post, take());
    document.add("/openapi.json", HttpMethod::Get, show());
    document.finish(
        "Faceplate for gateways",
        "The events of gateways' webhooks. The listener is off unless `hooks.listen` is set. The credential is the secret in the path. Any other path, an unknown instance and a wrong secret are all the same 404 of type `no-route`.",
    )
});

fn take() -> Operation {
    let about = "The event as the gateway sends it, which its description reads; a form, too, if the gateway sends forms.";
    let event = Object::with_type(Type::Object);
    let secret = "The instance's `hook.secret`. Anything may follow it: some gateways append the kind of event.";
    Operation::new("takeEvent", "Takes an event of the instance's gateway")
        .parameter(instance())
        .parameter(openapi::parameter(
            ParameterIn::Path,
            "secret",
            secret,
            openapi::text(),
        ))
        .body(about, "application/json", event, true)
        .json::<EventCounts>(StatusCode::OK, "What became of the faces of the event.")
        .problems([
            Error::NoRoute,
            Error::Event(EventError::NoObject),
            Error::Body(BodyError::Ended),
            Error::Body(BodyError::TooLarge(0)),
            Error::Body(BodyError::Timeout),
            Error::Signature,
            Error::Method("POST"),
        ])
        .security(&[""])
}

fn show() -> Operation {
    Operation::new("getOpenApi", "Shows this document")
        .media(StatusCode::OK, "This document.", &["application/json"])
        .problems([Error::Method("GET, HEAD")])
        .security(&[""])
}

//! The public routes in OpenAPI 3.1. PURGE is missing, since OpenAPI 3.1 has no such method; the description
//! of the document names it.

use http::StatusCode;
use serde_json::Value;
use utoipa::openapi::{
    HttpMethod,
    path::{Parameter, ParameterIn},
    schema::ObjectBuilder,
    security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme},
};

use super::{
    Error, access_error::AccessError, live::EVENTS, route::LAST_EVENT_ID, script::JAVASCRIPT,
};
use crate::{
    avatar::MalformedJid,
    http::{
        openapi::{Document, Operation, choice, integer, parameter, pattern, text},
        problem::Problem,
    },
    images::VariantError,
    representation::{
        openapi::{IMAGES, instance, jid},
        problems,
        view::{InvalidParameter, SIZES},
    },
    upstream::UnsupportedSubject,
};

/// The title of the document.
pub(crate) const TITLE: &str = "Faceplate";
/// The description of the document.
pub(crate) const DESCRIPTION: &str = "Faces of WhatsApp contacts: always an image, unless the request itself is wrong. PURGE /avatar/{instance}/{jid} with a bearer token expires a face, so that the vendor is asked again; it answers {\"purged\": NUMBER}. The vendors' own picture calls answer failures with the vendor's own JSON; those of a gateway with a description are listed here while an instance of it is configured. Any other path is a 404 of type `no-route`.";

const FLAG: [&str; 8] = ["y", "yes", "true", "1", "n", "no", "false", "0"];

/// Adds the public service's routes. `common` are the problems of every route.
pub(crate) fn describe(document: &mut Document, common: fn() -> Vec<Problem>) {
    let path = "/avatar/{instance}/{jid}";
    let get = describe_avatar("getAvatar", "Shows a face").problems(common());
    document.add(path, HttpMethod::Get, get);
    let head = describe_avatar("headAvatar", "Shows the headers of a face").problems(common());
    document.add(path, HttpMethod::Head, head.without_bodies());
    document.add(
        "/live/{instance}",
        HttpMethod::Get,
        describe_live().problems(common()),
    );
    let about = "The script. Every cache may keep it for an hour.";
    let script = Operation::new("getScript", "Swaps faces in on a page as they come")
        .security(&[""])
        .media(StatusCode::OK, about, &[JAVASCRIPT])
        .header(
            StatusCode::OK,
            "ETag",
            "Strong; made from the BLAKE3 digest of the script.",
            text().build(),
        )
        .empty(StatusCode::NOT_MODIFIED, "The client's copy is current.")
        .problems([Error::Method("GET, HEAD")])
        .problems(common());
    document.add("/faceplate.js", HttpMethod::Get, script);
    let operation = Operation::new("getOpenApi", "Shows this document")
        .security(&[""])
        .media(StatusCode::OK, "This document.", &["application/json"])
        .problems([Error::Method("GET, HEAD")])
        .problems(common());
    document.add("/openapi.json", HttpMethod::Get, operation);
    let signature = SecurityScheme::ApiKey(ApiKey::Query(ApiKeyValue::with_description(
        "sig",
        "A signed URL: `exp`, `sig`, and for more rights `grant` and `scope`.",
    )));
    document.add_security_scheme("signature", signature);
    let bearer = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .description(Some("One of `access.bearer_tokens`."));
    document.add_security_scheme("bearer", SecurityScheme::Http(bearer.build()));
}

fn describe_avatar(id: &str, summary: &str) -> Operation {
    let (ok, partial) = (StatusCode::OK, StatusCode::PARTIAL_CONTENT);
    let mut operation = Operation::new(id, summary)
        .security(&["", "signature", "bearer"])
        .parameter(instance())
        .parameter(jid());
    for parameter in queries() {
        operation = operation.parameter(parameter);
    }
    for (name, about, schema) in headers() {
        operation = operation.header(ok, name, about, schema.build());
    }
    let invalid = InvalidParameter::new("", "");
    operation
        .media(ok, "The picture, or a placeholder.", &IMAGES)
        .media(
            partial,
            "A part of the picture, for a single `Range`.",
            &IMAGES,
        )
        .header(partial, "Content-Range", "The part.", text().build())
        .empty(StatusCode::NOT_MODIFIED, "The client's copy is current.")
        .empty(
            StatusCode::RANGE_NOT_SATISFIABLE,
            "The range begins after the end of the picture.",
        )
        .empty(
            StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            "The request's head is too large.",
        )
        .problems([
            Error::Jid(MalformedJid::User),
            Error::Parameter(invalid),
            Error::Encoding,
            Error::Access(AccessError::Unsigned),
            Error::UnknownInstance,
            Error::InstancesFull,
            Error::Unsupported(UnsupportedSubject::OnlyOwn),
            Error::NoSpace,
            Error::Method("GET, HEAD, PURGE"),
        ])
        .problems([problems::no_picture(), problems::not_known()])
}

fn describe_live() -> Operation {
    let about = "Server-sent events: `ready` first, then `face` for each face that shows something else than before, and `resync` when the client has missed some. A new client also gets the changes of the last minute.";
    let mut operation = Operation::new("getLive", "Tells which faces of an instance change")
        .security(&["", "signature", "bearer"])
        .parameter(instance());
    let signature = ["exp", "sig", "grant", "scope"];
    for signed in queries() {
        if signature.contains(&signed.name.as_str()) {
            operation = operation.parameter(signed);
        }
    }
    let last = "The `id` of the last event that the client has: it goes on after that one. A browser sends it as the header `Last-Event-ID` when it connects again.";
    operation
        .parameter(parameter(ParameterIn::Query, LAST_EVENT_ID, last, text()))
        .media(StatusCode::OK, about, &[EVENTS])
        .header(
            StatusCode::OK,
            "X-Accel-Buffering",
            "`no`, so that nginx holds no event back.",
            text().build(),
        )
        .problems([
            Error::Encoding,
            Error::Access(AccessError::Unsigned),
            Error::UnknownInstance,
            Error::LiveOff,
            Error::LiveFull,
            Error::LiveFullOfClient,
            Error::Method("GET, HEAD"),
        ])
}

/// The parameters of a face's URL, which `route.rs` reads.
pub(super) fn queries() -> Vec<Parameter> {
    let sizes = SIZES.map(|size| size.to_string()).join(", ");
    let largest = SIZES[SIZES.len() - 1];
    let color = "#?([0-9a-fA-F]{3}|[0-9a-fA-F]{6})";
    let parameters: [(_, String, ObjectBuilder); 17] = [
        (
            "s",
            format!("The edge in pixels, rounded up to one of {sizes}; above, the largest. Also `size`."),
            integer().minimum(Some(1)).maximum(Some(largest)),
        ),
        (
            "d",
            "The placeholder for a face without a picture; `404` is a 404 of type `no-picture` instead, or a 503 of type `not-known` while it is not known whether there is a picture. Also `default`.".into(),
            choice(["initials", "mp", "mm", "identicon", "retro", "monsterid", "robohash", "wavatar", "blank", "404"])
                .default(Some(Value::from("initials"))),
        ),
        (
            "f",
            "`y` shows the placeholder even if there is a picture. Also `forcedefault`.".into(),
            choice(FLAG),
        ),
        ("name", "A name for the initials.".into(), text()),
        (
            "initials",
            "The letters of the placeholder, in place of those of `name`: up to three.".into(),
            text(),
        ),
        (
            "background",
            "The background of the placeholder: `RRGGBB`, `RGB`, or `random` for the face's own color.".into(),
            pattern(&format!("^({color}|random)$")),
        ),
        (
            "color",
            "The letters, figure or pattern of the placeholder: `RRGGBB` or `RGB`.".into(),
            pattern(&format!("^{color}$")),
        ),
        ("rounded", "`true` makes the placeholder a disc.".into(), choice(FLAG)),
        ("length", "The number of initials.".into(), choice(["1", "2"])),
        ("bold", "`true` makes the letters heavier.".into(), choice(FLAG)),
        (
            "refresh",
            "`true` asks the vendor again. It needs the grant `refresh`, or a bearer token.".into(),
            choice(["true", "1", "n", "no", "false", "0"]),
        ),
        (
            "wait",
            "How many seconds to wait for the vendor, instead of `cache.first_paint`; at most `cache.longest_wait`. For programs that fetch a face once. It needs a signature or a bearer token.".into(),
            integer().minimum(Some(0)).maximum(Some(3600)),
        ),
        (
            "format",
            "The format of the image; `auto` chooses by the `Accept` header.".into(),
            choice(["auto", "jpeg", "jpg", "png", "webp", "avif", "svg"])
                .default(Some(Value::from("auto"))),
        ),
        ("exp", "The expiry of the signature, in Unix seconds.".into(), text()),
        ("sig", "The signature: base64url of an HMAC-SHA256.".into(), text()),
        (
            "grant",
            "`refresh`: the signature also allows `refresh=true`.".into(),
            text(),
        ),
        (
            "scope",
            "`instance`: the signature is for all faces of the instance.".into(),
            text(),
        ),
    ];
    let parameters = parameters.into_iter();
    parameters
        .map(|(name, about, schema)| parameter(ParameterIn::Query, name, &about, schema))
        .collect()
}

/// The headers of an image, which `representation/headers.rs` writes.
fn headers() -> [(&'static str, &'static str, ObjectBuilder); 15] {
    [
        (
            "ETag",
            "Strong; made from the BLAKE3 digest of the body.",
            text(),
        ),
        (
            "Last-Modified",
            "The date when the picture changed. A placeholder has none.",
            text(),
        ),
        (
            "Cache-Control",
            "A browser may keep a picture for `cache.ttl`, a placeholder for a confirmed \"no picture\" for minutes, and a placeholder caused by an error not at all. `private` if a credential let the request in. `no-cache` for the reply to a refresh, and for what stands in for a variant. `http.browser_ttl` shortens all of these.",
            text(),
        ),
        (
            "X-Accel-Expires",
            "The seconds for which nginx may keep a public image; nginx does not subtract `Age`.",
            integer(),
        ),
        ("Age", "The age of the picture in seconds.", integer()),
        ("Vary", "`Accept`, if it chose the format.", text()),
        ("Accept-Ranges", "`bytes`, for a picture.", text()),
        (
            "Retry-After",
            "The seconds until a missing answer can be expected: after an error, for lack of budget, or while the fetch goes on. Also when a refresh was not possible.",
            integer(),
        ),
        (
            "Cache-Status",
            "The result of the look-up in the cache (RFC 9211).",
            text(),
        ),
        (
            "X-Faceplate-Source",
            "`picture`, or `fallback` for a placeholder.",
            choice(["picture", "fallback"]),
        ),
        (
            "X-Faceplate-Reason",
            "The reason for a placeholder, for a stale picture, or why a refresh was not possible.",
            text(),
        ),
        (
            "X-Faceplate-Instance",
            "The instance that the picture is from, if this one has none.",
            text(),
        ),
        (
            "X-Faceplate-Variant",
            "The reason why another image stands in for the requested size or format.",
            choice(VariantError::ALL.map(VariantError::as_str)),
        ),
        (
            "X-Faceplate-Ignored",
            "The parameters of the image's look whose values are unknown, so that their defaults count.",
            text(),
        ),
        ("X-Request-Id", "The request's name in the log.", text()),
    ]
}

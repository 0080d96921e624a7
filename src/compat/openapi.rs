//! The vendors' picture calls in OpenAPI 3.1, made from the table of endpoints and the vendors' answers to
//! failures.

use http::{StatusCode, header};
use utoipa::openapi::{
    HttpMethod,
    path::{Parameter, ParameterIn},
    security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme},
};

use super::{
    Failure, METHODS, described, described_openapi,
    endpoint::{Endpoint, Relay, Success},
    endpoints::ENDPOINTS,
};
use crate::{
    http::{
        openapi::{Document, Operation, choice, parameter, required, text},
        problem::Problem,
    },
    pipeline::Instances,
    representation::{openapi::IMAGES, problems},
};

/// The failures, with their descriptions.
pub(super) const FAILURES: [(Failure, &str); 8] = [
    (Failure::Malformed, "A parameter is missing or malformed"),
    (Failure::Unauthorized, "The credential is missing or wrong"),
    (Failure::UnknownAccount, "There is no such account"),
    (
        Failure::UnknownContact,
        "There is no such contact or picture",
    ),
    (
        Failure::SessionDown,
        "The account is not connected to WhatsApp",
    ),
    (Failure::RateLimited, "The vendor was asked too often"),
    (Failure::TimedOut, "The vendor did not answer in time"),
    (Failure::VendorError, "The vendor failed"),
];

/// The response to a call whose answer has a link.
pub(super) const LINK_OR_IMAGE: &str = "The vendor's JSON with a link to this server, or for a client that accepts only images the picture or a placeholder.";

/// Adds the vendors' picture calls, and of gateways with a description those that `instances` have. `common` are the
/// problems of every route.
pub(crate) fn describe(
    document: &mut Document,
    common: fn() -> Vec<Problem>,
    instances: &Instances,
) {
    for endpoint in ENDPOINTS {
        let schemes = security_schemes(endpoint);
        let names: Vec<_> = schemes.iter().map(|(name, _)| name.as_str()).collect();
        let operation = describe_endpoint(endpoint)
            .security(&names)
            .problems(common());
        document.add(&path(endpoint), HttpMethod::Get, operation);
        for (name, scheme) in schemes {
            document.add_security_scheme(&name, scheme);
        }
    }
    described_openapi::describe(document, common, instances);
}

fn path(endpoint: &Endpoint) -> String {
    format!("/{}", endpoint.path.join("/"))
}

fn describe_endpoint(endpoint: &Endpoint) -> Operation {
    let (ok, json) = (StatusCode::OK, ["application/json"]);
    let mut operation = Operation::new(endpoint.id, endpoint.summary);
    for parameter in parameters(endpoint) {
        operation = operation.parameter(parameter);
    }
    operation = match endpoint.success {
        Success::OwnImage => operation.media(ok, "The picture.", &IMAGES),
        Success::Relay(_) => operation.media(
            ok,
            "The vendor's JSON, with links to this server. The call is made each time, and each row of a list costs a call of the budget.",
            &json,
        ),
        Success::Link(_) => operation
            .media(ok, LINK_OR_IMAGE, &json)
            .media(ok, "", &IMAGES),
    };
    if !matches!(endpoint.success, Success::Relay(_)) {
        operation = image_responses(operation);
    }
    for (failure, about) in FAILURES {
        let status = (endpoint.failure)(failure, "").status;
        operation = operation.media(status, about, &json);
    }
    operation.problems([
        Problem::method_not_allowed(METHODS),
        described::ambiguous(),
        problems::no_space(),
        problems::instances_full(),
    ])
}

/// Adds the responses that only images have.
pub(super) fn image_responses(operation: Operation) -> Operation {
    operation
        .media(
            StatusCode::PARTIAL_CONTENT,
            "A part of the picture.",
            &IMAGES,
        )
        .empty(StatusCode::NOT_MODIFIED, "The client's copy is current.")
        .empty(
            StatusCode::RANGE_NOT_SATISFIABLE,
            "The range begins after the end of the picture.",
        )
}

fn parameters(endpoint: &Endpoint) -> Vec<Parameter> {
    let (query, in_path) = (ParameterIn::Query, ParameterIn::Path);
    let (account, chat) = ("The name of the account.", "The JID of the chat.");
    let mut parameters = Vec::new();
    for segment in endpoint.path {
        match *segment {
            "{account}" => parameters.push(parameter(in_path.clone(), "account", account, text())),
            "{chat}" => parameters.push(parameter(in_path.clone(), "chat", chat, text())),
            _ => {}
        }
    }
    if let Some(name) = endpoint.account {
        let schema = text().min_length(Some(1));
        parameters.push(required(parameter(query.clone(), name, account, schema)));
    }
    if let Some(name) = endpoint.chat {
        parameters.push(required(parameter(query.clone(), name, chat, text())));
    }
    if let Success::Relay(relay) = endpoint.success {
        if relay == Relay::Chats {
            let (limit, offset) = (
                "The most chats; at most `lookups.burst`.",
                "The chats before the page.",
            );
            for (name, about) in [("limit", limit), ("offset", offset)] {
                parameters.push(parameter(query.clone(), name, about, text()));
            }
        }
        return parameters;
    }
    let about = "`true` asks the vendor now.";
    parameters.push(parameter(
        query,
        "refresh",
        about,
        choice(["true", "false"]),
    ));
    parameters
}

/// The places of the credential, each with a name.
fn security_schemes(endpoint: &Endpoint) -> Vec<(String, SecurityScheme)> {
    let about = "The vendor's credential.";
    let mut schemes = Vec::new();
    for name in endpoint.token_headers {
        schemes.push(if *name == header::AUTHORIZATION.as_str() {
            let bearer = HttpBuilder::new()
                .scheme(HttpAuthScheme::Bearer)
                .description(Some(about));
            (
                "vendorBearer".to_owned(),
                SecurityScheme::Http(bearer.build()),
            )
        } else {
            let key = ApiKeyValue::with_description(*name, about);
            let scheme = SecurityScheme::ApiKey(ApiKey::Header(key));
            (format!("header.{name}"), scheme)
        });
    }
    if let Some(name) = endpoint.token {
        let key = ApiKeyValue::with_description(name, about);
        let scheme = SecurityScheme::ApiKey(ApiKey::Query(key));
        schemes.push((format!("query.{name}"), scheme));
    }
    schemes
}

//! Problem details (RFC 9457): the form of every error response. Each service has an `error.rs` that
//! turns its own errors into these.

use std::borrow::Cow;

use http::{HeaderName, StatusCode, header};
use serde::Serialize;
use utoipa::ToSchema;

use super::respond;
use crate::server::Reply;

/// The media type of problems.
pub(crate) const MEDIA: &str = "application/problem+json";

/// An error response.
#[derive(Debug)]
pub(crate) struct Problem {
    status: StatusCode,
    /// The last part of `type`, also the reason in the access log.
    kind: &'static str,
    title: &'static str,
    detail: Cow<'static, str>,
    /// A header that the status requires, such as `Allow` for 405.
    header: Option<(HeaderName, Cow<'static, str>)>,
}

/// The description of an error (RFC 9457).
// The members of §3.1, in its order.
#[derive(Serialize, ToSchema)]
#[schema(as = Problem)]
pub(super) struct Members<'a> {
    /// `urn:faceplate:problem:` and the kind of problem.
    r#type: String,
    /// The error.
    title: &'a str,
    /// The status of the response.
    status: u16,
    /// The remedy.
    detail: &'a str,
}

impl Problem {
    /// A problem of `kind`. `title` states the fact, `detail` the remedy.
    pub(crate) fn new(
        status: StatusCode,
        kind: &'static str,
        title: &'static str,
        detail: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self {
            status,
            kind,
            title,
            detail: detail.into(),
            header: None,
        }
    }

    /// 404 for a path without a resource.
    pub(crate) fn no_route(detail: &'static str) -> Self {
        let title = "There is nothing at this path";
        Self::new(StatusCode::NOT_FOUND, "no-route", title, detail)
    }

    /// 405. `allowed` lists the methods as `Allow` does.
    pub(crate) fn method_not_allowed(allowed: &'static str) -> Self {
        Self::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "method",
            "This method is not allowed here",
            format!("use one of {allowed}"),
        )
        .with_header(header::ALLOW, allowed)
    }

    /// The problem with a head that cannot be read.
    pub(crate) fn unread(status: StatusCode) -> Self {
        match status {
            StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE => Self::new(
                status,
                "header-too-large",
                "The head of the request is too large",
                "send fewer or shorter headers; the operator can raise server.max_header",
            ),
            StatusCode::URI_TOO_LONG => Self::new(
                status,
                "uri-too-long",
                "The path and query are too long",
                "they may have 8192 bytes together",
            ),
            _ => Self::new(
                StatusCode::BAD_REQUEST,
                "malformed-request",
                "The head of the request is malformed",
                "send HTTP/1.1 or HTTP/2 as RFC 9112 and RFC 9113 describe it",
            ),
        }
    }

    /// 400 for a path whose percent-encoding is not UTF-8.
    pub(crate) fn encoding() -> Self {
        Self::new(
            StatusCode::BAD_REQUEST,
            "encoding",
            "The path is not valid UTF-8",
            "percent-encode the path's parts as UTF-8",
        )
    }

    /// 400 for the query parameter `name`.
    pub(crate) fn invalid_parameter(name: &str, remedy: &str) -> Self {
        Self::new(
            StatusCode::BAD_REQUEST,
            "parameter",
            "Invalid query parameter",
            format!("{name}: {remedy}"),
        )
    }

    /// The same problem with a header.
    pub(crate) fn with_header(self, name: HeaderName, value: impl Into<Cow<'static, str>>) -> Self {
        Self {
            header: Some((name, value.into())),
            ..self
        }
    }

    /// The status of the response.
    pub(super) fn status(&self) -> StatusCode {
        self.status
    }

    /// The error, without its remedy.
    pub(super) fn title(&self) -> &'static str {
        self.title
    }

    /// The name of the header that the status requires.
    pub(super) fn header_name(&self) -> Option<&HeaderName> {
        self.header.as_ref().map(|(name, _)| name)
    }

    /// The kind of problem, for the access log.
    pub(crate) fn kind(&self) -> &'static str {
        self.kind
    }

    /// The response.
    #[cold]
    pub(crate) fn into_reply(self) -> Reply {
        let body = serde_json::to_vec(&Members {
            r#type: format!("urn:faceplate:problem:{}", self.kind),
            title: self.title,
            status: self.status.as_u16(),
            detail: &self.detail,
        });
        // Serializing strings and a number cannot fail.
        let body = body.unwrap_or_default().into();
        let mut reply = respond::uncached(self.status, MEDIA, body);
        if let Some((name, value)) = self.header {
            reply.headers.add(name, &value);
        }
        reply
    }
}

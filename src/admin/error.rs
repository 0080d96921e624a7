//! The errors of the admin service, and the problem that each is reported as.

use std::{borrow::Cow, time::Duration};

use http::{StatusCode, header};

use crate::{
    avatar::{MalformedJid, Trouble},
    http::{BodyError, host::InvalidHost, problem::Problem},
    pipeline::{LookUpError, NotMade, PushError, RenameError, TooManyAliases},
    representation::{problems, view::InvalidParameter},
    upstream::{EventError, UnsupportedSubject},
};

/// Why the admin service refuses a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Error {
    /// No resource has this path.
    NoRoute,
    /// The resource does not have this method. `Allow` lists the ones that it has.
    Method(&'static str),
    /// The path is not UTF-8.
    Encoding,
    /// The JID is malformed.
    Jid(MalformedJid),
    /// A query parameter is unknown or has an unknown value.
    Parameter(InvalidParameter),
    /// A line of a list is not a JID.
    ListLine {
        /// The number of the line, from 1.
        line: usize,
        /// The error in it.
        error: MalformedJid,
    },
    /// The body was not read.
    Body(BodyError),
    /// A webhook's body is not an event.
    WebhookEvent(EventError),
    /// An event does not name its account.
    WebhookAccount,
    /// The body is no table of LIDs and numbers.
    Aliases,
    /// The numbers that are set would exceed their limit.
    TooManyAliases(TooManyAliases),
    /// A pushed picture is neither `image/*` nor JSON.
    PushMedia,
    /// The JSON of a push has no link.
    PushBody,
    /// A pushed picture is refused.
    Push(PushError),
    /// The request lacks the admin token.
    Token,
    /// A request for the page lacks it: the browser is told to ask for a password.
    PageToken,
    /// Without a token, the `Host` header may not be a name of another machine.
    Host,
    /// The request names no host, or several.
    InvalidHost,
    /// A page of another site sent the request.
    CrossSite,
    /// No instance has this name.
    UnknownInstance,
    /// No instance of the pattern can be made now.
    InstancesFull,
    /// The vendor has no call for the face.
    Unsupported(UnsupportedSubject),
    /// The pictures that are being sent leave no memory for this one.
    NoSpace,
    /// The vendor was not asked for the face, because the budget is used up or the instance pauses.
    NotAsked {
        /// The reason.
        why: Trouble,
        /// The wait for the vendor's turn.
        wait: Duration,
    },
    /// The face was forgotten on demand, and shows no picture for a time.
    Forgotten,
    /// There is no entry for the face.
    NoEntry,
    /// The face has no picture.
    NoPicture,
    /// The entry of the face cannot be read now.
    Unreadable,
    /// A change could not be written to disk.
    NotOnDisk,
    /// No face was renamed.
    Rename(RenameError),
    /// The instance is not paused.
    NoPause,
    /// The server is in no fleet.
    NoFleet,
    /// A warm-up of the instance is running already.
    WarmupRunning,
    /// No warm-up of the instance is running.
    NoWarmup,
}

impl From<InvalidHost> for Error {
    fn from(_: InvalidHost) -> Self {
        Error::InvalidHost
    }
}

impl From<BodyError> for Error {
    fn from(error: BodyError) -> Self {
        Error::Body(error)
    }
}

impl From<NotMade> for Error {
    fn from(error: NotMade) -> Self {
        match error {
            NotMade::Unknown => Error::UnknownInstance,
            NotMade::Full => Error::InstancesFull,
        }
    }
}

impl From<UnsupportedSubject> for Error {
    fn from(error: UnsupportedSubject) -> Self {
        Error::Unsupported(error)
    }
}

impl From<LookUpError> for Error {
    fn from(error: LookUpError) -> Self {
        match error {
            LookUpError::Unsupported(error) => Error::Unsupported(error),
            LookUpError::NoSpace => Error::NoSpace,
        }
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        match error {
            Error::NoRoute => Problem::no_route(
                "GET /openapi.json describes every route of this listener; GET / is the dashboard",
            ),
            Error::Method(allowed) => Problem::method_not_allowed(allowed),
            Error::Encoding => Problem::encoding(),
            Error::Jid(error) => problems::malformed_jid(error),
            Error::Parameter(invalid) => invalid.into(),
            Error::ListLine { line, error } => Problem::new(
                StatusCode::BAD_REQUEST,
                "line",
                "A line of the list is not a JID",
                format!("line {line}: {error}"),
            ),
            Error::Body(error) => error.into(),
            Error::WebhookEvent(error) => unrecognized_event(error.to_string()),
            Error::WebhookAccount => unrecognized_event(
                "the event does not name its account where the description of the gateway says, or accounts of several gateways have this name; use POST /v1/hooks/{instance}/{secret} of hooks.listen",
            ),
            Error::Aliases => Problem::new(
                StatusCode::BAD_REQUEST,
                "aliases",
                "The body is not a table of LIDs and numbers",
                "send {\"123@lid\": \"628123456789@c.us\"}, with null in place of the number to remove one",
            ),
            Error::TooManyAliases(error) => Problem::new(
                StatusCode::CONFLICT,
                "too-many-aliases",
                "No number was set",
                error.to_string(),
            ),
            Error::PushMedia => Problem::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "push-media",
                "The body is neither a picture nor a link",
                "send the picture with Content-Type: image/jpeg, or {\"link\": \"https://...\"} with application/json",
            ),
            Error::PushBody => Problem::new(
                StatusCode::BAD_REQUEST,
                "push-body",
                "The JSON names no link",
                "send {\"link\": \"https://...\"}, or {\"link\": null} for a contact without a picture",
            ),
            Error::Forgotten => Problem::new(
                StatusCode::CONFLICT,
                "forgotten",
                "The face was forgotten",
                "the vendor is not asked for it, and it takes no picture, until cache.forget_for has passed",
            ),
            Error::Push(error) => Problem::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                "push-refused",
                "The picture is refused",
                error.to_string(),
            ),
            Error::Token => token_required().with_header(header::WWW_AUTHENTICATE, "Bearer"),
            Error::PageToken => token_required().with_header(
                header::WWW_AUTHENTICATE,
                "Basic realm=\"Faceplate\", charset=\"UTF-8\"",
            ),
            Error::Host => Problem::new(
                StatusCode::MISDIRECTED_REQUEST,
                "admin-host",
                "Without admin.token, the Host header must be an IP address or localhost",
                "ask for 127.0.0.1 or localhost; set admin.token to ask by another name",
            ),
            Error::InvalidHost => InvalidHost.into(),
            Error::CrossSite => Problem::new(
                StatusCode::FORBIDDEN,
                "another-site",
                "A page of another site sent this request",
                "open the page on this listener itself, or send the request without a browser",
            ),
            Error::UnknownInstance => problems::unknown_instance(),
            Error::InstancesFull => problems::instances_full(),
            Error::Unsupported(error) => problems::unsupported(error),
            Error::NoSpace => problems::no_space(),
            Error::NotAsked { why, wait } => not_asked(why, wait),
            Error::NoEntry => Problem::new(
                StatusCode::NOT_FOUND,
                "no-record",
                "There is no entry for this face",
                "it was never asked for, or was evicted; GET /avatar/{instance}/{jid} asks for it",
            ),
            Error::NoPicture => problems::no_picture(),
            Error::Unreadable => Problem::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "unreadable",
                "The entry of this face cannot be read now",
                "the vendor is not asked, because the face may be a forgotten one; see the log for the disk's error, and repair the disk",
            ),
            Error::NotOnDisk => problems::not_on_disk(),
            Error::Rename(error) => Problem::new(
                match error {
                    RenameError::InUse => StatusCode::CONFLICT,
                    RenameError::Full => StatusCode::SERVICE_UNAVAILABLE,
                    RenameError::NoFaces | RenameError::UnknownInstance => StatusCode::NOT_FOUND,
                },
                "rename",
                "No face was renamed",
                error.to_string(),
            ),
            Error::NoPause => Problem::new(
                StatusCode::NOT_FOUND,
                "not-paused",
                "The instance is not paused",
                "nothing is to be done; GET /v1/instances shows each instance's pause",
            ),
            Error::NoFleet => Problem::new(
                StatusCode::NOT_FOUND,
                "no-fleet",
                "This server shares nothing with others",
                "write [fleet] into the configuration if it is to be one of several replicas",
            ),
            Error::WarmupRunning => Problem::new(
                StatusCode::CONFLICT,
                "warming",
                "A warm-up of this instance is running already",
                "wait for it: GET /v1/warm shows its progress, DELETE /v1/warm?instance=NAME stops it",
            ),
            Error::NoWarmup => Problem::new(
                StatusCode::NOT_FOUND,
                "not-warming",
                "No warm-up of this instance is running",
                "POST /v1/warm starts one",
            ),
        }
    }
}

fn not_asked(why: Trouble, wait: Duration) -> Problem {
    let seconds = wait.as_millis().div_ceil(1000).max(1);
    let remedy = match why {
        Trouble::OverBudget => {
            "the budget is used up (over_budget); the face is asked for as soon as refreshes or lookups of the instance allow it".to_owned()
        }
        why => format!(
            "the instance pauses ({}); DELETE /v1/instances/{{instance}}/pause ends the pause, GET /v1/instances shows it",
            why.as_str()
        ),
    };
    Problem::new(
        StatusCode::TOO_MANY_REQUESTS,
        "not-asked",
        "The vendor was not asked for the face",
        remedy,
    )
    .with_header(header::RETRY_AFTER, seconds.to_string())
}

fn unrecognized_event(remedy: impl Into<Cow<'static, str>>) -> Problem {
    let title = "Unrecognized webhook event";
    Problem::new(StatusCode::BAD_REQUEST, "event", title, remedy)
}

fn token_required() -> Problem {
    Problem::new(
        StatusCode::UNAUTHORIZED,
        "admin-token",
        "The admin token is missing or wrong",
        "send Authorization: Bearer with the token that admin.token names",
    )
}

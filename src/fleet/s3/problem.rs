//! Why the S3 store cannot be used, and the remedy.

use std::error::Error as _;

/// Why the S3 store cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum S3Problem {
    /// The URL is wrong.
    #[error("fleet.s3.endpoint is not the URL of an S3 store; write http://host:port")]
    Endpoint,
    /// The key is wrong, or lacks a right.
    #[error(
        "the S3 store refuses the key ({0}); check fleet.s3.access_key and fleet.s3.secret_key, and that the key may read, write, delete and list in the bucket"
    )]
    Key(String),
    /// The bucket does not exist.
    #[error("the S3 store has no such bucket; make it, or correct fleet.s3.bucket")]
    Bucket,
    /// The store has another region.
    #[error("the S3 store has another region ({0}); correct fleet.s3.region")]
    Region(String),
    /// The clocks are too far apart.
    #[error(
        "the S3 store refuses the request's time; set the clocks of this machine and the store (NTP)"
    )]
    Clock,
    /// The store does not answer.
    #[error("the S3 store cannot be reached: {0}")]
    Unreachable(String),
}

impl S3Problem {
    /// Whether it stays until the configuration is changed.
    pub fn is_lasting(&self) -> bool {
        !matches!(self, S3Problem::Unreachable(_))
    }

    pub(super) fn of(error: &object_store::Error) -> Self {
        use object_store::Error::{NotFound, PermissionDenied, Unauthenticated};
        let text = chain(error);
        let code = code(&text);
        match (code, error) {
            (Some("RequestTimeTooSkewed"), _) => S3Problem::Clock,
            (Some("NoSuchBucket"), _) => S3Problem::Bucket,
            (
                Some("AuthorizationHeaderMalformed" | "PermanentRedirect" | "TemporaryRedirect"),
                _,
            ) => S3Problem::Region(code.unwrap_or_default().to_owned()),
            (_, PermissionDenied { .. } | Unauthenticated { .. }) => {
                S3Problem::Key(code.unwrap_or("access denied").to_owned())
            }
            // A refusal to list is of no kind of its own.
            _ if text.contains("403 Forbidden") || text.contains("401 Unauthorized") => {
                S3Problem::Key(code.unwrap_or("access denied").to_owned())
            }
            (_, NotFound { .. }) => S3Problem::Bucket,
            (Some(code), _) => S3Problem::Unreachable(format!("it answers with {code}")),
            (None, error) => S3Problem::Unreachable(cause(error)),
        }
    }
}

/// Whether there is no such object, in a bucket that exists.
pub(super) fn is_missing_object(error: &object_store::Error) -> bool {
    matches!(error, object_store::Error::NotFound { .. })
        && code(&chain(error)) != Some("NoSuchBucket")
}

/// The error with its causes.
fn chain(error: &object_store::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

/// The root cause, such as a refused connection.
fn cause(error: &object_store::Error) -> String {
    let mut cause = error.source();
    let mut text = String::new();
    while let Some(error) = cause {
        text = error.to_string();
        cause = error.source();
    }
    text
}

/// The code in an answer's XML.
fn code(text: &str) -> Option<&str> {
    let (_, after) = text.split_once("<Code>")?;
    let (code, _) = after.split_once("</Code>")?;
    let is_name = !code.is_empty() && code.bytes().all(|byte| byte.is_ascii_alphanumeric());
    is_name.then_some(code)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(code: &str, permission: bool) -> object_store::Error {
        let body = format!("<Error><Code>{code}</Code><Message>no</Message></Error>");
        let (path, source) = ("a".to_owned(), Box::new(std::io::Error::other(body)));
        match permission {
            true => object_store::Error::PermissionDenied { path, source },
            false => object_store::Error::Generic {
                store: "S3",
                source,
            },
        }
    }

    #[test]
    fn each_refusal_names_the_key_to_correct() {
        let problem = |code, permission| S3Problem::of(&error(code, permission));
        for (problem, key) in [
            (
                problem("SignatureDoesNotMatch", true),
                "fleet.s3.secret_key",
            ),
            (problem("NoSuchBucket", false), "fleet.s3.bucket"),
            (
                problem("AuthorizationHeaderMalformed", false),
                "fleet.s3.region",
            ),
            (problem("RequestTimeTooSkewed", true), "clocks"),
        ] {
            assert!(problem.is_lasting());
            assert!(problem.to_string().contains(key), "{problem}");
        }
        let busy = problem("SlowDown", false);
        assert!(!busy.is_lasting() && busy.to_string().contains("SlowDown"));
    }

    #[test]
    fn a_key_that_may_not_list_is_refused_too() {
        let text = "non-2xx status code: 403 Forbidden: <Code>AccessDenied</Code>";
        let listing = object_store::Error::Generic {
            store: "S3",
            source: Box::new(std::io::Error::other(text)),
        };
        assert_eq!(
            S3Problem::of(&listing),
            S3Problem::Key("AccessDenied".to_owned())
        );
    }

    #[test]
    fn only_an_object_that_is_missing_in_a_bucket_is_a_missing_object() {
        let missing = |code: &str| object_store::Error::NotFound {
            path: "a".to_owned(),
            source: Box::new(std::io::Error::other(format!("<Code>{code}</Code>"))),
        };
        assert!(is_missing_object(&missing("NoSuchKey")));
        assert!(!is_missing_object(&missing("NoSuchBucket")));
        assert!(!is_missing_object(&error("AccessDenied", true)));
    }
}

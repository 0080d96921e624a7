//! The result of one check, as it is reported.

use serde::Serialize;

/// The result of one check.
#[derive(Debug, Serialize)]
pub(super) struct Finding {
    pub(super) verdict: Verdict,
    /// The subject of the check: a key of the configuration, where one fits.
    pub(super) about: String,
    pub(super) found: String,
    /// The remedy; `None` if the check passed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) remedy: Option<String>,
}

/// How the check ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(super) enum Verdict {
    Ok,
    /// Faces are served, but there is a risk.
    Warn,
    Fail,
}

impl Finding {
    pub(super) fn ok(about: impl Into<String>, found: impl Into<String>) -> Self {
        Self {
            verdict: Verdict::Ok,
            about: about.into(),
            found: found.into(),
            remedy: None,
        }
    }

    pub(super) fn warn(
        about: impl Into<String>,
        found: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self {
            verdict: Verdict::Warn,
            remedy: Some(remedy.into()),
            ..Self::ok(about, found)
        }
    }

    pub(super) fn fail(
        about: impl Into<String>,
        found: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self {
            verdict: Verdict::Fail,
            ..Self::warn(about, found, remedy)
        }
    }
}

//! Why a fetch has no answer.

use std::time::Duration;

use crate::{
    avatar::Trouble,
    clock::Timestamp,
    limits::NotAdmitted,
    upstream::{ClientError, VendorFailure},
};

/// The reason why a fetch has no answer.
pub(super) struct FetchError {
    pub(super) why: Trouble,
    /// The pause that the vendor asks for.
    pub(super) retry_after: Option<Duration>,
    /// For the log.
    pub(super) detail: String,
    /// Whether the vendor's answer had none of the members that its description names.
    pub(super) is_misunderstood: bool,
    /// Whether the address guard blocked the call or the download.
    pub(super) is_blocked: bool,
}

/// The reason why a face that may be asked for in two spellings has no answer.
pub(super) enum NotAnswered {
    /// The budget has no call for the second spelling now.
    Refused(NotAdmitted),
    /// The calls have failed.
    Failed(FetchError),
}

/// The reason why a fetch has not the picture of the fleet's entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MissedPicture {
    /// It cannot be read now.
    Unreadable,
    /// The fleet has it no more.
    Lost,
}

/// The reason why the gateway has not said whether it knows the number.
pub(super) enum NotIdentified {
    /// The budget has no call now.
    Refused(NotAdmitted),
    /// A call would have no answer now.
    Failed(Timestamp, FetchError),
}

impl FetchError {
    pub(super) fn vendor_error(detail: impl Into<String>) -> Self {
        Self {
            why: Trouble::VendorError,
            retry_after: None,
            detail: detail.into(),
            is_misunderstood: false,
            is_blocked: false,
        }
    }
}

impl From<ClientError> for FetchError {
    fn from(error: ClientError) -> Self {
        Self {
            is_blocked: matches!(error, ClientError::Forbidden(..)),
            ..FetchError::vendor_error(error.to_string())
        }
    }
}

impl From<VendorFailure> for FetchError {
    fn from(failure: VendorFailure) -> Self {
        Self {
            why: failure.why,
            retry_after: failure.retry_after,
            detail: failure.detail.into_owned(),
            is_misunderstood: failure.is_misunderstood,
            is_blocked: false,
        }
    }
}

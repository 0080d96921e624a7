//! The ways in which a vendor's picture call fails. Each vendor's file says what it answers to each.

use crate::{
    avatar::{Empty, Outcome, Trouble},
    pipeline::ServedFace,
};

/// Why a call has no picture for an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// A parameter is missing or malformed.
    Malformed,
    /// The credential is missing or wrong.
    Unauthorized,
    /// There is no such account.
    UnknownAccount,
    /// There is no such contact.
    UnknownContact,
    /// The account is not connected to WhatsApp.
    SessionDown,
    /// The vendor was asked too often.
    RateLimited,
    /// The vendor did not answer in time.
    TimedOut,
    /// The vendor failed.
    VendorError,
}

/// Whether there is a picture, as the vendor would report it. Errors are hidden as long as there is one.
pub(super) fn has_picture(face: &ServedFace) -> Result<bool, Failure> {
    if face.picture().is_some() {
        return Ok(true);
    }
    if face.is_deferred() {
        return Err(Failure::TimedOut);
    }
    Err(match face.outcome() {
        Some(Outcome::Empty(Empty::NotFound)) => Failure::UnknownContact,
        Some(Outcome::Trouble(trouble)) => match trouble {
            Trouble::RateLimited | Trouble::OverBudget => Failure::RateLimited,
            // The vendor refused the credential that the client sent, too.
            Trouble::Auth => Failure::Unauthorized,
            Trouble::SessionDown => Failure::SessionDown,
            Trouble::VendorError => Failure::VendorError,
        },
        Some(Outcome::Empty(_) | Outcome::Picture) | None => return Ok(false),
    })
}

/// Why there is no picture.
pub(super) fn reason(face: &ServedFace) -> Empty {
    match face.outcome() {
        Some(Outcome::Empty(reason)) => reason,
        _ => Empty::Unknown,
    }
}

//! The vendors' replies, written from their published pages alone. They share nothing with the proxy's
//! providers: a mock that shares the parser agrees with the bug.
//!
//! A vendor turns an answer into a reply. It knows no clock, no cache and no fault.

mod hypersender;
mod wachat;
mod waha;
mod wawp;

use serde::Serialize;

use super::{
    answer::{Answer, Row},
    reply::Reply,
    request::VendorRequest,
    vocabulary::Vendor,
};

impl Vendor {
    /// The vendor's refusal of a malformed call; `None` for a well-formed one.
    pub(super) fn refuse_malformed(self, request: &VendorRequest) -> Option<Reply> {
        match self {
            Vendor::Wachat => wachat::refuse_malformed(request),
            Vendor::Wawp => wawp::refuse_malformed(request),
            Vendor::Hypersender => hypersender::refuse_malformed(request),
            Vendor::Wappfy | Vendor::Waha => None,
        }
    }

    /// The vendor's reply to a call for a picture, a contact or a profile.
    pub(super) fn reply(self, request: &VendorRequest, answer: &Answer) -> Reply {
        match self {
            Vendor::Wachat => wachat::reply(answer),
            Vendor::Wawp => wawp::reply(request, answer),
            Vendor::Hypersender => hypersender::reply(answer),
            Vendor::Wappfy | Vendor::Waha => waha::reply(request, answer),
        }
    }

    /// The vendor's list of chats.
    pub(super) fn list(self, request: &VendorRequest, rows: Vec<Row>) -> Reply {
        match self {
            Vendor::Wawp => wawp::list(&rows),
            Vendor::Wappfy | Vendor::Waha => waha::list(&rows),
            Vendor::Wachat | Vendor::Hypersender => self.error(request, 404),
        }
    }

    /// The vendor's reply with an error status.
    pub(super) fn error(self, request: &VendorRequest, status: u16) -> Reply {
        match self {
            Vendor::Wachat => wachat::error(status),
            Vendor::Wawp => wawp::error(status),
            Vendor::Hypersender => hypersender::error(status),
            Vendor::Wappfy | Vendor::Waha => waha::error(request, status),
        }
    }

    /// The vendor's reply while the account's session is in the state `session`.
    pub(super) fn session_down(self, request: &VendorRequest, session: &str) -> Reply {
        match self {
            Vendor::Wachat => wachat::session_down(session),
            Vendor::Wawp => wawp::session_down(session),
            Vendor::Hypersender => hypersender::session_down(session),
            Vendor::Wappfy | Vendor::Waha => waha::session_down(request, session),
        }
    }

    /// WhatsApp's `rate-overlimit` inside of a 200.
    pub(super) fn rate_overlimit(self) -> Reply {
        #[derive(Serialize)]
        struct Body {
            error: &'static str,
            code: u16,
        }
        match self {
            Vendor::Wachat => wachat::rate_overlimit(),
            Vendor::Wawp => wawp::rate_overlimit(),
            Vendor::Hypersender | Vendor::Wappfy | Vendor::Waha => Reply::json(
                200,
                &Body {
                    error: "rate-overlimit",
                    code: 429,
                },
            ),
        }
    }
}

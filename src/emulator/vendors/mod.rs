//! The vendors' replies, written from their published pages alone. They share nothing with the proxy's
//! providers: a mock that shares the parser agrees with the bug.
//!
//! A vendor turns an answer into a reply. It knows no clock, no cache and no fault.
//!
//! # Files
//!
//! * `evolution`: Evolution API
//! * `hypersender`: Hypersender
//! * `wachat`: Wachat
//! * `waha`: WAHA and Wappfy
//! * `wawp`: Wawp
//! * `wppconnect`: WPPConnect Server
//! * `wuzapi`: wuzapi

pub(super) mod evolution;
mod hypersender;
mod wachat;
mod waha;
mod wawp;
pub(super) mod wppconnect;
mod wuzapi;

use serde::Serialize;

use super::{
    answer::{Answer, Row},
    reply::Reply,
    state::State,
    vendor_request::VendorRequest,
    vocabulary::Vendor,
    webhooks::{Event, Report, Webhook},
};

impl Vendor {
    /// The vendor's refusal of a malformed call; `None` for a well-formed one.
    pub(super) fn refuse_malformed(self, request: &VendorRequest) -> Option<Reply> {
        match self {
            Vendor::Wachat => wachat::refuse_malformed(request),
            Vendor::Wawp => wawp::refuse_malformed(request),
            Vendor::Hypersender => hypersender::refuse_malformed(request),
            Vendor::Evolution => evolution::refuse_malformed(request),
            Vendor::Wuzapi => wuzapi::refuse_malformed(request),
            Vendor::Wappfy | Vendor::Waha | Vendor::Wppconnect => None,
        }
    }

    /// The vendor's reply to a call for a picture, a contact or a profile.
    pub(super) fn reply(self, request: &VendorRequest, answer: &Answer) -> Reply {
        match self {
            Vendor::Wachat => wachat::reply(answer),
            Vendor::Wawp => wawp::reply(request, answer),
            Vendor::Hypersender => hypersender::reply(answer),
            Vendor::Wappfy | Vendor::Waha => waha::reply(request, answer),
            Vendor::Evolution => evolution::reply(request, answer),
            Vendor::Wuzapi => wuzapi::reply(request, answer),
            Vendor::Wppconnect => wppconnect::reply(request, answer),
        }
    }

    /// The vendor's list of chats.
    pub(super) fn list(self, request: &VendorRequest, rows: Vec<Row>) -> Reply {
        match self {
            Vendor::Wawp => wawp::list(&rows),
            Vendor::Wappfy | Vendor::Waha => waha::list(&rows),
            Vendor::Evolution => evolution::list(&rows),
            Vendor::Wppconnect => wppconnect::list(&rows),
            Vendor::Wachat | Vendor::Hypersender | Vendor::Wuzapi => self.error(request, 404),
        }
    }

    /// The vendor's reply to a call for the number of a LID, or for the LID of a number.
    pub(super) fn identity(
        self,
        request: &VendorRequest,
        lid: Option<String>,
        number: Option<String>,
    ) -> Reply {
        match self {
            Vendor::Wappfy | Vendor::Waha => waha::identity(lid, number),
            Vendor::Wppconnect => wppconnect::identity(lid, number),
            _ => self.error(request, 404),
        }
    }

    /// The vendor's reply with an error status.
    pub(super) fn error(self, request: &VendorRequest, status: u16) -> Reply {
        match self {
            Vendor::Wachat => wachat::error(status),
            Vendor::Wawp => wawp::error(status),
            Vendor::Hypersender => hypersender::error(status),
            Vendor::Wappfy | Vendor::Waha => waha::error(request, status),
            Vendor::Evolution => evolution::error(request, status),
            Vendor::Wuzapi => wuzapi::error(status),
            Vendor::Wppconnect => wppconnect::error(status),
        }
    }

    /// The vendor's reports of an event to a webhook. `link` is a fresh link to the picture, if there is one.
    pub(super) fn reports(
        self,
        state: &State,
        webhook: &Webhook,
        event: &Event,
        link: Option<&str>,
    ) -> Vec<Report> {
        let now = state.clock.now();
        match self {
            Vendor::Evolution => evolution::reports(webhook, event, link, now),
            Vendor::Wuzapi => wuzapi::reports(webhook, event, link, now),
            Vendor::Waha => waha::reports(webhook, event, link, now),
            _ => Vec::new(),
        }
    }

    /// The vendor's reply while the account's session is in the state `session`.
    pub(super) fn session_down(self, request: &VendorRequest, session: &str) -> Reply {
        match self {
            Vendor::Wachat => wachat::session_down(session),
            Vendor::Wawp => wawp::session_down(session),
            Vendor::Hypersender => hypersender::session_down(session),
            Vendor::Wappfy | Vendor::Waha => waha::session_down(request, session),
            Vendor::Evolution => evolution::session_down(request),
            Vendor::Wuzapi => wuzapi::session_down(request),
            Vendor::Wppconnect => wppconnect::session_down(request),
        }
    }

    /// WhatsApp's `rate-overlimit`, as the vendor passes it on; most do so inside of a 200.
    pub(super) fn rate_overlimit(self, request: &VendorRequest) -> Reply {
        #[derive(Serialize)]
        struct Body {
            error: &'static str,
            code: u16,
        }
        match self {
            Vendor::Wachat => wachat::rate_overlimit(),
            Vendor::Wawp => wawp::rate_overlimit(),
            Vendor::Evolution => evolution::none(request),
            Vendor::Wuzapi => wuzapi::rate_overlimit(),
            Vendor::Wppconnect => wppconnect::rate_overlimit(request),
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

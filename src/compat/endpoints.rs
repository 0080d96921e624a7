//! The picture calls whose answers are written in Rust: those of the first gateways, which have several.

use super::{endpoint::Endpoint, hypersender, wachat, waha, wawp};

/// Every picture call.
pub(super) static ENDPOINTS: [&Endpoint; 9] = [
    &wachat::PICTURE,
    &wawp::CHAT_PICTURE,
    &wawp::CONTACT_PICTURE,
    &hypersender::PICTURE,
    &waha::PICTURE,
    &waha::GROUP_PICTURE,
    &waha::CONTACT_PICTURE,
    &waha::PROFILE,
    &waha::CHATS,
];

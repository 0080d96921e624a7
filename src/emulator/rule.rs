//! The rules of fault injection: which calls go wrong, and how.

use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, de::Error};
use serde_json::{Value, json};

use super::{
    jid,
    vocabulary::{Hop, Vendor},
};

/// The calls that go wrong, and their fault.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// The calls that the rule applies to; by default all calls of the API.
    #[serde(rename = "match", default)]
    pub matching: Match,
    /// The fault.
    #[serde(deserialize_with = "without_extra_fields")]
    pub fault: Fault,
    /// The number of matching calls that pass first.
    #[serde(default)]
    pub after: u64,
    /// The number of calls that the fault is applied to; unlimited if unset.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub times: Option<u64>,
}

/// The calls that a rule applies to. A field that is unset matches all.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Match {
    /// The listener.
    #[serde(default)]
    pub hop: Hop,
    /// The vendor called; on the CDN, the one that gave out the link.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vendor: Option<Vendor>,
    /// The account called for; on the CDN, the one that the link was given to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// The JID in question, in any spelling; on the CDN, the one that the picture belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jid: Option<String>,
}

/// A fault.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Fault {
    /// A late reply, in addition to any other fault.
    Latency {
        /// The delay in milliseconds.
        ms: u64,
    },
    /// An error status, with the vendor's own body.
    Status {
        /// The status, from 400 to 599.
        status: u16,
        /// The seconds in `Retry-After`; no such header if unset.
        #[serde(default)]
        retry_after: Option<u64>,
    },
    /// WhatsApp's `rate-overlimit` inside of a 200.
    RateOverlimit,
    /// The vendor's "no picture" for any JID; on the CDN, a 200 with an empty body.
    Empty {
        /// Whether WAHA, Wappfy and Wawp cache that for 24 h, as the real ones do.
        #[serde(default = "yes")]
        remembered: bool,
    },
    /// Incomplete JSON.
    NotJson,
    /// A web page; from the CDN, with the media type of a JPEG.
    Html,
    /// An SVG with a script inside.
    Svg,
    /// The start of a reply, then filler.
    Oversized {
        /// The length of the whole body.
        bytes: u64,
        /// Whether `Content-Length` declares it; chunked otherwise.
        #[serde(default)]
        declared: bool,
    },
    /// The first half of the body, declared as the whole.
    Truncated,
    /// The whole body, with a `Content-Length` that is too large.
    WrongLength,
    /// The connection drops in the middle of the body.
    Reset,
    /// No reply until the caller disconnects.
    Hang,
    /// A link that has expired already; on the CDN, the refusal of one.
    ExpiredLink {
        /// Whether a call with `refresh=true` gets an expired link, too.
        #[serde(default)]
        even_when_refreshed: bool,
    },
    /// A 302.
    Redirect {
        /// The target; by default the same picture under another valid link.
        #[serde(default)]
        location: Option<String>,
    },
    /// The gray silhouette instead of the picture.
    DefaultImage,
    /// An empty string instead of a link.
    EmptyUrl,
    /// Wawp's word for a hidden picture; the other vendors say "no picture".
    Restricted,
    /// The vendor's reply while the account's session does not work.
    SessionDown {
        /// The session's state, such as `SCAN_QR_CODE` or `STOPPED`.
        status: String,
    },
    /// `&amp;` instead of `&` in links.
    AmpEntity,
    /// The six characters `\u0026` instead of `&` in links: escaped once too often.
    AmpUnicode,
    /// The link inside of a `/pp?e=` wrapper.
    WrappedLink,
    /// Random bytes instead of the picture or the JSON.
    BadImage,
    /// This file instead of the picture.
    File {
        /// The bytes.
        bytes: Vec<u8>,
    },
}

/// An input was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{problem}; {remedy}")]
pub struct BadInput {
    /// The reason.
    pub problem: String,
    /// The remedy.
    pub remedy: String,
}

/// The properties of a call that a rule can match.
#[derive(Clone, Copy)]
pub(super) struct Target<'a> {
    pub(super) hop: Hop,
    pub(super) vendor: Option<Vendor>,
    pub(super) account: &'a str,
    pub(super) jid: Option<&'a str>,
}

// === impl Rule ===

impl Rule {
    /// A rule for every call of the vendors' API.
    pub fn api(fault: Fault) -> Self {
        Self {
            matching: Match::default(),
            fault,
            after: 0,
            times: None,
        }
    }

    /// A rule for every download from the CDN.
    pub fn cdn(fault: Fault) -> Self {
        let mut rule = Self::api(fault);
        rule.matching.hop = Hop::Cdn;
        rule
    }

    /// Restricts the rule to a vendor.
    pub fn vendor(mut self, vendor: Vendor) -> Self {
        self.matching.vendor = Some(vendor);
        self
    }

    /// Restricts the rule to an account.
    pub fn account(mut self, account: &str) -> Self {
        self.matching.account = Some(account.to_owned());
        self
    }

    /// Restricts the rule to a JID.
    pub fn jid(mut self, jid: &str) -> Self {
        self.matching.jid = Some(jid.to_owned());
        self
    }

    /// Lets the first `calls` matching calls pass.
    pub fn after(mut self, calls: u64) -> Self {
        self.after = calls;
        self
    }

    /// Limits the rule to `calls` calls.
    pub fn times(mut self, calls: u64) -> Self {
        self.times = Some(calls);
        self
    }

    /// The rule with its JID in canonical form. A rule that could never apply is an error.
    pub(super) fn validate(mut self) -> Result<Self, BadInput> {
        if let Some(raw) = &self.matching.jid {
            let canonical = jid::canonicalize(raw).ok_or_else(|| BadInput::not_a_jid(raw))?;
            self.matching.jid = Some(canonical);
        }
        if self.matching.hop == Hop::Cdn && !self.fault.happens_on_the_cdn() {
            return Err(BadInput {
                problem: format!("the CDN has no fault {:?}", self.fault),
                remedy: "leave `match.hop` out: this fault is about the vendor's reply".to_owned(),
            });
        }
        match self.fault {
            Fault::Status { status, .. } if !(400..600).contains(&status) => Err(BadInput {
                problem: format!("{status} is not an error status"),
                remedy: "write one from 400 to 599".to_owned(),
            }),
            _ => Ok(self),
        }
    }
}

// === impl Match ===

impl Match {
    /// Whether the rule applies to `target`.
    pub(super) fn matches(&self, target: Target<'_>) -> bool {
        self.hop == target.hop
            && self
                .vendor
                .is_none_or(|vendor| target.vendor == Some(vendor))
            && self
                .account
                .as_ref()
                .is_none_or(|account| account == target.account)
            && self
                .jid
                .as_ref()
                .is_none_or(|jid| target.jid == Some(jid.as_str()))
    }
}

// === impl Fault ===

impl Fault {
    /// The delay, if the fault is a latency.
    pub(super) fn delay(&self) -> Option<Duration> {
        match self {
            Fault::Latency { ms } => Some(Duration::from_millis(*ms)),
            _ => None,
        }
    }

    fn happens_on_the_cdn(&self) -> bool {
        !matches!(
            self,
            Fault::EmptyUrl
                | Fault::Restricted
                | Fault::SessionDown { .. }
                | Fault::AmpEntity
                | Fault::AmpUnicode
                | Fault::WrappedLink
        )
    }
}

// === impl BadInput ===

impl BadInput {
    pub(super) fn not_a_jid(raw: &str) -> Self {
        Self {
            problem: format!("{raw:?} is not a JID"),
            remedy: "write one like 628100000001@c.us or 120363000000000001@g.us".to_owned(),
        }
    }
}

fn yes() -> bool {
    true
}

/// Deserializes a fault and refuses unknown fields. Serde's `deny_unknown_fields` does not do so for kinds
/// without fields.
fn without_extra_fields<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Fault, D::Error> {
    let written = Value::deserialize(deserializer)?;
    let fault = Fault::deserialize(&written).map_err(D::Error::custom)?;
    let fields = |value: &Value| value.as_object().map_or(0, serde_json::Map::len);
    let has_fields = fields(&json!(fault)) > 1;
    if !has_fields && fields(&written) > 1 {
        return Err(D::Error::custom("this kind of fault has no fields"));
    }
    Ok(fault)
}

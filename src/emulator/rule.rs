//! The words for trouble: which calls go wrong, and how.

use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, de::Error};
use serde_json::{Value, json};

use super::{jid, vendors::Vendor};

/// Which calls go wrong, and how.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// The calls that the rule is about; all calls of the API when nothing is said.
    #[serde(rename = "match", default)]
    pub matching: Match,
    /// What happens to them.
    #[serde(deserialize_with = "exact")]
    pub fault: Fault,
    /// How many matching calls pass unharmed first.
    #[serde(default)]
    pub after: u64,
    /// How many calls are struck before the rule is spent; no end when unset.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub times: Option<u64>,
}

/// Narrows a rule down to some calls; what is unset matches all.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Match {
    /// The listener.
    #[serde(default)]
    pub hop: Hop,
    /// The vendor called; on the CDN, the one that handed out the link.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vendor: Option<Vendor>,
    /// The account called for; on the CDN, the one that the link was handed out to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// The JID asked about, in any spelling; on the CDN, whose picture it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jid: Option<String>,
}

/// One of the two listeners.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Hop {
    /// The vendors' API.
    #[default]
    Api,
    /// The content network that the vendors' links lead to.
    Cdn,
}

/// What goes wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Fault {
    /// The answer comes late, and is then as usual; adds to any other fault.
    Latency {
        /// How late.
        ms: u64,
    },
    /// An error status with the vendor's own body.
    Status {
        /// The status, from 400 to 599.
        status: u16,
        /// The seconds in `Retry-After`; no such header when unset.
        #[serde(default)]
        retry_after: Option<u64>,
    },
    /// WhatsApp's `rate-overlimit` inside of a 200.
    RateOverlimit,
    /// The vendor's "no picture" for whoever is asked about; on the CDN, a 200 without bytes.
    Empty {
        /// Whether WAHA, Wappfy and Wawp keep that for 24 h, as they really do.
        #[serde(default = "yes")]
        remembered: bool,
    },
    /// Text that breaks off where JSON was expected.
    NotJson,
    /// A web page; the CDN calls it a JPEG.
    Html,
    /// An SVG with a script inside.
    Svg,
    /// The start of an answer, then filler.
    Oversized {
        /// The length of the whole body.
        bytes: u64,
        /// Whether `Content-Length` says so in advance; chunked otherwise.
        #[serde(default)]
        declared: bool,
    },
    /// The first half of the answer, passed off as all of it.
    Truncated,
    /// The answer, with a `Content-Length` that promises more.
    WrongLength,
    /// The connection drops in the middle of the body.
    Reset,
    /// No answer until the caller goes away.
    Hang,
    /// A link that is already past its time; on the CDN, the refusal of one.
    ExpiredLink {
        /// Whether a call with `refresh=true` gets such a link too.
        #[serde(default)]
        even_when_refreshed: bool,
    },
    /// A 302.
    Redirect {
        /// Where to; when unset, the same picture under another good link.
        #[serde(default)]
        location: Option<String>,
    },
    /// The gray silhouette in place of the picture.
    DefaultImage,
    /// An empty string for a link.
    EmptyUrl,
    /// Wawp's word for a picture that privacy settings hide; others say "no picture".
    Restricted,
    /// The vendor's answer when its session does not work.
    SessionDown {
        /// The session's state, such as `SCAN_QR_CODE` or `STOPPED`.
        status: String,
    },
    /// `&amp;` for `&` in links.
    AmpEntity,
    /// The six characters `\u0026` for `&` in links, escaped once too often.
    AmpUnicode,
    /// The link inside of an old `/pp?e=` wrapper.
    WrappedLink,
    /// Random bytes in place of the picture or the JSON.
    BadImage,
}

/// Says why an input was refused, and what to write in its place.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{problem}; {remedy}")]
pub struct BadInput {
    /// What is wrong.
    pub problem: String,
    /// What to do about it.
    pub remedy: String,
}

/// A call as rules see it.
#[derive(Clone, Copy)]
pub(super) struct Target<'a> {
    pub(super) hop: Hop,
    pub(super) vendor: Option<Vendor>,
    pub(super) account: &'a str,
    pub(super) jid: Option<&'a str>,
}

// === impl Rule ===

impl Rule {
    /// `fault` on every call of the vendors' API.
    pub fn api(fault: Fault) -> Self {
        Self {
            matching: Match::default(),
            fault,
            after: 0,
            times: None,
        }
    }

    /// `fault` on every download.
    pub fn cdn(fault: Fault) -> Self {
        let mut rule = Self::api(fault);
        rule.matching.hop = Hop::Cdn;
        rule
    }

    /// Only for this vendor.
    pub fn vendor(mut self, vendor: Vendor) -> Self {
        self.matching.vendor = Some(vendor);
        self
    }

    /// Only for this account.
    pub fn account(mut self, account: &str) -> Self {
        self.matching.account = Some(account.to_owned());
        self
    }

    /// Only for this JID.
    pub fn jid(mut self, jid: &str) -> Self {
        self.matching.jid = Some(jid.to_owned());
        self
    }

    /// Lets `calls` matching calls pass first.
    pub fn after(mut self, calls: u64) -> Self {
        self.after = calls;
        self
    }

    /// Strikes `calls` calls and no more.
    pub fn times(mut self, calls: u64) -> Self {
        self.times = Some(calls);
        self
    }

    /// The rule with its JID in canonical form, if the rule can strike at all.
    pub(super) fn checked(mut self) -> Result<Self, BadInput> {
        if let Some(raw) = &self.matching.jid {
            let canonical = jid::canonical(raw).ok_or_else(|| BadInput::not_a_jid(raw))?;
            self.matching.jid = Some(canonical);
        }
        if self.matching.hop == Hop::Cdn && !self.fault.happens_on_the_cdn() {
            return Err(BadInput {
                problem: format!("the CDN has no fault {:?}", self.fault),
                remedy: "leave `match.hop` out: this fault is about the vendor's answer".to_owned(),
            });
        }
        match self.fault {
            Fault::Status { status, .. } if !(400..600).contains(&status) => Err(BadInput {
                problem: format!("{status} is no error status"),
                remedy: "write one from 400 to 599".to_owned(),
            }),
            _ => Ok(self),
        }
    }
}

// === impl Match ===

impl Match {
    /// Whether the rule is about `target`.
    pub(super) fn covers(&self, target: Target<'_>) -> bool {
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
    /// How late the fault makes an answer, if that is what it does.
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
            problem: format!("{raw:?} is no JID"),
            remedy: "write one like 628100000001@c.us or 120363000000000001@g.us".to_owned(),
        }
    }
}

fn yes() -> bool {
    true
}

/// A fault without any field too many. Serde alone lets kinds that have no fields have any.
fn exact<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Fault, D::Error> {
    let written = Value::deserialize(deserializer)?;
    let fault = Fault::deserialize(&written).map_err(D::Error::custom)?;
    let fields = |value: &Value| value.as_object().map_or(0, serde_json::Map::len);
    let has_fields = fields(&json!(fault)) > 1;
    if !has_fields && fields(&written) > 1 {
        return Err(D::Error::custom("this kind of fault has no fields"));
    }
    Ok(fault)
}

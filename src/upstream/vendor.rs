//! The vendors that can be configured: a line in each table below, and a file in `providers/`.

use std::str::FromStr;

use super::{
    provider::Provider,
    providers::{Hypersender, Wachat, Waha, Wappfy, Wawp},
};

/// A company whose gateway API is behind an instance, or the project of that API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Vendor {
    /// <https://docs.wachat.net>
    Wachat,
    /// <https://wawp.net>
    Wawp,
    /// <https://docs.hypersender.com>
    Hypersender,
    /// <https://docs.wappfy.com.br>
    Wappfy,
    /// <https://waha.devlike.pro>, the project behind Wappfy
    Waha,
}

impl Vendor {
    /// Every vendor, in the order of the documentation.
    pub const ALL: [Vendor; 5] = [
        Vendor::Wachat,
        Vendor::Wawp,
        Vendor::Hypersender,
        Vendor::Wappfy,
        Vendor::Waha,
    ];

    /// The name in the configuration, in logs and in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Vendor::Wachat => "wachat",
            Vendor::Wawp => "wawp",
            Vendor::Hypersender => "hypersender",
            Vendor::Wappfy => "wappfy",
            Vendor::Waha => "waha",
        }
    }

    /// The base URL of the vendor's API; `None` if it is self-hosted.
    pub fn base_url(self) -> Option<&'static str> {
        match self {
            Vendor::Wachat => Some("https://app.wachat.net"),
            Vendor::Wawp => Some("https://api.wawp.net"),
            Vendor::Hypersender => Some("https://app.hypersender.com"),
            Vendor::Wappfy => Some("https://api.wappfy.com.br"),
            Vendor::Waha => None,
        }
    }

    /// The vendor's API as code.
    pub fn provider(self) -> &'static dyn Provider {
        match self {
            Vendor::Wachat => &Wachat,
            Vendor::Wawp => &Wawp,
            Vendor::Hypersender => &Hypersender,
            Vendor::Wappfy => &Wappfy,
            Vendor::Waha => &Waha,
        }
    }
}

impl FromStr for Vendor {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let known = Vendor::ALL.map(Vendor::as_str).join(", ");
        Vendor::ALL
            .into_iter()
            .find(|vendor| vendor.as_str() == name)
            .ok_or_else(|| format!("{name:?} is not a known vendor; write one of {known}"))
    }
}

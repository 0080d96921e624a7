//! Reads `[http]`: how long browsers keep faces.

use std::time::Duration;

use crate::config::{
    key::{Key, Section},
    reader::Reader,
};

pub(super) const SECTION: Section = Section {
    name: "http",
    about: "What browsers are told about faces.",
    keys: &[Key::optional::<Duration>(
        "browser_ttl",
        "as long as the face is fresh",
        "The longest time for which a browser keeps a face before it asks again, which the `ETag` answers with 304 if nothing has changed; `0` lets it ask each time.",
    )],
    sections: &[],
};

/// The values of `[http]`.
pub(super) struct Http {
    pub(super) browser_ttl: Option<Duration>,
}

pub(super) fn read(reader: &Reader<'_>) -> Http {
    let http = Http {
        browser_ttl: reader.optional("browser_ttl"),
    };
    reader.finish();
    http
}

//! Reads `[live]`: the clients that listen to changes of faces.

use std::{num::NonZeroU32, time::Duration};

use crate::{
    config::{
        key::{Key, Section},
        reader::Reader,
    },
    public::LiveSettings,
};

pub(super) const SECTION: Section = Section {
    name: "live",
    about: "Clients that [listen to changes of faces](live.md).",
    keys: &[
        Key::optional::<bool>(
            "enabled",
            "true; with `access.allow_public` and `mode = \"open\"`, false",
            "Whether clients may listen. In open mode, every client that reaches the listener may, and learns the JIDs of the faces that change, which may be phone numbers that it did not know.",
        ),
        Key::new::<NonZeroU32>("max_clients", "1000", "The most clients that listen at once."),
        Key::new::<NonZeroU32>(
            "max_per_address",
            "100",
            "The most clients of one address that listen at once.",
        ),
        Key::new::<NonZeroU32>(
            "kept_changes",
            "256",
            "How many changes of an instance are kept for clients that are slow or connect again. A client that has missed more looks at all faces again.",
        ),
        Key::new::<Duration>(
            "heartbeat",
            "15s",
            "How long a client is sent nothing before it gets a comment, so that proxies keep the connection.",
        )
        .within("1s", "1h"),
    ],
    sections: &[],
};

/// The values of `[live]`.
pub(super) struct Live {
    pub(super) settings: LiveSettings,
    pub(super) kept_changes: usize,
}

/// `is_open` is whether clients of other machines need no credential.
pub(super) fn read(reader: &Reader<'_>, is_open: bool) -> Live {
    let count = |key| reader.get::<NonZeroU32>(key).get() as usize;
    let live = Live {
        settings: LiveSettings {
            enabled: reader.optional("enabled").unwrap_or(!is_open),
            max_clients: count("max_clients"),
            max_per_address: count("max_per_address"),
            heartbeat: reader.get("heartbeat"),
        },
        kept_changes: count("kept_changes"),
    };
    reader.finish();
    live
}

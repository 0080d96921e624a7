//! Reads `[pass_through]`: the bounds of requests that pass through to a gateway.

use std::{num::NonZeroU32, time::Duration};

use crate::{
    config::{
        key::{Key, Section},
        reader::Reader,
        setting::Size,
    },
    pass_through::Settings,
};

pub(super) const SECTION: Section = Section {
    name: "pass_through",
    about: "The bounds of requests that [pass through](dropin.md#pass-through) to the gateways of instances with `pass_through = true`.",
    keys: &[
        Key::new::<Duration>(
            "answer_timeout",
            "60s",
            "How long a gateway may take to begin its answer once it has the request; then the client gets 504.",
        ),
        Key::new::<Duration>(
            "idle_timeout",
            "5m",
            "How long a client or a gateway may send nothing in the middle of a body or over a WebSocket.",
        ),
        Key::new::<NonZeroU32>(
            "max_requests",
            "64",
            "The most requests of an instance that pass through at once; further ones get 503.",
        ),
        Key::new::<Size>(
            "max_body",
            "100MiB",
            "The longest body of a request; a longer one is answered with 413.",
        ),
    ],
    sections: &[],
};

pub(super) fn read(reader: &Reader<'_>) -> Settings {
    let settings = Settings {
        answer_timeout: reader.get("answer_timeout"),
        idle_timeout: reader.get("idle_timeout"),
        max_requests: reader.get::<NonZeroU32>("max_requests").get() as usize,
        max_body: reader.get::<Size>("max_body").0,
    };
    reader.finish();
    settings
}

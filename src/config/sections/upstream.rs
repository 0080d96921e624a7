//! Reads `[upstream]`: the limits of calls and downloads, the same for every instance.

use std::{num::NonZeroU32, time::Duration};

use crate::config::{
    key::{Key, Section},
    reader::Reader,
    setting::Size,
};

pub(super) const SECTION: Section = Section {
    name: "upstream",
    about: "The limits of calls to vendors and of downloads.",
    keys: &[
        Key::new::<Duration>(
            "call_timeout",
            "12s",
            "How long a call to the vendor may take.",
        )
        .at_least("1ms"),
        Key::new::<Duration>(
            "download_timeout",
            "10s",
            "How long the download of a picture from the CDN may take.",
        )
        .at_least("1ms"),
        Key::new::<Size>(
            "max_picture",
            "5MiB",
            "The largest picture that is accepted.",
        )
        .reloads_except("how `cache.memory` is divided to hold such a picture"),
        Key::new::<NonZeroU32>("downloads", "16", "Downloads at once, for each instance."),
    ],
    sections: &[],
};

/// The values of `[upstream]`.
pub(super) struct Upstream {
    pub(super) call_timeout: Duration,
    pub(super) download_timeout: Duration,
    pub(super) max_picture: usize,
    pub(super) downloads: usize,
}

pub(super) fn read(reader: &Reader<'_>) -> Upstream {
    let upstream = Upstream {
        call_timeout: reader.get("call_timeout"),
        download_timeout: reader.get("download_timeout"),
        max_picture: reader.get::<Size>("max_picture").0 as usize,
        downloads: reader.get::<NonZeroU32>("downloads").get() as usize,
    };
    reader.changes_at_restart("max_picture", &upstream.max_picture);
    reader.finish();
    upstream
}

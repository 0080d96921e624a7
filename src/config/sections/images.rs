//! Reads `[images]`: variants of pictures.

use std::num::NonZeroU32;

use crate::{
    config::{
        key::{Key, Section},
        reader::Reader,
        setting::Size,
    },
    images::ImageSettings,
    in_flight::InFlight,
};

pub(super) const SECTION: Section = Section {
    name: "images",
    about: "Pictures in other sizes and formats, and placeholders as pixels.",
    keys: &[
        Key::new::<Size>(
            "memory",
            "64MiB",
            "Resized and re-encoded pictures kept in memory; others are made again when they are needed.",
        ),
        Key::new::<Size>(
            "work",
            "64MiB",
            "Memory for all image work under way. Each work takes an amount that the picture's header tells; a picture that would take more than all of it is sent as the original.",
        )
        .at_restart(),
        Key::new::<NonZeroU32>(
            "queue",
            "512",
            "Images that wait to be made, a quarter of them for one client; beyond it, the original or an SVG is sent.",
        )
        .at_restart(),
    ],
    sections: &[],
};

pub(super) fn read(reader: &Reader<'_>, in_flight: InFlight) -> ImageSettings {
    let settings = ImageSettings {
        memory: reader.get::<Size>("memory").0,
        work: reader.get::<Size>("work").0,
        queue: reader.get::<NonZeroU32>("queue").get() as usize,
        in_flight,
    };
    reader.finish();
    settings
}

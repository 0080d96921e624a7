//! Reads `[images]`: variants of pictures.

use crate::config::{
    key::{Key, Section},
    reader::Reader,
    setting::Size,
};

pub(super) const SECTION: Section = Section {
    name: "images",
    about: "Pictures in other sizes and formats.",
    keys: &[Key::new::<Size>(
        "memory",
        "64MiB",
        "Resized and re-encoded pictures kept in memory; others are made again when they are needed.",
    )
    .at_restart()],
    sections: &[],
};

pub(super) fn read(reader: &Reader<'_>) -> u64 {
    let memory = reader.get::<Size>("memory").0;
    reader.finish();
    memory
}

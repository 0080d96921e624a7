//! Reads how an instance's detectors judge answers: `[instances.NAME.empty_answers]` and `default_pictures`.

use std::num::NonZeroU32;

use crate::{
    config::{
        key::{Key, Section},
        reader::Reader,
    },
    limits::{DefaultPicturePolicy, Sensitivity},
};

pub(super) const EMPTY_ANSWERS: Section = Section {
    name: "empty_answers",
    about: "When empty answers count as a rate limit: enough faces in a row lose their picture, or nearly all of the latest answers are empty where fewer used to be.",
    keys: &[
        Key::new::<NonZeroU32>(
            "lost",
            "3",
            "How many faces in a row have to lose their picture.",
        ),
        Key::new::<NonZeroU32>(
            "window",
            "20",
            "How many of the latest answers about faces without a picture are looked at.",
        ),
        Key::new::<NonZeroU32>(
            "empty_percent",
            "90",
            "The share of those, in percent, that has to be empty.",
        )
        .within("1", "100"),
        Key::new::<NonZeroU32>(
            "usual_percent",
            "50",
            "The share of earlier answers, in percent, that may have been empty.",
        )
        .within("1", "100"),
    ],
    sections: &[],
};

pub(super) const DEFAULT_PICTURES: Section = Section {
    name: "default_pictures",
    about: "How the gateway's default picture, which it sends for contacts without one, is recognized.",
    keys: &[
        Key::new::<NonZeroU32>(
            "shared_by",
            "5",
            "How many contacts have to share a link or a picture. A number larger than that of all contacts turns this off.",
        )
        .within("2", "1000000"),
        Key::new::<Vec<String>>(
            "names",
            "",
            "Parts of the file names of such pictures, beside the usual ones.",
        ),
        Key::new::<Vec<String>>(
            "etags",
            "",
            "The entity tags of such pictures, without quotes.",
        ),
    ],
    sections: &[],
};

pub(super) fn sensitivity(reader: &Reader<'_>) -> Sensitivity {
    let sensitivity = Sensitivity {
        lost: reader.get::<NonZeroU32>("lost").get() as usize,
        window: reader.get::<NonZeroU32>("window").get() as usize,
        empty_percent: reader.get::<NonZeroU32>("empty_percent").get(),
        usual_percent: reader.get::<NonZeroU32>("usual_percent").get(),
    };
    reader.finish();
    sensitivity
}

pub(super) fn default_pictures(reader: &Reader<'_>) -> DefaultPicturePolicy {
    let policy = DefaultPicturePolicy {
        shared_by: reader.get::<NonZeroU32>("shared_by").get() as usize,
        names: reader.get("names"),
        etags: reader.get("etags"),
    };
    reader.finish();
    policy
}

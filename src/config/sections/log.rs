//! Reads `[log]`: the log on standard output.

use crate::{
    config::{
        key::{Key, Section},
        reader::Reader,
    },
    telemetry::log,
};

pub(super) const SECTION: Section = Section {
    name: "log",
    about: "The log on standard output.",
    keys: &[
        Key::new::<log::Format>("format", "text", "`text` for people, `json` for programs."),
        Key::new::<String>(
            "level",
            "info",
            "`error`, `warn`, `info`, `debug` or `trace`, or a filter such as `warn,faceplate::access=info`.",
        ),
        Key::new::<bool>(
            "limited_clients",
            "false",
            "Whether the access log names the address of a client whose request is answered 429 because of `server.client_rate`.",
        ),
    ],
    sections: &[],
};

/// The values of `[log]`.
pub(super) struct Log {
    pub(super) settings: log::Settings,
    pub(super) are_limited_named: bool,
}

pub(super) fn read(reader: &Reader<'_>) -> Log {
    let log = Log {
        settings: log::Settings {
            format: reader.get("format"),
            level: reader.get("level"),
        },
        are_limited_named: reader.get("limited_clients"),
    };
    if let Err(remedy) = log::check_level(&log.settings.level) {
        reader.problem("level", remedy);
    }
    reader.finish();
    log
}

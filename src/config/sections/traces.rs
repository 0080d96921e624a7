//! Reads `[traces]`: where spans are exported to.

use std::num::NonZeroU32;

use url::Url;

use crate::{
    config::{
        key::{Key, Section},
        reader::Reader,
        setting::UrlText,
    },
    telemetry::traces,
};

pub(super) const SECTION: Section = Section {
    name: "traces",
    about: "OpenTelemetry traces.",
    keys: &[
        Key::optional::<UrlText>(
            "endpoint",
            "no traces",
            "The collector, which speaks OTLP over HTTP; spans go to `/v1/traces` there.",
        )
        .at_restart(),
        Key::new::<NonZeroU32>(
            "percent",
            "100",
            "How many percent of requests are traced. An incoming `traceparent` decides for its own request.",
        )
        .within("1", "100")
        .at_restart(),
    ],
    sections: &[],
};

pub(super) fn read(reader: &Reader<'_>) -> Option<traces::Settings> {
    let endpoint: Option<UrlText> = reader.optional("endpoint");
    let percent = reader.get::<NonZeroU32>("percent").get();
    reader.finish();
    let UrlText(endpoint) = endpoint?;
    let is_http = Url::parse(&endpoint)
        .is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.host().is_some());
    if !is_http {
        reader.problem(
            "endpoint",
            "is not an http(s) URL; write the collector's, such as http://127.0.0.1:4318".into(),
        );
    }
    Some(traces::Settings { endpoint, percent })
}

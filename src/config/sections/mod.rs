//! What may be written, what it means, and what it must not be.

mod access;
mod admin;
mod instances;
mod server;

use std::{num::NonZeroU32, path::PathBuf, time::Duration};

use url::Url;

use instances::Limits;

use super::{
    Config, Problems, Source,
    read::Size,
    section::{Findings, Section},
    units::count,
};
use crate::{
    avatar::{NegativeTtls, OnHidden, Policy},
    limits::CooldownPolicy,
    pipeline, store,
    telemetry::{log, traces},
};

/// Reads everything, and refuses everything that is wrong at once.
pub(super) fn check(source: &Source) -> Result<Config, Problems> {
    let findings = Findings::default();
    let root = Section::root(source, &findings);

    let server = server::server(&root.section("server"));
    let (admin, admin_token) = admin::admin(&root.section("admin"));
    let access_settings = access::access(&root.section("access"), &server.listen);
    let upstream = Limits::read(&root.section("upstream"));
    let cache = root.section("cache");
    let (pipeline, cooldown) = pipeline(&cache);
    let store = store::Settings {
        dir: cache.or("dir", PathBuf::from("cache")),
        memory: cache.or("memory", Size(256 << 20)).0,
        maintenance: store::MaintenanceSettings {
            max_bytes: cache.or("max_bytes", Size(10 << 30)).0,
            max_entries: cache
                .optional::<NonZeroU32>("max_entries")
                .map_or(u64::MAX, |entries| u64::from(entries.get())),
            min_free: cache.or("min_free", Size(512 << 20)).0,
            gc_grace: cache.or("gc_grace", Duration::from_secs(3600)),
            files_per_second: cache.or("tend_files_per_second", count(500)).get(),
        },
        max_picture: upstream.max_picture,
        archive: match cache.or("retain", "newest".to_owned()).as_str() {
            "newest" => false,
            "forever" => true,
            other => {
                let wrong = format!("{other:?} is not right here; write newest or forever");
                cache.problem("retain", wrong);
                false
            }
        },
    };
    cache.finish();
    let images = root.section("images");
    let images_memory = images.or("memory", Size(64 << 20)).0;
    images.finish();
    let log = log(&root.section("log"));
    let traces = traces(&root.section("traces"));
    let instances = instances::instances(&root.section("instances"), &upstream, &cooldown);
    root.finish();

    let problems = findings.problems.into_inner();
    if !problems.is_empty() {
        return Err(Problems(problems));
    }
    Ok(Config {
        listen: server.listen,
        tls: server.tls,
        limits: server.limits,
        proxies: server.proxies,
        client_rate: server.client_rate,
        admin,
        admin_token,
        access: access_settings.access,
        allow_origin: access_settings.allow_origin,
        may_be_public: access_settings.may_be_public,
        origin: server.origin,
        store,
        images_memory,
        pipeline,
        instances,
        log,
        traces,
        warnings: findings.warnings.into_inner(),
    })
}

fn pipeline(cache: &Section<'_>) -> (pipeline::Settings, CooldownPolicy) {
    let defaults = Policy::default();
    let on_hidden = match cache.or("on_hidden", "keep".to_owned()).as_str() {
        "keep" => OnHidden::Keep,
        "drop" => OnHidden::Drop,
        other => {
            cache.problem(
                "on_hidden",
                format!("{other:?} does not exist; write keep or drop"),
            );
            OnHidden::Keep
        }
    };
    let (negative, cooldown) = negative(&cache.section("negative"));
    let settings = pipeline::Settings {
        policy: Policy {
            ttl: cache.or("ttl", defaults.ttl),
            stale_while_revalidate: cache
                .or("stale_while_revalidate", defaults.stale_while_revalidate),
            confirmations: cache.or("confirmations", count(3)).get(),
            on_hidden,
            forget_for: cache.or("forget_for", defaults.forget_for),
            negative,
        },
        first_paint: cache.or("first_paint", Duration::from_secs(2)),
    };
    (settings, cooldown)
}

fn negative(section: &Section<'_>) -> (NegativeTtls, CooldownPolicy) {
    let (negative, cooldown) = (NegativeTtls::default(), CooldownPolicy::default());
    let rate_limited = section.or("rate_limited", negative.rate_limited);
    let session_down = section.or("session_down", negative.session_down);
    let auth = section.or("auth", negative.auth);
    let cooldown = CooldownPolicy {
        rate_limited_first: rate_limited,
        rate_limited_longest: section.or("rate_limited_longest", cooldown.rate_limited_longest),
        session_down,
        auth,
    };
    let negative = NegativeTtls {
        empty: section.or("empty", negative.empty),
        not_found: section.or("not_found", negative.not_found),
        session_down,
        auth,
        error_first: section.or("error_first", negative.error_first),
        error_longest: section.or("error_longest", negative.error_longest),
        rate_limited,
    };
    section.finish();
    (negative, cooldown)
}

fn log(section: &Section<'_>) -> log::Settings {
    let format = match section.or("format", "text".to_owned()).as_str() {
        "text" => log::Format::Text,
        "json" => log::Format::Json,
        other => {
            section.problem(
                "format",
                format!("{other:?} does not exist; write text or json"),
            );
            log::Format::Text
        }
    };
    let level = section.or("level", "info".to_owned());
    if let Err(remedy) = log::check_level(&level) {
        section.problem("level", remedy);
    }
    section.finish();
    log::Settings { format, level }
}

fn traces(section: &Section<'_>) -> Option<traces::Settings> {
    let endpoint: Option<String> = section.optional("endpoint");
    let percent = section.or("percent", count(100)).get();
    if percent > 100 {
        section.problem("percent", "is a percentage; write 1 to 100".into());
    }
    section.finish();
    let endpoint = endpoint?;
    let is_http = Url::parse(&endpoint)
        .is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.host().is_some());
    if !is_http {
        section.problem(
            "endpoint",
            "is no http(s) URL; write the collector's, such as http://127.0.0.1:4318".into(),
        );
    }
    Some(traces::Settings { endpoint, percent })
}

//! Reads `[cache]`: where pictures are kept, for how long, and how answers without a picture are cached.

use std::{
    num::NonZeroU32,
    path::{self, PathBuf},
    time::Duration,
};

use crate::{
    avatar::{NegativeTtls, OnHidden, Policy},
    config::{
        key::{Key, Section},
        reader::Reader,
        setting::{Retain, Size},
    },
    in_flight::InFlight,
    limits::CooldownPolicy,
    pipeline,
    store::{self, disk_space},
};

pub(super) const SECTION: Section = Section {
    name: "cache",
    about: "The cache directory, and how long answers are believed.",
    keys: &[
        Key::new::<PathBuf>(
            "dir",
            "cache",
            "The cache directory. It is made if it is missing; one Faceplate at a time can use it.",
        )
        .at_restart(),
        Key::new::<Size>(
            "max_bytes",
            "10GiB",
            "The most that pictures and entries take on disk, in blocks of 4 KiB. Beyond it, the least recently used faces are evicted.",
        ),
        Key::optional::<NonZeroU32>("max_entries", "no limit", "The most faces on disk."),
        Key::new::<Size>(
            "min_free",
            "512MiB",
            "The free space that the file system is to keep; below it, faces are evicted if that helps, but at most half of them in a day.",
        ),
        Key::new::<Duration>(
            "gc_grace",
            "1h",
            "How old a file must be to be removed by garbage collection when no entry refers to it.",
        ),
        Key::new::<NonZeroU32>(
            "gc_files_per_second",
            "500",
            "How many files background maintenance looks at in a second.",
        )
        .renamed_from("tend_files_per_second"),
        Key::new::<Size>("memory", "256MiB", "Pictures kept in memory."),
        Key::new::<Duration>("ttl", "24h", "How long a picture is fresh."),
        Key::new::<Duration>(
            "stale_while_revalidate",
            "7d",
            "How long after that a picture is shown while it is refreshed in the background (RFC 5861).",
        ),
        Key::new::<Duration>(
            "first_paint",
            "2s",
            "How long a request waits for the vendor before it gets a placeholder; `0` waits until the fetch ends.",
        ),
        Key::new::<Duration>(
            "longest_wait",
            "30s",
            "The longest time that a request with `wait=SECONDS` waits for the vendor instead; `0` ignores `wait`.",
        ),
        Key::new::<NonZeroU32>(
            "max_waiting",
            "100",
            "The most requests that wait for longer than `first_paint` at once. A further one is answered as if it had no `wait`.",
        ),
        Key::new::<NonZeroU32>(
            "max_wanted",
            "2000",
            "The most wanted faces of an instance: those that the budget refused, and that are fetched as soon as it allows. Beyond it, the oldest of the least urgent ones are dropped.",
        ),
        Key::new::<Duration>(
            "wanted_for",
            "1h",
            "How long a face stays wanted after it was last requested.",
        ),
        Key::new::<OnHidden>(
            "on_hidden",
            "keep",
            "What happens to a picture that is confirmed to be hidden or removed.",
        ),
        Key::new::<NonZeroU32>(
            "confirmations",
            "3",
            "How many empty answers, a `ttl` apart, confirm that a picture is hidden or removed.",
        ),
        Key::new::<Duration>(
            "forget_for",
            "30d",
            "How long a face that was deleted is not fetched again.",
        ),
        Key::new::<Retain>(
            "retain",
            "newest",
            "`forever` keeps every distinct picture that a contact has had.",
        )
        .at_restart(),
    ],
    sections: &[Section {
        name: "negative",
        about: "How long to wait before the vendor is asked again after an answer without a picture, by outcome.",
        keys: &[
            Key::new::<Duration>("empty", "6h", "After `not_set`, `hidden` and `unknown`."),
            Key::new::<Duration>("not_found", "24h", "After `not_found`."),
            Key::new::<Duration>(
                "session_down",
                "1m",
                "After `session_down`; pauses the whole instance.",
            ),
            Key::new::<Duration>("auth", "1m", "After `auth`; pauses the whole instance."),
            Key::new::<Duration>(
                "error_first",
                "30s",
                "After the first `vendor_error`; doubles with each further one.",
            ),
            Key::new::<Duration>(
                "error_longest",
                "15m",
                "The longest wait after a `vendor_error`.",
            ),
            Key::new::<Duration>(
                "rate_limited",
                "5m",
                "After the first `rate_limited` if the vendor sends no `Retry-After`; doubles with each further one, and pauses the whole instance.",
            ),
            Key::new::<Duration>(
                "rate_limited_longest",
                "6h",
                "The longest pause after a `rate_limited`.",
            ),
        ],
        sections: &[],
    }],
};

/// A shorter `ttl` is probably a mistake.
const SHORT_TTL: Duration = Duration::from_secs(60);
/// A longer `ttl` is probably a mistake.
const LONG_TTL: Duration = Duration::from_secs(366 * 86_400);

/// The values of `[cache]`.
pub(super) struct Cache {
    pub(super) store: store::Settings,
    pub(super) disk_limits: store::MaintenanceSettings,
    pub(super) pipeline: pipeline::Settings,
    pub(super) cooldown_policy: CooldownPolicy,
}

pub(super) fn read(
    reader: &Reader<'_>,
    max_picture: usize,
    in_flight: InFlight,
    hint_after: Duration,
    kept_changes: usize,
) -> Cache {
    let (negative, cooldown_policy) = negative(&reader.section("negative"));
    let max_entries: Option<NonZeroU32> = reader.optional("max_entries");
    let cache = Cache {
        store: store::Settings {
            dir: absolute(reader.get("dir")),
            memory: reader.get::<Size>("memory").0,
            max_picture,
            archive: reader.get::<Retain>("retain") == Retain::Forever,
            in_flight,
        },
        disk_limits: store::MaintenanceSettings {
            max_bytes: reader.get::<Size>("max_bytes").0,
            max_entries: max_entries.map_or(u64::MAX, |entries| u64::from(entries.get())),
            min_free: reader.get::<Size>("min_free").0,
            gc_grace: reader.get("gc_grace"),
            files_per_second: reader.get::<NonZeroU32>("gc_files_per_second").get(),
        },
        pipeline: pipeline::Settings {
            policy: Policy {
                ttl: reader.get("ttl"),
                stale_while_revalidate: reader.get("stale_while_revalidate"),
                confirmations: reader.get::<NonZeroU32>("confirmations").get(),
                on_hidden: reader.get("on_hidden"),
                forget_for: reader.get("forget_for"),
                negative,
            },
            first_paint: reader.get("first_paint"),
            longest_wait: reader.get("longest_wait"),
            max_waiting: reader.get::<NonZeroU32>("max_waiting").get() as usize,
            max_wanted: reader.get::<NonZeroU32>("max_wanted").get() as usize,
            wanted_for: reader.get("wanted_for"),
            hint_after,
            kept_changes,
        },
        cooldown_policy,
    };
    warn_of_useless_limits(reader, &cache);
    reader.finish();
    cache
}

/// Warns of values with which the cache keeps nothing, or nothing for long.
fn warn_of_useless_limits(reader: &Reader<'_>, cache: &Cache) {
    let limits = &cache.disk_limits;
    if cache.pipeline.policy.ttl < SHORT_TTL {
        reader.warning(
            "ttl",
            "with less than a minute, nearly every look at a face is a call to the vendor, which endangers the account; write for example 24h",
        );
    }
    if cache.pipeline.policy.ttl > LONG_TTL {
        reader.warning(
            "ttl",
            "with more than a year, a new picture is not noticed; write for example 24h",
        );
    }
    if limits.max_bytes < cache.store.max_picture as u64 {
        reader.warning(
            "max_bytes",
            "is less than one picture may have (upstream.max_picture), so hardly any stays; write for example 1GiB",
        );
    }
    let existing = cache.store.dir.ancestors().find(|dir| dir.exists());
    if let Some(Ok(space)) = existing.map(disk_space)
        && limits.min_free >= space.size
    {
        reader.warning(
            "min_free",
            &format!(
                "the disk of {} has {} MiB in all, so it is always short of space, and new faces are evicted again; write less",
                cache.store.dir.display(),
                space.size >> 20
            ),
        );
    }
}

/// Messages name the directory in full. An error means that there is no working directory.
fn absolute(dir: PathBuf) -> PathBuf {
    path::absolute(&dir).unwrap_or(dir)
}

fn negative(reader: &Reader<'_>) -> (NegativeTtls, CooldownPolicy) {
    let negative = NegativeTtls {
        empty: reader.get("empty"),
        not_found: reader.get("not_found"),
        session_down: reader.get("session_down"),
        auth: reader.get("auth"),
        error_first: reader.get("error_first"),
        error_longest: reader.get("error_longest"),
        rate_limited: reader.get("rate_limited"),
    };
    let cooldown_policy = CooldownPolicy {
        rate_limited_first: negative.rate_limited,
        rate_limited_longest: reader.get("rate_limited_longest"),
        session_down: negative.session_down,
        auth: negative.auth,
    };
    reader.finish();
    (negative, cooldown_policy)
}

//! The sections of the configuration, a file each: the table of its keys, and the function that reads them.
//!
//! # Files
//!
//! * `server`: `[server]`
//! * `access`: `[access]`
//! * `admin`: `[admin]`
//! * `cache`: `[cache]`
//! * `fleet`: `[fleet]`
//! * `upstream`: `[upstream]`
//! * `images`: `[images]`
//! * `http`: `[http]`
//! * `live`: `[live]`
//! * `hooks`: `[hooks]` and `[instances.NAME.hook]`
//! * `pass_through`: `[pass_through]`
//! * `log`: `[log]`
//! * `traces`: `[traces]`
//! * `providers`: `[providers]`
//! * `instances`: `[instances.NAME]`
//! * `patterns`: the keys of instances whose name has a `*`
//! * `fallback`: `fallback` of an instance
//! * `detectors`: `empty_answers` and `default_pictures` of an instance

mod access;
mod admin;
mod cache;
mod detectors;
mod fallback;
mod fleet;
mod hooks;
mod http;
mod images;
mod instances;
mod live;
mod log;
mod pass_through;
mod patterns;
mod providers;
mod server;
mod traces;
mod upstream;

use std::path::PathBuf;

use toml::{Table, Value};

use super::{
    Config, Problem, Problems, Reloadable, Startup,
    key::Section,
    reader::{Findings, Reader},
    source::Source,
};
use crate::{public::Mode, upstream::Catalog};

/// Every section of the configuration, and with them every key.
pub static SECTIONS: Section = Section {
    name: "",
    about: "",
    keys: &[],
    sections: &[
        server::SECTION,
        admin::SECTION,
        hooks::SECTION,
        access::SECTION,
        http::SECTION,
        live::SECTION,
        cache::SECTION,
        fleet::SECTION,
        upstream::SECTION,
        pass_through::SECTION,
        images::SECTION,
        log::SECTION,
        traces::SECTION,
        providers::SECTION,
        instances::SECTION,
    ],
};

/// Reads every section, and returns every problem at once; and the files that secrets are read from.
pub(super) fn read(source: &Source) -> (Result<Config, Problems>, Vec<PathBuf>) {
    let findings = Findings::default();
    let root = Reader::root(source, &findings, &SECTIONS);

    let server = server::read(&root.section("server"));
    let admin = admin::read(&root.section("admin"));
    let hooks = hooks::read(&root.section("hooks"));
    let access = access::read(
        &root.section("access"),
        &server.listen,
        server.tls.is_some(),
    );
    let http = http::read(&root.section("http"));
    let is_open = access.access.mode == Mode::Open && !access.access.is_for_this_machine;
    let live = live::read(&root.section("live"), is_open);
    let pass_through = pass_through::read(&root.section("pass_through"));
    let upstream = upstream::read(&root.section("upstream"));
    let in_flight = server.settings.in_flight.clone();
    let cache = cache::read(
        &root.section("cache"),
        upstream.max_picture,
        in_flight.clone(),
        hooks.hint_after,
        live.kept_changes,
    );
    let fleet = fleet::read(
        &root.section("fleet"),
        root.has("fleet"),
        cache.store.archive,
    );
    let images = images::read(&root.section("images"), in_flight);
    let log = log::read(&root.section("log"));
    let traces = traces::read(&root.section("traces"));
    let mut providers = providers::read(&root.section("providers"));
    let (instances, patterns) = instances::read(
        &root.section("instances"),
        &upstream,
        &cache.cooldown_policy,
        &mut providers,
        hooks.listen.is_some(),
        is_open,
    );
    root.finish();
    report_misspelled_overrides(source, &findings);

    let secret_files = findings.secret_files.into_inner();
    let problems = findings.problems.into_inner();
    if !problems.is_empty() {
        return (Err(Problems(problems)), secret_files);
    }
    let (picture_memory, variant_memory) = (cache.store.memory, images.memory);
    let config = Config {
        startup: Startup {
            listen: server.listen,
            server: server.settings,
            is_tls: server.tls.is_some(),
            admin: admin.listen,
            hooks: hooks.listen,
            store: cache.store,
            fleet,
            images,
            traces,
        },
        reloadable: Reloadable {
            tls: server.tls,
            proxies: server.proxies,
            client_rate: server.client_rate,
            body_timeout: server.body_timeout,
            origin: server.origin,
            admin_token: admin.token,
            hooks: hooks.settings,
            pass_through,
            access: access.access,
            may_be_public: access.may_be_public,
            allow_origin: access.allow_origin,
            browser_ttl: http.browser_ttl,
            live: live.settings,
            disk_limits: cache.disk_limits,
            picture_memory,
            variant_memory,
            log: log.settings,
            are_limited_named: log.are_limited_named,
            pipeline: cache.pipeline,
            instances,
            patterns,
        },
        restart_only: findings.restart_only.into_inner(),
        warnings: findings.warnings.into_inner(),
        values: findings.values.into_inner(),
    };
    (Ok(config), secret_files)
}

/// Warns of variables that look like overrides and set nothing.
fn report_misspelled_overrides(source: &Source, findings: &Findings) {
    let instances = source.table.get("instances").and_then(Value::as_table);
    let instances: Vec<_> = instances.into_iter().flat_map(Table::keys).collect();
    let mut keys = Vec::new();
    for (path, _) in SECTIONS.all_keys() {
        match path.strip_prefix("instances.NAME") {
            None => keys.push(path),
            Some(rest) => {
                keys.extend(
                    instances
                        .iter()
                        .map(|name| format!("instances.{name}{rest}")),
                );
            }
        }
    }
    let used = findings.secret_variables.borrow();
    let mut warnings = findings.warnings.borrow_mut();
    for (variable, meant) in source.misspelled_overrides(&keys, &used) {
        warnings.push(Problem {
            place: variable.to_owned(),
            key: String::new(),
            remedy: format!("sets nothing; did you mean {meant}?"),
        });
    }
}

/// Reads the descriptions of gateways alone.
pub(super) fn read_catalog(source: &Source) -> Result<Catalog, Problems> {
    let findings = Findings::default();
    let root = Reader::root(source, &findings, &SECTIONS);
    let catalog = providers::read(&root.section("providers")).catalog;
    let problems = findings.problems.into_inner();
    match problems.is_empty() {
        true => Ok(catalog),
        false => Err(Problems(problems)),
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, fs, path::Path};

    use super::*;
    use crate::{
        avatar::Policy,
        config::{Effect, Key, Kind, from_text},
        limits::{CooldownPolicy, Sensitivity},
        server::Settings,
        telemetry::log,
    };
    use secrecy::ExposeSecret;

    /// A configuration with TLS, traces and a daily warm-up, so that every key counts. In `folder` there is a directory
    /// of descriptions, with one of the operator's own for the provider that it uses.
    fn base(folder: &Path) -> Table {
        let descriptions = folder.join("descriptions");
        fs::create_dir_all(&descriptions).unwrap();
        let shipped = include_str!("../../upstream/descriptions/wawp.toml");
        let own = shipped.replace("\"Wawp\"", "\"Our Wawp\"");
        fs::write(descriptions.join("wawp.toml"), own).unwrap();
        let issued = rcgen::generate_simple_self_signed(["faces.test".to_owned()]).unwrap();
        for name in ["a", "b"] {
            let pem = |kind: &str| folder.join(format!("{name}.{kind}.pem"));
            fs::write(pem("certificate"), issued.cert.pem()).unwrap();
            fs::write(pem("key"), issued.signing_key.serialize_pem()).unwrap();
        }
        let text = format!(
            r#"
            [server]
            certificate = "{folder}/a.certificate.pem"
            key = "{folder}/a.key.pem"
            [access]
            mode = "open"
            signing_keys = ["env:SECRET"]
            [fleet]
            name = "test"
            redis = "env:REDIS"
            secret = "env:SECRET"
            pictures = "s3"
            [fleet.s3]
            bucket = "faces"
            endpoint = "http://127.0.0.1:3900"
            access_key = "env:SECRET"
            secret_key = "env:SECRET"
            [traces]
            endpoint = "http://127.0.0.1:4318"
            [instances.sales]
            provider = "wawp"
            account = "1"
            token = "env:SECRET"
            warm.at = "03:00"
            hook.secret = "env:SECRET"
            [instances.inbox]
            provider = "push"
            [instances."shop-*"]
            provider = "wawp"
            account = "{{instance}}"
            token = "env:SECRET"
            "#,
            folder = folder.display()
        );
        text.parse().unwrap()
    }

    fn read(table: &Table) -> Config {
        let secrets = [
            ("SECRET", "a secret for tests"),
            ("OTHER", "another secret for tests"),
            ("REDIS", "redis://127.0.0.1:6379"),
            ("OTHER_REDIS", "redis://127.0.0.1:6380"),
        ];
        from_text("the test", &table.to_string(), secrets.into_iter())
            .unwrap_or_else(|problems| panic!("{problems}"))
    }

    /// A value that is neither the default nor in the base configuration.
    fn other_value(path: &str, key: &Key, folder: &Path) -> Value {
        let text = |text: &str| Value::String(text.to_owned());
        match (path, &key.kind) {
            ("server.certificate" | "server.key", _) => {
                text(&format!("{}/b.{}.pem", folder.display(), key.name))
            }
            ("access.mode", _) => text("signed"),
            ("access.allow_origin", _) => text("https://crm.example"),
            ("log.level", _) => text("debug"),
            ("providers.dir", _) => text(&folder.join("descriptions").display().to_string()),
            ("fleet.redis", _) => text("env:OTHER_REDIS"),
            ("fleet.redis_ca" | "fleet.s3.ca", _) => {
                text(&format!("{}/a.certificate.pem", folder.display()))
            }
            ("fleet.reserve", _) => Value::Integer(7),
            ("instances.NAME.provider", _) => text("wappfy"),
            ("instances.NAME.fallback", _) => Value::Array(vec![text("inbox")]),
            (_, Kind::Address) => text("127.0.0.1:7"),
            (_, Kind::Choice(choices)) => text(choices().pop().unwrap()),
            (_, Kind::Duration) => text("77s"),
            (_, Kind::Flag) => {
                Value::Boolean(key.default_toml().is_none_or(|text| text == "false"))
            }
            (_, Kind::Jid) => text("628123@c.us"),
            (_, Kind::List(Kind::Secret)) => {
                Value::Array(vec![text("env:SECRET"), text("env:OTHER")])
            }
            (_, Kind::List(Kind::Host)) => Value::Array(vec![text("cdn.example")]),
            (_, Kind::List(_)) => Value::Array(vec![text("10.0.0.0/8")]),
            (_, Kind::Number) => Value::Integer(77),
            (_, Kind::Path) => text("elsewhere"),
            (_, Kind::Secret) => text("env:OTHER"),
            (_, Kind::Size) => text("77KiB"),
            (_, Kind::TimeOfDay) => text("04:05"),
            (_, Kind::Url) => text("https://other.example"),
            (_, Kind::Text) => text("other"),
            (_, kind) => panic!("{path}: no other value of type {kind}"),
        }
    }

    fn set(table: &mut Table, path: &str, value: Value) {
        let (sections, key) = path.rsplit_once('.').unwrap();
        let mut table = table;
        let is_of_patterns = matches!(key, "max_names" | "idle");
        let name = if is_of_patterns { "shop-*" } else { "sales" };
        for section in sections.replace("NAME", name).split('.') {
            let inner = table
                .entry(section)
                .or_insert_with(|| Value::Table(Table::new()));
            table = inner.as_table_mut().unwrap();
        }
        table.insert(key.to_owned(), value);
    }

    /// The reloadable half as text, with its secrets.
    fn reloadable(config: &Config) -> String {
        let half = &config.reloadable;
        let tokens = half.instances.iter();
        let tokens: Vec<_> = tokens
            .map(|instance| instance.account.token.expose_secret())
            .collect();
        let hooks = half.instances.iter().filter_map(|one| one.hook.as_ref());
        let hooks: Vec<_> = hooks
            .map(|hook| {
                let key = hook.hmac_key.as_ref().map(|key| key.expose_secret());
                (hook.secret.expose_secret(), key)
            })
            .collect();
        format!("{half:?} {tokens:?} {hooks:?}")
    }

    #[test]
    fn each_key_changes_the_half_of_the_configuration_that_its_effect_names() {
        // The caches are made with the first value, and resized by a reload.
        const SIZES_AT_START: [&str; 2] = ["cache.memory", "images.memory"];
        let folder = tempfile::tempdir().unwrap();
        let table = base(folder.path());
        let before = read(&table);
        let mut wrong = Vec::new();
        for (path, key) in SECTIONS.all_keys() {
            let mut table = table.clone();
            set(&mut table, &path, other_value(&path, key, folder.path()));
            let after = read(&table);
            let changes_startup = format!("{:?}", before.startup) != format!("{:?}", after.startup);
            let changes_reloadable = reloadable(&before) != reloadable(&after);
            let named = restart_needed(&before, &after);
            let is_right = match key.effect {
                Effect::Reload => {
                    let is_used_at_start = SIZES_AT_START.contains(&path.as_str());
                    changes_startup == is_used_at_start && changes_reloadable && named.is_empty()
                }
                Effect::Restart => {
                    changes_startup && !changes_reloadable && named == [path.as_str()]
                }
                Effect::ReloadExcept(_) => changes_reloadable,
            };
            if !is_right {
                wrong.push(format!(
                    "{path}: {:?}, but startup {changes_startup}, reloadable {changes_reloadable}, named {named:?}",
                    key.effect
                ));
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }

    #[test]
    fn turning_tls_off_and_another_size_of_pictures_need_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let table = base(folder.path());
        let before = read(&table);
        let mut without = table.clone();
        without.remove("server");
        assert_eq!(
            restart_needed(&before, &read(&without)),
            ["server.certificate"]
        );
        let mut larger = table;
        set(
            &mut larger,
            "upstream.max_picture",
            Value::String("9MiB".into()),
        );
        assert_eq!(
            restart_needed(&before, &read(&larger)),
            ["upstream.max_picture"]
        );
    }

    fn restart_needed(before: &Config, after: &Config) -> Vec<String> {
        after.restart_needed(&before.restart_only)
    }

    #[test]
    fn every_default_and_every_bound_in_the_table_is_a_valid_value() {
        for (path, key) in SECTIONS.all_keys() {
            let bounds = key.range.map(|range| [Some(range.lowest), range.highest]);
            let default = key.default_toml().map(|text| {
                let table: Table = format!("value = {text}").parse().unwrap();
                table["value"].clone()
            });
            let bounds = bounds.into_iter().flatten().flatten();
            let bounds = bounds.map(|bound| Value::String(bound.to_owned()));
            for value in default.into_iter().chain(bounds) {
                assert_eq!(key.check(&value), Ok(()), "{path} = {value}");
            }
        }
    }

    #[test]
    fn the_table_has_the_defaults_of_the_modules() {
        let folder = tempfile::tempdir().unwrap();
        let Config {
            startup,
            reloadable,
            ..
        } = read(&base(folder.path()));
        assert_eq!(reloadable.pipeline.policy, Policy::default());
        let instance = &reloadable.instances[0];
        assert_eq!(instance.limits.cooldown, CooldownPolicy::default());
        assert_eq!(instance.limits.sensitivity, Sensitivity::default());
        assert_eq!(
            format!("{:?}", startup.server),
            format!("{:?}", Settings::default())
        );
        assert_eq!(
            format!("{:?}", reloadable.log),
            format!("{:?}", log::Settings::default())
        );
    }

    #[test]
    fn a_key_is_read_under_its_old_name_and_not_under_both() {
        let pace = |text: &str| {
            let table: Table = format!(
                "[access]\nmode = \"open\"\n[cache]\n{text}\n[instances.sales]\nprovider = \"wawp\"\naccount = \"1\"\ntoken = \"env:SECRET\""
            )
            .parse()
            .unwrap();
            let secret = [("SECRET", "a secret for tests")];
            from_text("the test", &table.to_string(), secret.into_iter())
                .map(|config| config.reloadable.disk_limits.files_per_second)
                .map_err(|problems| problems.to_string())
        };
        assert_eq!(pace("gc_files_per_second = 7"), Ok(7));
        assert_eq!(pace("tend_files_per_second = 7"), Ok(7));
        let both = pace("gc_files_per_second = 7\ntend_files_per_second = 7").unwrap_err();
        assert!(
            both.contains("cache.tend_files_per_second: is the old name of gc_files_per_second"),
            "{both}"
        );
        let wrong = pace("tend_files_per_second = 0").unwrap_err();
        assert!(wrong.contains("cache.tend_files_per_second"), "{wrong}");
    }

    #[test]
    fn every_name_in_a_section_is_there_once() {
        let mut seen: BTreeMap<String, u8> = BTreeMap::new();
        for (path, key) in SECTIONS.all_keys() {
            let (section, _) = path.rsplit_once('.').unwrap();
            for name in [Some(key.name), key.old_name].into_iter().flatten() {
                *seen.entry(format!("{section}.{name}")).or_default() += 1;
            }
        }
        assert!(seen.values().all(|count| *count == 1), "{seen:?}");
    }
}

//! `docs/configuration.md` is written from the table of keys that the program reads. After a change of the
//! table, `FACEPLATE_WRITE_DOCS=1 cargo test --test it configuration_docs::` writes the page again.

use std::fmt::Write;

use faceplate::config::{DefaultValue, Effect, Key, Kind, SECTIONS, Section};

use crate::support::docs;

const INTRODUCTION: &str = "\
# Configuration

For operators. This page has every key of the configuration.

Faceplate reads one TOML file: `config/faceplate.toml`, or the file that `--config` or else the environment variable
`FACEPLATE_CONFIG` names. `config/faceplate.toml` in the repository is a sample with every key. `faceplate check` reports
every problem of a configuration at once.

This page is written from the table of keys in `src/config/sections/`.

* **Types.** A *duration* is `\"500ms\"`, `\"30s\"`, `\"12m\"`, `\"24h\"` or `\"7d\"`. A *size* is `\"512KiB\"`, `\"256MiB\"` or
  `\"10GiB\"` (`MB` and the like are decimal). A *number* is a whole number from 1. A *secret* is `\"env:NAME\"` for an
  environment variable or `\"file:PATH\"` for a file; the secret itself is accepted, with a warning. An *address* is
  `\"127.0.0.1:8080\"`, `\"[::1]:8080\"` or `\"unix:/path\"`. A *network* is `\"172.16.0.0/12\"`.
* **Environment variables.** `FACEPLATE_SECTION__KEY` overrides a key: `FACEPLATE_CACHE__TTL=12h` overrides `cache.ttl`,
  and `FACEPLATE_INSTANCES__SALES__ACCOUNT` overrides `account` in `[instances.sales]`. A list has commas between its
  items.
* **Changes.** Faceplate reads the file again on SIGHUP and when the file changes. The column *change* says whether a
  new value then takes effect (*reload*), or only after a restart (*restart*), which the log reports. A configuration
  with a problem is not applied.
";

#[test]
fn the_page_about_the_configuration_is_what_the_table_of_keys_says() {
    let mut page = INTRODUCTION.to_owned();
    for section in SECTIONS.sections {
        describe(section, "", &mut page);
    }
    docs::assert_current("configuration.md", &page);
}

fn describe(section: &Section, path: &str, page: &mut String) {
    let path = match path {
        "" => section.name.to_owned(),
        path => format!("{path}.{}", section.name),
    };
    // A section whose keys a gateway's description names has an explanation and no table.
    if !section.about.is_empty() {
        let _ = write!(page, "\n## `[{path}]`\n\n{}\n", section.about);
    }
    if !section.keys.is_empty() {
        page.push_str(
            "\n| key | type | default | change | meaning |\n| --- | --- | --- | --- | --- |\n",
        );
        for key in section.keys {
            let _ = writeln!(page, "{}", row(key));
        }
    }
    for section in section.sections {
        describe(section, &path, page);
    }
}

fn row(key: &Key) -> String {
    let name = match key.old_name {
        Some(old) => format!("`{}` (also `{old}`)", key.name),
        None => format!("`{}`", key.name),
    };
    let kind = match key.kind {
        Kind::Choice(choices) => {
            let quoted = choices().into_iter().map(|choice| format!("`{choice}`"));
            quoted.collect::<Vec<_>>().join(", ")
        }
        kind => kind.to_string(),
    };
    let kind = match key.range {
        Some(range) => format!("{kind}, {range}"),
        None => kind,
    };
    let default = match (key.default, key.default_toml()) {
        (_, Some(text)) => format!("`{text}`"),
        (DefaultValue::Absent(meaning), _) => meaning.to_owned(),
        _ => "required".to_owned(),
    };
    let effect = match key.effect {
        Effect::Reload => "reload".to_owned(),
        Effect::Restart => "restart".to_owned(),
        Effect::ReloadExcept(part) => format!("reload; restart for {part}"),
    };
    format!("| {name} | {kind} | {default} | {effect} | {} |", key.about)
}

//! `faceplate demo`: the emulated vendors on loopback, the proxy in front of them, and a gallery page. It needs no
//! account, no configuration and no network.

mod gallery;

use tempfile::TempDir;

use super::{output::say, stop_signals::StopSignals};
use crate::{
    app::{Addresses, App, Dependencies},
    config::{self, Config},
    emulator::{Emulator, Fault, Options, Rule},
    server::Address,
    telemetry::log,
};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The address of the gallery.
    #[arg(long, default_value = "127.0.0.1:8080", value_name = "ADDRESS")]
    listen: Address,
    /// The address of the admin listener with its dashboard; by default on a free port.
    #[arg(long, default_value = "127.0.0.1:0", value_name = "ADDRESS")]
    admin: Address,
}

/// Accounts with a permanent fault.
const LIMITED: &str = "limited";
const BROKEN: &str = "broken";
const OUTAGE: &str = "outage";
/// An account with a small budget.
const INBOX: &str = "inbox";

pub(super) async fn run(args: Args) -> Result<(), String> {
    let log = log::Settings {
        level: "warn,faceplate::access=info".to_owned(),
        ..log::Settings::default()
    };
    log::start(&log, None)?;
    let mut stop = StopSignals::listen()?;
    let emulator = Emulator::start(Options::default()).await.map_err(|error| {
        format!("cannot start the emulator: {error}; check that loopback addresses can be used")
    })?;
    inject_faults(&emulator)?;
    let cache = tempfile::tempdir()
        .map_err(|error| format!("cannot make a cache directory: {error}; check TMPDIR"))?;
    let config = configuration(&args, &emulator, &cache)?;
    let dependencies = Dependencies {
        home: Some(gallery::page),
        ..Dependencies::default()
    };
    let app = App::start(config, dependencies)
        .await
        .map_err(|error| error.to_string())?;

    let addresses = Addresses {
        public: app.address.clone(),
        admin: app.admin.clone(),
    };
    print_urls(&addresses, &emulator);
    stop.received().await;
    stop.finish(app.stop()).await;
    Ok(())
}

/// Prints the URLs that the reader can open. Listeners on loopback are left out if the gallery is for other machines: the
/// reader may be on one of them, or outside of the container.
fn print_urls(addresses: &Addresses, emulator: &Emulator) {
    match addresses.home_url() {
        Some(url) => {
            say!("gallery:   {url}");
            say!("one face:  {url}avatar/waha/628100000004@c.us");
        }
        None => say!("gallery:   {}", addresses.public),
    }
    if let Some(url) = addresses.dashboard_url() {
        say!("dashboard: {url}");
    }
    if addresses.public.is_local() {
        say!("vendors:   curl http://{}/_emulator/", emulator.api());
    }
}

fn inject_faults(emulator: &Emulator) -> Result<(), String> {
    let limited = Fault::Status {
        status: 429,
        retry_after: Some(60),
    };
    let outage = Fault::Status {
        status: 502,
        retry_after: None,
    };
    let broken = Fault::ExpiredLink {
        even_when_refreshed: true,
    };
    for rule in [
        Rule::api(limited).account(LIMITED),
        Rule::api(broken).account(BROKEN),
        Rule::api(outage).account(OUTAGE),
    ] {
        emulator
            .control()
            .inject(rule)
            .map_err(|refused| refused.to_string())?;
    }
    Ok(())
}

/// The demo's configuration, as text that an operator could write too.
fn configuration(args: &Args, emulator: &Emulator, cache: &TempDir) -> Result<Config, String> {
    let Args { listen, admin } = args;
    let mut text = format!(
        r#"
        [server]
        listen = "{listen}"
        [admin]
        listen = "{admin}"
        [access]
        mode = "open"
        allow_public = true
        [live]
        enabled = true
        [cache]
        dir = "{}"
        "#,
        cache.path().display(),
    );
    for (name, provider, account) in [
        ("wachat", "wachat", "demo"),
        ("wawp", "wawp", "demo"),
        ("hypersender", "hypersender", "demo"),
        ("wappfy", "wappfy", "demo"),
        ("waha", "waha", "demo"),
        ("evolution", "evolution", "demo"),
        ("wuzapi", "wuzapi", "demo"),
        ("wppconnect", "wppconnect", "demo"),
        ("waha-limited", "waha", LIMITED),
        ("waha-broken", "waha", BROKEN),
        ("waha-outage", "waha", OUTAGE),
        (gallery::INBOX, "waha", INBOX),
    ] {
        let lookups = match account {
            INBOX => "{ per_minute = 60, burst = 4 }",
            _ => "{ per_minute = 600, burst = 100 }",
        };

        text.push_str(&format!(
            r#"
            [instances.{name}]
            provider = "{provider}"
            account = "{account}"
            base_url = "http://{}"
            token = "env:EMULATOR_TOKEN"
            own_jid = "{}"
            lookups = {lookups}
            refreshes = {{ per_minute = 60, burst = 20 }}
            picture_hosts = ["{}"]
            allow_private = ["127.0.0.0/8"]
            "#,
            emulator.api(),
            crate::emulator::OWN_JID,
            emulator.cdn(),
        ));
    }
    let token = emulator.control().token().to_owned();
    let env = std::iter::once(("EMULATOR_TOKEN".to_owned(), token));
    config::from_text("the demo's configuration", &text, env)
        .map_err(|problems| problems.to_string())
}

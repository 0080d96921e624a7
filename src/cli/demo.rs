//! `faceplate demo`: the emulated vendors on loopback, the proxy in front of them, and a gallery.
//! No account, no configuration, no network.

mod gallery;

use tempfile::TempDir;

use super::StopSignals;
use crate::{
    app::{App, Dependencies},
    config::{self, Config},
    emulator::{Emulator, Fault, Options, Rule},
    server::Address,
    telemetry::log,
};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Where the gallery is to be seen.
    #[arg(long, default_value = "127.0.0.1:8080", value_name = "ADDRESS")]
    listen: Address,
    /// Where the operator's page is; on a free port if this is left out.
    #[arg(long, default_value = "127.0.0.1:0", value_name = "ADDRESS")]
    admin: Address,
}

/// Accounts on which the emulator makes something go wrong for good.
const LIMITED: &str = "limited";
const BROKEN: &str = "broken";
const OUTAGE: &str = "outage";

pub(super) async fn run(args: Args) -> Result<(), String> {
    let settings = log::Settings {
        level: "warn,faceplate::access=info".into(),
        ..log::Settings::default()
    };
    log::start(&settings, None)?;
    let mut stop = StopSignals::listen()?;
    let emulator = Emulator::start(Options::default())
        .await
        .map_err(|error| format!("cannot start the emulator: {error}"))?;
    spoil(&emulator)?;
    let cache =
        tempfile::tempdir().map_err(|error| format!("cannot make a cache directory: {error}"))?;
    let config = configured(&args, &emulator, &cache)?;
    let dependencies = Dependencies {
        home: Some(gallery::page().into()),
        ..Dependencies::default()
    };
    let app = App::start(config, dependencies)
        .await
        .map_err(|error| error.to_string())?;

    println!("open http://{}/ for the gallery", app.address);
    println!(
        "or   http://{}/avatar/waha/628100000004@c.us for one face",
        app.address
    );
    println!("the operator's page: http://{}/", app.admin);
    println!(
        "the vendors behind it: curl http://{}/_emulator/",
        emulator.api()
    );
    stop.received().await;
    app.stop().await;
    Ok(())
}

fn spoil(emulator: &Emulator) -> Result<(), String> {
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

/// The demo is configured in the operator's own words, so that it shows nothing that an operator
/// could not have.
fn configured(args: &Args, emulator: &Emulator, cache: &TempDir) -> Result<Config, String> {
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
        ("waha-limited", "waha", LIMITED),
        ("waha-broken", "waha", BROKEN),
        ("waha-outage", "waha", OUTAGE),
    ] {
        text.push_str(&format!(
            r#"
            [instances.{name}]
            provider = "{provider}"
            account = "{account}"
            base_url = "http://{}"
            token = "env:EMULATOR_TOKEN"
            own_jid = "{}"
            lookups = {{ per_minute = 600, burst = 100 }}
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

//! `faceplate emulate`: the emulated vendors without the proxy. Prints the configuration of a proxy in front of them.

use super::{output::say, stop_signals::StopSignals};
use crate::{
    emulator::{Emulator, OWN_JID, Options, Vendor},
    server::Address,
    telemetry::log,
};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The address of the vendors' API.
    #[arg(long, default_value = "127.0.0.1:9900", value_name = "ADDRESS")]
    listen: Address,
    /// The address of the CDN that links to pictures point to.
    #[arg(long, default_value = "127.0.0.1:9901", value_name = "ADDRESS")]
    cdn: Address,
    /// The CDN's host and port in links, if clients reach it under another name.
    #[arg(long, value_name = "HOST:PORT")]
    cdn_authority: Option<String>,
}

pub(super) async fn run(args: Args) -> Result<(), String> {
    log::start(&log::Settings::default(), None)?;
    let mut stop = StopSignals::listen()?;
    let emulator = Emulator::start(Options {
        api: args.listen.clone(),
        cdn: args.cdn.clone(),
        cdn_authority: args.cdn_authority.clone(),
        ..Options::default()
    })
    .await
    .map_err(|error| {
        format!(
            "cannot listen on {} and {}: {error}; choose others with --listen and --cdn",
            args.listen, args.cdn
        )
    })?;
    print_configuration(&emulator, args.cdn_authority);
    stop.received().await;
    Ok(())
}

/// Prints a configuration that is complete but for its comments, which say where the emulator is.
fn print_configuration(emulator: &Emulator, cdn_authority: Option<String>) {
    let (api, cdn) = (emulator.api(), emulator.cdn());
    let cdn = cdn_authority.unwrap_or_else(|| cdn.to_string());
    let token = emulator.control().token();
    say!("# vendors: http://{api}/  (token: {token})");
    say!("# CDN:     http://{cdn}/");
    say!("# how to use them: curl http://{api}/_emulator/");
    say!("#");
    say!("# Save this as emulated.toml, and run: faceplate serve --config emulated.toml");
    say!("# Then open http://127.0.0.1:8080/avatar/waha/628100000001@c.us");
    say!("[access]\nmode = \"open\"");
    for provider in Vendor::ALL.map(Vendor::name) {
        say!(
            "\n[instances.{provider}]\nprovider = \"{provider}\"\naccount = \"demo\"\ntoken = \"{token}\"\nbase_url = \"http://{api}\"\nown_jid = \"{OWN_JID}\"\npicture_hosts = [\"{cdn}\"]\nallow_private = [\"127.0.0.0/8\"]"
        );
    }
}

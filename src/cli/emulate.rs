//! `faceplate emulate`: the emulated vendors without the proxy.

use super::{output::say, stop_signals::StopSignals};
use crate::{
    emulator::{Emulator, Options},
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
        cdn_authority: args.cdn_authority,
        ..Options::default()
    })
    .await
    .map_err(|error| {
        format!(
            "cannot listen on {} and {}: {error}; choose others with --listen and --cdn",
            args.listen, args.cdn
        )
    })?;
    say!(
        "vendors: http://{}/  (token: {})",
        emulator.api(),
        emulator.control().token()
    );
    say!("CDN:     http://{}/", emulator.cdn());
    say!("how to use them: curl http://{}/_emulator/", emulator.api());
    stop.received().await;
    Ok(())
}

//! `faceplate sign`: prints a URL that is signed with the first of the configured keys. Without `server.public_url`, it begins
//! with the path.

use std::time::Duration;

use super::{
    config_arg::{self, ConfigArg},
    output::say,
};
use crate::{
    clock::Clock,
    compat::Origin,
    config,
    http::{Scope, Ticket},
};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The instance's name.
    instance: String,
    /// The JID, `me`, or `*` for every face of the instance.
    subject: String,
    /// How long the URL is valid.
    #[arg(long, default_value = "24h", value_parser = config::duration)]
    ttl: Duration,
    /// Allow the URL to refresh the face.
    #[arg(long)]
    refresh: bool,
    #[command(flatten)]
    config: ConfigArg,
}

pub(super) fn run(args: &Args) -> Result<(), String> {
    let config = args.config.load()?;
    config_arg::instance(&config, &args.instance)?;
    let key = config.reloadable.access.keys.first().ok_or(
        "there is no signing key; write access.signing_keys = [\"env:FACEPLATE_SIGNING_KEY\"]",
    )?;
    let scope = match args.subject.as_str() {
        "*" => Scope::Instance,
        subject => Scope::Face(subject.parse().map_err(|why| format!("not a JID: {why}"))?),
    };
    let ticket = Ticket {
        scope,
        expires: (Clock::system().now() + args.ttl).as_secs(),
        refresh: args.refresh,
    };
    let face = match &ticket.scope {
        Scope::Face(subject) => subject.as_str(),
        Scope::Instance => "{jid}",
    };
    let query = key.query(&args.instance, &ticket);
    let refresh = match (args.refresh, &ticket.scope) {
        (true, Scope::Face(_)) => "&refresh=true",
        _ => "",
    };
    let origin = match &config.reloadable.origin {
        Origin::Fixed(origin) => origin,
        Origin::OfRequest(_) => "",
    };
    say!("{origin}/avatar/{}/{face}?{query}{refresh}", args.instance);
    Ok(())
}

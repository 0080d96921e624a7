//! `faceplate healthcheck`: exit 0 when `/readyz` answers 200.

use hyper::{Method, StatusCode, body::Bytes};

use super::{ConfigArg, admin_client};
use crate::server::Address;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The admin listener, instead of the one in the configuration.
    #[arg(long, value_name = "ADDRESS")]
    admin: Option<Address>,
    #[command(flatten)]
    config: ConfigArg,
}

pub(super) async fn run(args: Args) -> Result<(), String> {
    let (address, token) = match args.admin {
        Some(address) => (address, None),
        None => {
            let config = args.config.load()?;
            (config.startup.admin, config.reloadable.admin_token)
        }
    };
    let asked = admin_client::ask_at(
        &address,
        token.as_ref(),
        Method::GET,
        "/readyz",
        Bytes::new(),
        admin_client::TIMEOUT,
    );
    let answer = asked.await?;
    if answer.status == StatusCode::OK {
        Ok(())
    } else {
        Err(format!("{address} is not ready: {}", answer.status))
    }
}

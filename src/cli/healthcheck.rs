//! `faceplate healthcheck`: exits with 0 if `/readyz` answers 200, else with 1.

use hyper::{Method, StatusCode, body::Bytes};

use super::{admin_client, config_arg::ConfigArg};
use crate::server::Address;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The address of the admin listener; without it, the one in the configuration.
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
    let response = admin_client::send_to(
        &address,
        token.as_ref(),
        Method::GET,
        "/readyz",
        Bytes::new(),
        admin_client::TIMEOUT,
    )
    .await?;
    if response.status == StatusCode::OK {
        Ok(())
    } else {
        Err(format!(
            "{address} is not ready: {}; see the body of /readyz",
            response.status
        ))
    }
}

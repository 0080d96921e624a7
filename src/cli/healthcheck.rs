//! `faceplate healthcheck`: exit 0 when `/readyz` answers 200.

use hyper::{Method, StatusCode};

use super::server;
use crate::config::Config;

pub(super) async fn run(config: Config) -> Result<(), String> {
    let answer = server::ask(&config, Method::GET, "/readyz", server::SOON).await?;
    if answer.status == StatusCode::OK {
        Ok(())
    } else {
        Err(format!("{} is not ready: {}", config.admin, answer.status))
    }
}

//! `faceplate healthcheck`: exit 0 when `/readyz` answers 200.

use std::time::Duration;

use hyper::{Method, StatusCode};

use super::server;
use crate::config::Config;

/// Shorter than any prober's own patience.
const PATIENCE: Duration = Duration::from_secs(2);

pub(super) async fn run(config: Config) -> Result<(), String> {
    let answer = server::ask(&config, Method::GET, "/readyz", PATIENCE).await?;
    if answer.status == StatusCode::OK {
        Ok(())
    } else {
        Err(format!("{} is not ready: {}", config.admin, answer.status))
    }
}

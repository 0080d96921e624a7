//! `faceplate serve`: runs the proxy until it is told to stop.

use super::Stop;
use crate::{
    app::{App, Edges},
    config::Config,
    telemetry::log,
};

pub(super) async fn run(config: Config) -> Result<(), String> {
    log::start(&config.log);
    let mut stop = Stop::listen()?;
    for warning in &config.warnings {
        tracing::warn!("{warning}");
    }
    let instances = config.instances.len();
    let app = App::start(config, Edges::default())
        .await
        .map_err(|error| error.to_string())?;
    tracing::info!(listen = %app.address, admin = %app.admin, instances, "serving faces");

    stop.told().await;
    tracing::info!("stopping: requests under way may end");
    app.stop().await;
    Ok(())
}

//! Checks whether bytes that a gateway calls a picture are one, as the server does.

use bytes::Bytes;

use crate::{
    images::{ImageSettings, Thumbnailer},
    in_flight::InFlight,
    telemetry::Metrics,
};

/// The format and the size of the picture that `bytes` are. The error says why the server takes them for none.
pub(super) async fn describe(bytes: Bytes) -> Result<String, String> {
    let settings = ImageSettings {
        memory: 1 << 20,
        work: 512 << 20,
        queue: 1,
        in_flight: InFlight::new(64 << 20),
    };
    let picture = Thumbnailer::new(&settings, Metrics::new())
        .accept(bytes)
        .await?;
    let (width, height) = picture.dimensions();
    Ok(format!(
        "a {} of {width} by {height} pixels",
        picture.media()
    ))
}

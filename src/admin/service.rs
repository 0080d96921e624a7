//! The parts of the admin service. Each route adds its own functions, in the file of that route.

use std::time::Duration;

use secrecy::SecretString;

use super::history::History;
use crate::{
    clock::Timestamp,
    images::Thumbnailer,
    pipeline::{Faces, Instances, Warmups},
    representation::{Renderer, Sharing},
    telemetry::Metrics,
};

/// The admin service.
#[derive(Debug)]
pub struct Admin {
    /// The faces that it shows and changes.
    pub faces: Faces,
    /// The configured instances.
    pub instances: Instances,
    /// The warm-ups.
    pub warmups: Warmups,
    /// The last hour's figures.
    pub history: History,
    /// When this process began to serve.
    pub started: Timestamp,
    /// The end of the certificate of the public listener, if it has one.
    pub certificate_end: Option<Timestamp>,
    /// The URL of the public listener's page, if it has one.
    pub home: Option<String>,
    /// Makes the replies that records show.
    pub(crate) renderer: Renderer,
    /// The caches that may store the replies to requests without a credential.
    pub(crate) sharing: Sharing,
    /// Makes the dashboard's small pictures.
    pub thumbnailer: Thumbnailer,
    /// How long a client may take to send a body.
    pub body_timeout: Duration,
    /// The counters.
    pub metrics: Metrics,
    /// The token that all routes but the probes need. Without one, `Host` must be local.
    pub token: Option<SecretString>,
}

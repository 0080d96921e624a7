//! The parts of the public service. Each step adds its own functions, in the file of that step.

use std::sync::{Arc, LazyLock};

use bytes::Bytes;

use super::{access::Access, live::LiveListeners};
use crate::{
    pipeline::{Faces, Instances},
    representation::Renderer,
    server::HeaderBlock,
    telemetry::Metrics,
};

/// The public routes in OpenAPI 3.1, made when they are first asked for.
pub(crate) type OpenApi = LazyLock<Bytes, Box<dyn FnOnce() -> Bytes + Send>>;

/// The public service.
#[derive(Debug)]
pub(crate) struct Public {
    pub(crate) faces: Faces,
    pub(crate) instances: Instances,
    pub(crate) access: Arc<Access>,
    pub(crate) listeners: LiveListeners,
    pub(crate) renderer: Renderer,
    /// The headers that let pages of other origins read a reply.
    pub(crate) cross_origin: HeaderBlock,
    /// An HTML page for `/`.
    pub(crate) home: Option<Bytes>,
    pub(crate) openapi: OpenApi,
    pub(crate) metrics: Metrics,
}

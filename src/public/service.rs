//! The parts of the public service. Each step adds its own functions, in the file of that step.

use std::sync::LazyLock;

use bytes::Bytes;

use super::access::Access;
use crate::{
    pipeline::{Faces, Instances},
    representation::Renderer,
    telemetry::Metrics,
};

/// The public service.
#[derive(Debug)]
pub(crate) struct Public {
    pub(crate) faces: Faces,
    pub(crate) instances: Instances,
    pub(crate) access: Access,
    pub(crate) renderer: Renderer,
    /// An HTML page for `/`.
    pub(crate) home: Option<Bytes>,
    /// The public routes in OpenAPI 3.1, serialized once.
    pub(crate) openapi: &'static LazyLock<String>,
    pub(crate) metrics: Metrics,
}

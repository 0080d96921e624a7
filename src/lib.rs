//! Faceplate: a self-hosted, avatar-caching reverse proxy in front of WhatsApp-gateway picture APIs.

pub mod app;
pub mod avatar;
pub mod clock;
pub mod config;
pub mod http;
pub mod images;
pub mod limits;
pub mod pipeline;
pub mod server;
pub mod store;
pub mod telemetry;
pub mod upstream;

//! Faceplate: a self-hosted, avatar-caching reverse proxy in front of WhatsApp-gateway picture APIs.

pub mod clock;
pub mod emulator;
pub mod server;

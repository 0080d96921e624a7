//! Faceplate: a self-hosted, avatar-caching reverse proxy in front of WhatsApp-gateway picture APIs.
//!
//! The rooms, from what can be run down to what is known. A room uses only rooms on lower floors;
//! `tests/it/tidy.rs` sees to it.
//!
//! | floor | room | what it is for |
//! | --- | --- | --- |
//! | 7 | [`cli`] | what can be run |
//! | 6 | [`app`] | joins the parts |
//! | 5 | [`config`], [`emulator`] | the operator's words; the vendors, acted |
//! | 4 | [`http`] | what HTTP means here |
//! | 3 | [`pipeline`] | one face, found or fetched |
//! | 2 | [`store`], [`upstream`], [`limits`], [`images`], [`server`] | the mechanisms |
//! | 1 | [`avatar`] | nouns and verdicts, pure |
//! | 0 | [`clock`], [`telemetry`] | the time, and how to tell what happens |

pub mod app;
pub mod avatar;
pub mod cli;
pub mod clock;
pub mod config;
pub mod emulator;
pub mod http;
pub mod images;
pub mod limits;
pub mod pipeline;
pub mod server;
pub mod store;
pub mod telemetry;
pub mod upstream;

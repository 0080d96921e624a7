//! Faceplate: a self-hosted, avatar-caching reverse proxy in front of WhatsApp-gateway picture APIs.
//!
//! The modules, from the commands down to the basics. A module uses only modules on lower floors;
//! `tests/it/tidy.rs` checks it, and `ARCHITECTURE.md` explains it.
//!
//! | floor | module | purpose |
//! | --- | --- | --- |
//! | 9 | [`cli`] | the commands |
//! | 8 | [`app`] | builds all parts and joins them |
//! | 7 | [`config`], [`emulator`] | reading the configuration; the emulated vendors |
//! | 6 | [`front`] | which service a request is for |
//! | 5 | [`public`], [`compat`], [`pass_through`], [`admin`], [`hooks`] | the services: faces by URL, the vendors' own picture calls, the rest of their APIs, the operator's API, webhooks |
//! | 4 | [`representation`] | a face as a response |
//! | 3 | [`pipeline`], [`http`] | one face, looked up or fetched; the HTTP protocol without faces |
//! | 2 | [`store`], [`upstream`], [`limits`], [`images`], [`server`] | the mechanisms: cache, vendors, budgets, images, sockets |
//! | 1 | [`avatar`], [`in_flight`], [`telemetry`] | the domain, pure; the budget of bytes in flight; log, metrics, traces |
//! | 0 | [`clock`], [`hex`], [`sync`] | time, hexadecimal text, locks |

pub mod admin;
pub mod app;
pub mod avatar;
pub mod cli;
pub mod clock;
pub mod compat;
pub mod config;
pub mod emulator;
pub mod front;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
pub mod hex;
pub mod hooks;
pub mod http;
pub mod images;
pub mod in_flight;
pub mod limits;
pub mod pass_through;
pub mod pipeline;
pub mod public;
pub mod representation;
pub mod server;
pub mod store;
pub mod sync;
pub mod telemetry;
pub mod upstream;

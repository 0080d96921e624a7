//! Faceplate: a self-hosted, avatar-caching reverse proxy in front of WhatsApp-gateway picture APIs.
//!
//! The modules, from the commands down to the basics. A module uses only modules on lower floors;
//! `tests/it/tidy.rs` checks it, and `ARCHITECTURE.md` explains it.
//!
//! | floor | module | purpose |
//! | --- | --- | --- |
//! | 10 | [`cli`] | the commands |
//! | 9 | [`app`] | builds all parts and joins them |
//! | 8 | [`config`], [`emulator`] | reading the configuration; the emulated vendors |
//! | 7 | [`front`] | which service a request is for |
//! | 6 | [`public`], [`compat`], [`pass_through`], [`admin`], [`hooks`] | the services: faces by URL, the vendors' own picture calls, the rest of their APIs, the operator's API, webhooks |
//! | 5 | [`representation`] | a face as a response |
//! | 4 | [`pipeline`], [`http`] | one face, looked up or fetched; the HTTP protocol without faces |
//! | 3 | [`fleet`] | faces and budgets that several replicas share through Redis |
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
pub mod fleet;
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

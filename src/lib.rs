//! Faceplate: a self-hosted, avatar-caching reverse proxy in front of WhatsApp-gateway picture APIs.
//!
//! The rooms, from what can be run down to what is known. A room uses only rooms on lower floors;
//! `tests/it/tidy.rs` sees to it.
//!
//! | floor | room | what it is for |
//! | --- | --- | --- |
//! | 9 | [`cli`] | what can be run |
//! | 8 | [`app`] | joins the parts |
//! | 7 | [`config`], [`emulator`] | the operator's words; the vendors, acted |
//! | 6 | [`front`] | which service a request is for |
//! | 5 | [`public`], [`compat`], [`admin`], [`hooks`] | the services: faces by URL, the vendors' own calls, the operator's routes, webhooks |
//! | 4 | [`representation`] | a face as bytes and headers |
//! | 3 | [`pipeline`], [`http`] | one face, found or fetched; the HTTP protocol, without a face in it |
//! | 2 | [`store`], [`upstream`], [`limits`], [`images`], [`server`] | the mechanisms |
//! | 1 | [`avatar`], [`in_flight`] | nouns and verdicts, pure; the budget of bytes under way |
//! | 0 | [`clock`], [`hex`], [`sync`], [`telemetry`] | the time, hexadecimal text, locks, and how to tell what happens |

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
pub mod pipeline;
pub mod public;
pub mod representation;
pub mod server;
pub mod store;
pub mod sync;
pub mod telemetry;
pub mod upstream;

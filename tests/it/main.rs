//! The black-box tests: one program with a module for each behavior. All use the fixtures in `support`.

#![allow(clippy::unwrap_used)]

mod support;

mod access;
mod account_safety;
mod archive;
mod browser;
mod budget;
mod cache_cli;
mod cli;
mod cli_docs;
mod clients;
mod conditional;
mod configuration_docs;
mod damage;
mod dashboard;
mod deploy;
mod disk_trouble;
mod doctor;
mod dropin;
mod emulator;
mod exactness;
mod fast_path;
mod fault_matrix;
mod forget;
mod freshness;
mod frontend;
mod guard;
mod histories;
mod hostile_clients;
mod http;
mod kill;
mod knobs;
mod licenses;
mod logs;
mod look_ups;
mod maintenance;
mod metrics;
mod picture_kinds;
mod placeholders;
mod providers;
mod purge;
mod reload;
mod signing_docs;
mod single_flight;
mod sizes;
mod sockets;
mod tidy;
mod tls;
mod traces;
mod two_hops;
mod untrusted_bytes;
mod vendor_samples;
mod warm;
mod webhooks;

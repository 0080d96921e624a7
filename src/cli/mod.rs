//! The command line: a file for each command.
//!
//! # Files
//!
//! * `serve`: `faceplate serve`
//! * `demo`: `faceplate demo`, and its gallery
//! * `emulate`: `faceplate emulate`
//! * `check`: `faceplate check`
//! * `init`: `faceplate init`
//! * `config`: `faceplate config`
//! * `doctor`: `faceplate doctor`: checks of disk, network and vendors
//! * `providers`: `faceplate providers`
//! * `face`: `faceplate face`
//! * `sign`: `faceplate sign`
//! * `warm`: `faceplate warm`
//! * `cache`: `faceplate cache`: reports, export, rename, forget
//! * `healthcheck`: `faceplate healthcheck`
//! * `licenses`: `faceplate licenses`
//! * `config_arg`: the argument `--config`
//! * `admin_client`: requests to the admin listener of a running server
//! * `output`: printing that survives a closed pipe
//! * `progress`: the progress line
//! * `stop_signals`: SIGTERM and SIGINT

// These macros panic when their reader is gone; `output` has others.
#![warn(clippy::print_stdout, clippy::print_stderr)]

mod admin_client;
mod cache;
mod check;
mod config;
mod config_arg;
mod demo;
mod doctor;
mod emulate;
mod face;
mod healthcheck;
mod init;
mod licenses;
mod output;
mod progress;
mod providers;
mod serve;
mod sign;
mod stop_signals;
mod warm;

use std::{process::ExitCode, time::Duration};

use clap::{CommandFactory, Parser, Subcommand};
use rustix::fs::Mode;

use config_arg::ConfigArg;
use output::note;

use crate::telemetry::log_writer;

/// A self-hosted, avatar-caching reverse proxy in front of WhatsApp-gateway picture APIs.
#[derive(Debug, Parser)]
#[command(version, arg_required_else_help = true)]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the proxy.
    Serve(ConfigArg),
    /// Run emulated vendors, the proxy and a gallery page on this machine.
    Demo(demo::Args),
    /// Run only the emulated vendors.
    Emulate(emulate::Args),
    /// Check the configuration, and report every problem at once.
    Check(ConfigArg),
    /// Print a configuration for a gateway, with a comment for every key.
    Init(init::Args),
    /// Print every value of the configuration that counts, with its origin. Secrets are not shown.
    Config(config::Args),
    /// Try everything that the configuration needs: cache, disk, DNS, credentials, sessions, clock.
    Doctor(doctor::Args),
    /// List the gateways that can be used, or print the description of one.
    Providers(providers::Args),
    /// Show one face in the running server: its record, the headers that a request gets, and why. Asks no vendor.
    Face(face::Args),
    /// Print a signed URL.
    Sign(sign::Args),
    /// Fetch many faces in advance, within the instance's budget.
    Warm(warm::Args),
    /// Inspect the cache directory, and maintain it. Safe while a server runs.
    Cache(cache::Args),
    /// Send a request to /readyz of a running server, for container probes.
    Healthcheck(healthcheck::Args),
    /// Print the licenses of all software and fonts in this program.
    Licenses,
}

/// The most threads that wait for the disk. Each thread that was ever busy keeps a megabyte of memory, and no
/// disk serves more requests at once.
const BLOCKING_THREADS: usize = 32;

/// How long the end of the process waits for these threads. An entry that was reported as stored is on disk, and work that a
/// disk holds up for longer may never end.
const LAST_WAIT: Duration = Duration::from_secs(1);

/// The command line as data, for `docs/cli.md`.
pub fn command() -> clap::Command {
    Args::command()
}

/// Runs the command that this process was called with.
pub fn run() -> ExitCode {
    let command = Args::parse().command;
    // With transparent huge pages, freed image buffers would stay resident in units of two megabytes. A kernel
    // without that feature returns an error, which changes nothing.
    let _ = rustix::thread::disable_transparent_huge_pages(true);
    // Files of the cache have phone numbers and pictures of people: they are this user's alone.
    let umask = rustix::process::umask(Mode::RWXG | Mode::RWXO);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .max_blocking_threads(BLOCKING_THREADS)
        .build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => {
            return failed(&format!(
                "cannot start the threads: {error}; check the limits of processes and memory"
            ));
        }
    };
    let result = runtime.block_on(async {
        match command {
            Command::Serve(args) => serve::run(&args.config, umask).await,
            Command::Demo(args) => demo::run(args).await,
            Command::Emulate(args) => emulate::run(args).await,
            Command::Check(args) => check::run(&args).await,
            Command::Init(args) => init::run(&args),
            Command::Config(args) => config::run(&args),
            Command::Doctor(args) => doctor::run(args).await,
            Command::Providers(args) => providers::run(&args),
            Command::Face(args) => face::run(args).await,
            Command::Sign(args) => sign::run(&args),
            Command::Warm(args) => warm::run(args).await,
            Command::Cache(args) => cache::run(args).await,
            Command::Healthcheck(args) => healthcheck::run(args).await,
            Command::Licenses => licenses::run(),
        }
    });
    log_writer::flush();
    runtime.shutdown_timeout(LAST_WAIT);
    match result.and_then(|()| output::finish()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => failed(&message),
    }
}

fn failed(message: &str) -> ExitCode {
    for line in message.lines() {
        note!("faceplate: {line}");
    }
    ExitCode::FAILURE
}

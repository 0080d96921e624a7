//! The command line: one file a command, each a list of what happens.

mod admin_client;
mod cache;
mod check;
mod demo;
mod doctor;
mod emulate;
mod healthcheck;
mod serve;
mod sign;
mod warm;

use std::{path::PathBuf, process::ExitCode};

use clap::{Parser, Subcommand};
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::{
    config::{self, Config},
    telemetry::log_writer,
};

/// Where the configuration is looked for.
const CONFIG: &str = "config/faceplate.toml";

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
    /// Show it all on this machine: emulated vendors, the proxy, and a gallery to look at.
    Demo(demo::Args),
    /// Run the vendors' emulator alone.
    Emulate(emulate::Args),
    /// Check the configuration, and tell every problem at once.
    Check(ConfigArg),
    /// Try what the configuration needs: cache, disk, DNS, credentials, sessions, clock.
    Doctor(doctor::Args),
    /// Print a signed URL.
    Sign(sign::Args),
    /// Fetch many faces ahead, inside the instance's budget.
    Warm(warm::Args),
    /// Look at the cache directory, and tend it. Safe while a server runs.
    Cache(cache::Args),
    /// Ask a running server's /readyz, for container probes.
    Healthcheck(healthcheck::Args),
}

#[derive(Debug, clap::Args)]
struct ConfigArg {
    /// The configuration file.
    #[arg(long, default_value = CONFIG, value_name = "FILE", global = true)]
    config: PathBuf,
}

/// Threads that may wait for the disk at once. Each that was ever busy keeps a megabyte of memory, and
/// no disk serves more requests at once.
const BLOCKING_THREADS: usize = 32;

/// Runs the command that this process was called with.
pub fn run() -> ExitCode {
    let command = Args::parse().command;
    // What images are made in would stay resident by the two megabytes. A kernel without them has nothing
    // to be told.
    let _ = rustix::thread::disable_transparent_huge_pages(true);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .max_blocking_threads(BLOCKING_THREADS)
        .build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => return failed(&format!("cannot start the runtime: {error}")),
    };
    let done = runtime.block_on(async {
        match command {
            Command::Serve(args) => serve::run(&args.config).await,
            Command::Demo(args) => demo::run(args).await,
            Command::Emulate(args) => emulate::run(args).await,
            Command::Check(args) => check::run(&args),
            Command::Doctor(args) => doctor::run(args).await,
            Command::Sign(args) => sign::run(&args),
            Command::Warm(args) => warm::run(args).await,
            Command::Cache(args) => cache::run(args).await,
            Command::Healthcheck(args) => healthcheck::run(args).await,
        }
    });
    log_writer::flush();
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => failed(&message),
    }
}

fn failed(message: &str) -> ExitCode {
    for line in message.lines() {
        eprintln!("faceplate: {line}");
    }
    ExitCode::FAILURE
}

impl ConfigArg {
    fn load(&self) -> Result<Config, String> {
        config::from_file(&self.config).map_err(|problems| problems.to_string())
    }
}

/// SIGTERM and SIGINT, heard from the moment this exists.
struct StopSignals {
    terminate: Signal,
    interrupt: Signal,
}

impl StopSignals {
    fn listen() -> Result<Self, String> {
        let on = |kind| signal(kind).map_err(|error| format!("cannot listen for signals: {error}"));
        Ok(Self {
            terminate: on(SignalKind::terminate())?,
            interrupt: on(SignalKind::interrupt())?,
        })
    }

    /// Returns when this process is told to stop.
    async fn received(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

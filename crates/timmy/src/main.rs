//! The timmy program: the command line and the wiring.

#![cfg_attr(
    test,
    allow(clippy::unwrap_used, reason = "a test stops at the first surprise")
)]

mod cli;
mod commands;
mod config;
mod connection;
mod error_pages;
mod home;
mod host;
mod named_workflow;
mod output;
mod tmux;
mod toolchains;

use std::io;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use timmy_core::ExitStatus;
use timmy_core::Problem;
use tracing_subscriber::EnvFilter;

use crate::cli::Cli;

/// How long what is still being written may take once the command has ended.
const LAST_WRITES: Duration = Duration::from_secs(1);

fn main() -> ExitCode {
    // Before anything else: inside the sandbox this program is only the one that applies it.
    timmy_sandbox::run_inner_helper_if_asked();
    let cli = Cli::parse();
    start_diagnostics();
    // One TLS implementation for the whole process; a second installation changes nothing.
    drop(rustls::crypto::ring::default_provider().install_default());
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let ended = match runtime {
        Ok(runtime) => {
            let ended = runtime.block_on(commands::run(&cli));
            // A thread that hangs in a file system never comes back; one that writes does.
            runtime.shutdown_timeout(LAST_WRITES);
            ended
        }
        Err(error) => Err(Problem::new(
            timmy_core::Code::new(109),
            ExitStatus::Internal,
            "the program cannot start its runtime",
        )
        .at(error.to_string())
        .fix("check the limits on threads and open files (ulimit -a)")),
    };
    match ended {
        Ok(status) => ExitCode::from(status as u8),
        Err(problem) => {
            tell(&cli, &problem);
            ExitCode::from(problem.exit as u8)
        }
    }
}

/// Diagnostics for people who look into timmy itself: `RUST_LOG=timmy_forge=debug`.
fn start_diagnostics() {
    if std::env::var_os("RUST_LOG").is_none() {
        return;
    }
    let filter = EnvFilter::from_default_env();
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .init();
}

fn tell(cli: &Cli, problem: &Problem) {
    if cli.json {
        let told = serde_json::json!({ "error": problem });
        if output::json(&told).is_ok() {
            return;
        }
    }
    output::talk(&problem.to_string());
    output::talk(&format!("  more:  timmy explain {}", problem.code));
}

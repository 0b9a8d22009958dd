//! The `sweep` command: reads arguments, calls the libraries, prints what they return.
//!
//! Reading order: `args` (what can be typed), `exit` (exit codes), `load` (sweep file → plan), `run` (the main command), then
//! one small module per other command.

#[expect(clippy::doc_markdown, reason = "help texts are read in a terminal")]
mod args;
mod change;
mod check;
mod choose;
mod client;
mod config;
mod data;
mod doctor;
mod exit;
mod home;
mod inputs;
mod inspect;
mod live;
mod load;
mod losses;
mod out;
mod plan;
mod progress;
mod report;
mod run;
mod serve;
mod source;
mod stopping;
mod stored;
mod submit;
mod trainers;
mod watch;
mod weights;
mod work;

use std::process::ExitCode;

use anyhow::Result;
use clap::{CommandFactory, Parser};

use crate::args::{Cli, Command};
use crate::exit::Ended;

fn main() -> ExitCode {
    let cli = Cli::parse();
    log_to_stderr(cli.global.verbose);
    tls();
    match command(&cli) {
        Ok(ended) => ended.into(),
        Err(error) => {
            eprintln!("error: {}", exit::text(&error));
            exit::code(&error)
        }
    }
}

fn command(cli: &Cli) -> Result<Ended> {
    let global = &cli.global;
    match &cli.command {
        Command::Run(args) => run::run(args, global),
        Command::Plan(args) => plan::plan(args, global),
        Command::Check(args) => check::check(args),
        Command::List(args) => inspect::list(args, global),
        Command::Status(args) => inspect::status(args, global),
        Command::Runs(args) => inspect::runs(args, global),
        Command::Curves(args) => inspect::curves(args, global),
        Command::Logs(args) => inspect::logs(args, global),
        Command::Compare(args) => report::compare(args, global),
        Command::Report(args) => report::report(args, global),
        Command::Choose(args) => choose::choose(args, global),
        Command::Export(args) => report::export(args, global),
        Command::Retry(args) => change::retry(args, global),
        Command::Cancel(args) => change::cancel(args, global),
        Command::Pause(args) => change::pause(args, global),
        Command::Resume(args) => change::resume(args, global),
        Command::Priority(args) => change::priority(args, global),
        Command::Submit(args) => submit::submit(args, global),
        Command::Coordinator(args) => serve::coordinator(args, global),
        Command::Worker(args) => work::worker(args, global),
        Command::Watch(args) => watch::watch(args, global),
        Command::Losses(args) => losses::losses(args),
        Command::Data(command) => data::data(command, global),
        Command::Doctor(args) => doctor::doctor(args, global),
        Command::Completions { shell } => completions(*shell),
    }
}

fn completions(shell: clap_complete::Shell) -> Result<Ended> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "sweep", &mut script);
    out::text(&String::from_utf8_lossy(&script))?;
    Ok(Ended::Done)
}

/// Lets HTTPS and `rediss://` use the one set of ciphers that is compiled in.
fn tls() {
    // An error says that it has been done.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// `SWEEP_LOG` takes a filter as `tracing` knows it; else warnings, or more with `-v`.
fn log_to_stderr(verbose: u8) {
    let level = ["warn", "info", "debug"][usize::from(verbose.min(2))];
    let filter = tracing_subscriber::EnvFilter::try_from_env("SWEEP_LOG");
    let filter = filter.unwrap_or_else(|_| tracing_subscriber::EnvFilter::new(level));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_target(false)
        .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()))
        .init();
}

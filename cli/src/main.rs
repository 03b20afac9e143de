//! `transfer`: train an image classifier on your own photographs, see how good it is, and use it.
//!
//! All that computes is the library's; here are arguments, progress bars, formats and exit codes. Results go
//! to standard output, everything else to standard error.

mod args;
mod check;
mod check_args;
mod device;
mod evaluate;
mod files;
mod formats;
mod grouping;
mod html_report;
mod left_out;
mod multi_label;
mod output;
mod predict;
mod recipe;
mod screen;
mod serve;
mod serve_args;
mod show;
mod sort;
mod sort_args;
mod stop;
mod train;
mod values;

use std::process::ExitCode;

use args::{Command, Program};
use clap::Parser;

/// How a command ended, where it did not simply succeed.
enum Failure {
    /// Something could not be done.
    Error(String),
    /// Some files could not be used; each was named already.
    SomeFiles,
    /// A signal asked for the end; the text says how to go on, where there is a way.
    Interrupted(String),
    /// Whoever reads standard output has gone, as `head` does.
    ReaderGone,
}

type Result<T, E = Failure> = std::result::Result<T, E>;

impl From<transfer::Error> for Failure {
    fn from(error: transfer::Error) -> Self {
        match error {
            transfer::Error::Interrupted(text) => Failure::Interrupted(text),
            other => Failure::Error(other.to_string()),
        }
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        match error.kind() {
            std::io::ErrorKind::BrokenPipe => Failure::ReaderGone,
            _ => Failure::Error(format!("cannot write the results: {error}")),
        }
    }
}

/// The exit code of a command that failed; those of signals are in `stop.rs`, and `--help` tells them all.
const FAILED: u8 = 1;

fn main() -> ExitCode {
    // Wrong usage ends here, with exit code 2.
    let program = Program::parse();
    screen::set_up(program.quiet);
    transfer::environment::unknown().iter().for_each(|line| screen::say(line));
    if let Err(error) = transfer::environment::check() {
        screen::say(&format!("error: {error}"));
        return ExitCode::from(FAILED);
    }
    stop::listen(match program.command {
        Command::Train(_) => stop::Keeps::Checkpoint,
        _ => stop::Keeps::Nothing,
    });
    let outcome = match program.command {
        Command::Train(arguments) => train::train(&arguments),
        Command::Check(arguments) => check::check(&arguments),
        Command::Evaluate(arguments) => evaluate::evaluate(&arguments),
        Command::Predict(arguments) => predict::predict(&arguments),
        Command::Sort(arguments) => sort::sort(&arguments),
        Command::Serve(arguments) => serve::serve(&arguments),
        Command::Export(arguments) => show::export(&arguments),
        Command::Summary(arguments) => show::summary(&arguments),
    };
    screen::close();
    match outcome {
        Ok(()) | Err(Failure::ReaderGone) => ExitCode::SUCCESS,
        Err(Failure::SomeFiles) => ExitCode::from(FAILED),
        Err(Failure::Error(text)) => {
            screen::say(&format!("error: {text}"));
            ExitCode::from(FAILED)
        }
        Err(Failure::Interrupted(text)) => {
            screen::say(&text);
            ExitCode::from(stop::code())
        }
    }
}

//! `transfer`: train an image classifier on your own photographs, see how good it is, and use it.
//!
//! All that computes is the library's; here are arguments, progress bars, formats and exit codes. Results go
//! to standard output, everything else to standard error.

mod args;
mod evaluate;
mod files;
mod formats;
mod left_out;
mod output;
mod predict;
mod recipe;
mod screen;
mod show;
mod stop;
mod train;

use std::process::ExitCode;

use args::{Command, Program};
use clap::Parser;

/// How a command ended, where it did not simply succeed.
enum Failure {
    /// Something could not be done.
    Error(String),
    /// Some files could not be used; each was named already.
    SomeFiles,
    /// Somebody pressed Ctrl-C; the text says how to go on.
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

/// Exit codes, as `--help` tells them.
const FAILED: u8 = 1;
const INTERRUPTED: u8 = 130;

fn main() -> ExitCode {
    // Wrong usage ends here, with exit code 2.
    let program = Program::parse();
    screen::set_up(program.quiet);
    let outcome = match program.command {
        Command::Train(arguments) => train::train(&arguments),
        Command::Evaluate(arguments) => evaluate::evaluate(&arguments),
        Command::Predict(arguments) => predict::predict(&arguments),
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
            ExitCode::from(INTERRUPTED)
        }
    }
}

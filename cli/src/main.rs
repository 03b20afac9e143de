//! `transfer`: train an image classifier on your own photographs, see how good it is, and use it.
//!
//! All that computes is the library's; here are arguments, progress bars, formats and exit codes. Results go
//! to standard output, everything else to standard error.

mod args;
mod bases;
mod check;
mod check_args;
mod device;
mod evaluate;
mod export;
mod export_args;
mod features;
mod files;
mod formats;
mod grouping;
mod html_report;
mod left_out;
mod multi_label;
mod neighbours;
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
mod team;
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
    let membership = match team::Membership::join() {
        Ok(membership) => membership,
        Err(error) => {
            screen::say(&format!("error: {error}"));
            return ExitCode::from(FAILED);
        }
    };
    let code = run(program);
    membership.end(code);
    ExitCode::from(code)
}

/// Does what was asked for, and tells the exit code.
fn run(program: Program) -> u8 {
    if !team::is_first() {
        screen::be_quiet();
    }
    transfer::environment::unknown().iter().for_each(|line| screen::say(line));
    if let Err(error) = transfer::environment::check() {
        screen::say(&format!("error: {error}"));
        return FAILED;
    }
    // The others are done in a moment, or write what one process has to write.
    let shared = matches!(program.command, Command::Train(_) | Command::Evaluate(_) | Command::Predict(_));
    if !shared && !team::is_first() {
        return 0;
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
        Command::Export(arguments) => export::export(&arguments),
        Command::Summary(arguments) => show::summary(&arguments),
        Command::Bases(arguments) => bases::bases(&arguments),
    };
    screen::close();
    match outcome {
        Ok(()) | Err(Failure::ReaderGone) => 0,
        Err(Failure::SomeFiles) => FAILED,
        Err(Failure::Error(text)) => {
            match team::team() {
                Some(team) => screen::say(&format!("error in process {}: {text}", team.rank())),
                None => screen::say(&format!("error: {text}")),
            }
            FAILED
        }
        Err(Failure::Interrupted(text)) => {
            if team::is_first() {
                screen::say(&text);
            }
            stop::code()
        }
    }
}

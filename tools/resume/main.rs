//! A training to be killed: `resume make FOLDER` draws its pictures, `resume train FOLDER CHECKPOINTS` trains
//! and says a digest of what came of it; `resume train FOLDER` does so without checkpoints.
//!
//! `cargo xtask resume` kills it at random moments, starts it again, and compares digests.

#[path = "../../crate/tests/common/scenario.rs"]
mod scenario;

use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match words.as_slice() {
        ["make", folder] => {
            scenario::pictures(Path::new(folder), 0).map_err(|e| e.to_string()).map(|()| "made".to_owned())
        }
        ["train", folder] => train(folder, None),
        ["train", folder, checkpoints] => train(folder, Some(checkpoints)),
        other => Err(format!("expected `make FOLDER` or `train FOLDER [CHECKPOINTS]`. Received: {other:?}")),
    };
    match done {
        Ok(line) => {
            println!("{line}");
            ExitCode::SUCCESS
        }
        Err(text) => {
            eprintln!("error: {text}");
            ExitCode::FAILURE
        }
    }
}

fn train(folder: &str, checkpoints: Option<&str>) -> Result<String, String> {
    let digest = scenario::train(Path::new(folder), checkpoints.map(Path::new)).map_err(|e| e.to_string())?;
    Ok(format!("digest {digest}"))
}

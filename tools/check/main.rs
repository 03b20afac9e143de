//! How well `check_photographs` finds what is wrong: duplicates and wrong labels are planted among real photographs.
//!
//! ```text
//! cargo run --release -p transfer-tools --bin check-measure -- duplicates FOLDER
//! cargo run --release -p transfer-tools --bin check-measure -- labels FOLDER
//! cargo run --release -p transfer-tools --bin check-measure -- leaks FOLDER
//! cargo run --release -p transfer-tools --bin check-measure -- size FOLDER 20000
//! cargo run --release -p transfer-tools --bin check-measure -- many FOLDER 20000 [ALL_PAIRS_UP_TO]
//! ```
//!
//! FOLDER holds class folders: the `train` folder of the cats and dogs. Nothing is written there.

mod duplicates;
mod labels;
mod many;
mod plant;
mod size;

use std::path::Path;
use std::process::ExitCode;

type Result<T, E = Box<dyn std::error::Error>> = std::result::Result<T, E>;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match words[..] {
        ["duplicates", folder] => duplicates::within(Path::new(folder)),
        ["leaks", folder] => duplicates::across(Path::new(folder)),
        ["labels", folder] => labels::planted(Path::new(folder)),
        ["size", folder, n] => {
            n.parse().map_err(Into::into).and_then(|n| size::measure(Path::new(folder), n))
        }
        ["many", folder, n] => {
            n.parse().map_err(Into::into).and_then(|n| many::measure(Path::new(folder), n, None))
        }
        ["many", folder, n, up_to] => n
            .parse()
            .and_then(|n| Ok((n, up_to.parse()?)))
            .map_err(Into::into)
            .and_then(|(n, up_to)| many::measure(Path::new(folder), n, Some(up_to))),
        _ => Err(
            "expected `duplicates`, `leaks` or `labels` and a folder, or `size` or `many`, a folder and a \
                  number"
                .into(),
        ),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

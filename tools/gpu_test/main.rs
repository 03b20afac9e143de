//! What `cargo xtask gpu-test` takes to a machine with a GPU: everything that can be checked there alone.
//!
//! ```text
//! gpu-test prepare FOLDER             weights, reference values and photographs for another machine
//! gpu-test check   FOLDER OUT [cpu]   every check; writes OUT/checks.json, fails where one fails
//! gpu-test ops     FOLDER OUT [cpu]   of these, each op against the CPU only (quick: for compute-sanitizer)
//! gpu-test serve   FOLDER [cpu]       times steps and forward passes, one for each line of input
//! ```
//!
//! With `cpu` the CPU is checked in place of a GPU, which tells whether this program works. `bench.py` is
//! what talks to `serve`, and `run.sh` what is run on the other machine.

mod goldens;
mod ops;
mod prepare;
mod report;
mod serve;
mod training;

use std::path::Path;
use std::process::ExitCode;

use transfer::Device;

/// Errors are for a person to read.
type Result<T, E = Box<dyn std::error::Error>> = std::result::Result<T, E>;

/// What `run.sh` tells a missing GPU by.
const NO_CARD: u8 = 3;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let (words, on_cpu) = match words.split_last() {
        Some((&"cpu", rest)) => (rest, true),
        _ => (&words[..], false),
    };
    let outcome = match words {
        ["prepare", folder] => prepare::prepare(Path::new(folder)),
        [what @ ("check" | "ops"), folder, out] => match device(on_cpu) {
            Ok(device) => check(&device, *what == "ops", Path::new(folder), Path::new(out)),
            Err(e) => return no_card(&e),
        },
        ["serve", folder] => match device(on_cpu) {
            Ok(device) => serve::serve(&device, Path::new(folder)),
            Err(e) => return no_card(&e),
        },
        _ => Err("expected prepare, check, ops or serve; the first lines of this file say more".into()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("error: {e}");
            ExitCode::FAILURE
        }
    }
}

fn device(on_cpu: bool) -> transfer::Result<Device> {
    if on_cpu {
        Device::cpu()
    } else {
        Device::cuda()
    }
}

fn no_card(e: &transfer::Error) -> ExitCode {
    eprintln!("error: {e}");
    ExitCode::from(NO_CARD)
}

fn check(device: &Device, ops_only: bool, folder: &Path, out: &Path) -> Result<()> {
    // On a GPU, getting the device has found the address of a tensor and tested it.
    println!("checking {device}");
    let mut report = report::Report::new(device);
    ops::check(device, &mut report)?;
    if !ops_only {
        goldens::check(device, folder, &mut report)?;
        training::check(device, folder, &mut report)?;
    }
    report.write(out)
}

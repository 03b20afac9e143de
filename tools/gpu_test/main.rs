//! What `cargo xtask gpu-test` takes to a machine with a GPU: everything that can be checked there alone.
//!
//! ```text
//! gpu-test prepare   FOLDER             weights, reference values and photographs for another machine
//! gpu-test preflight FOLDER OUT [cpu]   finds the GPU, compiles the kernels, computes something
//! gpu-test ops       FOLDER OUT [cpu]   each op against the CPU
//! gpu-test ops-few   FOLDER OUT [cpu]   some of them, and steps of a small network (quick: for compute-sanitizer)
//! gpu-test goldens   FOLDER OUT [cpu]   features, losses and gradients against Keras
//! gpu-test training  FOLDER OUT [cpu]   both phases on photographs, twice, and what is done with a model
//! gpu-test serve     FOLDER [cpu]       times steps and forward passes, one for each line of input
//! ```
//!
//! Each check is a line of OUT/checks.jsonl. With `cpu` the CPU is checked in place of a GPU, which tells whether this
//! program works. `bench.py` is what talks to `serve`, and `run.sh` what is run on the other machine.

mod goldens;
mod ops;
mod prepare;
mod report;
mod serve;
mod training;

use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use report::Report;
use serde_json::json;
use transfer::Device;

/// Errors are for a person to read.
type Result<T, E = Box<dyn std::error::Error>> = std::result::Result<T, E>;

/// What a missing GPU is told by.
const NO_CARD: u8 = 3;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let (words, on_cpu) = match words.split_last() {
        Some((&"cpu", rest)) => (rest, true),
        _ => (&words[..], false),
    };
    let start = Instant::now();
    let device = || if on_cpu { Device::cpu() } else { Device::cuda(0) };
    let outcome = match words {
        ["prepare", folder] => prepare::prepare(Path::new(folder)),
        [part @ ("preflight" | "ops" | "ops-few" | "goldens" | "training"), folder, out] => match device() {
            Ok(device) => {
                check(part, &device, start.elapsed().as_secs_f64(), Path::new(folder), Path::new(out))
            }
            Err(e) => return no_card(&e),
        },
        ["serve", folder] => match device() {
            Ok(device) => serve::serve(&device, Path::new(folder)),
            Err(e) => return no_card(&e),
        },
        _ => {
            Err("expected prepare, preflight, ops, ops-few, goldens, training or serve; the first lines of \
                  tools/gpu_test/main.rs say more"
                .into())
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("error: {e}");
            ExitCode::FAILURE
        }
    }
}

fn no_card(e: &transfer::Error) -> ExitCode {
    eprintln!("error: {e}");
    ExitCode::from(NO_CARD)
}

fn check(part: &str, device: &Device, seconds: f64, folder: &Path, out: &Path) -> Result<()> {
    // On a GPU, getting the device has found the address of a tensor and tested it.
    println!("checking {device}");
    match part {
        "preflight" => {
            let mut report = Report::open("preflight", out)?;
            report.remark("device", json!(device.to_string()))?;
            report.remark("version", json!(env!("CARGO_PKG_VERSION")))?;
            report.remark("finding the GPU and compiling the kernels, seconds", json!(seconds))?;
            ops::few(device, &mut report)?;
            report.finish()
        }
        "goldens" => {
            let mut report = Report::open("goldens", out)?;
            goldens::check(device, folder, &mut report)?;
            report.finish()
        }
        "training" => {
            let mut report = Report::open("training", out)?;
            training::check(device, folder, &mut report)?;
            report.finish()
        }
        "ops-few" => {
            let mut report = Report::open("ops-few", out)?;
            ops::few(device, &mut report)?;
            training::steps(device, folder, &mut report)?;
            report.finish()
        }
        _ => {
            let mut report = Report::open("ops", out)?;
            ops::check(device, &mut report)?;
            report.finish()
        }
    }
}

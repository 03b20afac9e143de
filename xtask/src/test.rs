//! `cargo xtask test`: what continuous integration runs. Every step runs, also after a failed one.

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use crate::process::{command, run, run_watched, Output};
use crate::project::{Project, LANGUAGES};
use crate::skipped::{self, Skipped};
use crate::step::duration;
use crate::{check_targets, disk, mpi, notebook, python, Result};

struct Outcome {
    name: String,
    seconds: f64,
    failure: Option<String>,
}

/// The library and the program with ONNX files; all steps but those for GPUs have the same features, so that everything is
/// compiled once.
const WITH_ONNX: [&str; 2] = ["--features", "transfer-cli/onnx"];

/// GiB that the checkout has after a first run of everything.
const DISK: f64 = 10.0;

/// Runs everything; an error where anything failed.
pub fn all() -> Result<()> {
    let project = Project::find()?;
    if let Some(line) = disk::too_full(&project.root, DISK) {
        println!("note: {line}. The first run in a new checkout writes about {DISK:.0} GiB.");
    }
    let mut outcomes = Vec::new();
    let mut skipped = Skipped::new(&project.root.join("target").join("xtask"))?;
    let mut attempt = |name: &str, work: &mut dyn FnMut() -> Result<()>| {
        println!("\n=== {name}");
        let start = Instant::now();
        let failure = work().err();
        if let Some(text) = &failure {
            println!("FAILED: {text}");
        }
        let seconds = start.elapsed().as_secs_f64();
        outcomes.push(Outcome { name: name.to_owned(), seconds, failure });
    };

    let mut preparation = None;
    attempt("set-up", &mut || {
        preparation = Some(notebook::set_up(&project)?);
        python::set_up_tests(&project)
    });
    attempt("formatting", &mut || cargo(&["fmt", "--all", "--check"], &[]));
    attempt("clippy", &mut || {
        let packages = ["clippy", "--workspace", "--all-targets"];
        cargo(&[&packages[..], &WITH_ONNX, &["--", "-D", "warnings"]].concat(), &[])
    });
    attempt("clippy, without the default features", &mut || {
        cargo(&["clippy", "-p", "transfer", "--lib", "--no-default-features", "--", "-D", "warnings"], &[])
    });
    attempt("documentation", &mut || {
        let strict = [("RUSTDOCFLAGS", "-D warnings")];
        cargo(&[&["doc", "--workspace", "--no-deps"][..], &WITH_ONNX].concat(), &strict)?;
        // As a user builds it: a link to what another feature brings leads nowhere.
        cargo(&["doc", "-p", "transfer", "--no-deps"], &strict)
    });
    attempt("Rust tests", &mut || {
        let tests = ["--workspace", "--no-fail-fast"];
        cargo_test(&[&tests[..], &WITH_ONNX].concat(), None, &mut skipped)
    });
    attempt("the code for ARM, type-checked", &mut || {
        if !check_targets::arm(&project)? {
            skipped.note("the code for ARM: the compiler's sources (`rustup component add rust-src`) are not installed");
        }
        Ok(())
    });
    attempt("the GPU code, type-checked", &mut || {
        let packages =
            ["check", "-p", "transfer", "-p", "transfer-cli", "-p", "transfer-tools", "--all-targets"];
        cargo(&[&packages[..], &["--features", "cuda,ci-check"]].concat(), &[])
    });
    attempt("the GPU code, linked", &mut link_cuda);
    for isa in lesser_instruction_sets() {
        attempt(&format!("Rust tests against Keras, {isa}"), &mut || {
            let tests = ["--workspace", "--test", "golden"];
            cargo_test(&[&tests[..], &WITH_ONNX].concat(), Some(isa), &mut skipped)
        });
    }
    attempt("Python tests", &mut || {
        let _turn = notebook::take_turn(&project)?;
        let mut tests = python_of(&project);
        tests.args(["-m", "unittest", "discover", "--start-directory", "tests", "--verbose"]);
        tests.env(skipped::VARIABLE, skipped.file());
        run_watched(&mut tests, "the Python tests", Output::Error, &mut |line| skipped.unittest_printed(line))
    });
    attempt("several processes", &mut || match mpi::short(&project)? {
        true => Ok(()),
        false => {
            skipped.note("several processes: there is no MPI; `cargo xtask mpi` fetches one");
            Ok(())
        }
    });
    for path in notebooks(&project)? {
        attempt(&format!("{path}, as committed"), &mut || check(&project, &["committed", &path]));
        attempt(&format!("{path}, headless"), &mut || {
            notebook::run_headless(&project, &path, preparation)?;
            check(&project, &["executed", &path, "--results", &project.results().to_string_lossy()])
        });
    }
    // Their code cells are those of the English ones, which ran: `tests/test_editions.py`.
    for path in editions(&project)? {
        attempt(&format!("{path}, as committed"), &mut || check(&project, &["committed", &path]));
    }
    let failed = report(&outcomes, &skipped.all()?);
    // On a full disk tests fail that would pass otherwise.
    let full = [project.root.clone(), std::env::temp_dir()].iter().find_map(|at| disk::too_full(at, 0.5));
    match full {
        Some(line) => failed.map_err(|error| format!("{error}\nnote: {line}")),
        None => failed,
    }
}

/// Links the unit tests with the GPU code as far as that goes without a toolkit: what is missing is the
/// driver and NVIDIA's libraries, and is left unresolved. The program can't start; `cuda-build` makes one that can.
fn link_cuda() -> Result<()> {
    // The flags are for this program alone, so that what it depends on need not be compiled anew.
    let unit_tests = ["rustc", "-p", "transfer", "--lib", "--profile", "test", "--features", "cuda,ci-check"];
    let flags = ["--", "-C", "link-arg=-Wl,--unresolved-symbols=ignore-all", "-C", "link-arg=-Wl,-z,lazy"];
    let arguments = [&unit_tests[..], &flags, &["-C", "relro-level=off"]].concat();
    cargo(&arguments, &[])
}

/// What the kernels can be told to do with less than the processor's best.
fn lesser_instruction_sets() -> Vec<&'static str> {
    let mut sets = vec![];
    #[cfg(target_arch = "x86_64")]
    {
        let avx2 = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
        if avx2 && is_x86_feature_detected!("avx512f") {
            sets.push("avx2");
        }
        if avx2 {
            sets.push("portable");
        }
    }
    #[cfg(target_arch = "aarch64")]
    sets.push("portable");
    sets
}

/// The English notebooks, each of which must run.
fn notebooks(project: &Project) -> Result<Vec<String>> {
    notebooks_in(project, Path::new("notebooks"))
}

/// The notebooks in other languages.
fn editions(project: &Project) -> Result<Vec<String>> {
    let of = |language: &str| notebooks_in(project, &Path::new("notebooks").join(language));
    Ok(LANGUAGES.into_iter().map(of).collect::<Result<Vec<_>>>()?.concat())
}

fn notebooks_in(project: &Project, below: &Path) -> Result<Vec<String>> {
    let folder = project.root.join(below);
    let entries: std::io::Result<Vec<_>> = std::fs::read_dir(&folder).and_then(Iterator::collect);
    let entries = entries.map_err(|e| format!("cannot read {}: {e}", folder.display()))?;
    let mut names: Vec<String> = entries
        .into_iter()
        .filter(|entry| entry.path().extension().is_some_and(|kind| kind == "ipynb"))
        .map(|entry| below.join(entry.file_name()).to_string_lossy().into_owned())
        .collect();
    names.sort();
    if names.is_empty() {
        return Err(format!("expected notebooks in {}, found none", folder.display()));
    }
    Ok(names)
}

fn check(project: &Project, arguments: &[&str]) -> Result<()> {
    let mut checker = python_of(project);
    checker.arg("tests/check_notebook.py").args(arguments);
    run(&mut checker, "checking the notebook")
}

fn python_of(project: &Project) -> Command {
    let mut python = command(project.venv_program("python"));
    python.current_dir(&project.root);
    python
}

fn cargo(arguments: &[&str], variables: &[(&str, &str)]) -> Result<()> {
    let mut cargo = command("cargo");
    cargo.args(arguments).envs(variables.iter().copied());
    run(&mut cargo, &format!("`cargo {}`", arguments.join(" ")))
}

/// `cargo test`, with another instruction set than the processor's best if asked to; notes what was skipped.
fn cargo_test(arguments: &[&str], isa: Option<&str>, skipped: &mut Skipped) -> Result<()> {
    let mut cargo = command("cargo");
    cargo.arg("test").args(arguments).env(skipped::VARIABLE, skipped.file());
    if let Some(isa) = isa {
        cargo.env("TRANSFER_ISA", isa);
    }
    let doing = format!("`cargo test {}`", arguments.join(" "));
    run_watched(&mut cargo, &doing, Output::Out, &mut |line| skipped.cargo_printed(line))
}

fn report(outcomes: &[Outcome], skipped: &[String]) -> Result<()> {
    println!("\n=== summary");
    for outcome in outcomes {
        let word = if outcome.failure.is_some() { "FAILED" } else { "passed" };
        println!("  {word}  {:<40} {:>14}", outcome.name, duration(outcome.seconds));
    }
    let failed = outcomes.iter().filter(|outcome| outcome.failure.is_some()).count();
    if !skipped.is_empty() {
        println!("{} {} skipped:", skipped.len(), if skipped.len() == 1 { "test" } else { "tests" });
        skipped.iter().for_each(|line| println!("  {line}"));
    }
    println!("{} passed, {failed} failed, {} skipped", outcomes.len() - failed, skipped.len());
    if failed == 0 {
        return Ok(());
    }
    let reasons: Vec<String> = outcomes
        .iter()
        .filter_map(|o| o.failure.as_ref().map(|text| format!("  {}: {text}", o.name)))
        .collect();
    Err(format!("{failed} of {} steps failed:\n{}", outcomes.len(), reasons.join("\n")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_failed_step_makes_the_whole_fail_and_is_named() {
        let step = |name: &str, failure: Option<&str>| Outcome {
            name: name.into(),
            seconds: 1.0,
            failure: failure.map(str::to_owned),
        };
        let skipped = ["c: no photographs".to_owned()];
        assert!(report(&[step("a", None), step("b", None)], &skipped).is_ok());
        let error = report(&[step("a", None), step("b", Some("broke"))], &[]).unwrap_err();
        assert!(error.contains("1 of 2") && error.contains("b: broke"), "{error}");
    }
}

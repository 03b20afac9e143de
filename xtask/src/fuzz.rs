//! `cargo xtask fuzz`: libFuzzer on everything that reads bytes from outside, with the stable compiler.
//!
//! The readers are in `crate/src/fuzzing.rs` and `cli/src/serve`, the corpus in `tests/fuzz/corpus`, and the program, a workspace
//! of its own because all of it is instrumented, in `fuzz/`. What a run finds new stays in `target/fuzz`.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::time::Instant;

use crate::process::{command, output, run};
use crate::project::Project;
use crate::step::{duration, step};
use crate::Result;

/// As in `crate/src/fuzzing.rs` and `fuzz/src/serve.rs`, each with the longest input worth trying.
const TARGETS: [(&str, usize); 12] = [
    ("tf_hub_h5", 32 << 10),
    ("keras_h5", 32 << 10),
    ("safetensors", 8 << 10),
    ("pytorch", 8 << 10),
    ("checkpoint", 8 << 10),
    ("model", 8 << 10),
    ("neighbours", 8 << 10),
    ("extraction", 8 << 10),
    ("image", 16 << 10),
    ("manifest", 4 << 10),
    ("labels", 4 << 10),
    ("upload", 16 << 10),
];

/// What LLVM's pass puts into the code so that libFuzzer sees which branches an input takes; cargo-fuzz's
/// flags but for the sanitizers, which only nightly compilers have.
const FLAGS: &str = "-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares --cfg fuzzing";

/// Megabytes that a run may take, and seconds for one input. The program measures processor time itself and
/// allows one second; this is for what waits without computing.
const LIMITS: [&str; 2] = ["-rss_limit_mb=256", "-timeout=20"];

struct Options {
    minutes: f64,
    targets: Vec<(&'static str, usize)>,
}

struct Outcome {
    target: &'static str,
    executions: u64,
    seconds: f64,
    peak_mb: u64,
    corpus: usize,
    /// Inputs that broke something.
    findings: Vec<PathBuf>,
    ended_well: bool,
}

/// `cargo xtask fuzz [--minutes N] [TARGET …]`.
pub fn fuzz(arguments: &[&str]) -> Result<()> {
    let options = parse(arguments)?;
    let project = Project::find()?;
    let program = build(&project)?;
    let folder = project.root.join("target/fuzz");
    let waiting = Mutex::new(options.targets.clone().into_iter().enumerate());
    let outcomes = Mutex::new(Vec::new());
    let at_a_time = std::thread::available_parallelism().map_or(1, usize::from).min(options.targets.len());
    println!(
        "{} minutes for each of {} targets, {at_a_time} at a time",
        options.minutes,
        options.targets.len()
    );
    std::thread::scope(|scope| {
        for _ in 0..at_a_time {
            scope.spawn(|| loop {
                let Some((number, target)) = lock(&waiting).next() else { return };
                let outcome = one(&program, &project.root, &folder, target, options.minutes);
                if let Ok(o) = &outcome {
                    println!("    {}: {} inputs in {}", o.target, o.executions, duration(o.seconds));
                }
                lock(&outcomes).push((number, outcome));
            });
        }
    });
    let mut outcomes = outcomes.into_inner().unwrap_or_else(|e| e.into_inner());
    outcomes.sort_by_key(|(number, _)| *number);
    report(&project, outcomes.into_iter().map(|(_, outcome)| outcome).collect::<Result<Vec<_>>>()?)
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|e| e.into_inner())
}

fn parse(arguments: &[&str]) -> Result<Options> {
    let mut options = Options { minutes: 10.0, targets: Vec::new() };
    let mut words = arguments.iter();
    while let Some(word) = words.next() {
        if *word == "--minutes" {
            let minutes =
                words.next().and_then(|n| n.parse().ok()).filter(|n: &f64| n.is_finite() && *n > 0.0);
            options.minutes =
                minutes.ok_or("expected a number above 0 after --minutes, as in `--minutes 10`")?;
        } else if let Some(target) = TARGETS.into_iter().find(|(name, _)| name == word) {
            options.targets.push(target);
        } else {
            let names = TARGETS.map(|(name, _)| name).join(", ");
            return Err(format!("expected --minutes N or targets ({names}). Received: {word}"));
        }
    }
    if options.targets.is_empty() {
        options.targets = TARGETS.to_vec();
    }
    Ok(options)
}

fn build(project: &Project) -> Result<PathBuf> {
    let about = output(command("rustc").arg("-vV")).ok_or("rustc does not tell its version")?;
    let host =
        about.lines().find_map(|line| line.strip_prefix("host: ")).ok_or("rustc does not tell its host")?;
    let target = project.root.join("target/fuzz");
    step("the fuzzer into target/fuzz", "several minutes at first", || {
        let mut cargo = command("cargo");
        // With --target, what runs while building is not instrumented.
        cargo.args(["build", "--quiet", "--release", "--target", host]);
        cargo.arg("--manifest-path").arg("fuzz/Cargo.toml").arg("--target-dir").arg(&target);
        run(cargo.env("RUSTFLAGS", FLAGS).env_remove("CARGO_ENCODED_RUSTFLAGS"), "building the fuzzer")
    })?;
    Ok(target.join(host).join("release").join(format!("transfer-fuzz{}", std::env::consts::EXE_SUFFIX)))
}

fn one(
    program: &Path,
    root: &Path,
    folder: &Path,
    (target, longest): (&'static str, usize),
    minutes: f64,
) -> Result<Outcome> {
    let (found, artifacts) = (folder.join("corpus").join(target), folder.join("artifacts").join(target));
    for folder in [&found, &artifacts] {
        std::fs::create_dir_all(folder).map_err(|e| format!("cannot create {}: {e}", folder.display()))?;
    }
    let before = files(&artifacts);
    let start = Instant::now();
    let mut fuzzer = Command::new(program);
    fuzzer.env("TRANSFER_FUZZ_TARGET", target).env("TRANSFER_THREADS", "1").stdout(Stdio::null());
    // Archives are extracted and images read there, thousands in a second: in memory, where that is possible.
    let memory = Path::new("/dev/shm");
    let scratch = if memory.is_dir() { memory } else { folder };
    let scratch = scratch.join(format!("transfer-fuzz-{}-{target}", std::process::id()));
    std::fs::create_dir_all(&scratch).map_err(|e| format!("cannot create {}: {e}", scratch.display()))?;
    fuzzer.env("TMPDIR", &scratch);
    fuzzer.args(LIMITS).args(["-print_final_stats=1", "-verbosity=1"]);
    fuzzer.arg(format!("-max_total_time={}", (minutes * 60.0).ceil())).arg(format!("-max_len={longest}"));
    fuzzer.arg(format!("-artifact_prefix={}/", artifacts.display()));
    // The first folder is where new inputs go; the committed one is only read.
    fuzzer.arg(&found).arg(root.join("tests/fuzz/corpus").join(target));
    let done = fuzzer.output().map_err(|e| format!("cannot start {}: {e}", program.display()));
    let _ = std::fs::remove_dir_all(&scratch);
    let done = done?;
    let said = String::from_utf8_lossy(&done.stderr);
    let log = folder.join(format!("{target}.log"));
    std::fs::write(&log, said.as_bytes()).map_err(|e| format!("cannot write {}: {e}", log.display()))?;
    Ok(Outcome {
        target,
        executions: statistic(&said, "number_of_executed_units").unwrap_or(0),
        seconds: start.elapsed().as_secs_f64(),
        peak_mb: statistic(&said, "peak_rss_mb").unwrap_or(0),
        corpus: files(&found).len(),
        findings: files(&artifacts).into_iter().filter(|path| !before.contains(path)).collect(),
        ended_well: done.status.success(),
    })
}

fn files(folder: &Path) -> Vec<PathBuf> {
    folder.read_dir().into_iter().flatten().flatten().map(|entry| entry.path()).collect()
}

/// One number of libFuzzer's last lines, as in `stat::peak_rss_mb: 84`.
fn statistic(said: &str, name: &str) -> Option<u64> {
    let start = format!("stat::{name}:");
    said.lines().find_map(|line| line.strip_prefix(&start))?.trim().parse().ok()
}

fn report(project: &Project, outcomes: Vec<Outcome>) -> Result<()> {
    println!("\n  {:<12} {:>12} {:>14} {:>10} {:>8}  found", "target", "inputs", "time", "memory", "corpus");
    let mut rows = Vec::new();
    for o in &outcomes {
        let found = if o.ended_well { "nothing".to_owned() } else { format!("{} inputs", o.findings.len()) };
        let time = duration(o.seconds);
        println!(
            "  {:<12} {:>12} {time:>14} {:>7} MB {:>8}  {found}",
            o.target, o.executions, o.peak_mb, o.corpus
        );
        rows.push(format!(
            "  {{\"target\": \"{}\", \"inputs\": {}, \"seconds\": {:.0}, \"peak_mb\": {}, \"clean\": {}}}",
            o.target, o.executions, o.seconds, o.peak_mb, o.ended_well
        ));
    }
    let path = project.stamp("fuzz.json");
    let text = format!("[\n{}\n]\n", rows.join(",\n"));
    std::fs::create_dir_all(project.root.join("target/xtask"))
        .and_then(|()| std::fs::write(&path, text))
        .map_err(|e| format!("cannot write {}: {e}", path.display()))?;
    let bad: Vec<String> = outcomes
        .iter()
        .filter(|o| !o.ended_well)
        .map(|o| format!("  {}: see target/fuzz/{}.log; inputs: {:?}", o.target, o.target, o.findings))
        .collect();
    match bad.is_empty() {
        true => Ok(()),
        false => Err(format!("fuzzing found something:\n{}", bad.join("\n"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_and_minutes_are_read_and_anything_else_is_refused() {
        let all = parse(&[]).unwrap();
        assert_eq!((all.minutes, all.targets.len()), (10.0, TARGETS.len()));
        let one = parse(&["--minutes", "0.5", "image"]).unwrap();
        assert_eq!((one.minutes, one.targets), (0.5, vec![("image", 16 << 10)]));
        for wrong in [&["--minutes"][..], &["--minutes", "-1"], &["images"]] {
            assert!(parse(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn statistics_are_found_in_what_the_fuzzer_says() {
        let said = "#9 DONE\nstat::number_of_executed_units: 9000\nstat::peak_rss_mb:              84\n";
        assert_eq!(statistic(said, "number_of_executed_units"), Some(9000));
        assert_eq!(statistic(said, "peak_rss_mb"), Some(84));
        assert_eq!(statistic(said, "slowest_unit_time_sec"), None);
    }

    #[test]
    fn each_target_has_a_corpus() {
        let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fuzz/corpus");
        let mut names: Vec<String> =
            corpus.read_dir().unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        let mut targets: Vec<String> = TARGETS.iter().map(|(name, _)| name.to_string()).collect();
        names.sort();
        targets.sort();
        assert_eq!(names, targets);
    }
}

//! Tests that could not test on this machine, so that a summary counts them and gives their reasons.
//!
//! A Rust test tells by a line in the file that `TRANSFER_SKIPPED` names (`kernels/src/testing/skipped.rs`). Tests that
//! carry `#[ignore = "…"]` and Python's skipped ones are read off what the test programs print.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::Result;

/// The variable with the file's name.
pub const VARIABLE: &str = "TRANSFER_SKIPPED";

/// An ignored test whose reason begins so is started by another one, and not left out.
const RUN_BY_ANOTHER: [&str; 3] = ["run by ", "the child of ", "one of the children of "];

/// What was skipped so far, each with its reason.
pub struct Skipped {
    file: PathBuf,
    printed: BTreeSet<String>,
}

impl Skipped {
    /// Nothing yet; an older file is removed.
    pub fn new(folder: &Path) -> Result<Self> {
        let file = folder.join("skipped-tests.txt");
        let failed = |what: &str, e: std::io::Error| format!("cannot {what} {}: {e}", file.display());
        std::fs::create_dir_all(folder).map_err(|e| failed("create the folder of", e))?;
        match std::fs::remove_file(&file) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(failed("remove", e)),
            _ => {}
        }
        Ok(Skipped { file, printed: BTreeSet::new() })
    }

    /// The file that tests append to.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// Looks at a line of what `cargo test` prints.
    pub fn cargo_printed(&mut self, line: &str) {
        // In front of it may stand what a test's own program printed without a line break.
        let Some((before, rest)) = line.split_once(" ... ignored") else { return };
        let Some((_, name)) = before.rsplit_once("test ") else { return };
        let reason = rest.trim().trim_start_matches(',').trim();
        if !RUN_BY_ANOTHER.iter().any(|start| reason.starts_with(start)) {
            let reason = if reason.is_empty() { "it is marked as ignored, without a reason" } else { reason };
            self.printed.insert(format!("{name}: {reason}"));
        }
    }

    /// Looks at a line of what `python -m unittest --verbose` prints.
    pub fn unittest_printed(&mut self, line: &str) {
        if let Some((name, reason)) = line.split_once(" ... skipped ") {
            let reason = reason.trim().trim_matches(['\'', '"']);
            self.printed.insert(format!("{}: {reason}", name.trim()));
        }
    }

    /// Notes what a step did not test, and why.
    pub fn note(&mut self, line: &str) {
        println!("SKIPPED {line}");
        self.printed.insert(line.to_owned());
    }

    /// All tests that were skipped, sorted, each once.
    pub fn all(&self) -> Result<Vec<String>> {
        let mut all = self.printed.clone();
        match std::fs::read_to_string(&self.file) {
            Ok(text) => {
                all.extend(text.lines().map(|line| line.trim_start_matches("SKIPPED: ").to_owned()));
            }
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
            Err(e) => return Err(format!("cannot read {}: {e}", self.file.display())),
        }
        Ok(all.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn skipped_and_ignored_tests_are_counted_once_with_their_reasons() {
        let folder = std::env::temp_dir().join(format!("transfer-xtask-skipped-{}", std::process::id()));
        let mut skipped = Skipped::new(&folder).unwrap();
        assert_eq!(skipped.all().unwrap(), [""; 0]);
        let line = "SKIPPED: golden: photographs: TRANSFER_GOLDEN_DIR is not set\n";
        std::fs::write(skipped.file(), line.repeat(2)).unwrap();
        for line in [
            "running 3 tests",
            "test a ... ok",
            "test child ... ignored, run by a_killed_process",
            "no line breaktest slow ... ignored, takes an hour",
            "test crate/src/lib.rs - (line 3) ... ignored",
            "test result: ok. 1 passed; 0 failed; 3 ignored; 0 measured; 0 filtered out",
        ] {
            skipped.cargo_printed(line);
        }
        for line in [
            "test_models (test_onnx.Models.test_models) ... ok",
            "Without it ... skipped 'no network'",
            "setUpClass (test_digits.Digits) ... skipped \"no program\"",
            "OK (skipped=2)",
        ] {
            skipped.unittest_printed(line);
        }
        let all = skipped.all().unwrap();
        assert_eq!(all.len(), 5, "{all:?}");
        for expected in [
            "golden: photographs: TRANSFER_GOLDEN_DIR is not set",
            "slow: takes an hour",
            "crate/src/lib.rs - (line 3): it is marked as ignored, without a reason",
            "Without it: no network",
            "setUpClass (test_digits.Digits): no program",
        ] {
            assert!(all.iter().any(|line| line == expected), "{expected} is not in {all:?}");
        }
        assert_eq!(Skipped::new(&folder).unwrap().all().unwrap(), [""; 0], "a new run begins with none");
        std::fs::remove_dir_all(&folder).unwrap();
    }
}

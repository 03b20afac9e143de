//! The list of all variables.

use super::{existing, existing_folder, file_or_nothing, folder_or_nothing};
use crate::Result;

/// One environment variable of this project.
#[derive(Clone, Copy)]
pub struct Variable {
    /// Its name.
    pub name: &'static str,
    /// What it does, in Markdown.
    pub does: &'static str,
    /// What happens where it is not set, in Markdown.
    pub without: &'static str,
    /// Whether only the project's own tests and chores read it.
    pub for_tests: bool,
    check: fn(&'static str) -> Result<()>,
}

impl Variable {
    /// Checks the value, if the variable is set.
    ///
    /// # Errors
    /// [`Error::Invalid`](crate::Error::Invalid) where it makes no sense.
    pub fn check(&self) -> Result<()> {
        (self.check)(self.name)
    }
}

impl std::fmt::Debug for Variable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

/// The variables of a run of tests, a prefix each.
const PREFIXES: [&str; 2] = ["TRANSFER_TEST_", "TRANSFER_REQUIRE_"];

pub(super) fn is_known(name: &str) -> bool {
    PREFIXES.iter().any(|prefix| name.starts_with(prefix)) || variables().iter().any(|v| v.name == name)
}

/// All variables that the project reads.
pub fn variables() -> &'static [Variable] {
    &LIST
}

const fn user(
    name: &'static str,
    does: &'static str,
    without: &'static str,
    check: fn(&'static str) -> Result<()>,
) -> Variable {
    Variable { name, does, without, for_tests: false, check }
}

const fn for_tests(
    name: &'static str,
    does: &'static str,
    without: &'static str,
    check: fn(&'static str) -> Result<()>,
) -> Variable {
    Variable { name, does, without, for_tests: true, check }
}

fn any(_: &'static str) -> Result<()> {
    Ok(())
}

static LIST: [Variable; 15] = [
    user(
        "TRANSFER_DATA_DIR",
        "a folder that holds `cats_and_dogs_filtered.zip` or what was extracted from it, or one of the two itself",
        "the photographs are looked for where downloads are kept, then downloaded",
        existing,
    ),
    user(
        "TRANSFER_WEIGHTS",
        "a weight file (`.h5`, `.keras`, `.pth`, `.safetensors`), or the folder it lies in",
        "the weights are looked for where downloads are kept, then downloaded",
        existing,
    ),
    user(
        "TRANSFER_CACHE",
        "the folder for everything that is downloaded, as an absolute path",
        "`data/` in this project's own checkout; elsewhere `transfer` in the platform's cache folder",
        |_| super::cache().map(drop),
    ),
    user(
        "TRANSFER_PHOTOS",
        "a folder of your own photographs for the notebooks: class folders, for the tutorial's two of them below `train` and `validation`",
        "the cats and dogs",
        existing_folder,
    ),
    user(
        "TRANSFER_SEED",
        "seed of the head, the order, augmentation and dropout, a whole number of 64 bits; never of the split",
        "1",
        |_| super::seed().map(drop),
    ),
    user("TRANSFER_THREADS", "threads that compute, 1 to 1024", "one for each processor", |_| {
        super::threads().map(drop)
    }),
    user(
        "TRANSFER_DEVICE",
        "`cpu`, `auto`, or for [a GPU](gpu.md) `cuda` or `cuda:N` (its number, from 0), with an error where it cannot be used",
        "as `auto`: the GPU, where the crate has its feature `cuda` and there is one; else the CPU",
        |_| super::device().map(drop),
    ),
    user(
        "TRANSFER_ISA",
        "instructions of the kernels: `avx512`, `avx2`, `neon` or `portable`",
        "the best that the processor has",
        |_| Ok(transfer_kernels::simd::isa().map(drop)?),
    ),
    user(
        "TRANSFER_REPORT",
        "a file that `fit` and `evaluate` write their numbers to, as JSON; `cargo xtask notebook --execute` sets it",
        "nothing is written",
        file_or_nothing,
    ),
    user(
        "TRANSFER_CHECKPOINTS",
        "the folder of `Checkpoints::named`",
        "`checkpoints` where downloads are kept",
        folder_or_nothing,
    ),
    for_tests(
        "TRANSFER_GOLDEN_DIR",
        "a folder with [values of photographs](../crate/tests/golden/README.md#the-photographs-values)",
        "those tests are skipped, and say so",
        existing_folder,
    ),
    for_tests(
        "TRANSFER_SKIPPED",
        "a file that tests add a line to for each check that they could not make",
        "such lines are only printed",
        file_or_nothing,
    ),
    for_tests(
        "TRANSFER_MANY_FILES",
        "how many files the memory tests of the program make",
        "180",
        any,
    ),
    for_tests("TRANSFER_FUZZ_TARGET", "which reader the fuzzer feeds", "the fuzzer says which there are", any),
    for_tests("TRANSFER_PROGRAM", "the program that chores run in place of the one that they build", "", any),
];

/// All variables as a Markdown table, as `docs/environment.md` has it; in a second one those of the tests.
pub fn markdown() -> String {
    let table = |head: &str, for_tests: bool| {
        let rows = variables().iter().filter(|v| v.for_tests == for_tests);
        let rows = rows.map(|v| format!("| `{}` | {} | {} |\n", v.name, v.does, v.without));
        format!("{head}\n|---|---|---|\n{}", rows.collect::<String>())
    };
    let users = table("| variable | what it does | without it |", false);
    let tests = table("| variable of tests and chores | what it does | without it |", true);
    let required = "| `TRANSFER_REQUIRE_…` | makes an error of tests that would be skipped | they are skipped, and say so |\n\
                    | `TRANSFER_TEST_…` | what a test tells the processes that it starts | |\n";
    format!("{users}\n{tests}{required}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use std::path::Path;

    #[test]
    fn the_page_about_variables_is_the_list() {
        let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/environment.md");
        let page = std::fs::read_to_string(page).unwrap();
        let table = markdown();
        assert!(page.contains(&table), "docs/environment.md has to hold this table:\n\n{table}");
    }

    /// All names in the sources that look like variables of the project.
    fn names_in(folder: &Path, names: &mut BTreeSet<String>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let kind = path.extension().and_then(|kind| kind.to_str());
            if path.is_dir() {
                if !path.ends_with("target") && !path.ends_with("corpus") {
                    names_in(&path, names);
                }
            } else if matches!(kind, Some("rs" | "py" | "sh" | "ipynb" | "c")) || path.ends_with("run") {
                let text = std::fs::read_to_string(&path).unwrap();
                for after in text.split("TRANSFER_").skip(1) {
                    let end = after.find(|c: char| !c.is_ascii_uppercase() && c != '_');
                    let word = &after[..end.unwrap_or(after.len())];
                    if !word.is_empty() {
                        names.insert(format!("TRANSFER_{word}"));
                    }
                }
            }
        }
    }

    #[test]
    fn every_variable_in_the_sources_is_in_the_list() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let mut names = BTreeSet::new();
        for folder in ["crate", "cli", "xtask", "tools", "tests", "bench", "fuzz", "notebooks", ".ci"] {
            names_in(&root.join(folder), &mut names);
        }
        assert!(names.contains("TRANSFER_SEED") && names.contains("TRANSFER_CACHE"), "{names:?}");
        let unknown: Vec<_> = names.iter().filter(|name| !is_known(name)).collect();
        assert!(unknown.is_empty(), "add to crate/src/environment/variables.rs: {unknown:?}");
        let of_list = variables().iter().map(|v| v.name);
        assert_eq!(of_list.clone().collect::<BTreeSet<_>>().len(), of_list.count());
    }
}

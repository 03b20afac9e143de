//! What may be called where.

use std::path::{Path, PathBuf};

use crate::sources;

/// Lines outside of unit tests that hold one of `words`, as `file:line`.
fn lines_with(words: &[&str], except: &[&str]) -> Vec<String> {
    let project = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let files: Vec<PathBuf> =
        ["crate/src", "cli/src"].iter().flat_map(|part| sources(&project.join(part))).collect();
    assert!(files.len() > 100, "only {} source files were found", files.len());
    let mut found = Vec::new();
    for path in files {
        let name = path.strip_prefix(project).unwrap().to_string_lossy().replace('\\', "/");
        if name.ends_with("/tests.rs") || except.iter().any(|part| name.contains(part)) {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        let hits = before_tests(&text)
            .lines()
            .enumerate()
            .filter(|(_, line)| words.iter().any(|word| line.contains(word)));
        found.extend(hits.map(|(i, _)| format!("{name}:{}", i + 1)));
    }
    found
}

/// The text of a file before the unit tests that it holds itself.
fn before_tests(text: &str) -> &str {
    let starts = ["#[cfg(test)]\nmod tests {", "#[cfg(all(test, unix))]\nmod tests {"];
    starts.iter().fold(text, |code, start| code.split(start).next().unwrap_or_default())
}

#[test]
fn names_and_paths_are_printed_through_the_type_that_escapes_them() {
    let found = lines_with(&[".display()"], &["ops/cuda/host/"]);
    assert!(found.is_empty(), "use `Show::shown` instead of `display` in {found:#?}");
}

#[test]
fn environment_variables_are_read_in_one_place() {
    let found = lines_with(&["env::var(\"TRANSFER_", "env::var_os(\"TRANSFER_"], &["src/environment.rs"]);
    // The choice of instructions is read in code that a later package has without the rest of the crate.
    let found: Vec<_> = found.into_iter().filter(|place| !place.contains("ops/simd/mod.rs")).collect();
    assert!(found.is_empty(), "use `environment::read` or `environment::path` in {found:#?}");
}

#[test]
fn files_are_written_in_few_places_and_folders_are_never_removed_whole() {
    let words = ["fs::write(", "File::create", "fs::rename(", "File::options()", "fs::copy(", "hard_link("];
    // What a user names goes through `OutputFile`; the others know that a folder or file is the program's own.
    let own = ["crate/src/assets/", "crate/src/output/", "src/input.rs", "ops/cuda/host/", "src/fuzzing.rs"];
    let checked = ["src/train/checkpoint/folder", "src/train/callbacks/tensorboard/"];
    let found = lines_with(&words, &[&own[..], &checked].concat());
    assert!(
        found.is_empty(),
        "use `OutputFile`, or `files::write_whole` for a file of our own, in {found:#?}"
    );
    let found = lines_with(&["remove_dir_all("], &["crate/src/assets/", "ops/cuda/host/"]);
    assert!(found.is_empty(), "remove files that are known to be ours one by one in {found:#?}");
}

#[test]
fn files_that_somebody_names_are_opened_in_one_place() {
    // Files of the program's own making, folders to sync, and what the system says of this process.
    let own = [
        "src/input.rs",
        "assets/files.rs",
        "assets/lock.rs",
        "assets/http.rs",
        "assets/programs.rs",
        "assets/published.rs",
        "assets/cats_and_dogs.rs",
        "checkpoint/folder",
        "src/output/",
        "tensorboard/mod.rs",
        "train/report.rs",
        "progress/interrupt.rs",
        "ops/cuda/",
    ];
    let found = lines_with(&["File::open(", "fs::read(", "fs::read_to_string(", "File::options("], &own);
    assert!(found.is_empty(), "use `input::open` or `input::read_or` in {found:#?}");
}

#[test]
fn folders_are_listed_and_files_locked_in_few_places_and_a_signal_meanwhile_is_no_error() {
    // The standard library opens a folder, and asks for a lock, only once where a signal interrupts the call.
    let found = lines_with(&["file.try_lock("], &["src/input.rs"]);
    assert!(found.is_empty(), "use `input::try_lock` in {found:#?}");
    let found = lines_with(
        &["read_dir("],
        &["src/input.rs", "src/data/folder.rs", "ops/cuda/host/", "src/fuzzing.rs"],
    );
    assert!(found.is_empty(), "use `input::entries` in {found:#?}");
}

#[test]
fn threads_are_started_in_few_places_and_a_system_that_refuses_them_is_no_panic() {
    // `thread::spawn` and rayon's own pool, which `par_iter` starts outside of a pool, panic then.
    let words = ["thread::spawn(", "rayon::spawn", "rayon::join", "rayon::prelude", "thread::scope("];
    // The example of a team starts some.
    let found = lines_with(&words, &["src/threads.rs", "src/data/batches.rs", "src/team/mod.rs"]);
    assert!(found.is_empty(), "use `threads::map` and its like, or `thread::Builder`, in {found:#?}");
}

/// Lines before the unit tests, and the lines of each function, of what rustfmt has laid out.
fn lengths(text: &str) -> (usize, Vec<(String, usize)>) {
    let code: Vec<&str> = before_tests(text).lines().collect();
    let mut functions = Vec::new();
    for (i, line) in code.iter().enumerate() {
        let indent = &line[..line.len() - line.trim_start().len()];
        let words: Vec<&str> = line.split_whitespace().take_while(|word| !word.contains('"')).collect();
        let Some(at) = words.iter().position(|word| *word == "fn") else { continue };
        let before = ["pub", "pub(crate)", "pub(super)", "const", "unsafe", "async"];
        if !words[..at].iter().all(|word| before.contains(word) || word.starts_with("pub(in")) {
            continue;
        }
        let name = words.get(at + 1).map_or("", |name| name.split(['(', '<']).next().unwrap_or_default());
        let ends = |line: &&str| line.strip_prefix(indent).is_some_and(|rest| rest.starts_with('}'));
        let end = code[i..].iter().position(ends).map_or(1, |n| n + 1);
        // A declaration without a body ends in its own line, and so may a short function.
        functions.push((name.to_owned(), if line.ends_with([';', '}']) { 1 } else { end }));
    }
    (code.len(), functions)
}

#[test]
fn files_and_functions_are_short() {
    const FILE: usize = 400;
    const FUNCTION: usize = 80;
    let project = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut long = Vec::new();
    for path in ["crate/src", "kernels/src", "cli/src"].iter().flat_map(|part| sources(&project.join(part))) {
        if path.components().any(|part| part.as_os_str().to_string_lossy().contains("tests")) {
            continue;
        }
        let (lines, functions) = lengths(&std::fs::read_to_string(&path).unwrap());
        if lines > FILE {
            long.push(format!("{}: {lines} lines", path.display()));
        }
        let functions = functions.into_iter().filter(|(_, lines)| *lines > FUNCTION);
        long.extend(functions.map(|(name, lines)| format!("{}: fn {name}: {lines} lines", path.display())));
    }
    assert!(long.is_empty(), "expected files of at most {FILE} lines and functions of {FUNCTION}: {long:#?}");
}

#[test]
fn a_long_function_is_found() {
    let body = "        call();\n".repeat(90);
    let text =
        format!("impl A {{\n    pub(crate) fn long(&self) {{\n{body}    }}\n\n    fn short() {{}}\n}}\n");
    let (lines, functions) =
        lengths(&format!("{text}\n#[cfg(test)]\nmod tests {{\n    fn not() {{\n    }}\n}}\n"));
    assert_eq!((lines, functions), (97, vec![("long".into(), 92), ("short".into(), 1)]));
}

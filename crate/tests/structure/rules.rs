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
        let tests = ["#[cfg(test)]\nmod ", "#[cfg(all(test, unix))]\nmod "];
        let code = tests.iter().fold(&*text, |code, start| code.split(start).next().unwrap_or_default());
        let hits = code.lines().enumerate().filter(|(_, line)| words.iter().any(|word| line.contains(word)));
        found.extend(hits.map(|(i, _)| format!("{name}:{}", i + 1)));
    }
    found
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

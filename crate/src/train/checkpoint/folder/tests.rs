use crate::train::checkpoint::folder::*;
use crate::train::checkpoint::identity::Identity;
use crate::train::fit::run::RunState;
use crate::weights::{Tensor, Weights};

fn identity(seed: u64) -> Identity {
    Identity::from_facts([("seed of the model", seed.to_string())])
}

fn facts(seed: u64) -> RunFacts {
    RunFacts { identity: identity(seed), ..RunFacts::default() }
}

fn open(path: &Path) -> Folder {
    Folder::open(path, &facts(1), false).unwrap()
}

fn checkpoint() -> Checkpoint {
    let about = super::super::file::Details::new(identity(1), 0, 0, RunState::new(0), "portable".into());
    let tensor = Tensor::new([1], vec![0.5]).unwrap();
    let weights: Weights = [("dense/kernel".to_owned(), tensor)].into_iter().collect();
    Checkpoint { about, weights, moments: Weights::new() }
}

fn listed(path: &Path) -> Vec<String> {
    names(path).unwrap()
}

#[test]
fn only_listed_checkpoints_are_removed_and_the_folder_goes_when_nothing_else_is_in_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("run");
    let mut folder = open(&path);
    (1..=4).for_each(|n| folder.save(n, checkpoint()).unwrap());
    assert_eq!(listed(&path), [LOCK, MARKER, &name(3), &name(4)]);
    // Somebody's own copy has a name of ours, and is not listed.
    std::fs::write(path.join(name(1)), "a copy").unwrap();
    std::fs::create_dir(path.join("0123456789abcdef")).unwrap();
    std::fs::write(path.join("0123456789abcdef/notes"), "mine").unwrap();
    folder.save(5, checkpoint()).unwrap();
    let run = folder.marker.run.clone();
    drop(folder);
    Folder::discard(&path, "another run").unwrap();
    assert_eq!(listed(&path).len(), 6, "it is of another run");
    Folder::discard(&path, &run).unwrap();
    assert_eq!(listed(&path), [LOCK, MARKER, "0123456789abcdef", &name(1)]);
    assert_eq!(std::fs::read_to_string(path.join(name(1))).unwrap(), "a copy");
    // It is still known as ours, and goes once the others are gone.
    drop(open(&path));
    assert_eq!(listed(&path).len(), 4);
    std::fs::remove_file(path.join(name(1))).unwrap();
    std::fs::remove_dir_all(path.join("0123456789abcdef")).unwrap();
    // A run that has written nothing leaves nothing.
    drop(open(&path));
    assert!(!path.exists());
}

#[test]
fn a_folder_that_was_there_stays_and_one_with_something_else_in_it_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let empty = dir.path().join("empty");
    std::fs::create_dir(&empty).unwrap();
    let mut folder = open(&empty);
    folder.save(1, checkpoint()).unwrap();
    let run = folder.marker.run.clone();
    drop(folder);
    Folder::discard(&empty, &run).unwrap();
    assert!(listed(&empty).is_empty());
    let full = dir.path().join("full");
    std::fs::create_dir(&full).unwrap();
    std::fs::write(full.join("notes.txt"), "mine").unwrap();
    std::fs::write(full.join(name(7)), "mine, too").unwrap();
    let error = Folder::open(&full, &facts(1), false).err().unwrap().to_string();
    assert!(error.contains("which holds notes.txt"), "{error}");
    assert_eq!(listed(&full), [name(7), "notes.txt".to_owned()], "not even a lock is left");
    // A damaged marker is no marker.
    std::fs::write(full.join(MARKER), "{").unwrap();
    assert!(Folder::open(&full, &facts(1), false).err().unwrap().to_string().contains("damaged"));
}

#[test]
fn checkpoints_of_a_version_without_markers_are_read_and_never_removed() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("run");
    std::fs::create_dir(&path).unwrap();
    std::fs::write(path.join(LOCK), "").unwrap();
    for number in [3, 4] {
        checkpoint().write(&path.join(name(number))).unwrap();
    }
    let mut folder = open(&path);
    assert_eq!(folder.newest().unwrap(), Some(checkpoint()));
    (4..=7).for_each(|n| folder.save(n, checkpoint()).unwrap());
    assert_eq!(listed(&path), [LOCK, MARKER, &name(3), &name(6), &name(7)]);
    let run = folder.marker.run.clone();
    drop(folder);
    Folder::discard(&path, &run).unwrap();
    assert_eq!(listed(&path), [LOCK, MARKER, &name(3)]);
}

#[test]
fn a_run_that_starts_over_never_goes_on_from_what_was_there_before() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("run");
    std::fs::create_dir(&path).unwrap();
    checkpoint().write(&path.join(name(9))).unwrap();
    let mut folder = open(&path);
    folder.clear(&facts(2)).unwrap();
    folder.save(1, checkpoint()).unwrap();
    drop(folder);
    let mut again = open(&path);
    assert!(again.newest().unwrap().is_some());
    assert_eq!(again.last(), Some(path.join(name(1))));
    let error = again.save(9, checkpoint()).unwrap_err().to_string();
    assert!(error.contains("in the way"), "{error}");
}

#[test]
fn two_processes_never_have_one_folder_also_where_one_of_them_removes_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("run");
    let (inside, ended) = (std::sync::atomic::AtomicUsize::new(0), std::sync::atomic::AtomicUsize::new(0));
    use std::sync::atomic::Ordering::SeqCst;
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..20 {
                    let Ok(mut folder) = Folder::open(&path, &facts(1), true) else {
                        continue;
                    };
                    assert_eq!(inside.fetch_add(1, SeqCst), 0);
                    folder.save(1, checkpoint()).unwrap();
                    assert!(folder.file(1).exists());
                    inside.fetch_sub(1, SeqCst);
                    let run = folder.marker.run.clone();
                    drop(folder);
                    Folder::discard(&path, &run).unwrap();
                    ended.fetch_add(1, SeqCst);
                }
            });
        }
    });
    assert!(ended.into_inner() > 20);
    Folder::discard(&path, &identity(1).short()).unwrap();
    assert!(!path.exists());
}

#[cfg(unix)]
#[test]
fn a_lock_or_a_checkpoint_that_is_no_regular_file_is_neither_followed_nor_removed() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("run");
    let mut folder = open(&path);
    folder.save(1, checkpoint()).unwrap();
    let mine = dir.path().join("mine");
    std::fs::write(&mine, "mine").unwrap();
    std::fs::remove_file(path.join(name(1))).unwrap();
    std::os::unix::fs::symlink(&mine, path.join(name(1))).unwrap();
    (2..=4).for_each(|n| folder.save(n, checkpoint()).unwrap());
    assert!(path.join(name(1)).symlink_metadata().unwrap().is_symlink());
    drop(folder);
    std::fs::remove_file(path.join(LOCK)).unwrap();
    std::os::unix::fs::symlink(&mine, path.join(LOCK)).unwrap();
    assert!(Folder::open(&path, &facts(1), false).is_err());
    assert_eq!(std::fs::read_to_string(&mine).unwrap(), "mine");
}

#[test]
fn names_and_numbers_belong_together() {
    assert_eq!(name(126), "checkpoint-0000000126.safetensors");
    assert_eq!(number_of(&name(126)), Some(126));
    assert_eq!(number_of(&name(u64::MAX)), Some(u64::MAX));
    for other in ["checkpoint-1.safetensors", "checkpoint-+000000001.safetensors", ".lock", ""] {
        assert_eq!(number_of(other), None, "{other}");
    }
}

#[test]
fn settings_that_were_noted_tell_how_runs_differ() {
    let marker = |seed: u64, notes: &[(&str, &str)]| {
        let notes = notes.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
        Marker::new(RunFacts { notes, ..facts(seed) }, true)
    };
    let (before, now) = (marker(1, &[("--seed", "1"), ("--balanced", "yes")]), marker(2, &[("--seed", "2")]));
    assert_eq!(now.changes(&before), ["--balanced: yes before, nothing now", "--seed: 1 before, 2 now"]);
    // Without notes, and where they are the same, the facts tell.
    assert_eq!(marker(2, &[]).changes(&marker(1, &[])), ["seed of the model: 1 before, 2 now"]);
}

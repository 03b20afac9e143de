//! Real photographs, where there are some.

use std::collections::HashSet;
use std::path::PathBuf;

use transfer::prelude::*;
use transfer_kernels::testing::folder_or_skip;

use super::check;

/// The first photographs of the training set: class and path.
fn photographs(of_each: usize) -> Option<Vec<(&'static str, PathBuf)>> {
    folder_or_skip("TRANSFER_DATA_DIR", "TRANSFER_REQUIRE_DATA", "a check of real photographs")?;
    let train = cats_and_dogs().unwrap().train_dir;
    let mut all = Vec::new();
    for class in ["cats", "dogs"] {
        let mut files: Vec<PathBuf> =
            std::fs::read_dir(train.join(class)).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        all.extend(files.into_iter().take(of_each).map(|path| (class, path)));
    }
    Some(all)
}

#[test]
fn wrong_labels_are_among_the_first_suspects_and_the_figure_shows_them() {
    let Some(all) = photographs(200) else { return };
    let dir = tempfile::tempdir().unwrap();
    let mut wrong = HashSet::new();
    for (i, (class, path)) in all.iter().enumerate() {
        let is_wrong = i % 33 == 5;
        let other = if *class == "cats" { "dogs" } else { "cats" };
        let to = dir.path().join(if is_wrong { other } else { class });
        std::fs::create_dir_all(&to).unwrap();
        let to = to.join(path.file_name().unwrap());
        std::fs::copy(path, &to).unwrap();
        wrong.extend(is_wrong.then_some(to));
    }
    assert_eq!(wrong.len(), 12);
    let report = check(dir.path());
    let hits = report.suspects.iter().take(18).filter(|suspect| wrong.contains(&suspect.file.path)).count();
    assert!(hits >= 10, "{hits} of 12 among the first 18 of\n{report}");
    assert!(report.suspects.len() < 40, "{report}");
    for suspect in &report.suspects {
        assert!(suspect.probability - suspect.given_probability >= 0.2);
        assert_ne!(suspect.looks_like, suspect.file.class);
    }
    assert!(report.figure().unwrap().caption().starts_with("predictions: "));
    let relabelled = report.fixes().iter().filter(|fix| fix.action.name() == "relabel").count();
    assert!(relabelled > 0 && relabelled <= report.suspects.len());
}

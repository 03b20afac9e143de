//! `transfer sort` and its undo, whole and killed at random moments.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use transfer::prelude::*;
use transfer::random::Rng;

use crate::common::{self, code, run, stderr, stdout};

/// The files below a folder, without hidden ones and lists: path, content.
fn files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in next.read_dir().unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if path.is_dir() {
                folders.push(path);
            } else if !(name.starts_with('.') || name.starts_with("sorted") && name.ends_with(".csv")) {
                found.insert(path.strip_prefix(folder).unwrap().to_owned(), std::fs::read(&path).unwrap());
            }
        }
    }
    found
}

/// All contents, each as often as it is there.
fn contents<'a>(all: impl IntoIterator<Item = &'a BTreeMap<PathBuf, Vec<u8>>>) -> Vec<Vec<u8>> {
    let mut contents: Vec<_> = all.into_iter().flat_map(|files| files.values().cloned()).collect();
    contents.sort();
    contents
}

/// A folder with a model and `each` photographs of each of three classes, whose names are the same in two folders.
fn scene(each: u64) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    common::untrained_model(&dir.path().join("m.safetensors"));
    common::shapes(&dir.path().join("in"), each, 0, 40);
    dir
}

#[test]
fn photographs_come_into_the_folder_of_their_class_and_undo_takes_all_back() {
    let dir = scene(4);
    let here = dir.path();
    std::fs::write(here.join("in/broken.jpg"), "no photograph").unwrap();
    std::fs::write(here.join("in/notes.txt"), "mine").unwrap();
    let before = files(&here.join("in"));
    let model = Model::load(here.join("m.safetensors")).unwrap();
    for (option, stay) in [("--copy", true), ("--link", true), ("--move", false)] {
        let sort = ["sort", "m.safetensors", "in", "out", option, "--unsure", "0.4", "--quiet"];
        let output = run(here, &sort);
        assert_eq!(code(&output), 1, "one cannot be decoded: {}", stderr(&output));
        assert!(stderr(&output).contains("broken.jpg"), "{}", stderr(&output));
        let (now, sorted) = (files(&here.join("in")), files(&here.join("out")));
        assert_eq!(sorted.len(), 12);
        assert_eq!(now.len(), if stay { before.len() } else { 2 });
        for (path, content) in &sorted {
            let prediction = model.predict_bytes("photo", content.clone()).unwrap();
            let expected = if prediction.confidence < 0.4 { "unsure" } else { &prediction.class_name };
            assert_eq!(path.parent().unwrap(), Path::new(expected));
        }
        // The same command again has nothing to do.
        let again = run(here, &sort);
        assert_eq!(files(&here.join("out")), sorted, "{}", stderr(&again));
        if stay {
            assert!(stdout(&again).contains("12  were sorted already"), "{}", stdout(&again));
        }
        for list in ["out/sorted-2.csv", "out/sorted.csv"] {
            common::succeed(here, &["sort", "--undo", list]);
        }
        assert_eq!(files(&here.join("in")), before);
        assert!(!here.join("out").exists(), "{option}");
    }
}

#[test]
fn nothing_is_replaced_and_what_was_changed_since_stays() {
    let dir = scene(2);
    let here = dir.path();
    std::fs::create_dir_all(here.join("out/unsure")).unwrap();
    std::fs::write(here.join("out/unsure/00000.png"), "mine").unwrap();
    let sort = ["sort", "m.safetensors", "in", "out", "--move", "--unsure", "1"];
    let before = files(&here.join("in"));
    common::succeed(here, &sort);
    let sorted = files(&here.join("out"));
    assert_eq!(sorted.len(), 7);
    assert_eq!(sorted[Path::new("unsure/00000.png")], b"mine");
    assert!(sorted.contains_key(Path::new("unsure/00000-2.png")), "{:?}", sorted.keys());
    // One has come back by hand, and another one stands in the way.
    let way = here.join("in/circle/00001.png");
    std::fs::write(&way, "new").unwrap();
    let output = run(here, &["sort", "--undo", "out/sorted.csv"]);
    assert_eq!(code(&output), 1);
    assert!(stderr(&output).contains("has changed, and stays"), "{}", stderr(&output));
    assert_eq!(std::fs::read(&way).unwrap(), b"new");
    std::fs::remove_file(&way).unwrap();
    common::succeed(here, &["sort", "--undo", "out/sorted.csv"]);
    assert_eq!(files(&here.join("in")), before);
    assert_eq!(files(&here.join("out")).len(), 1);
}

#[test]
fn folders_that_make_no_sense_and_foreign_lists_are_refused() {
    let dir = scene(1);
    let here = dir.path();
    std::fs::write(here.join("file"), "mine").unwrap();
    for (from, into) in
        [("in", "in/out"), ("in", "in"), ("in", "."), ("nothing", "out"), ("in", "file"), ("file", "out")]
    {
        let output = run(here, &["sort", "m.safetensors", from, into]);
        assert_eq!(code(&output), 1, "{from} {into}: {}", stderr(&output));
        assert!(stderr(&output).contains("expected"), "{}", stderr(&output));
    }
    assert_eq!(code(&run(here, &["sort", "m.safetensors", "in"])), 2);
    assert_eq!(code(&run(here, &["sort", "m.safetensors", "in", "out", "--copy", "--move"])), 2);
    std::fs::write(here.join("list.csv"), "action,from,to,class,confidence\ncopy,relative,file,a,1\n")
        .unwrap();
    for list in ["list.csv", "file", "nothing"] {
        assert_eq!(code(&run(here, &["sort", "--undo", list])), 1, "{list}");
    }
    assert_eq!(std::fs::read(here.join("file")).unwrap(), b"mine");
    assert!(!here.join("out").exists());
}

/// Starts the program and kills it after a while; whether it was still running.
fn killed(here: &Path, arguments: &[&str], after: Duration) -> bool {
    let mut command = common::transfer();
    command.current_dir(here).args(arguments).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    std::thread::sleep(after);
    let ran = child.try_wait().unwrap().is_none();
    let _ = child.kill();
    child.wait().unwrap();
    ran
}

#[test]
fn killed_at_any_moment_no_file_is_lost_and_none_is_there_twice() {
    let dir = scene(20);
    let here = dir.path();
    let before = files(&here.join("in"));
    let all = contents([&before]);
    let mut rng = Rng::new(&[7]);
    let mut midway = 0;
    for option in ["--move", "--copy"] {
        let sort = ["sort", "m.safetensors", "in", "out", option];
        let start = Instant::now();
        common::succeed(here, &sort);
        let length = start.elapsed();
        common::succeed(here, &["sort", "--undo", "out/sorted.csv"]);
        for _ in 0..3 {
            killed(here, &sort, length.mul_f32(rng.uniform()));
            let out = here.join("out");
            let sorted = if out.exists() { files(&out) } else { BTreeMap::new() };
            midway += usize::from(!sorted.is_empty() && sorted.len() < all.len());
            let now = files(&here.join("in"));
            match option {
                "--move" => assert_eq!(contents([&now, &sorted]), all),
                _ => assert_eq!(now, before),
            }
            // It goes on, and ends as if nothing had happened.
            common::succeed(here, &sort);
            assert_eq!(contents([&files(&out)]), all);
            // Undone, also by a command that is killed.
            let lists = ["out/sorted-2.csv", "out/sorted.csv"];
            for list in lists.iter().filter(|list| here.join(list).exists()) {
                killed(here, &["sort", "--undo", list], length.mul_f32(0.2 * rng.uniform()));
                let sorted = if out.exists() { files(&out) } else { BTreeMap::new() };
                if option == "--move" {
                    assert_eq!(contents([&files(&here.join("in")), &sorted]), all);
                }
                if here.join(list).exists() {
                    common::succeed(here, &["sort", "--undo", list]);
                }
            }
            assert_eq!(files(&here.join("in")), before);
            assert!(!out.exists() || files(&out).is_empty());
            let _ = std::fs::remove_dir(&out);
        }
    }
    println!("{midway} of 6 kills came midway");
}

/// The lists in `out`, the latest first: `sorted-3.csv`, `sorted-2.csv`, `sorted.csv`.
fn lists(here: &Path) -> Vec<String> {
    let Ok(entries) = here.join("out").read_dir() else { return Vec::new() };
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut lists: Vec<(u32, String)> = names
        .filter_map(|name| {
            let number = name.strip_prefix("sorted")?.strip_suffix(".csv")?.trim_start_matches('-');
            Some((number.parse().unwrap_or(1), format!("out/{name}")))
        })
        .collect();
    lists.sort_by(|a, b| b.cmp(a));
    lists.into_iter().map(|(_, name)| name).collect()
}

/// The long form of the test above: 2,000 files, and 50 times in which the program was killed while it sorted or undid.
///
/// `cargo test -p transfer-cli --test usage -- --ignored --nocapture two_thousand`
#[test]
#[ignore = "takes minutes; its documentation has the command"]
fn two_thousand_files_are_all_there_once_after_fifty_kills() {
    const KILLS: usize = 50;
    let dir = scene(667);
    let here = dir.path();
    let before = files(&here.join("in"));
    let all = contents([&before]);
    let mut rng = Rng::new(&[11]);
    let (mut sorting, mut undoing, mut midway) = (0, 0, 0);
    let looked_at = |option: &str| {
        let out = here.join("out");
        let sorted = if out.exists() { files(&out) } else { BTreeMap::new() };
        let now = files(&here.join("in"));
        match option {
            "--move" => assert_eq!(contents([&now, &sorted]), all, "{option}"),
            _ => assert_eq!(now, before, "{option}"),
        }
        // Of each content at most one file in OUT.
        assert!(contents([&sorted]).windows(2).all(|pair| pair[0] != pair[1]), "{option}");
        sorted.len()
    };
    for option in ["--move", "--copy", "--link"].iter().cycle() {
        if sorting + undoing >= KILLS {
            break;
        }
        let sort = ["sort", "m.safetensors", "in", "out", option];
        let start = Instant::now();
        common::succeed(here, &sort);
        let length = start.elapsed();
        assert_eq!(looked_at(option), all.len());
        let start = Instant::now();
        common::succeed(here, &["sort", "--undo", "out/sorted.csv"]);
        let back = start.elapsed();
        // Killed again and again on its way, each time where the one before came to.
        for _ in 0..4 {
            sorting += usize::from(killed(here, &sort, length.mul_f32(0.6 * rng.uniform())));
            let there = looked_at(option);
            midway += usize::from(there > 0 && there < all.len());
        }
        common::succeed(here, &sort);
        assert_eq!(looked_at(option), all.len());
        // Undone in the same way, list by list.
        for list in lists(here) {
            while here.join(&list).exists() && undoing < KILLS {
                undoing += usize::from(killed(here, &["sort", "--undo", &list], back.mul_f32(rng.uniform())));
                looked_at(option);
            }
            if here.join(&list).exists() {
                common::succeed(here, &["sort", "--undo", &list]);
            }
        }
        assert_eq!(looked_at(option), 0);
        assert_eq!(files(&here.join("in")), before);
        let _ = std::fs::remove_dir_all(here.join("out"));
    }
    println!("{sorting} kills while sorting ({midway} with some files sorted), {undoing} while undoing");
}

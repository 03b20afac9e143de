//! The table of changes: what is proposed, and carrying it out in a new folder.

use std::path::{Path, PathBuf};

use transfer::check::{apply_fixes, Action, ApplyOptions};
use transfer::prelude::*;

use super::{check, folder, save, scene};

/// All files below a folder, sorted, with slashes.
fn tree(dir: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut waiting = vec![dir.to_owned()];
    while let Some(folder) = waiting.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => waiting.push(path),
                false => found.push(path.strip_prefix(dir).unwrap().to_str().unwrap().to_owned()),
            }
        }
    }
    found.sort();
    found
}

fn write(path: &Path, table: &str) -> PathBuf {
    std::fs::write(path, table).unwrap();
    path.to_owned()
}

#[test]
fn proposed_changes_are_written_edited_and_carried_out() {
    let (dir, out) = (folder(), tempfile::tempdir().unwrap());
    let at = |name: &str| dir.path().join(name);
    std::fs::copy(at("hills/00.png"), at("hills/copy of 0.png")).unwrap();
    save(
        &image::imageops::resize(&scene(1), 100, 75, image::imageops::FilterType::Triangle),
        &at("hills/small.png"),
    );
    std::fs::write(at("lakes/=bad.jpg"), "").unwrap();
    let report = check(dir.path());
    let fixes = report.fixes();
    let actions: Vec<(&str, &Action)> =
        fixes.iter().map(|fix| (fix.file.to_str().unwrap(), &fix.action)).collect();
    let expected = [
        ("lakes/=bad.jpg", &Action::Drop),
        ("hills/copy of 0.png", &Action::Drop),
        ("hills/small.png", &Action::Drop),
    ];
    assert_eq!(actions[..3], expected, "the larger photograph stays");
    let table = out.path().join("changes.csv");
    report.save_fixes(&table).unwrap();
    let text = std::fs::read_to_string(&table).unwrap();
    assert!(text.starts_with("file,action,to,reason,score\n"), "{text}");
    assert!(text.contains("hills/small.png,drop,,"), "{text}");
    let before = tree(dir.path());

    let table = write(
        &table,
        "file,action,to\nlakes/=bad.jpg,drop,\nhills/copy of 0.png,drop,\nhills/small.png,keep,\nhills/03.png,relabel,lakes\n",
    );
    let into = out.path().join("new");
    let done = apply_fixes(dir.path(), &table, &into, ApplyOptions::default()).unwrap();
    assert_eq!((done.photographs, done.dropped, done.relabelled, done.moved), (25, 2, 1, 0));
    let now = tree(&into);
    let gone = ["lakes/=bad.jpg", "hills/copy of 0.png", "hills/03.png"];
    let mut expected: Vec<String> =
        before.iter().filter(|name| !gone.contains(&name.as_str())).cloned().collect();
    // `lakes/03.png` was there first.
    expected.push("lakes/03-2.png".to_owned());
    expected.sort();
    assert_eq!(now, expected);
    assert_eq!(
        std::fs::read(into.join("lakes/03-2.png")).unwrap(),
        std::fs::read(at("hills/03.png")).unwrap()
    );
    assert_eq!(std::fs::read(into.join("lakes/03.png")).unwrap(), std::fs::read(at("lakes/03.png")).unwrap());
    assert_eq!(tree(dir.path()), before, "nothing changes in place");
    let again = apply_fixes(dir.path(), &table, &into, ApplyOptions::default()).unwrap_err().to_string();
    assert!(again.contains("is not empty"), "{again}");
}

#[cfg(unix)]
#[test]
fn links_share_the_file_and_copies_do_not() {
    use std::os::unix::fs::MetadataExt;
    let (dir, out) = (folder(), tempfile::tempdir().unwrap());
    let table = write(&out.path().join("t.csv"), "file,action,to\n");
    let inode = |path: &Path| path.metadata().unwrap().ino();
    for copy in [false, true] {
        let into = out.path().join(format!("new {copy}"));
        let done = apply_fixes(dir.path(), &table, &into, ApplyOptions::default().copy(copy)).unwrap();
        assert_eq!(done.photographs, 24);
        if done.copies == 0 {
            assert_eq!(inode(&into.join("hills/00.png")), inode(&dir.path().join("hills/00.png")));
        } else {
            assert_ne!(inode(&into.join("hills/00.png")), inode(&dir.path().join("hills/00.png")));
        }
        assert!(!copy || done.copies == 24);
    }
}

#[test]
fn sets_exchange_photographs() {
    let (dir, out) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    for i in 0..3 {
        for class in ["hills", "lakes"] {
            save(&scene(i), &dir.path().join(format!("training/{class}/{i}.png")));
            save(&scene(50 + i), &dir.path().join(format!("Val/{class}/inner/v{i}.png")));
        }
    }
    let table = write(&out.path().join("t.csv"), "file,action,to\nVal/hills/inner/v1.png,move,train\n");
    let into = out.path().join("new");
    let done = apply_fixes(dir.path(), &table, &into, ApplyOptions::default()).unwrap();
    assert_eq!((done.moved, done.photographs), (1, 12));
    assert!(
        into.join("training/hills/inner/v1.png").is_file() && !into.join("Val/hills/inner/v1.png").exists()
    );
    let table = write(&out.path().join("t.csv"), "file,action,to\nVal/hills/inner/v1.png,move,test\n");
    let text = apply_fixes(dir.path(), &table, out.path().join("other"), ApplyOptions::default())
        .unwrap_err()
        .to_string();
    assert!(text.contains("line 2") && text.contains("train, validation"), "{text}");
}

#[test]
fn tables_that_make_no_sense_leave_nothing_behind() {
    let (dir, out) = (folder(), tempfile::tempdir().unwrap());
    let into = out.path().join("new");
    let refused = |table: &str, parts: &[&str]| {
        let table = write(&out.path().join("t.csv"), table);
        let text = apply_fixes(dir.path(), &table, &into, ApplyOptions::default()).unwrap_err().to_string();
        assert!(parts.iter().all(|part| text.contains(part)), "{text}");
        assert_eq!(tree(out.path()), ["t.csv"], "{text}");
        assert!(!into.exists());
    };
    refused("file,action,to\n../hills/00.png,drop,\n", &["line 2", "leads out of it"]);
    refused(
        "file,action,to\nhills/00.png,drop,\nhills/gone.png,drop,\n",
        &["line 3", "hills/gone.png, which is none"],
    );
    refused("file,action,to\nhills/00.png,relabel,seas\n", &["line 2", "hills, lakes", "Received: seas"]);
    refused("file,action,to\nhills/00.png,move,train\n", &["line 2", "no `move`"]);
    refused("file,action,to\nhills/00.png,erase,\n", &["line 2", "keep, drop, move or relabel"]);
    refused("file;action;to\n", &["expected the columns file, action and to"]);
    let table = write(&out.path().join("t.csv"), "file,action,to\n");
    let inside = dir.path().join("new/deep");
    let text = apply_fixes(dir.path(), &table, &inside, ApplyOptions::default()).unwrap_err().to_string();
    assert!(text.contains("outside of the photographs"), "{text}");
    assert!(!dir.path().join("new").exists());
    assert!(apply_fixes(dir.path(), out.path().join("none.csv"), &into, ApplyOptions::default()).is_err());
    let options = ImageDatasetOptions::default().image_size(4, 4);
    assert!(own_photographs(dir.path(), options).is_ok(), "the folder is as it was");
}

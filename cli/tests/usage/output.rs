//! What `train` and `export` do with each kind of thing that may stand where their file goes.
#![cfg(unix)]

use std::collections::BTreeMap;
use std::os::unix::fs::{symlink, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Output;

use transfer::prelude::*;

use crate::common::{code, stderr, transfer, untrained_model, untrained_weights};

/// Photographs, weights and a model, made once.
struct Here {
    dir: tempfile::TempDir,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Program {
    Train,
    Export,
}
use Program::{Export, Train};

impl Here {
    fn new() -> Self {
        let here = Here { dir: tempfile::tempdir().unwrap() };
        crate::common::shapes(&here.at("photos"), 6, 0, 32);
        untrained_model(&here.at("m.safetensors"));
        untrained_weights(&here.at("weights.safetensors"));
        here
    }

    fn at(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn run(&self, program: Program, output: &str, force: bool) -> Output {
        let mut command = transfer();
        command.current_dir(self.dir.path()).env("TRANSFER_WEIGHTS", self.at("weights.safetensors"));
        match program {
            Train => command.args(["train", "photos", "--epochs", "0", "--image-size", "32", "--no-report"]),
            Export => command.args(["export", "m.safetensors"]),
        };
        command.args(["--output", output]).args(force.then_some("--force"));
        command.output().unwrap()
    }
}

/// What stands below a folder: kind, permissions, time of change, number of the file, content.
fn snapshot(folder: &Path, all: &mut BTreeMap<PathBuf, (u32, i64, i64, u64, Vec<u8>)>) {
    for entry in folder.read_dir().unwrap() {
        let path = entry.unwrap().path();
        let about = path.symlink_metadata().unwrap();
        let content = match () {
            () if about.is_file() => std::fs::read(&path).unwrap(),
            () if about.is_symlink() => path.read_link().unwrap().into_os_string().into_encoded_bytes(),
            () => Vec::new(),
        };
        // A folder's time changes with the partial file that comes and goes.
        let time = if about.is_dir() { (0, 0) } else { (about.mtime(), about.mtime_nsec()) };
        all.insert(path.clone(), (about.mode(), time.0, time.1, about.ino(), content));
        if about.is_dir() {
            snapshot(&path, all);
        }
    }
}

fn all(here: &Here) -> BTreeMap<PathBuf, (u32, i64, i64, u64, Vec<u8>)> {
    let mut all = BTreeMap::new();
    snapshot(here.dir.path(), &mut all);
    all
}

/// Runs the program, which has to refuse and to leave everything as it was.
fn refused(here: &Here, program: Program, output: &str, force: bool, what: &str) {
    let before = all(here);
    let ended = here.run(program, output, force);
    let said = stderr(&ended);
    let case = format!("{program:?} to {output:?}, force {force}: {said}");
    assert_eq!(code(&ended), 1, "{case}");
    assert!(ended.stdout.is_empty(), "{case}");
    assert!(said.contains("error: ") && said.contains(what) && !said.contains("panicked"), "{case}");
    assert!(all(here) == before, "{case}");
}

/// Runs the program, which has to write this file and to change nothing else.
fn written(here: &Here, program: Program, output: &str, force: bool, file: &str) {
    let mut before = all(here);
    let ended = here.run(program, output, force);
    let case = format!("{program:?} to {output:?}, force {force}: {}", stderr(&ended));
    assert_eq!(code(&ended), 0, "{case}");
    let mut after = all(here);
    let (old, new) = (before.remove(&here.at(file)), after.remove(&here.at(file)));
    assert!(after == before, "{case}: more than the file has changed");
    let new = new.unwrap_or_else(|| panic!("{case}: no file"));
    if let Some(old) = old {
        assert_eq!(old.0, new.0, "{case}: permissions");
        assert_ne!(old.3, new.3, "{case}: the file is a new one");
    }
    match program {
        Train => {
            assert_eq!(Model::load(here.at(file)).unwrap().class_names(), crate::common::SHAPES, "{case}")
        }
        Export => assert!(new.4.windows(8).take(20).any(|bytes| bytes == b"transfer"), "{case}"),
    }
}

/// Each kind of file, by what makes it, and what is written to it without `--force` if anything.
fn files(here: &Here) -> Vec<(&'static str, Option<Program>, &'static str)> {
    let at = |name: &str| here.at(name);
    std::fs::write(at("text"), "a letter").unwrap();
    std::fs::copy(at("photos/circle/00000.png"), at("photo.png")).unwrap();
    untrained_model(&at("other.safetensors"));
    let model = Model::load(at("m.safetensors")).unwrap();
    model.export_onnx(at("other.onnx")).unwrap();
    model.save_weights(at("only_weights.safetensors")).unwrap();
    let foreign = b"\x08\x07\x12\x07pytorch\x1a\x03abc";
    std::fs::write(at("foreign.onnx"), foreign).unwrap();
    let header = br#"{"__metadata__":{"format":"pt"},"a":{"dtype":"F32","shape":[0],"data_offsets":[0,0]}}"#;
    let length = (header.len() as u64).to_le_bytes();
    std::fs::write(at("foreign.safetensors"), [&length[..], header].concat()).unwrap();
    vec![
        ("text", None, "is not a"),
        ("photo.png", None, "is not a"),
        ("only_weights.safetensors", None, "is not a"),
        ("foreign.onnx", None, "is not a"),
        ("foreign.safetensors", None, "is not a"),
        ("other.safetensors", Some(Train), "is not an ONNX file of this program"),
        ("other.onnx", Some(Export), "is not a model of this program"),
    ]
}

#[test]
fn a_file_of_another_kind_is_replaced_only_with_force_and_keeps_its_permissions() {
    let here = Here::new();
    for (name, of, why) in files(&here) {
        std::fs::set_permissions(here.at(name), std::fs::Permissions::from_mode(0o640)).unwrap();
        let content = std::fs::read(here.at(name)).unwrap();
        for program in [Train, Export] {
            std::fs::write(here.at(name), &content).unwrap();
            match of == Some(program) {
                true => written(&here, program, name, false, name),
                false => {
                    refused(&here, program, name, false, why);
                    refused(&here, program, name, false, "--force");
                }
            }
        }
        // Once is enough: `--force` does not look at what is there.
        std::fs::write(here.at(name), &content).unwrap();
        written(&here, Export, name, true, name);
    }
    std::fs::write(here.at("empty"), "").unwrap();
    written(&here, Train, "empty", false, "empty");
    std::fs::write(here.at("empty"), "").unwrap();
    written(&here, Export, "empty", false, "empty");
    written(&here, Export, "new.onnx", false, "new.onnx");
    let read_only = std::fs::Permissions::from_mode(0o440);
    std::fs::set_permissions(here.at("new.onnx"), read_only).unwrap();
    refused(&here, Export, "new.onnx", false, "write-protected");
    written(&here, Export, "new.onnx", true, "new.onnx");
}

#[test]
fn what_is_no_file_is_refused_with_force_too() {
    let here = Here::new();
    std::fs::create_dir(here.at("folder")).unwrap();
    let made = std::process::Command::new("mkfifo").arg(here.at("fifo")).status().unwrap();
    assert!(made.success());
    let _socket = std::os::unix::net::UnixListener::bind(here.at("socket")).unwrap();
    symlink("circle_2", here.at("circle_1")).unwrap();
    symlink("circle_1", here.at("circle_2")).unwrap();
    symlink("fifo", here.at("to_fifo")).unwrap();
    symlink("/dev/null", here.at("to_null")).unwrap();
    symlink("no/such/folder/x", here.at("to_nowhere")).unwrap();
    for (name, what) in [
        (".", "a folder"),
        ("..", "a folder"),
        ("folder", "a folder"),
        ("folder/", "a folder"),
        ("folder/.", "a folder"),
        ("new/", "a folder"),
        ("no/such/x", "a folder that exists"),
        ("text/x", "a folder that exists"),
        ("fifo", "a FIFO"),
        ("to_fifo", "a FIFO"),
        ("socket", "a socket"),
        ("/dev/null", "a device"),
        ("to_null", "a device"),
        ("circle_1", "leads back to itself"),
        ("to_nowhere", "no/such/folder"),
        ("/dev/stdout", "name"),
        ("/proc/self/fd/1", "/proc"),
        ("/dev/fd/2", "/proc"),
    ] {
        for program in [Train, Export] {
            refused(&here, program, name, true, what);
            refused(&here, program, name, false, what);
        }
    }
}

#[test]
fn an_empty_name_is_wrong_usage() {
    let here = Here::new();
    for program in [Train, Export] {
        let ended = here.run(program, "", true);
        assert!(code(&ended) == 2 && stderr(&ended).contains("--output"), "{}", stderr(&ended));
    }
}

#[test]
fn a_link_stays_and_what_it_leads_to_is_written() {
    let here = Here::new();
    std::fs::create_dir(here.at("deep")).unwrap();
    std::fs::write(here.at("text"), "a letter").unwrap();
    symlink("text", here.at("to_text")).unwrap();
    symlink("deep/new", here.at("to_new")).unwrap();
    symlink(here.at("to_new"), here.at("deep/chain")).unwrap();
    for program in [Export, Train] {
        refused(&here, program, "to_text", false, "is not a");
        written(&here, program, "to_text", true, "text");
        written(&here, program, "deep/chain", false, "deep/new");
        written(&here, program, "to_new", false, "deep/new");
        std::fs::remove_file(here.at("deep/new")).unwrap();
    }
}

#[test]
fn what_is_read_and_what_lies_among_photographs_is_never_written() {
    let here = Here::new();
    std::fs::hard_link(here.at("m.safetensors"), here.at("same.safetensors")).unwrap();
    symlink("m.safetensors", here.at("link.safetensors")).unwrap();
    for name in [
        "m.safetensors",
        "./m.safetensors",
        "photos/../m.safetensors",
        "same.safetensors",
        "link.safetensors",
    ] {
        refused(&here, Export, name, true, "which is read");
    }
    // A photograph by another name; a class folder that is a link; a link into the folder.
    std::fs::hard_link(here.at("photos/square/00001.png"), here.at("photo.png")).unwrap();
    std::fs::create_dir(here.at("elsewhere")).unwrap();
    std::fs::rename(here.at("photos/circle"), here.at("elsewhere/circle")).unwrap();
    symlink(here.at("elsewhere/circle"), here.at("photos/circle")).unwrap();
    symlink("photos/square/00002.png", here.at("to_photo")).unwrap();
    symlink("photos/square", here.at("to_class")).unwrap();
    for name in [
        "photos/square/00001.png",
        "photos/square/new.safetensors",
        "photos/new.safetensors",
        "elsewhere/../photos/new.safetensors",
        "elsewhere/circle/new.safetensors",
        "elsewhere/circle/00003.png",
        "to_photo",
        "to_class/new.safetensors",
    ] {
        refused(&here, Train, name, true, "photographs");
    }
    refused(&here, Train, "photo.png", true, "which is read");
}

#[test]
fn a_folder_of_photographs_can_be_trained_on_from_inside_and_gains_no_class() {
    let here = Here::new();
    let photos = here.at("photos");
    for _ in 0..2 {
        let mut command = transfer();
        command.current_dir(&photos).env("TRANSFER_WEIGHTS", here.at("weights.safetensors"));
        let ended = command.args(["train", ".", "--epochs", "1", "--image-size", "32"]).output().unwrap();
        assert_eq!(code(&ended), 0, "{}", stderr(&ended));
        assert_eq!(
            Model::load(photos.join("model.safetensors")).unwrap().class_names(),
            crate::common::SHAPES
        );
        let count = photos.read_dir().unwrap().count();
        assert_eq!(count, 6, "three classes, the model, its report and its thumbnails");
    }
    let mut command = transfer();
    command.current_dir(&photos).args(["train", ".", "--checkpoints", "runs"]);
    let ended = command.output().unwrap();
    assert!(code(&ended) == 1 && stderr(&ended).contains("taken for a class"), "{}", stderr(&ended));
}

#[test]
fn a_folder_that_cannot_be_written_is_found_before_photographs_are_looked_for() {
    let here = Here::new();
    std::fs::create_dir(here.at("closed")).unwrap();
    std::fs::copy(here.at("m.safetensors"), here.at("closed/model")).unwrap();
    std::fs::set_permissions(here.at("closed/model"), std::fs::Permissions::from_mode(0o666)).unwrap();
    std::fs::set_permissions(here.at("closed"), std::fs::Permissions::from_mode(0o555)).unwrap();
    std::fs::set_permissions(here.dir.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    // Root may write anywhere, and other users may not reach the program where it was built.
    let program = here.at("transfer");
    crate::common::copy_of_program(&program);
    let mut command = std::process::Command::new(&program);
    command.current_dir(here.dir.path()).args(["train", "no such photos", "-o", "closed/model"]);
    if std::fs::metadata("/proc/self").unwrap().uid() == 0 {
        use std::os::unix::process::CommandExt;
        command.uid(65_534).gid(65_534);
    }
    let ended = command.output().unwrap();
    let said = stderr(&ended);
    assert!(
        code(&ended) == 1 && said.contains("its folder") && said.contains("has to be writable"),
        "{said}"
    );
    assert!(!said.contains("no such photos"), "{said}");
    std::fs::set_permissions(here.at("closed"), std::fs::Permissions::from_mode(0o755)).unwrap();
}

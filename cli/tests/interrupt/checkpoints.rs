//! Folders of checkpoints: whose they are, what goes and what stays.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use super::{names, send};
use crate::common::{code, shapes, stderr, stdout, transfer, untrained_weights};

const HIDDEN: &str = ".model.safetensors.checkpoints";

/// A folder with photographs of three shapes, and weights that nothing has trained.
fn here(each: u64, side: u32) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    shapes(&dir.path().join("shapes"), each, 0, side);
    untrained_weights(&dir.path().join("weights.safetensors"));
    dir
}

fn train(dir: &Path, more: &[&str]) -> Command {
    let mut command = transfer();
    command.current_dir(dir).env("TRANSFER_WEIGHTS", dir.join("weights.safetensors"));
    command.args(["train", "shapes", "--batch-size", "4", "--no-report"]).args(more);
    if !more.contains(&"--image-size") {
        command.args(["--image-size", "32"]);
    }
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn run(dir: &Path, more: &[&str]) -> Output {
    train(dir, more).output().unwrap()
}

/// Starts a training and ends it with Ctrl-C, or kills it, once it has said `line`.
fn interrupted(dir: &Path, more: &[&str], line: &str, kill: bool) -> Output {
    let mut child = train(dir, more).spawn().unwrap();
    let mut said = BufReader::new(child.stderr.take().unwrap());
    let mut all = String::new();
    while !all.contains(line) {
        assert!(said.read_line(&mut all).unwrap() > 0, "it ended before it said {line:?}: {all}");
    }
    end(&mut child, kill);
    said.read_to_string(&mut all).unwrap();
    let mut output = child.wait_with_output().unwrap();
    output.stderr = all.into_bytes();
    output
}

fn end(child: &mut Child, kill: bool) {
    match kill {
        true => child.kill().unwrap(),
        false => send(child, libc::SIGINT),
    }
}

#[test]
fn another_training_says_what_differs_and_leaves_the_interrupted_one_to_be_resumed() {
    let dir = here(24, 64);
    let here = dir.path();
    let unbroken = run(here, &["--epochs", "4", "--image-size", "64", "-o", "unbroken.safetensors"]);
    assert_eq!(code(&unbroken), 0, "{}", stderr(&unbroken));
    let broken = interrupted(here, &["--epochs", "4", "--image-size", "64"], "Epoch ", false);
    assert_eq!(code(&broken), 130, "{}", stderr(&broken));
    assert!(stderr(&broken).contains("continues from the last checkpoint"), "{}", stderr(&broken));

    let other = run(here, &["--epochs", "1", "--image-size", "64", "--learning-rate", "0.001"]);
    let said = stderr(&other);
    assert_eq!(code(&other), 0, "{said}");
    assert!(said.contains("was not finished") && said.contains("starts anew"), "{said}");
    assert!(said.contains("--learning-rate: by the number of photographs before, 0.001 now"), "{said}");
    assert!(said.contains("--epochs: 4 before, 1 now"), "{said}");
    assert!(!said.contains("Resuming"), "{said}");

    // Other photographs, too; the class is named.
    std::fs::rename(here.join("shapes/square/00003.png"), here.join("kept.png")).unwrap();
    let fewer = run(here, &["--epochs", "1", "--image-size", "64"]);
    assert_eq!(code(&fewer), 0, "{}", stderr(&fewer));
    assert!(stderr(&fewer).contains("class square had"), "{}", stderr(&fewer));
    std::fs::rename(here.join("kept.png"), here.join("shapes/square/00003.png")).unwrap();

    let again = run(here, &["--epochs", "4", "--image-size", "64"]);
    assert_eq!(code(&again), 0, "{}", stderr(&again));
    assert!(stderr(&again).contains("Resuming"), "{}", stderr(&again));
    let model = |name: &str| std::fs::read(here.join(name)).unwrap();
    assert!(model("model.safetensors") == model("unbroken.safetensors"), "the same bytes");
    assert_eq!(names(here), ["model.safetensors", "shapes", "unbroken.safetensors", "weights.safetensors"]);
}

#[test]
fn strangers_in_folders_of_checkpoints_stay() {
    let dir = here(6, 32);
    let here = dir.path();
    let stranger = |path: &str| {
        let path = here.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, "mine").unwrap();
        path
    };
    let strangers = [
        stranger(&format!("{HIDDEN}/notes.txt")),
        stranger(&format!("{HIDDEN}/0123456789abcdef/checkpoint-0000000001.safetensors")),
        stranger("model.safetensors.checkpoints/0123456789abcdef/notes.txt"),
        stranger("given/0123456789abcdef/notes.txt"),
        stranger("given/fedcba9876543210"),
        stranger("given/notes.txt"),
    ];
    for seed in 1..=7 {
        let seed = seed.to_string();
        let done = run(here, &["--epochs", "1", "--seed", &seed, "--checkpoints", "given"]);
        assert_eq!(code(&done), 0, "{}", stderr(&done));
        let done = run(here, &["--epochs", "1", "--seed", &seed]);
        assert_eq!(code(&done), 0, "{}", stderr(&done));
        assert!(stderr(&done).contains("Checkpoints of an earlier version lie in"), "{}", stderr(&done));
    }
    for path in &strangers {
        assert_eq!(std::fs::read_to_string(path).unwrap(), "mine", "{path:?}");
    }
    assert_eq!(names(&here.join(HIDDEN)), ["0123456789abcdef", "notes.txt"], "its own are gone");
    assert_eq!(
        names(&here.join("given")).len(),
        3 + 2 * 7,
        "each of a training's two runs has its own, and they stay"
    );
}

#[test]
fn four_trainings_at_once_with_one_output_end_right_or_with_an_error() {
    let dir = here(8, 32);
    let here = dir.path();
    let options = ["1", "2", "2", "3"].map(|seed| ["--epochs", "2", "--seed", seed]);
    let expected: Vec<Vec<u8>> = ["1", "2", "3"]
        .iter()
        .map(|seed| {
            let done = run(here, &["--epochs", "2", "--seed", seed, "-o", "expected"]);
            assert_eq!(code(&done), 0, "{}", stderr(&done));
            std::fs::read(here.join("expected")).unwrap()
        })
        .collect();
    std::fs::remove_file(here.join("expected")).unwrap();
    let running: Vec<Child> = options.iter().map(|options| train(here, options).spawn().unwrap()).collect();
    let ended: Vec<Output> = running.into_iter().map(|child| child.wait_with_output().unwrap()).collect();
    for output in &ended {
        let said = stderr(output);
        match code(output) {
            0 => assert!(stdout(output).contains("saved: model.safetensors"), "{said}"),
            1 => assert!(said.contains("error: --output") && said.contains("another process"), "{said}"),
            other => panic!("exit code {other}: {said}"),
        }
    }
    assert!(ended.iter().any(|output| code(output) == 0));
    assert!(
        expected.contains(&std::fs::read(here.join("model.safetensors")).unwrap()),
        "one of their models"
    );
    assert_eq!(names(here), ["model.safetensors", "shapes", "weights.safetensors"]);
    // One folder for the checkpoints of several trainings: each keeps its own.
    let more = |n: usize| {
        let options: Vec<String> = ["--epochs", "2", "--seed", ["1", "3"][n], "--checkpoints", "given", "-o"]
            .map(str::to_owned)
            .into_iter()
            .chain([format!("{n}.safetensors")])
            .collect();
        train(here, &options.iter().map(String::as_str).collect::<Vec<_>>()).spawn().unwrap()
    };
    let running = [more(0), more(1)];
    for (n, child) in running.into_iter().enumerate() {
        let output = child.wait_with_output().unwrap();
        assert_eq!(code(&output), 0, "{}", stderr(&output));
        let model = std::fs::read(here.join(format!("{n}.safetensors"))).unwrap();
        assert!(model == expected[[0, 2][n]], "training {n}");
    }
}

#[test]
fn what_a_killed_training_left_is_used_or_removed_by_the_next() {
    let dir = here(24, 64);
    let here = dir.path();
    let killed = interrupted(here, &["--epochs", "4", "--image-size", "64"], "Epoch ", true);
    assert_eq!(killed.status.code(), None);
    assert!(names(here).iter().any(|name| name.ends_with(".partial")), "the model's place was taken");
    let again = run(here, &["--epochs", "4", "--image-size", "64"]);
    assert_eq!(code(&again), 0, "{}", stderr(&again));
    assert!(stderr(&again).contains("Resuming after epoch"), "{}", stderr(&again));
    assert_eq!(names(here), ["model.safetensors", "shapes", "weights.safetensors"]);
}

#[test]
fn an_interruption_is_told_as_what_it_is() {
    let dir = here(100, 32);
    let here = dir.path();
    // Before the first checkpoint there is none to go on from.
    let early = interrupted(here, &["--epochs", "1", "--image-size", "224"], "Computing on", false);
    let said = stderr(&early);
    assert_eq!(code(&early), 130, "{said}");
    assert!(said.contains("had not written a checkpoint yet") && !said.contains("continues from"), "{said}");
    assert_eq!(names(here), ["shapes", "weights.safetensors"]);

    // While the test set is measured the model is saved already.
    std::fs::rename(here.join("shapes"), here.join("train")).unwrap();
    std::fs::create_dir(here.join("shapes")).unwrap();
    std::fs::rename(here.join("train"), here.join("shapes/train")).unwrap();
    shapes(&here.join("shapes/validation"), 2, 500, 32);
    let large = here.join("shapes/test/circle/0.png");
    shapes(&here.join("shapes/test"), 1, 600, 32);
    crate::common::shape(0, 1, 700).save(&large).unwrap();
    for i in 1..150 {
        std::fs::hard_link(&large, large.with_file_name(format!("{i}.png"))).unwrap();
    }
    let mut child = train(here, &["--epochs", "0"]).spawn().unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    out.read_line(&mut line).unwrap();
    assert!(line.starts_with("validation: "), "{line}");
    end(&mut child, false);
    let output = child.wait_with_output().unwrap();
    let said = stderr(&output);
    assert_eq!(code(&output), 130, "{said}");
    assert!(said.contains("trained and saved: model.safetensors"), "{said}");
    transfer::model::Model::load(here.join("model.safetensors")).unwrap();
}

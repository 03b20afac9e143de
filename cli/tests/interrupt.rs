//! Signals while it works. Ctrl-C while training: a checkpoint, the command that goes on, and the same end as without it.
#![cfg(unix)]

#[path = "interrupt/checkpoints.rs"]
mod checkpoints;
mod common;
#[path = "interrupt/signals.rs"]
mod signals;

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, ChildStderr, Command, Stdio};
use std::time::{Duration, Instant};

use common::{code, run, shapes, stderr, stdout, succeed};

const TRAIN: [&str; 9] =
    ["train", "my shapes", "--epochs", "2", "--image-size", "64", "--batch-size", "4", "--no-report"];

/// Starts a program and waits until it has said `words`.
fn started(command: &mut Command, words: &str) -> (Child, BufReader<ChildStderr>) {
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut said = BufReader::new(child.stderr.take().unwrap());
    read_until(&mut said, words);
    (child, said)
}

/// Reads lines until these words come.
fn read_until(said: &mut impl BufRead, words: &str) {
    let mut all = String::new();
    while !all.contains(words) {
        let n = said.read_line(&mut all).unwrap();
        assert!(n > 0, "it ended before it said {words:?}: {all}");
    }
}

/// All that it still says.
fn to_the_end(said: &mut impl BufRead) -> String {
    let mut rest = String::new();
    said.read_to_string(&mut rest).unwrap();
    rest
}

fn training(dir: &Path) -> Command {
    let mut command = common::transfer();
    command.current_dir(dir).args(TRAIN);
    command
}

/// What a folder holds, sorted.
fn names(folder: &Path) -> Vec<String> {
    let names = folder.read_dir().unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.collect();
    names.sort();
    names
}

fn send(child: &Child, signal: i32) {
    // SAFETY: a signal to a child that has not been waited for, so that the number is still its own.
    assert_eq!(unsafe { libc::kill(child.id() as i32, signal) }, 0);
}

#[test]
fn ctrl_c_leaves_a_checkpoint_and_the_same_command_ends_where_an_unbroken_one_ends() {
    let dir = tempfile::tempdir().unwrap();
    let here = dir.path();
    shapes(&here.join("my shapes"), 24, 0, 64);
    let unbroken = succeed(here, &TRAIN);
    let expected = std::fs::read(here.join("model.safetensors")).unwrap();
    std::fs::remove_file(here.join("model.safetensors")).unwrap();

    let (child, mut said) = started(&mut training(here), "Epoch ");
    send(&child, libc::SIGINT);
    let rest = to_the_end(&mut said);
    let output = child.wait_with_output().unwrap();
    assert_eq!((code(&output), stdout(&output)), (130, String::new()), "{rest}");
    assert!(rest.contains("Interrupted. This command continues"), "{rest}");
    let command = rest.lines().last().unwrap().trim();
    assert!(command.ends_with("train 'my shapes' --epochs 2 --image-size 64 --batch-size 4"), "{rest}");
    let left = names(here);
    assert_eq!(left, [".model.safetensors.checkpoints", "my shapes"], "no model, and nothing unfinished");

    // The very command that it said, as a shell reads it.
    let mut shell = Command::new("sh");
    let again = shell.current_dir(here).args(["-c", command]).env("TRANSFER_THREADS", "1").output().unwrap();
    assert_eq!(code(&again), 0, "{}", stderr(&again));
    assert!(stderr(&again).contains("Resuming"), "{}", stderr(&again));
    assert_eq!(stdout(&again), unbroken);
    assert!(std::fs::read(here.join("model.safetensors")).unwrap() == expected, "the same bytes");
    assert_eq!(names(here), ["model.safetensors", "my shapes"]);
}

#[test]
fn a_second_ctrl_c_ends_at_once() {
    let dir = tempfile::tempdir().unwrap();
    shapes(&dir.path().join("my shapes"), 24, 0, 64);
    let (mut child, _said) = started(&mut training(dir.path()), "Epoch ");
    let start = Instant::now();
    while child.try_wait().unwrap().is_none() {
        send(&child, libc::SIGINT);
        std::thread::sleep(Duration::from_millis(20));
        assert!(start.elapsed() < Duration::from_secs(60), "it goes on and on");
    }
    assert_eq!(child.wait().unwrap().code(), Some(130));
    let output = run(dir.path(), &["summary", "model.safetensors"]);
    assert_eq!(code(&output), 1, "no model was written");
}

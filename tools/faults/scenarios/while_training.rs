//! Something happens to the photographs or the disk while a training goes on. It must end with an error, or with
//! the right model where it had read all that it needed.

use super::Scenario;
use crate::jobs::write;
use crate::judge::{self, Ending};
use crate::outcome::Outcome;
use crate::program::{Reference, Work};
use crate::program::{Stage, MODEL};
use crate::running::Ended;
use crate::sandbox::{Sandbox, SmallDisk};
use crate::snapshot::Snapshot;
use crate::Fallible;
use std::path::Path;
use std::process::Command;

/// What a training says before it is held: at once, before and after the head, and in fine-tuning.
const MOMENTS: [&str; 4] = ["photographs to train on", "Computing on", "Head, solved", "Epoch 3/5"];
/// Photographs that are not kept in memory are read in each epoch.
const NO_CACHE: &str = "--no-cache";

type Deed = fn(&Path) -> Fallible<()>;

pub fn scenarios() -> Vec<Scenario> {
    let deeds: [(&str, Deed); 6] = [
        ("a class is removed", remove_class),
        ("the photographs are moved away", move_away),
        ("photographs become FIFOs", |photos| replace(photos, fifo)),
        ("photographs become folders", |photos| {
            replace(photos, |path| std::fs::create_dir(path).map_err(text))
        }),
        ("photographs become links to nothing", |photos| {
            replace(photos, |path| std::os::unix::fs::symlink("missing", path).map_err(text))
        }),
        ("photographs are cut short", |photos| replace(photos, |path| write(path, b"\x89PNG\r\n\x1a\n"))),
    ];
    let scenario = |(name, deed): (&'static str, Deed)| {
        Scenario::new(format!("while training: {name}"), move |sandbox| disturb(sandbox, name, deed))
    };
    let mut all: Vec<Scenario> = deeds.into_iter().map(scenario).collect();
    all.push(Scenario::new("while training: the disk fills up", fill_up));
    all
}

fn disturb(sandbox: &Sandbox, name: &str, deed: Deed) -> Fallible<Outcome> {
    let program = sandbox.program()?;
    let right = program.stage(sandbox)?.long_reference(&[NO_CACHE])?;
    // What is cut short does not decode, and is left out. The training may then end well, and not in silence.
    let cut = name.contains("cut short");
    let (mut tries, mut failures) = (0, Vec::new());
    for moment in MOMENTS {
        let stage = program.stage(sandbox)?;
        let mut running = stage.start_long(&[NO_CACHE, "--output", MODEL])?;
        if !running.says(moment) {
            return Err(format!("the training ended before it said {moment:?}: {}", running.finish()?.text));
        }
        running.hold();
        deed(&stage.folder.join("photos"))?;
        let mut before = stage.now()?;
        // What the training has begun to write.
        before.0.retain(|path, _| !path.to_string_lossy().ends_with(".partial"));
        running.resume();
        let ended = running.finish()?;
        tries += 1;
        let result = check(&stage, &right, &before, &ended, cut);
        failures.extend(result.err().map(|what| format!("after {moment:?}: {what}")));
    }
    let control = "the training was held meanwhile, and had more to do".to_owned();
    Ok(Outcome::Done { tries, control, failures })
}

/// `left_out` allows a model that was made without some photographs, where that was said.
fn check(stage: &Stage, right: &Reference, before: &Snapshot, ended: &Ended, left_out: bool) -> Fallible<()> {
    let after = stage.now()?;
    match judge::outcome(Work::Train, right, (before, &after), ended, true) {
        Err(_) if left_out && ended.code == Some(0) && ended.text.contains("Left out") => {
            judge::unchanged(Work::Train, before, &after, true)
        }
        other => other.map(drop),
    }
}

fn remove_class(photos: &Path) -> Fallible<()> {
    std::fs::remove_dir_all(photos.join("rings")).map_err(text)
}

fn move_away(photos: &Path) -> Fallible<()> {
    std::fs::rename(photos, photos.with_file_name("moved")).map_err(text)
}

/// Puts something else in the place of four of six photographs of a class.
fn replace(photos: &Path, put: impl Fn(&Path) -> Fallible<()>) -> Fallible<()> {
    for i in 1..5 {
        let path = photos.join(format!("stripes/{i}.png"));
        std::fs::remove_file(&path).map_err(text)?;
        put(&path)?;
    }
    Ok(())
}

fn fifo(path: &Path) -> Fallible<()> {
    let made = Command::new("mkfifo").args(["--mode", "666"]).arg(path).status().map_err(text)?;
    made.success().then_some(()).ok_or_else(|| "mkfifo failed".to_owned())
}

fn text(error: std::io::Error) -> String {
    error.to_string()
}

/// Photographs, checkpoints and model are on one disk, which somebody else fills up.
fn fill_up(sandbox: &Sandbox) -> Fallible<Outcome> {
    const ROOM: u64 = 96 << 20;
    let program = sandbox.program()?;
    let right = program.stage(sandbox)?.long_reference(&[])?;
    let (mut tries, mut failures) = (0, Vec::new());
    for moment in MOMENTS.into_iter().chain(["Epoch 5/5"]) {
        let disk = match sandbox.small_disk(ROOM) {
            Ok(disk) => disk,
            Err(why) => return Ok(Outcome::Skipped(why)),
        };
        let folder = disk.0.join("stage");
        std::fs::create_dir(&folder).map_err(text)?;
        let stage = program.stage_in(sandbox, folder)?;
        let before = stage.now()?;
        let mut running = stage.start_long(&["--output", MODEL])?;
        if !running.says(moment) {
            return Err(format!("the training ended before it said {moment:?}: {}", running.finish()?.text));
        }
        running.hold();
        fill(&disk)?;
        running.resume();
        let ended = running.finish()?;
        tries += 1;
        let result = full(&stage, &right, &before, &ended, &disk);
        failures.extend(result.err().map(|what| format!("after {moment:?}: {what}")));
    }
    let control =
        "the training was held until a plain write failed with \"No space left on device\"".to_owned();
    Ok(Outcome::Done { tries, control, failures })
}

/// Writes until the disk is full.
fn fill(disk: &SmallDisk) -> Fallible<()> {
    use std::io::Write;
    let mut file = std::fs::File::create(disk.0.join("filler")).map_err(text)?;
    loop {
        match file.write_all(&[1; 4096]) {
            Ok(()) => {}
            Err(e) if e.kind() == std::io::ErrorKind::StorageFull => return Ok(()),
            Err(e) => return Err(format!("the disk did not get full: {e}")),
        }
    }
}

fn full(
    stage: &Stage,
    right: &Reference,
    before: &Snapshot,
    ended: &Ended,
    disk: &SmallDisk,
) -> Fallible<()> {
    let after = stage.now()?;
    let ending = judge::outcome(Work::Train, right, (before, &after), ended, true)?;
    if ending == Ending::Error && !ended.text.contains("No space left on device") {
        return Err(format!("the error does not say that the disk is full: {}", ended.text));
    }
    std::fs::remove_file(disk.0.join("filler")).map_err(text)?;
    let again = stage.start_long(&["--output", MODEL])?.finish()?;
    let after = stage.now()?;
    again.well().map_err(|what| format!("with room again: {what}"))?;
    judge::outcome(Work::Train, right, (before, &after), &again, true).map(drop)
}

//! A folder of checkpoints that holds what is not this training's: files and folders of the user, whatever they
//! are called, and the checkpoints of other trainings. None of it may change, and the training must end right or
//! say why it does not begin.

use super::Scenario;
use crate::judge::{self, Ending};
use crate::outcome::Outcome;
use crate::program::{Stage, Work, MODEL};
use crate::sandbox::Sandbox;
use crate::snapshot::Snapshot;
use crate::Fallible;
use std::os::unix::fs::symlink;
use std::path::Path;

/// Where trainings keep checkpoints if they are not told: now, and in versions before.
const DEFAULTS: [&str; 2] = [".model.safetensors.checkpoints", "model.safetensors.checkpoints"];
/// A folder that the training is told to use.
const NAMED: &str = "kept";
/// The training that is interrupted has another seed than the one after it.
const OTHER: [&str; 2] = ["--seed", "9"];

type Run = fn(&Sandbox) -> Fallible<Outcome>;

pub fn scenarios() -> Vec<Scenario> {
    let tried: [(&str, Run); 5] = [
        ("files of a user", |sandbox| strangers(sandbox, files)),
        ("folders of a user called like a run's", |sandbox| strangers(sandbox, folders)),
        ("links of a user", |sandbox| strangers(sandbox, links)),
        ("an interrupted training", interrupted),
        ("something that is no folder", no_folder),
    ];
    let scenario = |(name, run): (&str, Run)| Scenario::new(format!("checkpoints' folder with {name}"), run);
    tried.into_iter().map(scenario).collect()
}

/// The words of a training that keeps its checkpoints in `folder`.
fn options(folder: &str) -> Vec<&str> {
    match DEFAULTS.contains(&folder) {
        true => Vec::new(),
        false => vec!["--checkpoints", folder],
    }
}

fn strangers(sandbox: &Sandbox, put: fn(&Stage, &str) -> Fallible<()>) -> Fallible<Outcome> {
    let program = sandbox.program()?;
    let (mut tries, mut failures) = (0, Vec::new());
    for folder in [DEFAULTS[0], DEFAULTS[1], NAMED] {
        let stage = program.stage(sandbox)?;
        put(&stage, folder)?;
        tries += 1;
        let result = train_beside(&stage, folder);
        failures.extend(result.err().map(|what| format!("{folder}: {what}")));
    }
    let control = "they lay there when the training began".to_owned();
    Ok(Outcome::Done { tries, control, failures })
}

/// Trains with checkpoints in `folder`, also once more. All that was there must still be there.
fn train_beside(stage: &Stage, folder: &str) -> Fallible<()> {
    let before = stage.now()?;
    for _ in 0..2 {
        let mut arguments = Work::Train.arguments();
        arguments.extend(options(folder).into_iter().map(Into::into));
        let ended = stage.run(&arguments)?;
        let after = stage.now()?;
        kept(&before, &after)?;
        let ending = judge::ending(&ended)?;
        let digest = after.digest(Path::new(MODEL));
        match ending {
            Ending::Done if digest != stage.program.of(Work::Train).digest.as_deref() => {
                return Err("exit code 0 with another model".into())
            }
            Ending::Error if !ended.text.contains(folder) => {
                return Err(format!("the error does not name the folder: {}", ended.text))
            }
            _ => {}
        }
    }
    Ok(())
}

/// An error where anything that was there changed or is gone, but for the model; and where an unfinished file or
/// a new one outside of the checkpoints' folders is left.
fn kept(before: &Snapshot, after: &Snapshot) -> Fallible<()> {
    let is_new = |path: &Path| !before.0.contains_key(path);
    let name = |path: &Path| path.to_string_lossy().into_owned();
    let places = [DEFAULTS[0], DEFAULTS[1], NAMED];
    let may_differ = |path: &Path| {
        let in_place = places.iter().any(|place| path.starts_with(place));
        path == Path::new(MODEL) || (is_new(path) && in_place && !name(path).ends_with(".partial"))
    };
    let changed = before.differences(after, may_differ);
    match changed.is_empty() {
        true => Ok(()),
        false => Err(changed.join(", ")),
    }
}

/// Files with names that look as if a training had written them.
fn files(stage: &Stage, folder: &str) -> Fallible<()> {
    let names = [
        "notes.txt",
        ".hidden",
        "checkpoint-0000000001.safetensors",
        ".checkpoint-0000000001.safetensors.7-1.partial",
        "0123456789abcdef",
        "holiday/beach.jpg",
    ];
    names.iter().try_for_each(|name| stage.put(&format!("{folder}/{name}"), b"not to be touched\n"))
}

/// More folders than runs are kept, each with a user's file; in some also what looks like a checkpoint.
fn folders(stage: &Stage, folder: &str) -> Fallible<()> {
    for i in 0..9u64 {
        let own = format!("{folder}/{:016x}", 0x0123_4567_89ab_0000 + i);
        stage.put(&format!("{own}/thesis.txt"), b"not to be touched\n")?;
        if i % 3 == 0 {
            stage.put(&format!("{own}/.lock"), b"")?;
            stage.put(&format!("{own}/checkpoint-0000000007.safetensors"), b"not to be touched\n")?;
        }
    }
    Ok(())
}

/// Links to folders and files of the user, called like runs and checkpoints.
fn links(stage: &Stage, folder: &str) -> Fallible<()> {
    for i in 0..7u64 {
        stage.put(&format!("elsewhere/{i}/thesis.txt"), b"not to be touched\n")?;
        stage.put(&format!("elsewhere/{i}/checkpoint-0000000001.safetensors"), b"not to be touched\n")?;
        stage.put(&format!("{folder}/keep.txt"), b"")?;
        let link = stage.folder.join(folder).join(format!("{:016x}", 0xfeed_face_0000_0000_u64 + i));
        symlink(format!("../elsewhere/{i}"), &link).map_err(|e| e.to_string())?;
    }
    let link = stage.folder.join(folder).join("checkpoint-0000000001.safetensors");
    symlink("../notes.txt", link).map_err(|e| e.to_string())
}

/// A training with other options was interrupted and left checkpoints. After another training with the same
/// folder, it must still go on where it was.
fn interrupted(sandbox: &Sandbox) -> Fallible<Outcome> {
    let program = sandbox.program()?;
    let (mut tries, mut failures) = (0, Vec::new());
    let right = program.stage(sandbox)?.long_reference(&OTHER)?;
    for folder in ["", NAMED] {
        let stage = program.stage(sandbox)?;
        let options = if folder.is_empty() { vec![] } else { options(folder) };
        let longer = [&OTHER[..], &options].concat();
        let mut running = stage.start_long(&longer)?;
        let begun = running.says("Epoch 3/5");
        running.kill()?;
        let ended = running.finish()?;
        if !begun || ended.signal != Some(libc::SIGKILL) {
            return Err(format!("the training was not interrupted: {}: {}", ended.how(), ended.text));
        }
        tries += 1;
        let result = (|| {
            let other = stage.start_long(&options)?.finish()?;
            judge::ending(&other).map_err(|what| format!("the training after it: {what}"))?;
            let again = stage.start_long(&longer)?.finish()?;
            again.well()?;
            if !again.text.contains("Resuming") {
                return Err(format!("it began anew: {}", again.text));
            }
            match stage.now()?.digest(Path::new(MODEL)) == right.digest.as_deref() {
                true => Ok(()),
                false => Err("it ended with another model".to_owned()),
            }
        })();
        let name = if folder.is_empty() { "the default" } else { folder };
        failures.extend(result.err().map(|what| format!("{name}: {what}")));
    }
    let control = "SIGKILL ended a training of five epochs after its third".to_owned();
    Ok(Outcome::Done { tries, control, failures })
}

/// The folder's name belongs to a file, to a link to a folder, to a link to nothing.
fn no_folder(sandbox: &Sandbox) -> Fallible<Outcome> {
    let program = sandbox.program()?;
    let (mut tries, mut failures) = (0, Vec::new());
    for folder in [DEFAULTS[0], NAMED] {
        for kind in ["a file", "a link to a folder", "a link to nothing"] {
            let stage = program.stage(sandbox)?;
            stage.put("elsewhere/thesis.txt", b"not to be touched\n")?;
            let path = stage.folder.join(folder);
            match kind {
                "a file" => stage.put(folder, b"not to be touched\n")?,
                "a link to a folder" => symlink("elsewhere", path).map_err(|e| e.to_string())?,
                _ => symlink("missing", path).map_err(|e| e.to_string())?,
            }
            tries += 1;
            let result = train_beside_link(&stage, folder);
            failures.extend(result.err().map(|what| format!("{folder} is {kind}: {what}")));
        }
    }
    let control = "a file, a link to a folder and a link to nothing had its name".to_owned();
    Ok(Outcome::Done { tries, control, failures })
}

/// Like [`train_beside`]; checkpoints may also lie where a link leads.
fn train_beside_link(stage: &Stage, folder: &str) -> Fallible<()> {
    let before = stage.now()?;
    let mut arguments = Work::Train.arguments();
    arguments.extend(options(folder).into_iter().map(Into::into));
    let ended = stage.run(&arguments)?;
    let after = stage.now()?;
    let is_new = |path: &Path| !before.0.contains_key(path) && !path.to_string_lossy().ends_with(".partial");
    let model = Path::new(MODEL);
    let changed = before.differences(&after, |path| path == model || is_new(path));
    if !changed.is_empty() {
        return Err(changed.join(", "));
    }
    let right = stage.program.of(Work::Train).digest.as_deref();
    match judge::ending(&ended)? {
        Ending::Done if after.digest(model) != right => Err("exit code 0 with another model".into()),
        Ending::Error if !ended.text.contains(folder) => {
            Err(format!("the error does not name it: {}", ended.text))
        }
        _ => Ok(()),
    }
}

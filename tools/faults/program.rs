//! The program `transfer` with something to do: a folder with photographs and models, its commands, and what
//! each of them must come to.

use crate::jobs::write;
use crate::running::{Ended, Running};
use crate::sandbox::{copy_program, Sandbox};
use crate::snapshot::Snapshot;
use crate::{scenario, Fallible};
use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::Command;
use transfer::random::Rng;
use transfer::weights::write_safetensors;
use transfer::Show;

/// Folders of the classes, and photographs in each.
const CLASSES: [&str; 2] = ["rings", "stripes"];
const EACH: u64 = 6;
/// The model that is read or replaced, and the ONNX file that is replaced; both lie there before.
pub const MODEL: &str = "model.safetensors";
pub const ONNX: &str = "model.onnx";
/// What each training here is told: as short as one can be that fine-tunes, too.
const TRAIN: [&str; 9] =
    ["train", "photos", "--image-size", "32", "--batch-size", "4", "--fine-tune-at", "140", "--no-report"];
const SHORT: [&str; 2] = ["--epochs", "1"];
/// Five epochs with the head's, so that something can happen in between.
const LONG: [&str; 2] = ["--epochs", "4"];

/// The commands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Work {
    Train,
    Evaluate,
    Predict,
    Export,
    Summary,
}

impl Work {
    pub const ALL: [Work; 5] = [Work::Train, Work::Evaluate, Work::Predict, Work::Export, Work::Summary];

    pub fn name(self) -> &'static str {
        match self {
            Work::Train => "train",
            Work::Evaluate => "evaluate",
            Work::Predict => "predict",
            Work::Export => "export",
            Work::Summary => "summary",
        }
    }

    /// Its words, but for those that name the output.
    pub fn words(self) -> Vec<&'static str> {
        match self {
            Work::Train => [TRAIN.as_slice(), &SHORT].concat(),
            Work::Evaluate => vec!["evaluate", MODEL, "photos", "--format", "json", "--no-report"],
            Work::Predict => vec!["predict", MODEL, "photos", "--format", "jsonl"],
            Work::Export => vec!["export", MODEL],
            Work::Summary => vec!["summary", MODEL],
        }
    }

    /// The file that it writes.
    pub fn output(self) -> Option<&'static str> {
        match self {
            Work::Train => Some(MODEL),
            Work::Export => Some(ONNX),
            _ => None,
        }
    }

    /// Its words with the output that it has here.
    pub fn arguments(self) -> Vec<OsString> {
        let output = self.output().into_iter().flat_map(|output| ["--output", output]);
        self.words().into_iter().chain(output).map(OsString::from).collect()
    }
}

/// What a command comes to where nothing happens to it.
#[derive(Debug, PartialEq, Eq)]
pub struct Reference {
    pub out: String,
    /// The SHA-256 of the file that it writes.
    pub digest: Option<String>,
}

pub struct Program {
    path: PathBuf,
    /// The folder of the base's weights, which every training reads.
    pub weights: PathBuf,
    /// What each try starts from.
    template: PathBuf,
    references: BTreeMap<Work, Reference>,
}

impl Program {
    /// Draws photographs, makes weights, trains the models, and sees what each command comes to: the same,
    /// whenever it runs.
    pub fn prepare(sandbox: &Sandbox, built: &Path) -> Fallible<Self> {
        let (folder, weights) = (sandbox.fresh()?, sandbox.fresh()?);
        let path = copy_program(built, &folder.join("transfer"))?;
        write_safetensors(weights.join("weights.safetensors"), &scenario::random_weights(), &BTreeMap::new())
            .map_err(|e| e.to_string())?;
        let template = sandbox.fresh()?;
        draw(&template.join("photos"))?;
        write(&template.join("notes.txt"), b"not to be touched\n")?;
        std::fs::copy(template.join("photos/rings/0.png"), template.join("holiday.png"))
            .map_err(|e| e.to_string())?;
        sandbox.give_all(&template)?;
        let mut program = Program { path, weights, template, references: BTreeMap::new() };
        program.make_models(sandbox)?;
        for work in Work::ALL {
            let [first, second] = [0, 1].map(|_| program.reference(sandbox, work));
            let (first, second) = (first?, second?);
            if first != second {
                return Err(format!("two runs of {} differ: {first:?} and {second:?}", work.name()));
            }
            program.references.insert(work, first);
        }
        Ok(program)
    }

    /// The ONNX file is of another model than the one beside it, and that one is another than a training here
    /// makes: so one can tell whether they were replaced.
    fn make_models(&self, sandbox: &Sandbox) -> Fallible<()> {
        let run = |more: &[&str]| {
            let mut command = self.command(sandbox, &self.template);
            command.args(more);
            Running::start(command)?.finish()?.well()
        };
        for seed in ["3", "2"] {
            let _ = std::fs::remove_file(self.template.join(MODEL));
            run(&[&Work::Train.words()[..], &["--seed", seed, "--output", MODEL]].concat())?;
            if seed == "3" {
                run(&["export", MODEL, "--output", ONNX])?;
            }
        }
        Ok(())
    }

    fn reference(&self, sandbox: &Sandbox, work: Work) -> Fallible<Reference> {
        let stage = self.stage(sandbox)?;
        let ended = stage.run(&work.arguments())?;
        ended.well()?;
        let after = stage.now()?;
        let digest = work.output().and_then(|output| after.digest(Path::new(output))).map(str::to_owned);
        Ok(Reference { out: ended.out, digest })
    }

    pub fn of(&self, work: Work) -> &Reference {
        &self.references[&work]
    }

    /// The program, ready for its arguments, in `folder`.
    pub fn command(&self, sandbox: &Sandbox, folder: &Path) -> Command {
        let mut command = sandbox.command(&self.path);
        command.current_dir(folder).env("TRANSFER_WEIGHTS", self.weights.join("weights.safetensors"));
        command
    }

    /// A copy of photographs, models and bystanders for one try.
    pub fn stage<'a>(&'a self, sandbox: &'a Sandbox) -> Fallible<Stage<'a>> {
        let folder = sandbox.fresh()?;
        self.stage_in(sandbox, folder)
    }

    /// The same in a folder that is there.
    pub fn stage_in<'a>(&'a self, sandbox: &'a Sandbox, folder: PathBuf) -> Fallible<Stage<'a>> {
        copy_all(&self.template, &folder)?;
        sandbox.give_all(&folder)?;
        Ok(Stage { program: self, sandbox, folder })
    }
}

/// A folder that a try happens in; it goes away with this value.
pub struct Stage<'a> {
    pub program: &'a Program,
    pub sandbox: &'a Sandbox,
    pub folder: PathBuf,
}

impl Stage<'_> {
    /// The program, ready for its arguments.
    pub fn command(&self) -> Command {
        self.program.command(self.sandbox, &self.folder)
    }

    pub fn start(&self, arguments: &[impl AsRef<OsStr>]) -> Fallible<Running> {
        let mut command = self.command();
        command.args(arguments);
        Running::start(command)
    }

    pub fn run(&self, arguments: &[impl AsRef<OsStr>]) -> Fallible<Ended> {
        self.start(arguments)?.finish()
    }

    /// A training of five epochs (the first is the head's), with these words behind.
    pub fn start_long(&self, more: &[&str]) -> Fallible<Running> {
        self.start(&[&TRAIN[..], &LONG, more].concat())
    }

    /// What such a training comes to where nothing happens to it.
    pub fn long_reference(&self, more: &[&str]) -> Fallible<Reference> {
        let stage = self.program.stage(self.sandbox)?;
        let ended = stage.start_long(&[more, &["--output", MODEL]].concat())?.finish()?;
        ended.well()?;
        let digest = stage.now()?.digest(Path::new(MODEL)).map(str::to_owned);
        Ok(Reference { out: ended.out, digest })
    }

    pub fn now(&self) -> Fallible<Snapshot> {
        Snapshot::of(&self.folder)
    }

    /// Writes a file of somebody else's into the folder.
    pub fn put(&self, path: &str, bytes: &[u8]) -> Fallible<()> {
        let path = self.folder.join(path);
        let parent = path.parent().unwrap_or(&self.folder);
        std::fs::create_dir_all(parent).map_err(|e| format!("cannot create {}: {e}", parent.shown()))?;
        write(&path, bytes)?;
        self.sandbox.give_all(&self.folder)
    }
}

impl Drop for Stage<'_> {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// Small photographs of two classes.
fn draw(folder: &Path) -> Fallible<()> {
    for (class, name) in CLASSES.into_iter().enumerate() {
        let folder = folder.join(name);
        std::fs::create_dir_all(&folder).map_err(|e| e.to_string())?;
        for i in 0..EACH {
            let mut rng = Rng::new(&[class as u64, i]);
            let picture = image::RgbImage::from_fn(40, 36, |x, y| {
                let (x, y) = (x as f32 - 20.0, y as f32 - 18.0);
                let phase = if class == 1 { x + 0.3 * y } else { (x * x + y * y).sqrt() };
                let v = 128.0 + 80.0 * (phase * (0.4 + 0.02 * i as f32)).sin();
                image::Rgb([0.0, 10.0, -20.0].map(|shift| (v + shift + 40.0 * rng.uniform()) as u8))
            });
            picture.save(folder.join(format!("{i}.png"))).map_err(|e| e.to_string())?;
        }
    }
    Ok(())
}

/// Copies files and folders with their times.
fn copy_all(from: &Path, to: &Path) -> Fallible<()> {
    let failed = |e: std::io::Error| format!("cannot copy {}: {e}", from.shown());
    for entry in std::fs::read_dir(from).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let (path, copy) = (entry.path(), to.join(entry.file_name()));
        if path.is_dir() {
            std::fs::create_dir_all(&copy).map_err(failed)?;
            copy_all(&path, &copy)?;
        } else {
            std::fs::copy(&path, &copy).map_err(failed)?;
            let time = entry.metadata().and_then(|about| about.modified()).map_err(failed)?;
            std::fs::File::open(&copy).and_then(|file| file.set_modified(time)).map_err(failed)?;
        }
    }
    Ok(())
}

//! `transfer sort`: files into folders by predicted class.
//!
//! | file | what it holds |
//! |---|---|
//! | `list.rs` | the list of acts, on disk before each |
//! | `places.rs` | where each file goes: folders of classes, names that are free |
//! | `undo.rs` | taking back what a list says, and finishing what an interrupted run began |

mod list;
mod places;
mod undo;

use std::io::Write;
use std::path::{Path, PathBuf};

use transfer::output::Transfer;
use transfer::prelude::*;
use transfer::Show;

use crate::files::Files;
use crate::sort_args::Sort;
use crate::values::Unknown;
use crate::{screen, stop, Failure};
use list::{Act, List};
use places::{Place, Places};

/// Files that are computed at a time, and announced together.
const AT_ONCE: usize = 32;

pub fn sort(arguments: &Sort) -> crate::Result<()> {
    if let Some(list) = &arguments.undo {
        return undo::undo(list);
    }
    let (Some(model), Some(from), Some(into)) = (&arguments.model, &arguments.from, &arguments.into) else {
        return Err(Failure::Error("expected MODEL, IN and OUT, or --undo LIST".into()));
    };
    let (from, into) = folders(from, into)?;
    let mut model = arguments.features.load(model, &arguments.computing.open_and_say()?)?;
    if model.is_multi_label() {
        return Err(Failure::Error(
            "sort expected a model that gives each photograph one class. Received: one of several labels. `transfer \
             predict --format csv` writes the labels of each file."
                .into(),
        ));
    }
    match arguments.unknown {
        Unknown::On => {}
        Unknown::Off => model.set_unknown_rate(None)?,
        Unknown::Rate(rate) => model.set_unknown_rate(Some(rate))?,
    }
    let how = match (arguments.link, arguments.moving) {
        (true, _) => Transfer::Link,
        (_, true) => Transfer::Move,
        _ => Transfer::Copy,
    };
    let places = Places::new(&into, &model.class_names(), arguments.unsure, how)?;
    let is_new = !into.exists();
    std::fs::create_dir_all(&into)
        .map_err(|e| Failure::Error(format!("cannot make {}: {e}", into.shown())))?;
    let into = absolute(&into)?;
    undo::finish_earlier(&into)?;
    let mut list = List::create(&into)?;
    if is_new {
        list.announce(&[Act::Folder(into.clone())])?;
    }
    let mut run = Run { places: places.at(&into), list, how, from, failed: 0, already: 0 };
    run.all(&model)?;
    run.say()
}

/// The two folders, absolute; neither may lie in the other.
fn folders(from: &Path, into: &Path) -> crate::Result<(PathBuf, PathBuf)> {
    if !from.is_dir() {
        return Err(Failure::Error(format!(
            "IN expected a folder with photographs. Received: {}",
            from.shown()
        )));
    }
    let from = absolute(from)?;
    // The part of it that is there has no links; what is to be made below has none either.
    let there = into.ancestors().find_map(|above| {
        let here = if above.as_os_str().is_empty() { Path::new(".") } else { above };
        Some((above, here.canonicalize().ok()?))
    });
    let Some((above, canonical)) = there else {
        return Err(Failure::Error(format!("OUT expected a folder. Received: {}", into.shown())));
    };
    let whole = canonical.join(into.strip_prefix(above).unwrap_or(into));
    if into.exists() && !into.is_dir() {
        return Err(Failure::Error(format!(
            "OUT expected a folder, or a new name. Received: {}",
            into.shown()
        )));
    }
    match whole.starts_with(&from) || from.starts_with(&whole) {
        true => Err(Failure::Error(format!(
            "OUT expected a folder outside of IN, and IN one outside of OUT. Received: {} and {}",
            into.shown(),
            from.shown()
        ))),
        false => Ok((from, whole)),
    }
}

fn absolute(path: &Path) -> crate::Result<PathBuf> {
    path.canonicalize().map_err(|e| Failure::Error(format!("cannot find {}: {e}", path.shown())))
}

/// A run over all files.
struct Run {
    places: Places,
    list: List,
    how: Transfer,
    from: PathBuf,
    failed: usize,
    /// Files that an earlier run has sorted.
    already: usize,
}

impl Run {
    fn all(&mut self, model: &Model) -> crate::Result<()> {
        let mut files = Files::new(std::slice::from_ref(&self.from));
        let mut seen = 0;
        loop {
            let mut chunk = Vec::with_capacity(AT_ONCE);
            let mut ended = true;
            for file in files.by_ref().take(AT_ONCE) {
                ended = false;
                match file.and_then(|path| self.source(path)) {
                    Ok(path) => chunk.push(path),
                    Err(why) => {
                        stop::check("Sorting")?;
                        self.fail(&why);
                    }
                }
            }
            if ended {
                break;
            }
            stop::check("Sorting")?;
            let predictions = model.try_predict_files(&chunk)?;
            self.place(predictions)?;
            seen += chunk.len();
            screen::count(seen as u64);
        }
        if !files.passed_over().is_empty() {
            screen::note(&files.passed_over().to_string());
        }
        Ok(())
    }

    /// The file itself where a link leads to one. One that lies elsewhere is not moved away from there.
    fn source(&self, path: PathBuf) -> Result<PathBuf, String> {
        let real = path.canonicalize().map_err(|e| format!("cannot find {}: {e}", path.shown()))?;
        match self.how == Transfer::Move && real != path {
            true => Err(format!(
                "{} is reached through a link, and links are not moved. Copy it, or sort the folder that it leads to.",
                path.shown()
            )),
            false => Ok(real),
        }
    }

    /// Decides where files go, announces it, and carries it out.
    fn place(&mut self, predictions: Vec<transfer::Result<Prediction>>) -> crate::Result<()> {
        let mut acts = Vec::new();
        for prediction in predictions {
            let prediction = match prediction {
                Ok(prediction) => prediction,
                Err(why) => {
                    self.fail(&why.to_string());
                    continue;
                }
            };
            match self.places.of(&prediction)? {
                Place::Sorted => self.already += 1,
                Place::New { folder, to } => {
                    acts.extend(folder.map(Act::Folder));
                    acts.push(Act::File {
                        how: self.how,
                        from: prediction.path,
                        to,
                        class: prediction.class_name,
                        confidence: prediction.confidence,
                    });
                }
            }
        }
        self.list.announce(&acts)?;
        for act in acts {
            self.carry_out(act)?;
        }
        Ok(())
    }

    fn carry_out(&mut self, act: Act) -> crate::Result<()> {
        match act {
            Act::Folder(path) => match std::fs::create_dir(&path) {
                Err(e) if e.kind() != std::io::ErrorKind::AlreadyExists => {
                    Err(Failure::Error(format!("cannot make {}: {e}", path.shown())))
                }
                _ => Ok(()),
            },
            Act::File { how, from, to, .. } => {
                match how.carry_out(&from, &to) {
                    Ok(true) => {}
                    Ok(false) => self.fail(&format!(
                        "{} appeared meanwhile, and is not replaced; {} stays where it is",
                        to.shown(),
                        from.shown()
                    )),
                    Err(e @ Error::Interrupted(_)) => return Err(e.into()),
                    Err(e) => self.fail(&e.to_string()),
                }
                Ok(())
            }
        }
    }

    fn fail(&mut self, why: &str) {
        self.failed += 1;
        screen::say(&format!("error: {why}"));
    }

    fn say(self) -> crate::Result<()> {
        let mut out = std::io::stdout().lock();
        for (folder, files) in self.places.counts() {
            writeln!(out, "{files:>7}  {}", folder.shown())?;
        }
        if self.already > 0 {
            writeln!(out, "{:>7}  were sorted already", self.already)?;
        }
        writeln!(out, "list: {}", self.list.path().shown())?;
        match self.failed {
            0 => Ok(()),
            n => {
                let files = if n == 1 { "file was" } else { "files were" };
                screen::say(&format!(
                    "{n} {files} not sorted; they are named above, and are where they were."
                ));
                Err(Failure::SomeFiles)
            }
        }
    }
}

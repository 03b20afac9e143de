//! `transfer predict`: files in, classes out, with the memory of a few.

use std::io::{BufWriter, Write};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use transfer::model::Classifier;
use transfer::team::Team;

use crate::args::Predict;
use crate::files::Files;
use crate::formats::Writer;
use crate::values::Unknown;
use crate::{screen, stop, team, Failure};

/// Files that are computed at a time.
const AT_ONCE: usize = 32;

pub fn predict(arguments: &Predict) -> crate::Result<()> {
    let device = arguments.computing.open_and_say()?;
    let (mut model, asked) = match arguments.imagenet {
        true => (
            Classifier::imagenet_on(arguments.base.0, &device)?,
            std::iter::once(&arguments.model).chain(&arguments.files).cloned().collect(),
        ),
        false => (arguments.features.load(&arguments.model, &device)?, arguments.files.clone()),
    };
    let top = arguments.top.unwrap_or(if arguments.imagenet { 5 } else { 1 });
    match arguments.unknown {
        Unknown::On => {}
        Unknown::Off => model.set_unknown_rate(None)?,
        Unknown::Rate(rate) => model.set_unknown_rate(Some(rate))?,
    }
    let mut out = BufWriter::new(std::io::stdout().lock());
    let mut writer =
        Writer::new(arguments.format, top as usize, &model.class_names(), model.novelty().is_some())
            .thresholds(model.thresholds())
            .with_head(team::is_first());
    let mut files = Files::new(&asked);
    let team = team::team();
    let (rank, size) = team.as_ref().map_or((0, 1), |team| (team.rank(), team.size()));
    let (mut seen, mut failed) = (0, 0);
    // Round after round each process has the next files, and the first one writes what all made of theirs.
    loop {
        let mut own = Vec::new();
        let mut taken = 0;
        for turn in 0..size {
            let (chunk, wrong) = next_files(&mut files)?;
            taken += chunk.len() + wrong;
            if turn == rank {
                own = chunk;
            }
            if rank == 0 {
                failed += wrong;
            }
        }
        if taken == 0 {
            break;
        }
        stop::check("The prediction")?;
        let mut done = Done { files: own.len(), ..Done::default() };
        for prediction in model.try_predict_files(&own)? {
            match prediction {
                Ok(prediction) => writer.write(&mut done.lines, &prediction)?,
                Err(why) => done.unreadable.push(why.to_string()),
            }
        }
        for done in done.of_all(team.as_deref())? {
            screen::beside(|| out.write_all(&done.lines).and_then(|()| out.flush()))?;
            failed += done.unreadable.len();
            seen += done.files;
            if rank == 0 {
                done.unreadable.iter().for_each(|why| screen::say(&format!("error: {why}")));
            }
        }
        screen::count(seen as u64);
    }
    let passed_over = files.passed_over();
    if !passed_over.is_empty() {
        screen::note(&passed_over.to_string());
    }
    if seen == 0 && failed == 0 {
        return Err(Failure::Error(
            "expected image files, or folders with some: jpeg, png, bmp, gif, webp or tiff. Received no image. \
             Name other files or folders."
                .to_owned(),
        ));
    }
    match failed {
        0 => Ok(()),
        n => {
            screen::say(&format!("{n} of {} could not be used; they are named above.", seen.max(n)));
            Err(Failure::SomeFiles)
        }
    }
}

/// The next files that are computed at a time, and the number of those that cannot be used, which the first process
/// names.
fn next_files(files: &mut Files) -> crate::Result<(Vec<PathBuf>, usize)> {
    let mut chunk = Vec::with_capacity(AT_ONCE);
    let mut wrong = 0;
    for file in files.by_ref().take(AT_ONCE) {
        match file {
            Ok(path) => chunk.push(path),
            Err(why) => {
                stop::check("The prediction")?;
                wrong += 1;
                if team::is_first() {
                    screen::say(&format!("error: {why}"));
                }
            }
        }
    }
    Ok((chunk, wrong))
}

/// What a process made of its files of a round.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Done {
    files: usize,
    lines: Vec<u8>,
    unreadable: Vec<String>,
}

impl Done {
    /// Those of all processes, in the order of their files.
    fn of_all(self, team: Option<&dyn Team>) -> crate::Result<Vec<Done>> {
        let Some(team) = team else { return Ok(vec![self]) };
        let wrong =
            |e: serde_json::Error| Failure::Error(format!("processes do not understand each other: {e}"));
        let own = serde_json::to_vec(&self).map_err(wrong)?;
        let all = transfer::team::gathered(team, &own)?;
        all.iter().map(|done| serde_json::from_slice(done).map_err(wrong)).collect()
    }
}

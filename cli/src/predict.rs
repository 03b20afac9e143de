//! `transfer predict`: files in, classes out, with the memory of a few.

use std::io::{BufWriter, Write};
use std::path::PathBuf;

use transfer::model::Model;

use crate::args::Predict;
use crate::files::Files;
use crate::formats::Writer;
use crate::values::Unknown;
use crate::{screen, stop, Failure};

/// Files that are computed at a time.
const AT_ONCE: usize = 32;

pub fn predict(arguments: &Predict) -> crate::Result<()> {
    let mut model = Model::load_on(&arguments.model, &arguments.computing.open_and_say()?)?;
    match arguments.unknown {
        Unknown::On => {}
        Unknown::Off => model.set_unknown_rate(None)?,
        Unknown::Rate(rate) => model.set_unknown_rate(Some(rate))?,
    }
    let mut out = BufWriter::new(std::io::stdout().lock());
    let mut writer = Writer::new(
        arguments.format,
        arguments.top as usize,
        &model.class_names(),
        model.novelty().is_some(),
    )
    .thresholds(model.thresholds());
    let mut files = Files::new(&arguments.files);
    let (mut seen, mut failed) = (0, 0);
    loop {
        let mut chunk: Vec<PathBuf> = Vec::with_capacity(AT_ONCE);
        let failed_before = failed;
        for file in files.by_ref().take(AT_ONCE) {
            match file {
                Ok(path) => chunk.push(path),
                Err(why) => {
                    stop::check("The prediction")?;
                    failed += 1;
                    screen::say(&format!("error: {why}"));
                }
            }
        }
        if chunk.is_empty() {
            match failed == failed_before {
                true => break,
                false => continue,
            }
        }
        stop::check("The prediction")?;
        let mut unreadable = Vec::new();
        let predictions = model.try_predict_files(&chunk)?;
        screen::beside(|| {
            for prediction in predictions {
                match prediction {
                    Ok(prediction) => writer.write(&mut out, &prediction)?,
                    Err(why) => unreadable.push(why),
                }
            }
            out.flush()
        })?;
        failed += unreadable.len();
        unreadable.iter().for_each(|why| screen::say(&format!("error: {why}")));
        seen += chunk.len();
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

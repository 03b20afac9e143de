//! `transfer check`: what is wrong with a folder of photographs, and a new folder with what was changed.

use std::io::Write;
use std::path::Path;

use serde_json::{json, Map, Value};
use transfer::check::{
    apply_fixes, apply_fixes_of_table, ApplyOptions, CheckedFile, ClassFinding, DuplicateGroup,
    DuplicateKind, Oddity,
};
use transfer::data::LabelTable;
use transfer::prelude::*;
use transfer::Show;

use crate::check_args::{Check, CheckFormat};
use crate::features::Start;
use crate::formats::insert_file;
use crate::{left_out, screen, Failure};

pub fn check(arguments: &Check) -> crate::Result<()> {
    if let (Some(table), Some(into)) = (&arguments.apply, &arguments.into) {
        return apply(arguments, table, into);
    }
    let output = |path: &Path| OutputFile::new(path).overwrite(arguments.force).not_in(&arguments.dir);
    let fix = arguments.fix.as_deref().map(output);
    if let Some(fix) = &fix {
        fix.check_csv(&CheckReport::FIX_COLUMNS).map_err(|e| named("--fix", e))?;
    }
    let usual = Base::named(Base::DEFAULT)?;
    let start = Start::open(&arguments.features, usual, arguments.features_size)?;
    let device = arguments.computing.open_and_say()?;
    let options = start.check_with(CheckOptions::default().labels(!arguments.no_labels).device(&device));
    let report = match &arguments.labels {
        Some(table) => check_photographs_of_table(&arguments.dir, &LabelTable::read(table)?, options)?,
        None => check_photographs(&arguments.dir, options)?,
    };
    if let Some(fix) = &fix {
        report.save_fixes(fix).map_err(|e| named("--fix", e))?;
        screen::note(&format!("Wrote {} proposed changes to {}.", report.fixes().len(), fix.path().shown()));
    }
    if let Some(path) = &arguments.picture {
        match report.suspects.is_empty() {
            true => screen::note("No picture was written, since no labels are suspected."),
            false => report.figure()?.save(output(path)).map_err(|e| named("--picture", e))?,
        }
    }
    let mut out = std::io::stdout().lock();
    match arguments.format {
        CheckFormat::Text => write!(out, "{report}")?,
        CheckFormat::Json => writeln!(out, "{}", as_json(&report))?,
    }
    Ok(())
}

fn named(option: &str, error: Error) -> Failure {
    match error {
        Error::Interrupted(_) => error.into(),
        other => Failure::Error(format!("{option}: {other}")),
    }
}

fn apply(arguments: &Check, table: &Path, into: &Path) -> crate::Result<()> {
    let options = ApplyOptions::default().copy(arguments.copy);
    let done = match &arguments.labels {
        Some(labels) => {
            apply_fixes_of_table(&arguments.dir, &LabelTable::read(labels)?, table, into, options)?
        }
        None => apply_fixes(&arguments.dir, table, into, options)?,
    };
    if done.copies > 0 && !arguments.copy {
        screen::note(&format!("{} photographs were copied, since they could not be linked.", done.copies));
    }
    let mut out = std::io::stdout().lock();
    writeln!(
        out,
        "{}: {} photographs; {} dropped, {} moved, {} relabelled",
        into.shown(),
        done.photographs,
        done.dropped,
        done.moved,
        done.relabelled
    )?;
    Ok(())
}

fn as_json(report: &CheckReport) -> Value {
    let sets: Map<String, Value> = report
        .sets
        .iter()
        .map(|(set, counts)| {
            let of_classes: Map<String, Value> =
                report.class_names.iter().cloned().zip(counts.iter().map(|&n| n.into())).collect();
            (set.clone(), of_classes.into())
        })
        .collect();
    let sizes = report.sizes;
    json!({
        "photographs": report.photographs(),
        "classes": report.class_names,
        "sets": sets,
        "leaks": report.leaks(),
        "duplicates": report.duplicates.iter().map(group).collect::<Vec<_>>(),
        "suspects": report.suspects.iter().map(|suspect| with(&suspect.file, &[
            ("looks_like", suspect.looks_like.clone().into()),
            ("probability", suspect.probability.into()),
            ("given_probability", suspect.given_probability.into()),
        ])).collect::<Vec<_>>(),
        "outliers": report.outliers.iter().map(|outlier| {
            with(&outlier.file, &[("distance", outlier.distance.into())])
        }).collect::<Vec<_>>(),
        "odd": report.odd.iter().map(|odd| {
            with(&odd.file, &[("oddity", oddity(odd.oddity).into())])
        }).collect::<Vec<_>>(),
        "unreadable": report.unreadable.iter().map(left_out::as_json).collect::<Vec<_>>(),
        "class_findings": report.classes.iter().map(class).collect::<Vec<_>>(),
        "sizes": { "height": sizes.height, "width": sizes.width, "aspect_ratio": sizes.aspect_ratio },
    })
}

fn group(group: &DuplicateGroup) -> Value {
    let kind = match group.kind {
        DuplicateKind::Copy => "copy",
        DuplicateKind::Resaved => "resaved",
        DuplicateKind::Mirrored => "mirrored",
        _ => "shifted",
    };
    json!({
        "kind": kind,
        "similarity": group.similarity,
        "leaks": group.leaks(),
        "files": group.files.iter().map(|file| with(file, &[])).collect::<Vec<_>>(),
    })
}

fn class(finding: &ClassFinding) -> Value {
    match finding {
        ClassFinding::Small { class, photographs } => {
            json!({ "finding": "small", "class": class, "photographs": photographs })
        }
        ClassFinding::Unequal { largest, smallest } => json!({
            "finding": "unequal", "largest": largest.0, "largest_photographs": largest.1,
            "smallest": smallest.0, "smallest_photographs": smallest.1,
        }),
        ClassFinding::PartOf { class, of, part } => {
            json!({ "finding": "part of", "class": class, "of": of, "part": part })
        }
        other => json!({ "finding": other.to_string() }),
    }
}

fn oddity(oddity: Oddity) -> &'static str {
    match oddity {
        Oddity::Tiny => "tiny",
        Oddity::SingleColour => "single colour",
        Oddity::Grey => "grey",
        _ => "elongated",
    }
}

/// A photograph with what was found about it.
fn with(file: &CheckedFile, more: &[(&str, Value)]) -> Value {
    let mut said = Map::new();
    insert_file(&mut said, &file.path);
    said.insert("set".into(), file.set.clone().into());
    said.insert("class".into(), file.class.clone().into());
    said.insert("height".into(), file.size.0.into());
    said.insert("width".into(), file.size.1.into());
    more.iter().for_each(|(key, value)| drop(said.insert((*key).to_owned(), value.clone())));
    said.into()
}

//! `transfer train`: a folder of photographs becomes a model.

use std::io::Write;
use std::path::Path;

use transfer::data::{own_photographs_with_validation, photographs_from_table, Groups, LabelTable};
use transfer::explain::HtmlReport;
use transfer::prelude::*;
use transfer::Show;

use crate::args::Train;
use crate::features::Start;
use crate::{
    device, grouping, html_report, left_out, multi_label, neighbours, output, recipe, screen, stop, team,
    Failure,
};

pub fn train(arguments: &Train) -> crate::Result<()> {
    if !team::is_first() {
        return assist(arguments);
    }
    let output = output::of_training(arguments)?;
    left_out::check(&output)?;
    let report = arguments.report.of_training(&output);
    report.as_ref().map_or(Ok(()), HtmlReport::check).map_err(|e| {
        Failure::Error(format!("the report cannot be written, which `--no-report` leaves out: {e}"))
    })?;
    neighbours::check(&arguments.report, &output)?;
    let folder = output::checkpoints(arguments, &output)?;
    let start = start(arguments)?;
    let checkpoints = recipe::noted(Checkpoints::new(&folder).each_run(true), arguments, &start);
    let device = arguments.computing.open()?;
    let (photographs, groups, check) = photographs(arguments, &start, &device)?;
    let output = not_among(output, &photographs)?;
    screen::note(&photographs.to_string());
    device::say(&device);
    if let Some(earlier) = output::earlier_checkpoints(&output).filter(|_| arguments.checkpoints.is_none()) {
        screen::note(&format!(
            "Checkpoints of an earlier version lie in {0}; this version keeps them in {1}. To continue from them, \
             give `--checkpoints {0}`.",
            earlier.shown(),
            folder.shown()
        ));
    }
    let trained = recipe::train(&photographs, &groups, (arguments, &start), &checkpoints, &device);
    let (mut model, history) = trained.map_err(|e| {
        // Goes only where it is empty, and so has no checkpoint of this or another training.
        let _ = std::fs::remove_dir(&folder);
        how_to_go_on(e, &checkpoints)
    })?;
    model.save(&output).map_err(|e| not_saved(e, &checkpoints))?;
    discard(&checkpoints, arguments, &folder);
    // Now, in case the measuring is interrupted; and again, since damage in the test set shows only then.
    left_out::write(&output, &photographs.bad_images())?;
    let measured = measure(&model, &photographs);
    // The others have done their part.
    model.set_team(None);
    let written = measured.and_then(|()| match &report {
        Some(report) => write_report(&model, &photographs, &history, check.as_ref(), (arguments, report)),
        None => Ok(()),
    });
    written.map_err(|e| measured_in_part(e, output.path()))?;
    let kept = neighbours::write(&arguments.report, &output, &model, &photographs.train);
    kept.map_err(|e| without_neighbours(e, output.path()))?;
    let bad = photographs.bad_images();
    let list = left_out::write(&output, &bad)?;
    let mut out = std::io::stdout().lock();
    writeln!(out, "saved: {}", output.path().shown())?;
    if let Some(list) = list {
        writeln!(
            out,
            "left out: {} of {} photographs, listed in {}",
            bad.len(),
            bad.found,
            list.path().shown()
        )?;
    }
    match arguments.strict && !bad.is_empty() {
        true => Err(Failure::SomeFiles),
        false => Ok(()),
    }
}

/// Computes what is this process' part of the training, and writes nothing.
fn assist(arguments: &Train) -> crate::Result<()> {
    let start = start(arguments)?;
    let device = arguments.computing.open()?;
    let (photographs, groups, _) = photographs(arguments, &start, &device)?;
    // The first process keeps them; the others only have to know that there are some.
    let checkpoints = recipe::noted(Checkpoints::new("of the first process"), arguments, &start);
    let (model, _) = recipe::train(&photographs, &groups, (arguments, &start), &checkpoints, &device)?;
    measure(&model, &photographs)
}

/// What the training starts from.
fn start(arguments: &Train) -> crate::Result<Start> {
    arguments.start.check(arguments.epochs)?;
    Start::open(&arguments.start, arguments.base.0, arguments.image_size)
}

fn photographs(
    arguments: &Train,
    start: &Start,
    device: &Device,
) -> crate::Result<(OwnPhotographs, Groups, Option<CheckReport>)> {
    let (h, w) = arguments.image_size.unwrap_or(start.image_size());
    let options = ImageDatasetOptions {
        validation_split: Some(arguments.validation_split),
        class_names: (!arguments.classes.is_empty()).then(|| arguments.classes.clone()),
        ..ImageDatasetOptions::default()
            .image_size(h, w)
            .fit(arguments.fit.into())
            .batch_size(arguments.images_in_a_batch() as usize)
            .seed(arguments.seed)
            .max_left_out(arguments.max_left_out)
            .team(team::team())
    };
    let mut photographs = match (&arguments.labels, &arguments.validation) {
        (Some(table), _) => photographs_from_table(&arguments.dir, &LabelTable::read(table)?, options)?,
        (None, Some(validation)) => own_photographs_with_validation(&arguments.dir, validation, options)?,
        (None, None) => own_photographs(&arguments.dir, options)?,
    };
    if !arguments.no_cache {
        // The check decodes them, and training need not do it again.
        photographs.train = photographs.train.cache();
    }
    grouping::grouped(photographs, (arguments, start), device)
}

/// The output, which is none of the photographs and lies in none of their folders, also by way of links.
fn not_among(output: OutputFile, photographs: &OwnPhotographs) -> crate::Result<OutputFile> {
    let sets = [Some(&photographs.train), Some(&photographs.validation), photographs.test.as_ref()];
    let files = sets.into_iter().flatten().flat_map(|set| set.file_paths());
    output.not_among(files).map_err(|e| Failure::Error(format!("--output: {e}")))
}

/// Loss and accuracy of the photographs that were not trained on.
fn measure(model: &Model, photographs: &OwnPhotographs) -> crate::Result<()> {
    for (name, set) in [("validation", Some(&photographs.validation)), ("test", photographs.test.as_ref())] {
        let Some(set) = set else { continue };
        if model.is_multi_label() {
            multi_label::measure(model, name, set)?;
            continue;
        }
        let evaluation = model.evaluate(set)?;
        let mut out = std::io::stdout().lock();
        writeln!(out, "{name}: {evaluation}")?;
    }
    Ok(())
}

/// The set that the report is on: the test set, or the validation set where there is none.
fn reported(photographs: &OwnPhotographs) -> (&'static str, &Dataset) {
    match &photographs.test {
        Some(test) => ("test", test),
        None => ("validation", &photographs.validation),
    }
}

/// Writes the report in HTML.
fn write_report(
    model: &Model,
    photographs: &OwnPhotographs,
    history: &History,
    check: Option<&CheckReport>,
    (arguments, file): (&Train, &OutputFile),
) -> crate::Result<()> {
    let (name, set) = reported(photographs);
    let predictions = model.predict(set)?;
    let report = arguments.report.make(model, set, &predictions)?;
    let report = report
        .title(format!("Training on {}", arguments.dir.shown()))
        .fact("Photographs of this page", format!("the {name} set"))
        .history(history);
    html_report::with_check(report, check).save(file)?;
    html_report::say(file);
    Ok(())
}

/// Removes what the training has no more use for: its own checkpoints, where they lie beside the model.
fn discard(checkpoints: &Checkpoints, arguments: &Train, folder: &Path) {
    if arguments.checkpoints.is_some() {
        return;
    }
    if let Err(e) = checkpoints.discard() {
        screen::note(&format!("The checkpoints are no longer needed, but could not be removed: {e}"));
    }
    // Goes only if it is empty, and so has no checkpoints of other trainings.
    let _ = std::fs::remove_dir(folder);
}

/// An interruption with the command that goes on.
fn how_to_go_on(error: Error, checkpoints: &Checkpoints) -> Failure {
    let Error::Interrupted(_) = error else { return error.into() };
    let how = match checkpoints.last() {
        Some(_) => "This command continues from the last checkpoint",
        None => "This training had not written a checkpoint yet. This command starts it again",
    };
    Failure::Interrupted(format!("Interrupted. {how}:\n  {}", stop::this_command()))
}

/// A model that is trained and could not be written.
fn not_saved(error: Error, checkpoints: &Checkpoints) -> Failure {
    let again = match checkpoints.last() {
        Some(_) => {
            "The checkpoints hold the training so far. When the cause is fixed, this command continues from them"
        }
        None => "When the cause is fixed, this command trains again",
    };
    Failure::Error(format!(
        "the model was trained but not saved: {error}\n{again}:\n  {}",
        stop::this_command()
    ))
}

/// What is said where the model is saved and no photographs beside it.
fn without_neighbours(failure: Failure, output: &Path) -> Failure {
    let saved = output.shown();
    match failure {
        Failure::Interrupted(_) => Failure::Interrupted(format!(
            "Interrupted while thumbnails of the training were kept. The model is trained, evaluated and saved: {saved}. \
             `transfer serve` will show no photographs of the training."
        )),
        Failure::Error(text) => Failure::Error(format!(
            "the model is trained, evaluated and saved ({saved}), but without thumbnails of the training for `transfer \
             serve`: {text}"
        )),
        other => other,
    }
}

/// What is said where the model is saved and could not be measured.
fn measured_in_part(failure: Failure, output: &Path) -> Failure {
    let saved = output.shown();
    match failure {
        Failure::Interrupted(_) => Failure::Interrupted(format!(
            "Interrupted while the model was evaluated. It is trained and saved: {saved}. `transfer evaluate` \
             evaluates it."
        )),
        Failure::Error(text) => Failure::Error(format!(
            "the model is trained and saved ({saved}), but could not be evaluated completely: {text}"
        )),
        other => other,
    }
}

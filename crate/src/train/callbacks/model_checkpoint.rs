//! Keeps the weights of epochs as files. Not what a run needs to go on: see [`Checkpoints`](crate::train::Checkpoints).

use crate::output::Format;
use crate::train::callbacks::monitor::Monitor;
use crate::train::callbacks::template::Template;
use crate::train::callbacks::{Action, Callback, History, Progress};
use crate::{Error, OutputFile, Result};

/// Keras' `ModelCheckpoint`: after each epoch, or after each that is the best so far, all weights go to a
/// safetensors file, which [`load_weights`](crate::model::Model::load_weights) reads.
///
/// The path may hold numbers: `weights/{epoch:02d}-{val_loss:.2f}.safetensors`, epochs from 1. Without them
/// each file replaces the one before. `{{` and `}}` stand for braces. Weights of an earlier training by this program
/// are replaced; any other file only with [`OutputFile::overwrite`].
///
/// ```
/// use transfer::train::ModelCheckpoint;
/// let best = ModelCheckpoint::new("best.safetensors").monitor("val_accuracy").save_best_only(true);
/// let all = ModelCheckpoint::new("weights/{epoch:02d}.safetensors");
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct ModelCheckpoint {
    file: OutputFile,
    monitor: Monitor,
    save_best_only: bool,
    initial_value_threshold: Option<f64>,
}

impl ModelCheckpoint {
    /// The weights of each epoch to this path.
    pub fn new(file: impl Into<OutputFile>) -> Self {
        ModelCheckpoint {
            file: file.into(),
            monitor: Monitor::new("val_loss", 0.0),
            save_best_only: false,
            initial_value_threshold: None,
        }
    }

    /// What decides which epoch is the best: `loss`, `accuracy`, `val_loss` (without a call) or
    /// `val_accuracy`.
    pub fn monitor(mut self, name: &str) -> Self {
        self.monitor.name = name.to_owned();
        self
    }

    /// Whether only epochs that are better than all before are saved.
    pub fn save_best_only(mut self, yes: bool) -> Self {
        self.save_best_only = yes;
        self
    }

    /// What the first epoch that is saved must be better than, with [`save_best_only`](Self::save_best_only):
    /// the best of an earlier phase.
    pub fn initial_value_threshold(mut self, value: f64) -> Self {
        self.initial_value_threshold = Some(value);
        self
    }

    /// The path's fields; `None` for a path that is no text and so has none.
    fn template(&self) -> Result<Option<Template>> {
        let Some(path) = self.file.path().to_str() else { return Ok(None) };
        Template::parse(path).map(Some).map_err(|what| {
            Error::Invalid(format!(
                "ModelCheckpoint expected a path such as weights/{{epoch:02d}}.safetensors. Received: {what}"
            ))
        })
    }

    /// The file of the last epoch of a history.
    fn file(&self, history: &History) -> Result<OutputFile> {
        Ok(match self.template()? {
            Some(template) => self.file.with_path(template.expand(history)),
            None => self.file.clone(),
        })
    }

    fn is_best(&self, history: &History) -> bool {
        let mut best = self.initial_value_threshold;
        let mut now = false;
        for &value in self.monitor.values(history) {
            now = self.monitor.is_improvement(value, best);
            best = if now { Some(value) } else { best };
        }
        now
    }
}

impl Callback for ModelCheckpoint {
    fn on_train_begin(&self, run: &Progress<'_>) -> Result<()> {
        if self.save_best_only {
            self.monitor.check("ModelCheckpoint", run)?;
        }
        let template = self.template()?;
        if !run.validated && template.as_ref().is_some_and(Template::needs_validation) {
            return Err(Error::Invalid(
                "ModelCheckpoint has a path with {val_loss} or {val_accuracy}, which need validation data. Add it \
                 with `.validation_data(&dataset)`, or name the files by {epoch}, {loss} and {accuracy}."
                    .into(),
            ));
        }
        // Files that are named by losses are looked at when those are known.
        if template.is_none_or(|template| template.is_by_epoch()) {
            let of_epoch = |epoch| self.file(&History { epoch: vec![epoch], ..History::default() });
            of_epoch(run.initial_epoch)?.check(&Format::Weights)?;
            for epoch in run.initial_epoch + 1..run.epochs {
                of_epoch(epoch)?.check_existing(&Format::Weights)?;
            }
        }
        Ok(())
    }

    fn on_epoch_end(&self, run: &Progress<'_>) -> Result<Action> {
        if !self.save_best_only || self.is_best(run.history) {
            run.model.save_weights(&self.file(run.history)?)?;
        }
        Ok(Action::GoOn)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_of_equals_is_the_best_and_a_threshold_has_to_be_passed() {
        let best = |values: &[f64], threshold: Option<f64>| {
            let mut keep = ModelCheckpoint::new("x").monitor("val_accuracy").save_best_only(true);
            keep.initial_value_threshold = threshold;
            let of = |n: usize| History { val_accuracy: values[..n].to_vec(), ..History::default() };
            (1..=values.len()).filter(|&n| keep.is_best(&of(n))).collect::<Vec<_>>()
        };
        assert_eq!(best(&[0.5, 0.5, 0.7, 0.6, 0.8], None), [1, 3, 5]);
        assert_eq!(best(&[0.5, 0.7, 0.7], Some(0.6)), [2]);
    }
}

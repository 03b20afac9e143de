//! How long and with what to fine-tune, by the number of photographs.

use super::options::FineTuneOptions;

/// The penalty on the head's weights where nothing speaks for another one.
pub(in crate::train) const USUAL_L2: f64 = 0.08;
/// Fewer photographs than this are too few to hold some out: what those say is chance.
const FEW: usize = 100;
/// From this many photographs on one run tells enough of fine-tuning; fewer leave too few to hold out.
const ONE_RUN: usize = FineTuneOptions::LEAST_FOR_REFIT;
/// From this many photographs on there are enough steps for a larger learning rate.
const MANY: usize = 1_000;
/// More held-out photographs than this tell nothing more.
const MOST_HELD_OUT: usize = 2_000;
/// Photographs of a step, and epochs, where what is kept trains on all photographs after a trial: in as many epochs, steps
/// of half the usual size come further.
const REFIT: (usize, usize) = (16, 3);
/// Photographs with several labels, of which none are held out.
const MULTI_LABEL_EPOCHS: usize = 2;

/// What is trained without the held-out photographs, which then decide.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum WithoutHeldOut {
    /// What is kept.
    Kept,
    /// A trial. What is kept trains on all photographs.
    Trial,
    /// Nothing: none are held out.
    Nothing,
}

/// See the module. `docs/fine_tune.md` has the experiments that chose the numbers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Plan {
    /// Epochs of fine-tuning; 0 for the head alone.
    pub epochs: usize,
    /// What is trained without the held-out photographs.
    pub without_held_out: WithoutHeldOut,
    /// The highest learning rate.
    pub learning_rate: f32,
    /// Photographs of a step; nothing where it is a batch of the data set.
    pub batch_size: Option<usize>,
    /// The penalty on the head's weights; nothing where held-out photographs choose it.
    pub l2: Option<f64>,
    /// Parts of which one is held out of each run.
    pub folds: usize,
    /// Runs of fine-tuning, each without another part. Their mean is what is kept, if they are no trial.
    pub runs: usize,
    /// The most of fine-tuning that may be kept: few held-out photographs are no evidence for all of it.
    pub most: f32,
}

impl Plan {
    /// That for so many photographs.
    pub fn of(images: usize, several_labels: bool, options: &FineTuneOptions) -> Self {
        let root = (images.max(1) as f64).sqrt();
        let between = |numerator: f64, least: usize, most: usize| {
            ((numerator / root).round() as usize).clamp(least, most)
        };
        let refit = options.refit && images >= ONE_RUN && options.share.is_none() && !several_labels;
        let (epochs, folds, runs, most) = match images {
            0..ONE_RUN => (between(60.0, 3, 6), 4, 2, 0.5),
            _ if refit => (REFIT.1, images.div_ceil(MOST_HELD_OUT).clamp(2, 100), 1, 1.0),
            ONE_RUN..MANY => (5, 5, 1, 1.0),
            _ => (between(130.0, 3, 4), images.div_ceil(MOST_HELD_OUT).clamp(6, 100), 1, 1.0),
        };
        let (without_held_out, batch_size) = match refit {
            true => (WithoutHeldOut::Trial, Some(REFIT.0)),
            false => (WithoutHeldOut::Kept, None),
        };
        let epochs = match (several_labels, images < FEW) {
            (true, _) => MULTI_LABEL_EPOCHS,
            (false, true) => 0,
            (false, false) => epochs,
        };
        // Callbacks watch one run from its first epoch to its last, and no trial.
        let runs = if options.fit.callbacks.is_empty() { runs } else { 1 };
        let learning_rate = if images < MANY || several_labels { 1e-4 } else { 3e-4 };
        Plan {
            epochs: options.epochs.unwrap_or(epochs),
            without_held_out,
            learning_rate: options.learning_rate.unwrap_or(learning_rate),
            batch_size: options.batch_size.or(batch_size),
            l2: options.l2.or((images < FEW).then_some(USUAL_L2)),
            folds,
            runs,
            most,
        }
    }

    /// How many times as many photographs as there are pass in an epoch of all runs.
    pub fn passes(self) -> f64 {
        let seen = self.runs as f64 * (1.0 - 1.0 / self.folds as f64);
        match self.without_held_out {
            WithoutHeldOut::Kept => seen,
            WithoutHeldOut::Trial => seen + 1.0,
            WithoutHeldOut::Nothing => 1.0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::callbacks::EarlyStopping;

    fn of(images: usize) -> Plan {
        Plan::of(images, false, &FineTuneOptions::default())
    }

    #[test]
    fn fewer_photographs_are_seen_more_often_and_held_out_in_two_runs() {
        let plan = |epochs, learning_rate, folds, runs| Plan {
            epochs,
            without_held_out: WithoutHeldOut::Kept,
            learning_rate,
            batch_size: None,
            folds,
            runs,
            l2: if epochs == 0 { Some(0.08) } else { None },
            most: if runs == 2 { 0.5 } else { 1.0 },
        };
        assert_eq!(of(0), plan(0, 1e-4, 4, 2));
        assert_eq!(of(99), plan(0, 1e-4, 4, 2));
        assert_eq!(of(100), plan(6, 1e-4, 4, 2));
        assert_eq!(of(150), plan(5, 1e-4, 4, 2));
        assert_eq!(of(750), plan(5, 1e-4, 5, 1));
        assert_eq!(of(1_000), plan(4, 3e-4, 6, 1));
        assert_eq!(of(2_000), plan(3, 3e-4, 6, 1));
        assert_eq!(of(40_000), plan(3, 3e-4, 20, 1));
        assert_eq!(of(10_000_000), plan(3, 3e-4, 100, 1));
    }

    #[test]
    fn who_asks_for_a_refit_gets_a_trial_on_half_of_the_photographs_where_these_are_many_enough() {
        let refit = |images| Plan::of(images, false, &FineTuneOptions::default().refit(true));
        let plan = |learning_rate, folds| Plan {
            epochs: 3,
            without_held_out: WithoutHeldOut::Trial,
            learning_rate,
            batch_size: Some(16),
            l2: None,
            folds,
            runs: 1,
            most: 1.0,
        };
        assert_eq!(refit(399), of(399));
        let shared = FineTuneOptions::default().share(1.0);
        assert_eq!(Plan::of(500, false, &shared.clone().refit(true)), Plan::of(500, false, &shared));
        let several = FineTuneOptions::default().refit(true);
        assert_eq!(Plan::of(500, true, &several), Plan::of(500, true, &FineTuneOptions::default()));
        assert_eq!(refit(400), plan(1e-4, 2));
        assert_eq!(refit(4_000), plan(3e-4, 2));
        assert_eq!(refit(40_000), plan(3e-4, 20));
    }

    #[test]
    fn passes_are_those_of_all_runs() {
        assert_eq!(of(100).passes(), 1.5, "two runs on three quarters");
        assert_eq!(of(500).passes(), 0.8);
        let refit = Plan::of(2_000, false, &FineTuneOptions::default().refit(true));
        assert_eq!(refit.passes(), 1.5, "one on half, one on all");
        assert_eq!(Plan { without_held_out: WithoutHeldOut::Nothing, ..of(2_000) }.passes(), 1.0);
    }

    #[test]
    fn what_is_asked_for_comes_first() {
        let asked = FineTuneOptions::epochs(7).learning_rate(2e-5).batch_size(5);
        let plan = Plan { epochs: 7, learning_rate: 2e-5, batch_size: Some(5), ..of(2_000) };
        assert_eq!(Plan::of(2_000, false, &asked), plan);
        let watched = FineTuneOptions::default().callback(EarlyStopping::new());
        assert_eq!(Plan::of(100, false, &watched).runs, 1);
        let several = Plan::of(2_000, true, &FineTuneOptions::default());
        assert_eq!((several.epochs, several.learning_rate, several.batch_size), (2, 1e-4, None));
    }
}

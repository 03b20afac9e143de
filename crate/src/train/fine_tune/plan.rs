//! How long and with what to fine-tune, by the number of photographs.

use super::options::FineTuneOptions;

/// The penalty on the head's weights where nothing speaks for another one.
pub(in crate::train) const USUAL_L2: f64 = 0.08;
/// Fewer photographs than this are too few to hold some out: what those say is chance.
const FEW: usize = 100;
/// From this many photographs on one run tells enough of fine-tuning; fewer leave too few to hold out.
const ONE_RUN: usize = 400;
/// From this many photographs on there are enough steps for a larger learning rate.
const MANY: usize = 1_000;
/// More held-out photographs than this tell nothing more.
const MOST_HELD_OUT: usize = 2_000;
/// Photographs with several labels, of which none are held out.
const MULTI_LABEL_EPOCHS: usize = 2;

/// See the module. `docs/fine_tune.md` has the experiments that chose the numbers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Plan {
    /// Epochs of fine-tuning; 0 for the head alone.
    pub epochs: usize,
    /// The highest learning rate.
    pub learning_rate: f32,
    /// The penalty on the head's weights; nothing where held-out photographs choose it.
    pub l2: Option<f64>,
    /// Parts of which one is held out of each run.
    pub folds: usize,
    /// Runs of fine-tuning, each without another part. Their mean is what is kept.
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
        let (epochs, folds, runs, most) = match images {
            0..ONE_RUN => (between(60.0, 3, 6), 4, 2, 0.5),
            ONE_RUN..MANY => (5, 5, 1, 1.0),
            _ => (between(130.0, 3, 4), images.div_ceil(MOST_HELD_OUT).clamp(6, 100), 1, 1.0),
        };
        let epochs = match (several_labels, images < FEW) {
            (true, _) => MULTI_LABEL_EPOCHS,
            (false, true) => 0,
            (false, false) => epochs,
        };
        // Callbacks watch one run from its first epoch to its last.
        let runs = if options.fit.callbacks.is_empty() { runs } else { 1 };
        let learning_rate = if images < MANY || several_labels { 1e-4 } else { 3e-4 };
        Plan {
            epochs: options.epochs.unwrap_or(epochs),
            learning_rate: options.learning_rate.unwrap_or(learning_rate),
            l2: options.l2.or((images < FEW).then_some(USUAL_L2)),
            folds,
            runs,
            most,
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
            learning_rate,
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
    fn what_is_asked_for_comes_first() {
        let asked = FineTuneOptions::epochs(7).learning_rate(2e-5);
        assert_eq!(Plan::of(2_000, false, &asked), Plan { epochs: 7, learning_rate: 2e-5, ..of(2_000) });
        let watched = FineTuneOptions::default().callback(EarlyStopping::new());
        assert_eq!(Plan::of(100, false, &watched).runs, 1);
        let several = Plan::of(2_000, true, &FineTuneOptions::default());
        assert_eq!((several.epochs, several.learning_rate), (2, 1e-4));
    }
}

//! Learning rates that change from step to step within one `fit`: a factor on the rate that the model was
//! compiled with. Rates that depend on how the training goes are the matter of
//! [`ReduceLrOnPlateau`](crate::train::ReduceLrOnPlateau).
//!
//! ```
//! use transfer::optim::Schedule;
//! let schedule = Schedule::one_cycle();
//! // Of 100 steps the first one has 1/25 of the rate, that at a quarter all of it, the last one nearly none.
//! let of = |step| format!("{:.4}", schedule.factor(step, 100));
//! assert_eq!([of(0), of(24), of(99)], ["0.0400", "1.0000", "0.0000"]);
//! ```

use std::f64::consts::PI;

use crate::{Error, Result};

/// How the learning rate changes over the steps of one `fit`.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub enum Schedule {
    /// It does not.
    #[default]
    Constant,
    /// Down along a cosine, after a warm-up if there is one.
    CosineDecay(CosineDecay),
    /// Up and down again.
    OneCycle(OneCycle),
}

/// Keras' `CosineDecay` over all steps: up in a straight line from 0 while it warms up, then down along half
/// a cosine (Loshchilov & Hutter 2016, <https://arxiv.org/abs/1608.03983>).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CosineDecay {
    /// The part of all steps that warms up, 0 to 1. A tenth helps where layers train that were trained
    /// before: the optimizer's moments are no good yet in the first steps.
    pub warm_up: f64,
    /// Where it ends, as a part of the compiled rate; rarely changed.
    pub alpha: f64,
}

impl Default for CosineDecay {
    fn default() -> Self {
        CosineDecay { warm_up: 0.0, alpha: 0.0 }
    }
}

/// The one-cycle policy: up along a cosine to the compiled rate, then down along one to nearly nothing
/// (Smith & Topin 2017, <https://arxiv.org/abs/1708.07120>, in fastai's form). The formula is that of torch's
/// `OneCycleLR`. Decays of the optimizer's moments stay as they are.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct OneCycle {
    /// The part of all steps that goes up, 0 to 1.
    pub pct_start: f64,
    /// The first rate is the compiled one divided by this.
    pub div_factor: f64,
    /// The last rate is the first one divided by this.
    pub final_div_factor: f64,
}

impl Default for OneCycle {
    fn default() -> Self {
        OneCycle { pct_start: 0.25, div_factor: 25.0, final_div_factor: 1e4 }
    }
}

impl From<CosineDecay> for Schedule {
    fn from(schedule: CosineDecay) -> Self {
        Schedule::CosineDecay(schedule)
    }
}

impl From<OneCycle> for Schedule {
    fn from(schedule: OneCycle) -> Self {
        Schedule::OneCycle(schedule)
    }
}

impl Schedule {
    /// The compiled rate in each step.
    pub fn constant() -> Self {
        Schedule::Constant
    }

    /// [`CosineDecay`] to 0, without warm-up.
    pub fn cosine_decay() -> Self {
        CosineDecay::default().into()
    }

    /// [`CosineDecay`] to 0 after a warm-up of this part of all steps.
    pub fn cosine_decay_with_warm_up(warm_up: f64) -> Self {
        CosineDecay { warm_up, ..CosineDecay::default() }.into()
    }

    /// [`OneCycle`] with fastai's part of steps that go up, a quarter.
    pub fn one_cycle() -> Self {
        OneCycle::default().into()
    }

    /// What the compiled rate is multiplied by in step `step`, from 0, of `steps`.
    pub fn factor(&self, step: u64, steps: u64) -> f64 {
        let (at, steps) = (step as f64, steps.max(1) as f64);
        match *self {
            Schedule::Constant => 1.0,
            Schedule::CosineDecay(CosineDecay { warm_up, alpha }) => {
                let warming = (warm_up * steps).round();
                if at < warming {
                    return at / warming;
                }
                let decaying = (steps - warming).max(1.0);
                anneal(1.0, alpha, ((at - warming) / decaying).min(1.0))
            }
            Schedule::OneCycle(OneCycle { pct_start, div_factor, final_div_factor }) => {
                let (first, top, last) = (1.0 / div_factor, pct_start * steps - 1.0, steps - 1.0);
                if at <= top && top > 0.0 {
                    anneal(first, 1.0, at / top)
                } else {
                    // The top may lie before the first step.
                    let part = if last > top { (at - top) / (last - top) } else { 0.0 };
                    anneal(1.0, first / final_div_factor, part.clamp(0.0, 1.0))
                }
            }
        }
    }

    /// The same factor for all steps.
    pub(crate) fn is_constant(&self) -> bool {
        *self == Schedule::Constant
    }

    /// Refuses what makes no sense.
    pub(crate) fn check(&self) -> Result<()> {
        let part = |v: f64| (0.0..=1.0).contains(&v);
        let divisor = |v: f64| v.is_finite() && v >= 1.0;
        let (fine, expected) = match *self {
            Schedule::Constant => return Ok(()),
            Schedule::CosineDecay(CosineDecay { warm_up, alpha }) => {
                (part(warm_up) && part(alpha), "CosineDecay expected warm_up and alpha from 0 to 1")
            }
            Schedule::OneCycle(OneCycle { pct_start, div_factor, final_div_factor }) => (
                part(pct_start) && divisor(div_factor) && divisor(final_div_factor),
                "OneCycle expected pct_start from 0 to 1, and div_factor and final_div_factor of at least 1",
            ),
        };
        if fine {
            return Ok(());
        }
        Err(Error::Invalid(format!("{expected}. Received: {self:?}")))
    }
}

/// From `start` to `end` along half a cosine.
fn anneal(start: f64, end: f64, part: f64) -> f64 {
    end + (start - end) / 2.0 * (1.0 + (PI * part).cos())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_factor_is_a_part_of_the_compiled_rate_however_few_the_steps() {
        let odd = [
            Schedule::constant(),
            Schedule::cosine_decay(),
            Schedule::cosine_decay_with_warm_up(1.0),
            Schedule::one_cycle(),
            OneCycle { pct_start: 0.0, ..OneCycle::default() }.into(),
            OneCycle { pct_start: 1.0, ..OneCycle::default() }.into(),
        ];
        for schedule in odd {
            for steps in [0, 1, 2, 3, 4, 5, 8, 100, u64::MAX] {
                for step in [0, 1, 2, steps / 2, steps.saturating_sub(1), steps] {
                    let factor = schedule.factor(step, steps);
                    assert!((0.0..=1.0).contains(&factor), "{schedule:?} {step} of {steps}: {factor}");
                }
            }
        }
    }

    #[test]
    fn settings_out_of_range_are_refused_with_their_values() {
        let wrong: [Schedule; 5] = [
            CosineDecay { warm_up: 1.5, alpha: 0.0 }.into(),
            CosineDecay { warm_up: 0.0, alpha: f64::NAN }.into(),
            OneCycle { pct_start: -0.1, ..OneCycle::default() }.into(),
            OneCycle { div_factor: 0.0, ..OneCycle::default() }.into(),
            OneCycle { final_div_factor: f64::INFINITY, ..OneCycle::default() }.into(),
        ];
        for schedule in wrong {
            let error = schedule.check().unwrap_err().to_string();
            assert!(error.contains("expected") && error.contains("Received"), "{error}");
        }
        Schedule::one_cycle().check().unwrap();
    }
}

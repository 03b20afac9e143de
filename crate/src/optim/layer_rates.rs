//! Discriminative learning rates: the head learns at the compiled rate, and what lies below it the slower
//! the deeper it lies (Howard & Ruder 2018, section 3.1, <https://arxiv.org/abs/1801.06146>). Early layers
//! see edges and colours, which are the same in all photographs; late ones see what photographs show.

use std::collections::HashMap;

use crate::{Error, Result};

/// Factors on the learning rate by how deep a layer lies. The base's units (convolutions outside of blocks, and
/// blocks; 19 in MobileNetV2) are what is counted; the dense layer above them has 1.
///
/// ```
/// use transfer::optim::LayerRates;
/// // A rate for each three units, each 0.4 times that above.
/// let gentle = LayerRates::decay(0.4).group_of(3);
/// // From all of it in the dense layer to a hundredth in the lowest unit that trains: fastai's
/// // `slice(lr / 100, lr)`.
/// let slice = LayerRates::down_to(0.01);
/// assert_ne!(gentle, slice);
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LayerRates {
    kind: Kind,
    group: usize,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    /// Each group's factor is that of the group above times this.
    Decay(f64),
    /// The factor of the lowest group that trains; equal quotients between.
    DownTo(f64),
}

impl LayerRates {
    /// Each group of units has `factor` times the rate of that above; the first one below the dense layer has
    /// `factor`.
    pub fn decay(factor: f64) -> Self {
        LayerRates { kind: Kind::Decay(factor), group: 1 }
    }

    /// The lowest group of units that trains has `factor` times the compiled rate; those between come in equal
    /// quotients.
    pub fn down_to(factor: f64) -> Self {
        LayerRates { kind: Kind::DownTo(factor), group: 1 }
    }

    /// So many units, counted from above, share a rate; 1 without a call.
    pub fn group_of(mut self, units: usize) -> Self {
        self.group = units;
        self
    }

    pub(crate) fn check(&self) -> Result<()> {
        let (Kind::Decay(factor) | Kind::DownTo(factor)) = self.kind;
        if factor.is_finite() && factor > 0.0 && factor <= 1.0 && self.group > 0 {
            return Ok(());
        }
        Err(Error::Invalid(format!(
            "LayerRates expected a factor above 0 and at most 1, such as 0.5, and groups of at least 1 unit. \
             Received: factor {factor}, groups of {}",
            self.group
        )))
    }

    /// The factor of each variable of the base, by name. `units` holds the names of each unit's variables in the order
    /// of the data; `lowest` is the first unit in which anything trains.
    pub(crate) fn factors(&self, units: &[Vec<String>], lowest: usize) -> HashMap<String, f64> {
        let count = units.len();
        // Groups are counted from above, from 1: the dense layer is group 0.
        let group_of = |unit: usize| (count - 1 - unit) / self.group + 1;
        let groups = group_of(lowest.min(count - 1)) as f64;
        let mut factors = HashMap::new();
        for (number, names) in units.iter().enumerate() {
            let group = group_of(number) as f64;
            let factor = match self.kind {
                Kind::Decay(factor) => factor.powf(group),
                Kind::DownTo(factor) => factor.powf(group / groups),
            };
            factors.extend(names.iter().map(|name| (name.clone(), factor)));
        }
        factors
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::architecture::{mobilenet_v2, Architecture};

    #[test]
    fn rates_fall_from_the_head_down_group_by_group() {
        let units = Architecture::new(&mobilenet_v2(), 96, 96).variables_by_unit();
        let of = |rates: LayerRates, lowest| {
            let factors = rates.factors(&units, lowest);
            ["Conv_1/kernel", "block_16_project_BN/gamma", "block_15_expand/kernel", "Conv1/kernel"]
                .map(|name| (factors[name] * 1e6).round() / 1e6)
        };
        assert_eq!(
            of(LayerRates::decay(0.5), 12),
            [0.5, 0.25, 0.125, 0.5f64.powi(19)].map(|f: f64| (f * 1e6).round() / 1e6)
        );
        assert_eq!(of(LayerRates::decay(0.5).group_of(2), 12)[..3], [0.5, 0.5, 0.25]);
        assert_eq!(of(LayerRates::decay(1.0), 0), [1.0; 4]);
        // Units 16 to 18 train: three groups, and the lowest of them has the factor itself.
        assert_eq!(of(LayerRates::down_to(0.001), 16)[..3], [0.1, 0.01, 0.001]);
        assert_eq!(of(LayerRates::down_to(0.01), 0)[3], 0.01);
        // Nothing of the base trains: the factors are of no use, but they exist.
        assert!(of(LayerRates::down_to(0.01), 19)[0] > 0.0);
        let all = units.concat().len();
        assert_eq!(LayerRates::decay(0.5).factors(&units, 0).len(), all);
    }

    #[test]
    fn factors_that_would_not_train_or_would_explode_are_refused() {
        for rates in [LayerRates::decay(0.0), LayerRates::down_to(2.0), LayerRates::decay(f64::NAN)] {
            assert!(rates.check().unwrap_err().to_string().contains("at most 1"));
        }
        assert!(LayerRates::decay(0.5).group_of(0).check().is_err());
        LayerRates::decay(0.5).check().unwrap();
    }
}

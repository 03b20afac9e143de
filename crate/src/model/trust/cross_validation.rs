//! How good heads are on images that they did not see.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::interval::{wilson, Interval};

/// What k-fold cross-validation finds: each image is predicted by a head that did not see it.
///
/// Printed, it is one line with mean, spread and interval of the accuracy.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct CrossValidation {
    /// The accuracy in each fold.
    pub accuracies: Vec<f64>,
    /// Number of images, all folds together.
    pub images: usize,
    /// Number of images that were taken for another class.
    pub errors: usize,
    /// Mean cross-entropy of an image.
    pub loss: f64,
}

impl CrossValidation {
    /// Number of folds.
    pub fn folds(&self) -> usize {
        self.accuracies.len()
    }

    /// The mean of the folds' accuracies.
    pub fn mean(&self) -> f64 {
        self.accuracies.iter().sum::<f64>() / self.folds().max(1) as f64
    }

    /// The standard deviation of the folds' accuracies (of a sample: divided by one less than their number).
    pub fn std(&self) -> f64 {
        let mean = self.mean();
        let squares: f64 = self.accuracies.iter().map(|a| (a - mean).powi(2)).sum();
        (squares / self.folds().saturating_sub(1).max(1) as f64).sqrt()
    }

    /// The 95 % interval of the accuracy: Wilson's, on the images of all folds together. See
    /// [`wilson_interval`](crate::model::wilson_interval). The heads of two folds share most of their images, which
    /// the interval does not know of.
    pub fn interval(&self) -> Interval {
        wilson(self.images.saturating_sub(self.errors), self.images)
    }

    /// Refuses what no cross-validation can have found.
    pub(crate) fn check(&self) -> Result<(), String> {
        let share = |a: &f64| (0.0..=1.0).contains(a);
        let folds = (1..=self.images).contains(&self.folds());
        match folds
            && self.accuracies.iter().all(share)
            && self.errors <= self.images
            && self.loss.is_finite()
        {
            true => Ok(()),
            false => Err(format!("expected accuracies of folds from 0 to 1. Received: {self:?}")),
        }
    }
}

impl fmt::Display for CrossValidation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}-fold cross-validation of the head: accuracy {:.4} (standard deviation of the folds {:.4}; 95 % \
             interval {}), loss {:.4}, {} of {} wrong",
            self.folds(),
            self.mean(),
            self.std(),
            self.interval(),
            self.loss,
            self.errors,
            self.images
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mean_spread_and_interval_are_those_of_the_folds() {
        let found = CrossValidation { accuracies: vec![0.9, 1.0, 0.8], images: 30, errors: 3, loss: 0.25 };
        assert_eq!((found.folds(), found.mean()), (3, 0.9));
        assert!((found.std() - 0.1).abs() < 1e-12, "{}", found.std());
        // scipy.stats.binomtest(27, 30).proportion_ci(method="wilson")
        assert_eq!(found.interval().to_string(), "0.7438-0.9654");
        assert_eq!(
            found.to_string(),
            "3-fold cross-validation of the head: accuracy 0.9000 (standard deviation of the folds 0.1000; 95 % interval \
             0.7438-0.9654), loss 0.2500, 3 of 30 wrong"
        );
        assert!(found.check().is_ok());
        assert!(CrossValidation { errors: 31, ..found.clone() }.check().is_err());
        assert!(CrossValidation { accuracies: vec![1.5], ..found }.check().is_err());
    }
}

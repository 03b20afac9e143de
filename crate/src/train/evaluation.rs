//! What an evaluation finds.

use std::fmt;

use crate::model::{behind, wilson_interval, Interval};
use crate::Result;

/// Loss and accuracy of a data set.
///
/// Printed, it is one line, with the 95 % interval of the accuracy where there are fewer than 1,000 images.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Evaluation {
    /// Mean loss of an image.
    pub loss: f64,
    /// Fraction of the images that are right.
    pub accuracy: f64,
    /// Number of images.
    pub images: usize,
    /// Number of images that are wrong.
    pub errors: usize,
}

impl Evaluation {
    /// The 95 % interval of the accuracy: see [`wilson_interval`].
    ///
    /// # Errors
    /// Where there are no images.
    pub fn accuracy_interval(&self) -> Result<Interval> {
        wilson_interval(self.images.saturating_sub(self.errors), self.images)
    }
}

impl Evaluation {
    /// What the line of an epoch says of the validation set.
    pub(crate) fn of_epoch(&self) -> String {
        let Evaluation { loss, accuracy, images, errors } = *self;
        let interval = behind(images.saturating_sub(errors), images);
        format!(" - val_loss: {loss:.4} - val_accuracy: {accuracy:.4}{interval}")
    }
}

impl fmt::Display for Evaluation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Evaluation { loss, accuracy, images, errors } = *self;
        let interval = behind(images.saturating_sub(errors), images);
        write!(f, "accuracy {accuracy:.4}{interval}, loss {loss:.4}, {errors} of {images} wrong")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_accuracy_of_few_images_is_printed_with_its_interval() {
        let few = Evaluation { loss: 0.5, accuracy: 0.95, images: 20, errors: 1 };
        // scipy.stats.binomtest(19, 20).proportion_ci(method="wilson")
        assert_eq!(
            few.to_string(),
            "accuracy 0.9500, 95 % interval 0.7639-0.9911, loss 0.5000, 1 of 20 wrong"
        );
        let many = Evaluation { images: 2000, errors: 100, ..few };
        assert_eq!(many.to_string(), "accuracy 0.9500, loss 0.5000, 100 of 2000 wrong");
        assert!(Evaluation { images: 0, errors: 0, ..few }.accuracy_interval().is_err());
    }
}

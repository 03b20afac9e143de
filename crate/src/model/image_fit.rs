//! How a model's images are brought to its size: as those that it was trained on.

use crate::data::{Dataset, Fit};
use crate::model::Model;
use crate::{Error, Result};

/// How `data` resizes images; other programs have to do it alike.
pub(super) const RESIZE: &str = "bilinear, half-pixel centres, no antialiasing";

/// What a model's file says of it. Versions that know squashing alone refuse the other two, which they would otherwise
/// resize wrongly.
pub(super) fn described(fit: Fit) -> String {
    match fit {
        Fit::Crop => format!("the middle of the wanted aspect ratio, {RESIZE}"),
        Fit::Pad => format!("to fit inside a grey of 127.5, {RESIZE}"),
        _ => RESIZE.to_owned(),
    }
}

/// What such a text says.
pub(super) fn read(text: &str) -> Option<Fit> {
    Fit::ALL.into_iter().find(|&fit| described(fit) == text)
}

impl Model {
    /// How the model's photographs are brought to its aspect ratio: as those that it was last trained on, else
    /// squashed. `predict_file` does it so, and data sets that the model is used with have to.
    pub fn image_fit(&self) -> Fit {
        self.image_fit.unwrap_or_default()
    }

    /// Takes it from a data set that the model is trained on.
    pub(crate) fn take_image_fit(&mut self, dataset: &Dataset) {
        self.image_fit = Some(dataset.fit());
    }

    /// Refuses a data set that shows photographs otherwise than those that the model was trained on.
    pub(crate) fn check_image_fit(&self, dataset: &Dataset) -> Result<()> {
        match self.image_fit.filter(|&fit| fit != dataset.fit()) {
            None => Ok(()),
            Some(fit) => Err(Error::Invalid(format!(
                "The model was trained on photographs with fit {fit}, so it expected a data set with the same. \
                 Received one with fit {}. Make it with `.fit(model.image_fit())`.",
                dataset.fit()
            ))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_file_says_is_read_again_and_anything_else_is_not() {
        for fit in Fit::ALL {
            assert_eq!(read(&described(fit)), Some(fit));
        }
        assert_eq!(read("nearest"), None);
        assert_eq!(described(Fit::Squash), RESIZE, "as all earlier versions wrote");
    }
}

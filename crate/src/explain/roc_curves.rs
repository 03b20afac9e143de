//! The ROC curves of all classes, each against the rest.

use std::fmt;

use super::roc::{roc_curve, RocCurve};
#[cfg(feature = "plot")]
use crate::plot::{roc_curves_figure, ClassRoc, Figure};
use crate::train::Predictions;
use crate::{Error, Result, Show};

/// A ROC curve for each class: its images against those of all other classes. Printed, it is a table of the areas.
#[derive(Clone, PartialEq)]
pub struct RocCurves {
    /// The names of the classes.
    pub class_names: Vec<String>,
    /// The curve of each class. Where a class has no image, or all of them, its rates and area are not numbers (NaN).
    pub curves: Vec<RocCurve>,
    /// The number of images of each class.
    pub support: Vec<usize>,
}

impl Predictions {
    /// A ROC curve for each class against the rest, by the probability of the class. Where photographs may have several
    /// labels, the images of a class are those that have its label.
    ///
    /// # Errors
    /// [`Error::Shape`] where there is not one name for each class; [`Error::Invalid`] for predictions of a plain batch,
    /// whose actual classes are not known.
    ///
    /// ```no_run
    /// # fn example(model: &transfer::model::Model, test: &transfer::data::Dataset) -> transfer::Result<()> {
    /// let curves = model.predict(test)?.roc_curves(test.class_names())?;
    /// println!("{curves}");
    /// curves.figure()?.save("roc.png")?;
    /// # Ok(()) }
    /// ```
    pub fn roc_curves(&self, class_names: &[String]) -> Result<RocCurves> {
        let probabilities = self.probabilities();
        let classes = probabilities.ncols();
        if class_names.len() != classes {
            return Err(Error::Shape(format!(
                "roc_curves expected a name for each of {classes} classes. Received: {} names",
                class_names.len()
            )));
        }
        if self.actual.len() != self.len() {
            return Err(Error::Invalid(
                "roc_curves expected predictions for a data set, which knows the actual classes: \
                 model.predict(&dataset)?. Received predictions for a plain batch."
                    .into(),
            ));
        }
        let targets = if self.is_multi_label() { Some(self.targets()?) } else { None };
        let (mut curves, mut support) = (Vec::with_capacity(classes), Vec::with_capacity(classes));
        for class in 0..classes {
            let is_class: Vec<u32> = match &targets {
                Some(targets) => targets.column(class).iter().map(|&has| u32::from(has > 0.5)).collect(),
                None => self.actual.iter().map(|&label| u32::from(label as usize == class)).collect(),
            };
            curves.push(roc_curve(&is_class, &probabilities.column(class).to_vec())?);
            support.push(is_class.iter().filter(|&&is| is == 1).count());
        }
        Ok(RocCurves { class_names: class_names.to_vec(), curves, support })
    }
}

impl RocCurves {
    /// All curves in one picture, each in the colour of its class. Classes without images have none.
    ///
    /// # Errors
    /// [`Error::Plot`] where no class has a curve.
    #[cfg(feature = "plot")]
    pub fn figure(&self) -> Result<Figure> {
        let class = |(name, curve): (&String, &RocCurve)| ClassRoc {
            name: name.clone(),
            false_positive_rate: curve.false_positive_rate.clone(),
            true_positive_rate: curve.true_positive_rate.clone(),
            auc: curve.auc,
        };
        roc_curves_figure(&self.class_names.iter().zip(&self.curves).map(class).collect::<Vec<_>>())
    }
}

impl fmt::Display for RocCurves {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<String> = self.class_names.iter().map(|name| name.shown().to_string()).collect();
        let wide = names.iter().map(|name| name.chars().count()).max().unwrap_or(0);
        write!(f, "{:<wide$}  photographs     AUC", "")?;
        for ((name, curve), support) in names.iter().zip(&self.curves).zip(&self.support) {
            match curve.auc.is_nan() {
                true => write!(f, "\n{name:<wide$}  {support:>11}       -")?,
                false => write!(f, "\n{name:<wide$}  {support:>11}  {:>6.4}", curve.auc)?,
            }
        }
        Ok(())
    }
}

impl fmt::Debug for RocCurves {
    /// As it is printed, because that is what a notebook shows.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

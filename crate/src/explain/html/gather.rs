//! The numbers and pictures of a report.

use ndarray::{Array2, Axis};

use super::content::{Answers, ClassFindings, Findings, HtmlReport, Photograph, Said, Worst};
use super::labels;
use super::pictures::{with_heat, Sheet};
use crate::data::Dataset;
use crate::explain::{confusion_matrix, roc_curve, Pca};
use crate::model::Model;
use crate::progress::check_stop;
use crate::train::Predictions;
use crate::{Error, Result, Show};

/// Photographs that are listed, with a thumbnail each.
const LISTED: usize = 2000;
/// Photographs on the map.
const ON_MAP: usize = 500;
/// Photographs beside their heat maps.
const WORST: usize = 12;
/// Photographs that are read at a time.
const AT_ONCE: usize = 32;

/// Options of [`Model::html_report`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub struct HtmlReportOptions {
    thumbnails: bool,
}

impl Default for HtmlReportOptions {
    fn default() -> Self {
        HtmlReportOptions { thumbnails: true }
    }
}

impl HtmlReportOptions {
    /// Whether the file holds small copies of the photographs. Without them it holds their names alone.
    pub fn thumbnails(mut self, yes: bool) -> Self {
        self.thumbnails = yes;
        self
    }
}

impl Model {
    /// A report on what the model says of a data set, as an HTML file: `predictions` are those of `dataset`. At most 2,000
    /// photographs are listed, the wrong ones first; all numbers are of all photographs. Photographs are read again for
    /// their thumbnails and for the map.
    ///
    /// # Errors
    /// [`Error::Invalid`] for predictions of another data set, and where there are none; where a photograph cannot be
    /// read.
    ///
    /// ```no_run
    /// # fn example(model: &transfer::model::Model, test: &transfer::data::Dataset) -> transfer::Result<()> {
    /// use transfer::explain::HtmlReportOptions;
    /// let predictions = model.predict(test)?;
    /// model.html_report(test, &predictions, HtmlReportOptions::default())?.title("Cats and dogs").save("report.html")?;
    /// # Ok(()) }
    /// ```
    pub fn html_report(
        &self,
        dataset: &Dataset,
        predictions: &Predictions,
        options: HtmlReportOptions,
    ) -> Result<HtmlReport> {
        let known = |(&index, &label)| dataset.labels().get(index) == Some(&label);
        let of_labels = dataset.label_sets().is_some();
        if of_labels != predictions.is_multi_label()
            || !predictions.indices.iter().zip(&predictions.actual).all(known)
        {
            return Err(Error::Invalid(
                "html_report expected the data set that was predicted. Received another one: its labels differ".into(),
            ));
        }
        let losses = predictions.losses()?;
        let thresholds = self.thresholds();
        let (findings, said) = match of_labels {
            true => labels::find(predictions, &thresholds, dataset.class_names())?,
            false => classes(predictions, dataset.class_names())?,
        };
        let right: Vec<bool> = (0..losses.len()).map(|i| said(i).is_right()).collect();
        let mut order: Vec<usize> = (0..losses.len()).collect();
        // Equal ones in their order; so that no memory is needed, by a sort that does not know it.
        order.sort_unstable_by(|&a, &b| {
            right[a].cmp(&right[b]).then(losses[b].total_cmp(&losses[a])).then(a.cmp(&b))
        });
        order.truncate(LISTED);
        order.shrink_to_fit();
        let photograph = |&i: &usize| {
            let Said { actual, predicted, confidence, class: _ } = said(i);
            let file = file_name(dataset, predictions.indices[i]);
            Photograph { file, actual, predicted, confidence, loss: losses[i], at: None }
        };
        let shown: Vec<usize> = order.iter().map(|&i| said(i).class).collect();
        let mut report = HtmlReport {
            title: "Report".into(),
            facts: Vec::new(),
            history: None,
            class_names: dataset.class_names().to_vec(),
            loss: losses.iter().sum::<f64>() / losses.len().max(1) as f64,
            findings,
            photographs: order.iter().map(photograph).collect(),
            sheet: None,
            worst: Vec::new(),
            variance: [0.0; 2],
            lists: Vec::new(),
        };
        let positions: Vec<usize> = order.iter().map(|&i| predictions.indices[i]).collect();
        // Before the sheet takes its memory: they are of all photographs.
        drop((said, losses, right));
        self.look_again(dataset, &positions, options, &mut report)?;
        let mut by_loss: Vec<usize> = (0..positions.len()).collect();
        by_loss.sort_by(|&a, &b| report.photographs[b].loss.total_cmp(&report.photographs[a].loss));
        by_loss.truncate(WORST);
        for i in by_loss {
            let class = shown[i];
            // One vector for a whole photograph tells no places apart.
            let pictures = match options.thumbnails && !self.base_model().is_features() {
                true => Some(self.heat_map(dataset, positions[i], class as u32)?),
                false => None,
            };
            report.worst.push(Worst { photograph: report.photographs[i].clone(), class, pictures });
        }
        Ok(report)
    }

    /// Reads the listed photographs again: for the sheet of thumbnails, and some for the map.
    fn look_again(
        &self,
        dataset: &Dataset,
        positions: &[usize],
        options: HtmlReportOptions,
        report: &mut HtmlReport,
    ) -> Result<()> {
        let has_map = matches!(report.findings, Findings::Classes(_));
        let step = positions.len().div_ceil(ON_MAP).max(1);
        let wanted: Vec<usize> =
            (0..positions.len()).filter(|i| options.thumbnails || has_map && i % step == 0).collect();
        let mut sheet = Sheet::new(if options.thumbnails { positions.len() } else { 0 });
        let (mut features, mut points) = (Vec::new(), Vec::new());
        let at_once = AT_ONCE.min(self.images_at_once());
        for chunk in wanted.chunks(at_once) {
            check_stop("The report")?;
            let images = dataset.images(&chunk.iter().map(|&i| positions[i]).collect::<Vec<_>>())?;
            // Places have the colour of a class, which several labels have not.
            let is_on_map = |k: &usize| has_map && chunk[*k] % step == 0;
            let on_map: Vec<usize> = (0..chunk.len()).filter(is_on_map).collect();
            if options.thumbnails {
                images.outer_iter().zip(chunk).for_each(|(image, &i)| sheet.put(i, image));
            }
            if !on_map.is_empty() {
                features.extend(self.pooled_of(&images.select(Axis(0), &on_map))?);
                points.extend(on_map.iter().map(|&k| chunk[k]));
            }
        }
        if options.thumbnails {
            report.sheet = Some(sheet.encode()?);
        }
        if points.len() >= 3 {
            let width = features.len() / points.len();
            let features = Array2::from_shape_vec((points.len(), width), features)
                .map_err(|e| Error::Shape(e.to_string()))?;
            let pca = Pca::fit(&features, 2)?;
            report.variance = [0, 1].map(|i| pca.explained_variance_ratio.get(i).copied().unwrap_or(0.0));
            for (place, &i) in pca.transform(&features)?.outer_iter().zip(&points) {
                report.photographs[i].at = Some([place[0], place[1]]);
            }
        }
        Ok(())
    }

    /// A photograph beside what speaks for a class. One at a time, since images may be large.
    fn heat_map(&self, dataset: &Dataset, position: usize, class: u32) -> Result<[Vec<u8>; 2]> {
        check_stop("The report")?;
        let maps = self.grad_cams_of(&dataset.images(&[position])?, &[class])?;
        with_heat(maps.images.index_axis(Axis(0), 0), maps.heat_maps.index_axis(Axis(0), 0))
    }
}

/// How good predictions of one class a photograph are, and what each is.
fn classes<'a>(predictions: &'a Predictions, class_names: &[String]) -> Result<(Findings, Answers<'a>)> {
    let (labels, confidence) = (predictions.labels(), predictions.confidence());
    let matrix = confusion_matrix(&predictions.actual, &labels, class_names)?;
    let of_both = |class: u32| predictions.actual.contains(&class);
    let roc = match class_names.len() == 2 && of_both(0) && of_both(1) {
        true => {
            let scores = predictions.probabilities().column(1).to_vec();
            Some(roc_curve(&predictions.actual, &scores)?)
        }
        false => None,
    };
    let findings = ClassFindings {
        interval: matrix.accuracy_interval()?,
        scores: matrix.report()?,
        matrix,
        roc,
        reliability: predictions.reliability_diagram()?,
    };
    let answers = move |i: usize| {
        let class = labels[i] as usize;
        let (actual, predicted) = (vec![predictions.actual[i] as usize], vec![class]);
        Said { actual, predicted, confidence: confidence[i], class }
    };
    Ok((Findings::Classes(Box::new(findings)), Box::new(answers)))
}

/// A photograph's file below its data set's folder.
fn file_name(dataset: &Dataset, index: usize) -> String {
    let path = dataset.file_path(index).unwrap_or_default();
    path.strip_prefix(dataset.folder()).unwrap_or(&path).shown().to_string()
}

//! What a report holds.

use crate::explain::{ClassificationReport, ConfusionMatrix, ReliabilityDiagram, RocCurve};
use crate::model::Interval;
use crate::train::History;

/// A report on a model: made by [`Model::html_report`](crate::model::Model::html_report), completed by the methods here,
/// and written by [`save`](Self::save).
#[derive(Debug, Clone)]
#[must_use]
pub struct HtmlReport {
    pub(super) title: String,
    pub(super) facts: Vec<(String, String)>,
    pub(super) history: Option<History>,
    /// Mean loss of a photograph.
    pub loss: f64,
    /// The 95 % interval of the accuracy.
    pub interval: Interval,
    /// Which class was taken for which.
    pub matrix: ConfusionMatrix,
    /// Precision, recall and F1 of each class.
    pub scores: ClassificationReport,
    /// For two classes.
    pub roc: Option<RocCurve>,
    /// How often predictions of each confidence are right.
    pub reliability: ReliabilityDiagram,
    pub(super) photographs: Vec<Photograph>,
    /// The thumbnails as a JPEG file.
    pub(super) sheet: Option<Vec<u8>>,
    pub(super) worst: Vec<Worst>,
    /// Parts of the variance along the two directions of the map.
    pub(super) variance: [f64; 2],
    pub(super) lists: Vec<List>,
}

/// A photograph in the report.
#[derive(Debug, Clone)]
pub(super) struct Photograph {
    pub(super) file: String,
    pub(super) actual: usize,
    pub(super) predicted: usize,
    pub(super) confidence: f32,
    pub(super) loss: f64,
    /// Its place on the map.
    pub(super) at: Option<[f64; 2]>,
}

/// One of the photographs with the largest losses.
#[derive(Debug, Clone)]
pub(super) struct Worst {
    pub(super) photograph: Photograph,
    /// JPEG files: itself, and under its heat map.
    pub(super) pictures: Option<[Vec<u8>; 2]>,
}

/// A further list of photographs.
#[derive(Debug, Clone)]
pub(super) struct List {
    pub(super) title: String,
    pub(super) about: String,
    pub(super) columns: Vec<String>,
    pub(super) rows: Vec<Vec<String>>,
}

impl HtmlReport {
    /// The headline.
    pub fn title(mut self, title: impl Into<String>) -> Self {
        self.title = title.into();
        self
    }

    /// Adds a line to what is said of the model: `Trained on`, `1600 photographs`.
    pub fn fact(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.facts.push((name.into(), value.into()));
        self
    }

    /// Adds the learning curves.
    pub fn history(mut self, history: &History) -> Self {
        self.history = Some(history.clone());
        self
    }

    /// Adds a table, such as one of duplicates; without rows it says that there are none.
    pub fn list(
        mut self,
        title: impl Into<String>,
        about: impl Into<String>,
        columns: &[&str],
        rows: Vec<Vec<String>>,
    ) -> Self {
        let columns = columns.iter().map(ToString::to_string).collect();
        self.lists.push(List { title: title.into(), about: about.into(), columns, rows });
        self
    }
}

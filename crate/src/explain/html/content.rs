//! What a report holds.

use crate::explain::{ClassificationReport, ConfusionMatrix, MultiLabelReport, ReliabilityDiagram, RocCurve};
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
    pub(super) class_names: Vec<String>,
    /// Mean loss of a photograph.
    pub(super) loss: f64,
    pub(super) findings: Findings,
    pub(super) photographs: Vec<Photograph>,
    /// The thumbnails as a JPEG file.
    pub(super) sheet: Option<Vec<u8>>,
    pub(super) worst: Vec<Worst>,
    /// Parts of the variance along the two directions of the map.
    pub(super) variance: [f64; 2],
    pub(super) lists: Vec<List>,
}

/// How good predictions are.
#[derive(Debug, Clone)]
pub(super) enum Findings {
    Classes(Box<ClassFindings>),
    Labels(Box<LabelFindings>),
}

/// Of one class a photograph.
#[derive(Debug, Clone)]
pub(super) struct ClassFindings {
    /// The 95 % interval of the accuracy.
    pub(super) interval: Interval,
    pub(super) matrix: ConfusionMatrix,
    pub(super) scores: ClassificationReport,
    /// For two classes.
    pub(super) roc: Option<RocCurve>,
    pub(super) reliability: ReliabilityDiagram,
}

/// Of several labels a photograph.
#[derive(Debug, Clone)]
pub(super) struct LabelFindings {
    pub(super) report: MultiLabelReport,
    /// Photographs that have a label and were not given it, and that were given it and have it not.
    pub(super) mistakes: Vec<(usize, usize)>,
}

/// A photograph in the report.
#[derive(Debug, Clone)]
pub(super) struct Photograph {
    pub(super) file: String,
    /// Its class, or its labels.
    pub(super) actual: Vec<usize>,
    pub(super) predicted: Vec<usize>,
    /// The probability of the predicted class; of several labels, that of the one that is furthest off.
    pub(super) confidence: f32,
    pub(super) loss: f64,
    /// Its place on the map.
    pub(super) at: Option<[f64; 2]>,
}

/// What is said of a photograph.
pub(super) struct Said {
    pub actual: Vec<usize>,
    pub predicted: Vec<usize>,
    pub confidence: f32,
    /// The class that a heat map is of.
    pub class: usize,
}

impl Said {
    pub(super) fn is_right(&self) -> bool {
        self.actual == self.predicted
    }
}

/// What is said of each of many photographs, worked out where it is asked for: kept, it would take ten times as much
/// memory as the predictions.
pub(super) type Answers<'a> = Box<dyn Fn(usize) -> Said + 'a>;

/// One of the photographs with the largest losses.
#[derive(Debug, Clone)]
pub(super) struct Worst {
    pub(super) photograph: Photograph,
    /// What the heat map is of.
    pub(super) class: usize,
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

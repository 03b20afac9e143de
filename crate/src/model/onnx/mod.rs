//! `Model::export_onnx`: the model as an ONNX file, preprocessing included.
//!
//! BatchNormalization is folded into the convolutions, as everywhere here, so the graph is convolutions,
//! ReLU6 (`Clip`), additions, and a head. The base computes in NCHW, since ONNX' `Conv` knows nothing else.

mod convolutions;
mod fold;
mod graph;
mod int8;
mod unknown;

use crate::Show;
use std::io::Write;

use convolutions::{Convolutions, Nodes};
use graph::{Attribute, Axis, Graph};
pub use int8::{calibration_split, Comparison, QuantizedModel};
use unknown::of_images;

use crate::architecture::Architecture;
use crate::model::about::{About, SavedLoss};
use crate::model::multi_label::thresholds_or_half;
use crate::model::{Model, Novelty};
use crate::output::Format;
use crate::weights::Weights;
use crate::{Error, OutputFile, Result};

/// The operator set; ONNX Runtime has it since version 1.6, of 2020.
const OPSET: i64 = 13;

impl Model {
    /// Writes the model as an ONNX file, whole or not at all, for ONNX Runtime and other programs.
    ///
    /// | | name | type |
    /// |---|---|---|
    /// | input | `images` | float32 `(batch, height, width, 3)`: red, green, blue, grey levels 0..255 |
    /// | output | `logits` | float32 `(batch, units)` |
    /// | output | `probabilities` | float32 `(batch, classes)`, also where there is one logit for two classes |
    /// | output | `typicality` | float32 `(batch, 1)`, of a model that tells [unknown](Self::fit_novelty) photographs |
    ///
    /// Probabilities are those of the logits over the model's [temperature](Self::temperature), which the property
    /// `temperature` holds. An image is unknown where its `typicality` is not above the property `unknown_threshold`. (Of a
    /// file of a version that told unknown photographs in another way, neither is exported.)
    /// Of a model of several labels a photograph, the probabilities are the sigmoids of the logits, and the properties
    /// `multi_label` and `thresholds` say so.
    ///
    /// The file's properties (`metadata_props`) hold `class_names`, a JSON list in the order of the
    /// probabilities, and how images have to be resized (`resize` in words, `fit`: squash, crop or pad). Outputs agree with this crate's to about 1e-5 of
    /// their size; a model in bf16 is exported in f32.
    ///
    /// An earlier ONNX file of this program is replaced; any other file only with [`OutputFile::overwrite`].
    ///
    /// # Errors
    /// [`Error::Weights`] where a weight is not finite, [`Error::Invalid`] where the path may not be written or another
    /// ONNX file computes the model's features, [`Error::Io`] where it cannot be.
    ///
    /// ```no_run
    /// # fn example(model: &transfer::model::Model) -> transfer::Result<()> {
    /// model.export_onnx("cats_and_dogs.onnx")?;
    /// # Ok(()) }
    /// ```
    pub fn export_onnx(&self, file: impl Into<OutputFile>) -> Result<()> {
        let file = file.into();
        self.check_exportable()?;
        let weights = self.weights()?;
        let unusable =
            |what: String| Error::Weights(format!("cannot export {}: {what}", file.path().shown()));
        weights.check_finite().map_err(unusable)?;
        let about = About::of(self);
        let mut graph = Graph::default();
        let six = [graph.floats("relu6/min", &[], &[0.0]), graph.floats("relu6/max", &[], &[6.0])];
        let mut base = Convolutions { weights: &weights, six };
        let parts = Parts { about: &about, architecture: self.net.base.architecture(), weights: &weights };
        let bytes = parts.encode(graph, &mut base, self.novelty(), &[])?;
        file.write(&Format::Onnx, |out| out.write_all(&bytes))
    }

    /// Refuses a model whose network another ONNX file has.
    fn check_exportable(&self) -> Result<()> {
        if !self.net.base.is_features() {
            return Ok(());
        }
        Err(Error::Invalid(
            "An export expected a model with a network of this crate. Received: one on the features of another ONNX file. \
             Compute that file first, and then the dense layer, whose weights are `dense/kernel` and `dense/bias` of the \
             saved model"
                .into(),
        ))
    }
}

/// What is exported.
struct Parts<'a> {
    about: &'a About,
    architecture: &'a Architecture,
    weights: &'a Weights,
}

impl Parts<'_> {
    /// The bytes of the file: a graph with the nodes that `base` gives to the base's units, and further properties.
    fn encode(
        &self,
        mut graph: Graph,
        base: &mut dyn Nodes,
        novelty: Option<&Novelty>,
        more: &[(&'static str, String)],
    ) -> Result<Vec<u8>> {
        let Parts { about, architecture, weights } = *self;
        let (h, w) = about.image_size;
        let batch = || Axis::Named("batch");
        graph.input("images", &[batch(), Axis::Fixed(h), Axis::Fixed(w), Axis::Fixed(3)]);
        let mut x = "images".to_owned();
        if let Some(rescaling) = about.rescaling {
            let rescaling = rescaling.rescaling();
            let mut constant = |name: &str, v: [f32; 3]| match rescaling.uniform() {
                Some(_) => graph.floats(name, &[], &v[..1]),
                None => graph.floats(name, &[3], &v),
            };
            let scale = constant("rescaling/scale", rescaling.scale);
            let offset = constant("rescaling/offset", rescaling.offset);
            x = graph.node("Mul", &[&x, &scale], "scaled", &[]);
            x = graph.node("Add", &[&x, &offset], "rescaled", &[]);
        }
        if about.test_time_flip {
            x = with_mirror_images(&mut graph, &x);
        }
        x = graph.node("Transpose", &[&x], "nchw", &[("perm", Attribute::Ints(&[0, 3, 1, 2]))]);
        x = base.begin(&mut graph, &x);
        let frozen_units = novelty.and_then(Novelty::frozen_units);
        let mut frozen = None;
        for (i, unit) in architecture.units.iter().enumerate() {
            x = base.unit(&mut graph, unit, &x)?;
            if frozen_units == Some(i + 1) {
                let values = base.floats(&mut graph, &x);
                let means = graph.node("GlobalAveragePool", &[&values], "frozen_pooled", &[]);
                frozen = Some(graph.node("Flatten", &[&means], "frozen", &[("axis", Attribute::Int(1))]));
            }
        }
        x = base.floats(&mut graph, &x);
        x = graph.node("GlobalAveragePool", &[&x], "pooled", &[]);
        x = graph.node("Flatten", &[&x], "features", &[("axis", Attribute::Int(1))]);
        let (kernel, bias) = (weights.get("dense/kernel")?, weights.get("dense/bias")?);
        let kernel_rows = kernel.shape[0];
        let kernel = graph.floats("dense/kernel", &kernel.shape, &kernel.data);
        let bias = graph.floats("dense/bias", &bias.shape, &bias.data);
        let gemm = if about.test_time_flip { "logits_of_both" } else { "logits" };
        let mut logits = graph.node("Gemm", &[&x, &kernel, &bias], gemm, &[]);
        if about.test_time_flip {
            let shape = graph.integers("pairs/shape", &[2, -1, about.units as i64]);
            let pairs = graph.node("Reshape", &[&logits, &shape], "pairs", &[]);
            let mean = [("axes", Attribute::Ints(&[0])), ("keepdims", Attribute::Int(0))];
            logits = graph.node("ReduceMean", &[&pairs], "logits", &mean);
        }
        let typicality = novelty.and_then(Novelty::typicality);
        if let Some(of) = &typicality {
            let features = of_images(&mut graph, &x, kernel_rows, about.test_time_flip);
            let width = architecture.output_of(frozen_units.unwrap_or(0)).2;
            let frozen = frozen.map(|name| of_images(&mut graph, &name, width, about.test_time_flip));
            unknown::typicality(&mut graph, of, (&logits, about.units), &features, frozen.as_deref());
        }
        probabilities(&mut graph, about, logits);
        graph.output("logits", &[batch(), Axis::Fixed(about.units)]);
        graph.output("probabilities", &[batch(), Axis::Fixed(about.classes())]);
        if typicality.is_some() {
            graph.output("typicality", &[batch(), Axis::Fixed(1)]);
        }
        let mut properties = properties(about);
        properties.extend(typicality.map(|of| ("unknown_threshold", of.threshold.to_string())));
        properties.extend(more.iter().cloned());
        let name = architecture.network.family().to_lowercase();
        Ok(graph.into_model(&format!("{name}_classifier"), OPSET, &properties))
    }
}

/// Adds the output `probabilities` of logits.
fn probabilities(graph: &mut Graph, about: &About, mut logits: String) {
    if let Some(calibration) = about.calibration {
        let temperature = graph.floats("temperature", &[], &[calibration.temperature as f32]);
        logits = graph.node("Div", &[&logits, &temperature], "calibrated", &[]);
    }
    if is_multi_label(about) {
        graph.node("Sigmoid", &[&logits], "probabilities", &[]);
    } else if about.units == 1 {
        let second = graph.node("Sigmoid", &[&logits], "second", &[]);
        let one = graph.floats("one", &[], &[1.0]);
        let first = graph.node("Sub", &[&one, &second], "first", &[]);
        graph.node("Concat", &[&first, &second], "probabilities", &[("axis", Attribute::Int(1))]);
    } else {
        graph.node("Softmax", &[&logits], "probabilities", &[("axis", Attribute::Int(1))]);
    }
}

fn is_multi_label(about: &About) -> bool {
    about.loss == Some(SavedLoss::MultiLabelBinaryCrossentropy)
}

/// What the file says about itself.
fn properties(about: &About) -> Vec<(&'static str, String)> {
    let (h, w) = about.image_size;
    let mut properties = vec![
        ("class_names", serde_json::json!(about.class_names).to_string()),
        ("image_size", format!("[{h}, {w}]")),
        ("resize", about.resize.clone()),
        ("temperature", about.calibration.map_or(1.0, |calibration| calibration.temperature).to_string()),
        ("fit", about.fit().unwrap_or_default().to_string()),
        ("written_by", about.written_by.clone()),
    ];
    if is_multi_label(about) {
        properties.push(("multi_label", "true".to_owned()));
        let thresholds = thresholds_or_half(&about.thresholds, about.units);
        properties.push(("thresholds", serde_json::json!(thresholds).to_string()));
    }
    properties
}

/// Appends the batch's mirror images to it.
fn with_mirror_images(graph: &mut Graph, images: &str) -> String {
    const WIDTH: i64 = 2;
    let starts = graph.integers("mirror/starts", &[-1]);
    let ends = graph.integers("mirror/ends", &[i64::MIN]);
    let axes = graph.integers("mirror/axes", &[WIDTH]);
    let steps = graph.integers("mirror/steps", &[-1]);
    let mirrored = graph.node("Slice", &[images, &starts, &ends, &axes, &steps], "mirrored", &[]);
    graph.node("Concat", &[images, &mirrored], "both", &[("axis", Attribute::Int(0))])
}

/// The base alone: rescaled images (n, h, w, 3) to pooled features (n, channels).
#[cfg(all(test, feature = "onnx"))]
pub(crate) fn encode_base(architecture: &Architecture, weights: &Weights) -> Result<Vec<u8>> {
    let (h, w, _) = architecture.layers[0].output;
    let mut graph = Graph::default();
    graph.input("images", &[Axis::Named("batch"), Axis::Fixed(h), Axis::Fixed(w), Axis::Fixed(3)]);
    let mut x = graph.node("Transpose", &["images"], "nchw", &[("perm", Attribute::Ints(&[0, 3, 1, 2]))]);
    let six = [graph.floats("relu6/min", &[], &[0.0]), graph.floats("relu6/max", &[], &[6.0])];
    let mut base = Convolutions { weights, six };
    for unit in &architecture.units {
        x = base.unit(&mut graph, unit, &x)?;
    }
    x = graph.node("GlobalAveragePool", &[&x], "pooled", &[]);
    graph.node("Flatten", &[&x], "features", &[("axis", Attribute::Int(1))]);
    let channels = architecture.output_of(architecture.units.len()).2;
    graph.output("features", &[Axis::Named("batch"), Axis::Fixed(channels)]);
    Ok(graph.into_model("base", OPSET, &[]))
}

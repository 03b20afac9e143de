//! The options that name an ONNX file whose features take the place of a network of this project.

use std::path::{Path, PathBuf};

use clap::Args;
use transfer::bases::Base;
use transfer::prelude::*;

#[cfg(feature = "onnx")]
use crate::screen;
use crate::Failure;

/// Where a training starts. The comments are texts of `--help`.
#[derive(Debug, Args)]
#[cfg_attr(not(feature = "onnx"), allow(dead_code))]
pub struct Features {
    /// ONNX file of a network that gives one vector of features for each image, such as DINOv2 or the image part of CLIP,
    /// to use in place of the usual network. Nothing of it is fine-tuned: `train` trains the head alone. Needs a program
    /// built with `cargo install --path cli --features onnx`
    #[arg(long, value_name = "FILE")]
    pub features: Option<PathBuf>,
    /// Output of that file that has the features, if it has several
    #[arg(long, value_name = "NAME", requires = "features")]
    pub features_output: Option<String>,
    /// Mean of red, green and blue, from 0 to 1, that is subtracted from the images. By default what NAME.json beside
    /// NAME.onnx says, or preprocessor_config.json beside it, or that of ImageNet: 0.485,0.456,0.406
    #[arg(long, value_name = "R,G,B", requires = "features", value_parser = three, allow_hyphen_values = true)]
    pub features_mean: Option<Three>,
    /// Standard deviation of red, green and blue that they are divided by then; by default as for --features-mean, or
    /// that of ImageNet: 0.229,0.224,0.225
    #[arg(long, value_name = "R,G,B", requires = "features", value_parser = three)]
    pub features_std: Option<Three>,
}

/// The ONNX file of a model that was trained with one.
#[derive(Debug, Args)]
pub struct FeaturesFile {
    /// ONNX file that the model was trained with, if the model has one and it is not beside the model
    #[arg(long, value_name = "FILE")]
    pub features: Option<PathBuf>,
}

/// Red, green and blue.
#[derive(Debug, Clone, Copy)]
#[cfg_attr(not(feature = "onnx"), allow(dead_code))]
pub struct Three([f32; 3]);

fn three(text: &str) -> Result<Three, String> {
    let numbers: Option<Vec<f32>> =
        text.split(',').map(|part| part.trim().parse().ok().filter(|n: &f32| n.is_finite())).collect();
    let numbers = numbers.and_then(|numbers| <[f32; 3]>::try_from(numbers).ok());
    numbers.map(Three).ok_or_else(|| "expected three numbers, such as 0.485,0.456,0.406".into())
}

impl FeaturesFile {
    /// Reads a saved model.
    pub fn load(&self, model: &Path, device: &Device) -> transfer::Result<Model> {
        match &self.features {
            Some(features) => Model::load_with_features(model, features, device),
            None => Model::load_on(model, device),
        }
    }
}

/// What computes the features that a training starts from.
pub enum Start {
    /// A network of the registry.
    Base(&'static Base),
    /// An ONNX file.
    #[cfg(feature = "onnx")]
    Onnx(transfer::network::OnnxFeatures),
}

impl Start {
    /// Opens the ONNX file that was asked for, and says what it is; else the base.
    pub fn open(
        asked: &Features,
        base: &'static Base,
        image_size: Option<(usize, usize)>,
    ) -> crate::Result<Self> {
        match &asked.features {
            Some(file) => asked.open(file, image_size),
            None => Ok(Start::Base(base)),
        }
    }

    /// Height and width of the images where nobody asks for others.
    pub fn image_size(&self) -> (usize, usize) {
        match self {
            Start::Base(base) => (base.image_size, base.image_size),
            #[cfg(feature = "onnx")]
            Start::Onnx(features) => features.image_size(),
        }
    }

    /// A model with a head that has yet to learn.
    pub fn model(&self, dataset: &Dataset, device: &Device) -> transfer::Result<Model> {
        match self {
            Start::Base(base) => Model::of_base(base, dataset, device),
            #[cfg(feature = "onnx")]
            Start::Onnx(features) => Model::of_features(features, dataset, device),
        }
    }

    /// What checkpoints note: nothing of the usual base, which earlier versions did not note.
    pub fn noted(&self) -> Option<(&'static str, String)> {
        match self {
            Start::Base(base) => (base.name != Base::DEFAULT).then(|| ("--base", base.name.to_owned())),
            #[cfg(feature = "onnx")]
            Start::Onnx(features) => Some(("--features", features.origin().sha256.clone())),
        }
    }

    /// Looks at photographs with the same features.
    pub fn check_with(&self, options: CheckOptions) -> CheckOptions {
        match self {
            Start::Base(_) => options,
            #[cfg(feature = "onnx")]
            Start::Onnx(features) => options.features(features),
        }
    }
}

impl Features {
    #[cfg(feature = "onnx")]
    fn open(&self, file: &Path, image_size: Option<(usize, usize)>) -> crate::Result<Start> {
        use transfer::network::{OnnxFeatures, OnnxOptions};
        use transfer::Show;
        let mut options = OnnxOptions::default();
        if let Some((h, w)) = image_size {
            options = options.image_size(h, w);
        }
        if let Some(Three(mean)) = self.features_mean {
            options = options.mean(mean);
        }
        if let Some(Three(std)) = self.features_std {
            options = options.std(std);
        }
        if let Some(output) = &self.features_output {
            options = options.output(output);
        }
        let features = OnnxFeatures::open(file, options)?;
        let from = match features.settings_file() {
            Some(json) => format!("prepared as {} says", json.shown()),
            None => "with the mean and standard deviation of ImageNet unless others were given".to_owned(),
        };
        screen::note(&format!("Features: {features}, {from}."));
        Ok(Start::Onnx(features))
    }

    #[cfg(not(feature = "onnx"))]
    fn open(&self, _: &Path, _: Option<(usize, usize)>) -> crate::Result<Start> {
        Err(Failure::Error(
            "--features expected a program that computes ONNX files. Received: one that was built without. Build it with \
             `cargo install --path cli --features onnx`."
                .into(),
        ))
    }

    /// Refuses epochs of fine-tuning where there is an ONNX file.
    pub fn check(&self, epochs: Option<u32>) -> crate::Result<()> {
        match (&self.features, epochs) {
            (Some(_), Some(1..)) => Err(Failure::Error(
                "--features trains the head alone, since the network in an ONNX file stays as it is. Received: --epochs. \
                 Leave it out, or give 0."
                    .into(),
            )),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::three;

    #[test]
    fn three_numbers_are_read() {
        assert_eq!(three("0.5, -1,2").unwrap().0, [0.5, -1.0, 2.0]);
        for wrong in ["", "1,2", "1,2,3,4", "1,2,nan", "a,b,c"] {
            assert!(three(wrong).is_err(), "{wrong}");
        }
    }
}

//! How a network wants its images: what was asked for, else a file of JSON beside the ONNX file, else what most networks
//! of ImageNet want.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::describe::Described;
use crate::network::base::MOST_PIXELS;
use crate::{input, Error, Result, Show};

/// The side of images where nothing says another one.
const USUAL_SIDE: usize = 224;
/// Mean and standard deviation of ImageNet's photographs, red, green and blue from 0 to 1.
const IMAGENET: ([f32; 3], [f32; 3]) = ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]);
/// The longest JSON that is read, in bytes.
const MOST_BYTES: u64 = 1 << 20;

/// How an ONNX file is read. Without a call of a setting it comes from the file itself, from a file of JSON beside it, or
/// is the usual one; [`OnnxFeatures::open`](super::OnnxFeatures::open) has the order.
#[derive(Debug, Clone, Default)]
#[must_use]
pub struct OnnxOptions {
    pub(super) image_size: Option<(usize, usize)>,
    pub(super) mean: Option<[f32; 3]>,
    pub(super) std: Option<[f32; 3]>,
    pub(super) output: Option<String>,
    /// Another file is refused.
    pub(super) sha256: Option<String>,
}

impl OnnxOptions {
    /// Height and width of the images in pixels, for a file that leaves them open.
    pub fn image_size(mut self, height: usize, width: usize) -> Self {
        self.image_size = Some((height, width));
        self
    }

    /// What is subtracted from red, green and blue, which are from 0 to 1.
    pub fn mean(mut self, mean: [f32; 3]) -> Self {
        self.mean = Some(mean);
        self
    }

    /// What they are divided by then.
    pub fn std(mut self, std: [f32; 3]) -> Self {
        self.std = Some(std);
        self
    }

    /// Which output of the file has the features, where it has several.
    pub fn output(mut self, name: &str) -> Self {
        self.output = Some(name.to_owned());
        self
    }

    /// The SHA-256 that the file must have, 64 hexadecimal digits. Another file is refused before it is read as a network.
    pub fn sha256(mut self, sha256: &str) -> Self {
        self.sha256 = Some(sha256.to_owned());
        self
    }
}

/// What was decided.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Settings {
    pub image_size: (usize, usize),
    /// `(x / 255 - mean) / std` as `x * scale + offset`.
    pub scale: [f32; 3],
    pub offset: [f32; 3],
    /// The file of JSON that said something of it.
    pub from: Option<PathBuf>,
}

/// What a file of JSON says.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Said {
    image_size: Option<(usize, usize)>,
    mean: Option<[f32; 3]>,
    std: Option<[f32; 3]>,
    /// What grey levels are multiplied by, where it is not 1/255.
    factor: Option<f32>,
}

impl Settings {
    /// Those of the file at `path`.
    pub fn of(path: &Path, described: &Described, options: &OnnxOptions) -> Result<Self> {
        let (said, from) = match beside(path) {
            Some(json) => (read(&json)?, Some(json)),
            None => (Said::default(), None),
        };
        let image_size = image_size(path, described, options.image_size, said.image_size)?;
        let mean = options.mean.or(said.mean).unwrap_or(IMAGENET.0);
        let std = options.std.or(said.std).unwrap_or(IMAGENET.1);
        let factor = said.factor.unwrap_or(1.0 / 255.0);
        if let Some(wrong) = std.iter().chain(&[factor]).find(|v| !(v.is_finite() && **v > 0.0)) {
            return Err(Error::Invalid(format!(
                "{} expected a standard deviation and a factor above 0, such as 0.229. Received: {wrong}",
                path.shown()
            )));
        }
        if let Some(wrong) = mean.iter().find(|v| !v.is_finite()) {
            return Err(Error::Invalid(format!(
                "{} expected a finite mean, such as 0.485. Received: {wrong}",
                path.shown()
            )));
        }
        let scale = std.map(|std| factor / std);
        let offset = std::array::from_fn(|c| -mean[c] / std[c]);
        Ok(Settings { image_size, scale, offset, from })
    }
}

/// Height and width, each from the file, what was asked for, the JSON, or the usual one.
fn image_size(
    path: &Path,
    described: &Described,
    asked: Option<(usize, usize)>,
    said: Option<(usize, usize)>,
) -> Result<(usize, usize)> {
    let (h, w) = asked.or(said).unwrap_or((USUAL_SIDE, USUAL_SIDE));
    let size = (described.height.unwrap_or(h), described.width.unwrap_or(w));
    if let Some((h, w)) = asked.filter(|&asked| asked != size) {
        return Err(Error::Invalid(format!(
            "{} expected images of {}x{} pixels, for which it was exported. Received: {h}x{w}",
            path.shown(),
            size.0,
            size.1
        )));
    }
    let sides = 1..=MOST_PIXELS;
    if !sides.contains(&size.0) || !sides.contains(&size.1) {
        return Err(Error::Weights(format!(
            "{} expected images of at most {MOST_PIXELS} pixels a side. Received: {}x{}",
            path.shown(),
            size.0,
            size.1
        )));
    }
    Ok(size)
}

/// `model.json` beside `model.onnx`, else `preprocessor_config.json`.
fn beside(path: &Path) -> Option<PathBuf> {
    let names = [path.with_extension("json"), path.with_file_name("preprocessor_config.json")];
    names.into_iter().find(|json| json != path && json.is_file())
}

fn read(json: &Path) -> Result<Said> {
    let unusable = |what: String| {
        Error::Data(format!("{}, which says how images are prepared, cannot be used: {what}", json.shown()))
    };
    let too_large = || unusable(format!("expected at most {MOST_BYTES} bytes"));
    let bytes = input::read_or("cannot read", json, MOST_BYTES, too_large)?;
    let value: Value = serde_json::from_slice(&bytes).map_err(|e| unusable(e.to_string()))?;
    said(&value).map_err(unusable)
}

/// What the JSON of a processor of Hugging Face, or of timm (alone, or under `pretrained_cfg`), says.
fn said(value: &Value) -> Result<Said, String> {
    let value = value.get("pretrained_cfg").unwrap_or(value);
    let no = |name: &str| value.get(name).and_then(Value::as_bool) == Some(false);
    let either = |a: &str, b: &str| value.get(a).or_else(|| value.get(b));
    let three = |name: &str, found: Option<&Value>| -> Result<Option<[f32; 3]>, String> {
        let Some(found) = found.filter(|found| !found.is_null()) else { return Ok(None) };
        let numbers: Option<Vec<f32>> =
            found.as_array().and_then(|all| all.iter().map(|v| v.as_f64().map(|v| v as f32)).collect());
        let numbers = numbers.and_then(|numbers| <[f32; 3]>::try_from(numbers).ok());
        numbers
            .map(Some)
            .ok_or_else(|| format!("expected three numbers as its {name}. Received: {}", short(found)))
    };
    let mut said = Said {
        image_size: size(value)?,
        mean: three("mean", either("image_mean", "mean"))?,
        std: three("std", either("image_std", "std"))?,
        factor: value.get("rescale_factor").and_then(Value::as_f64).map(|factor| factor as f32),
    };
    if no("do_rescale") {
        said.factor = Some(1.0);
    }
    if no("do_normalize") {
        (said.mean, said.std) = (Some([0.0; 3]), Some([1.0; 3]));
    }
    Ok(said)
}

/// Height and width: timm's `input_size`; else `crop_size` or `size`, as a number, as height and width, or as the shorter
/// side.
fn size(value: &Value) -> Result<Option<(usize, usize)>, String> {
    let side = |v: &Value| v.as_u64().and_then(|n| usize::try_from(n).ok());
    if let Some(found) = value.get("input_size").filter(|v| !v.is_null()) {
        let sides = found.as_array().filter(|all| all.len() == 3).map(|all| (side(&all[1]), side(&all[2])));
        let Some((Some(h), Some(w))) = sides else {
            return Err(format!("expected an input_size of [3, height, width]. Received: {}", short(found)));
        };
        return Ok(Some((h, w)));
    }
    let crops = value.get("do_center_crop").and_then(Value::as_bool) != Some(false);
    let crop = value.get("crop_size").filter(|v| crops && !v.is_null());
    let Some(found) = crop.or_else(|| value.get("size")).filter(|v| !v.is_null()) else { return Ok(None) };
    let of = |name: &str| found.get(name).and_then(side);
    let sides = match (side(found), of("height"), of("width"), of("shortest_edge")) {
        (Some(n), ..) | (_, None, None, Some(n)) => Some((n, n)),
        (_, Some(h), Some(w), _) => Some((h, w)),
        _ => None,
    };
    sides.map(Some).ok_or_else(|| format!("expected a size in pixels. Received: {}", short(found)))
}

/// The beginning of a value, for a message.
fn short(value: &Value) -> String {
    value.to_string().chars().take(60).collect()
}

#[cfg(test)]
mod tests {
    use super::super::describe::ImageLayout;
    use super::*;
    use serde_json::json;

    fn open_size() -> Described {
        let (input, output) = ("x".to_owned(), "y".to_owned());
        Described {
            input,
            layout: ImageLayout::ChannelsFirst,
            batch: None,
            height: None,
            width: None,
            output,
        }
    }

    #[test]
    fn the_configurations_of_hugging_face_and_timm_are_read() {
        let dino = json!({
            "crop_size": { "height": 224, "width": 224 }, "do_center_crop": true, "size": { "shortest_edge": 256 },
            "image_mean": [0.5, 0.4, 0.3], "image_std": [0.25, 0.25, 0.5], "rescale_factor": 0.00392156862745098
        });
        let expected = Said {
            image_size: Some((224, 224)),
            mean: Some([0.5, 0.4, 0.3]),
            std: Some([0.25, 0.25, 0.5]),
            factor: Some(1.0 / 255.0),
        };
        assert_eq!(said(&dino).unwrap(), expected);
        let timm = json!({ "architecture": "vit", "pretrained_cfg": {
            "input_size": [3, 224, 224], "mean": [0.5, 0.4, 0.3], "std": [0.25, 0.25, 0.5]
        } });
        assert_eq!(said(&timm).unwrap(), Said { factor: None, ..expected });
        let plain =
            json!({ "size": 384, "do_normalize": false, "do_rescale": false, "image_mean": [0.5, 0.5, 0.5] });
        let found = said(&plain).unwrap();
        assert_eq!(
            (found.image_size, found.mean, found.std),
            (Some((384, 384)), Some([0.0; 3]), Some([1.0; 3]))
        );
        assert_eq!(found.factor, Some(1.0));
        for wrong in [json!({ "mean": [1, 2] }), json!({ "size": "large" }), json!({ "input_size": 3 })] {
            assert!(said(&wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_is_asked_for_comes_before_the_json_and_that_before_the_usual() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.onnx");
        let usual = Settings::of(&path, &open_size(), &OnnxOptions::default()).unwrap();
        assert_eq!((usual.image_size, usual.from), ((224, 224), None));
        let scaled = |s: &Settings, x: f32| x * s.scale[0] + s.offset[0];
        let white = Settings { from: None, image_size: (1, 1), ..usual };
        assert!((scaled(&white, 255.0) - (1.0 - 0.485) / 0.229).abs() < 1e-5);
        std::fs::write(path.with_extension("json"), r#"{"size": 96, "image_mean": [0.5, 0.5, 0.5]}"#)
            .unwrap();
        let asked = OnnxOptions::default().std([0.5; 3]).image_size(64, 80);
        let found = Settings::of(&path, &open_size(), &asked).unwrap();
        assert_eq!((found.image_size, found.offset), ((64, 80), [-1.0; 3]));
        assert!(found.from.is_some());
        let fixed = Described { height: Some(32), width: Some(32), ..open_size() };
        assert_eq!(Settings::of(&path, &fixed, &OnnxOptions::default()).unwrap().image_size, (32, 32));
        let error = Settings::of(&path, &fixed, &asked).unwrap_err().to_string();
        assert!(error.contains("32x32") && error.contains("64x80"), "{error}");
        for wrong in [asked.clone().std([0.0; 3]), asked.mean([f32::NAN; 3])] {
            assert!(Settings::of(&path, &open_size(), &wrong).is_err());
        }
        std::fs::write(path.with_extension("json"), "{").unwrap();
        assert!(Settings::of(&path, &open_size(), &OnnxOptions::default()).is_err());
    }
}

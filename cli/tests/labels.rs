//! Labels from a table, and several labels a photograph, with nothing but the program.

mod common;

use std::path::Path;

use common::{code, run, shape, stderr, succeed};
use image::{imageops, RgbImage};
use serde_json::Value;
use transfer::prelude::*;

const SIDE: u32 = 96;

/// A picture twice as wide as high, with a circle in it, a triangle, both, or none.
fn picture(labels: [bool; 2], key: u64) -> RgbImage {
    let plain = RgbImage::from_pixel(SIDE, SIDE, image::Rgb([(key % 200) as u8, 90, 120]));
    let mut wide = RgbImage::new(2 * SIDE, SIDE);
    // Which side shows which is by chance.
    let turned = (key / 3).is_multiple_of(2);
    for (side, class) in [(0, 0), (1, 2)] {
        let half = if labels[side] { shape(class, key, SIDE) } else { plain.clone() };
        let place = if (side == 0) == turned { 0 } else { SIDE };
        imageops::replace(&mut wide, &half, i64::from(place), 0);
    }
    wide
}

/// Draws them, and the table that says what they show.
fn drawn(dir: &Path) {
    std::fs::create_dir_all(dir.join("photos/deep")).unwrap();
    // As a spreadsheet on Windows writes it.
    let mut table = String::from("\u{feff}Split,File,Label,notes\r\n");
    for i in 0..240 {
        let labels = [i % 4 % 2 == 1, i % 4 >= 2];
        let name = format!("deep/{i}.png");
        picture(labels, i).save(dir.join("photos").join(&name)).unwrap();
        let split = ["train", "train", "train", "validation", "test"][(i / 4 % 5) as usize];
        let said =
            ["circle", "triangle"].into_iter().zip(labels).filter(|&(_, has)| has).map(|(name, _)| name);
        let said = said.collect::<Vec<_>>().join(";");
        let said = if said.is_empty() { ";".to_owned() } else { said };
        table += &format!("{split},{name},{said},\"of {i}, drawn\"\r\n");
    }
    std::fs::write(dir.join("labels.csv"), table).unwrap();
}

fn number_behind(text: &str, word: &str) -> f64 {
    let found = text.split_once(word).and_then(|(_, rest)| rest.split(',').next()?.trim().parse().ok());
    found.unwrap_or_else(|| panic!("{word} in {text}"))
}

#[test]
fn photographs_with_several_labels_are_trained_evaluated_predicted_and_exported() {
    let dir = tempfile::tempdir().unwrap();
    let here = dir.path();
    drawn(here);
    let train = [
        "train",
        "photos",
        "--labels",
        "labels.csv",
        "--epochs",
        "1",
        "--image-size",
        "96",
        "--fit",
        "pad",
        "--output",
        "m.safetensors",
    ];
    let trained = succeed(here, &train);
    assert!(number_behind(&trained, "validation: mAP ") >= 0.9, "{trained}");
    assert!(number_behind(&trained, "test: mAP ") >= 0.9 && trained.contains("of 48"), "{trained}");

    let html = std::fs::read_to_string(here.join("m.safetensors.report.html")).unwrap();
    assert!(html.contains("with all labels right") && html.contains("Learning curves"));
    // Photographs of the training are kept with all of their labels.
    let model = Model::load(here.join("m.safetensors")).unwrap();
    let kept = here.join("m.safetensors.neighbours.safetensors");
    let kept = transfer::explain::Neighbours::load(kept, &model).unwrap();
    assert!(kept.several_labels() && kept.len() == model.trained_on().unwrap().training);
    let all = kept.nearest(&vec![1.0; kept.width()], usize::MAX).unwrap();
    for count in 0..=2 {
        assert!(all.iter().any(|one| one.labels.len() == count), "{count}");
    }
    for one in all {
        let i: usize = one.file.strip_suffix(".png").unwrap().parse().unwrap();
        let expected: &[&str] = [&[][..], &["circle"], &["triangle"], &["circle", "triangle"]][i % 4];
        assert_eq!(one.labels, expected, "{i}");
    }
    let evaluate = ["evaluate", "m.safetensors", "photos", "--labels", "labels.csv", "--split", "test"];
    let said = succeed(here, &[&evaluate[..], &["--format", "json"]].concat());
    let said: Value = serde_json::from_str(&said).unwrap();
    let html = std::fs::read_to_string(here.join("m.safetensors.evaluation.html")).unwrap();
    for (name, value) in [
        ("mean_average_precision", &said["mean_average_precision"]),
        ("subset_accuracy", &said["subset_accuracy"]),
        ("f1_1", &said["labels"][1]["f1_score"]),
        ("support_0", &said["labels"][0]["support"]),
    ] {
        let value = value.as_f64().unwrap();
        assert!(html.contains(&format!("data-name=\"{name}\" data-value=\"{value}\"")), "{name} {value}");
    }
    assert_eq!((&said["images"], said["labels"].as_array().unwrap().len()), (&48.into(), 2));
    assert_eq!(said["labels"][1]["name"], "triangle");
    assert_eq!(
        said["mean_average_precision"].as_f64().unwrap(),
        (said["labels"][0]["average_precision"].as_f64().unwrap()
            + said["labels"][1]["average_precision"].as_f64().unwrap())
            / 2.0
    );
    assert!(succeed(here, &evaluate).contains("micro avg"));
    let output = run(here, &["evaluate", "m.safetensors", "photos"]);
    assert!(code(&output) == 1 && stderr(&output).contains("--labels labels.csv"), "{}", stderr(&output));

    // The same process after process, and what the library says.
    let predict = ["predict", "m.safetensors", "photos", "--format", "jsonl"];
    let first = succeed(here, &predict);
    assert_eq!(first, succeed(here, &predict));
    let model = transfer::model::Model::load(here.join("m.safetensors")).unwrap();
    assert!(model.is_multi_label() && model.image_fit() == transfer::data::Fit::Pad);
    let thresholds = model.thresholds();
    let mut right = 0;
    let lines: Vec<Value> = first.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 240);
    for line in &lines {
        let file = line["file"].as_str().unwrap();
        let i: usize = Path::new(file).file_stem().unwrap().to_str().unwrap().parse().unwrap();
        let mut labels: Vec<&str> =
            line["labels"].as_array().unwrap().iter().map(|l| l.as_str().unwrap()).collect();
        labels.sort_unstable();
        right += usize::from(labels == [&[][..], &["circle"], &["triangle"], &["circle", "triangle"]][i % 4]);
    }
    assert!(right >= 200, "{right} of 240");
    let file = here.join(lines[0]["file"].as_str().unwrap());
    let prediction = model.predict_file(file).unwrap();
    assert_eq!(lines[0]["probabilities"]["circle"].as_f64().unwrap() as f32, prediction.probabilities[0]);
    let above: Vec<Value> =
        prediction.labels_above(&thresholds).into_iter().map(|(name, _)| name.into()).collect();
    assert_eq!(lines[0]["labels"], Value::from(above));
    let csv = succeed(here, &["predict", "m.safetensors", "photos", "--format", "csv"]);
    assert!(csv.starts_with("file,labels,probabilities\n") && csv.contains(",;,"), "{csv}");
    assert!(succeed(here, &["predict", "m.safetensors", "photos/deep/3.png"]).contains("photos/deep/3.png"));

    let summary = succeed(here, &["summary", "m.safetensors"]);
    assert!(summary.contains("several labels a photograph") && summary.contains("fit: pad"), "{summary}");
    succeed(here, &["export", "m.safetensors", "-o", "m.onnx"]);
    let onnx = String::from_utf8_lossy(&std::fs::read(here.join("m.onnx")).unwrap()).into_owned();
    for part in ["Sigmoid", "multi_label", "thresholds", "to fit inside a grey"] {
        assert!(onnx.contains(part), "{part}");
    }
    assert!(!onnx.contains("Softmax"));
    let output = run(here, &[&train[..], &["--balanced", "--force"]].concat());
    assert!(stderr(&output).contains("class_weights expected one label a photograph"), "{}", stderr(&output));
}

#[test]
fn a_table_that_cannot_be_used_ends_the_command_with_its_line() {
    let dir = tempfile::tempdir().unwrap();
    let here = dir.path();
    std::fs::create_dir(here.join("photos")).unwrap();
    (0..6).for_each(|i| shape(0, i, 32).save(here.join(format!("photos/{i}.png"))).unwrap());
    let cases = [
        ("file,label\n../m.png,a\n", "labels.csv, line 2: expected a path below the folder"),
        ("file,label\n/etc/passwd,a\n", "line 2: expected a path relative"),
        ("file,label\n0.png,a\n0.png,b\n", "line 3: 0.png was in line 2 with other labels"),
        ("file,label\n0.png,a\n99.png,b\n", "99.png (line 3)"),
        ("file,label\n\"0.png,a\n1.png,b\n", "expected 2 fields"),
        ("file;label\n0.png;a\n", "by commas"),
        ("file,label\n0.png,a\n1.png,a\n", "at least two labels"),
        ("file,label,split\n0.png,a,train\n1.png,b,test\n2.png,a,validation\n", "Received none of b"),
    ];
    for (text, expected) in cases {
        std::fs::write(here.join("labels.csv"), text).unwrap();
        let output =
            run(here, &["train", "photos", "--labels", "labels.csv", "--image-size", "32", "--epochs", "0"]);
        assert!(code(&output) == 1 && stderr(&output).contains(expected), "{expected}: {}", stderr(&output));
        assert!(!here.join("model.safetensors").exists());
    }
    let output = run(here, &["train", "photos", "--labels", "nothing.csv"]);
    assert!(code(&output) == 1 && stderr(&output).contains("nothing.csv"), "{}", stderr(&output));
    let output =
        run(here, &["train", "photos", "--labels", "labels.csv", "--output", "labels.csv", "--force"]);
    assert!(
        code(&output) == 1 && std::fs::read_to_string(here.join("labels.csv")).unwrap().starts_with("file")
    );
}

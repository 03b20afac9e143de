//! The report in HTML: each of its numbers is the library's.

use std::collections::BTreeMap;
use std::path::Path;

use image::{Rgb, RgbImage};
use serde_json::Value;
use transfer::explain::{HtmlReport, HtmlReportOptions};
use transfer::prelude::*;
use transfer::random::Rng;

use crate::scenario::random_weights;

const SIDE: usize = 32;

/// Noise in folders of these names.
pub fn dataset(dir: &Path, classes: &[&str], each: usize) -> Dataset {
    let mut rng = Rng::new(&[each as u64]);
    for (class, name) in classes.iter().enumerate() {
        let folder = dir.join(name);
        std::fs::create_dir_all(&folder).unwrap();
        for number in 0..each {
            let level = 40 + 60 * class as u8;
            let picture = RgbImage::from_fn(48, 48, |_, _| {
                Rgb([level + rng.below(90) as u8, 90, rng.below(255) as u8])
            });
            picture.save(folder.join(format!("{number:04}.png"))).unwrap();
        }
    }
    let options = ImageDatasetOptions::default().image_size(SIDE, SIDE).batch_size(32).shuffle(false);
    image_dataset_from_directory(dir, options).unwrap()
}

pub fn model(units: usize) -> Model {
    let mut base = MobileNetV2::with_weights((SIDE, SIDE, 3), &random_weights()).unwrap();
    base.set_trainable(false);
    let chain =
        Model::chain().then(Rescaling::new(1.0 / 127.5, -1.0)).then(base).then(GlobalAveragePooling2D);
    let mut model = chain.then(Dense::new(units).seed(5)).seed(5).build().unwrap();
    let loss = if units == 1 { Loss::BinaryCrossentropy } else { Loss::SparseCategoricalCrossentropy };
    model.compile(Adam::new(1e-3), loss).unwrap();
    model
}

/// The numbers of a page by name: the full value, and what is shown.
fn numbers(html: &str) -> BTreeMap<String, (f64, String)> {
    let mut found = BTreeMap::new();
    for part in html.split("data-name=\"").skip(1) {
        let (name, rest) = part.split_once('"').unwrap();
        let Some(rest) = rest.strip_prefix(" data-value=\"") else { continue };
        let (value, rest) = rest.split_once('"').unwrap();
        let shown = rest.split_once('>').unwrap().1;
        // A cell of the matrix has a button around its number.
        let shown = if shown.starts_with("<button") { shown.split_once('>').unwrap().1 } else { shown };
        let shown = shown.split('<').next().unwrap().to_owned();
        let before = found.insert(name.to_owned(), (value.parse().unwrap(), shown));
        assert!(before.is_none(), "{name} is there twice");
    }
    found
}

fn photographs(html: &str) -> Value {
    let from = html.split("id=\"photographs\">").nth(1).unwrap();
    serde_json::from_str(from.split("</script>").next().unwrap()).unwrap()
}

/// What the numbers have to be.
struct Expected(BTreeMap<String, (f64, String)>);

impl Expected {
    fn number(&mut self, name: &str, value: f64, digits: usize) {
        self.0.insert(name.to_owned(), (value, format!("{value:.digits$}")));
    }

    fn percent(&mut self, name: &str, value: f64) {
        self.0.insert(name.to_owned(), (value, format!("{:.1} %", 100.0 * value)));
    }
}

fn expected(model: &Model, data: &Dataset, history: &History) -> Expected {
    let predictions = model.predict(data).unwrap();
    let (losses, labels) = (predictions.losses().unwrap(), predictions.labels());
    let matrix = confusion_matrix(&predictions.actual, &labels, data.class_names()).unwrap();
    let interval = matrix.accuracy_interval().unwrap();
    let mut all = Expected(BTreeMap::new());
    all.percent("accuracy", matrix.accuracy());
    all.percent("accuracy_low", interval.low);
    all.percent("accuracy_high", interval.high);
    all.number("images", matrix.total() as f64, 0);
    all.number("errors", matrix.errors() as f64, 0);
    all.number("loss", losses.iter().sum::<f64>() / losses.len() as f64, 4);
    for ((actual, predicted), &count) in matrix.counts.indexed_iter() {
        all.number(&format!("count_{actual}_{predicted}"), count as f64, 0);
    }
    let report = matrix.report().unwrap();
    let mut row = |key: &str, [precision, recall, f1]: [f64; 3], support: usize| {
        all.number(&format!("precision_{key}"), precision, 3);
        all.number(&format!("recall_{key}"), recall, 3);
        all.number(&format!("f1_{key}"), f1, 3);
        all.number(&format!("support_{key}"), support as f64, 0);
    };
    for (i, class) in report.classes.iter().enumerate() {
        row(&i.to_string(), [class.precision, class.recall, class.f1_score], class.support);
    }
    for (key, average) in [("macro", report.macro_avg), ("weighted", report.weighted_avg)] {
        row(key, [average.precision, average.recall, average.f1_score], report.support);
    }
    let probabilities = predictions.probabilities();
    if probabilities.ncols() == 2 {
        let auc = roc_auc_score(&predictions.actual, &probabilities.column(1).to_vec()).unwrap();
        all.number("auc", auc, 4);
    }
    let error = predictions.reliability_diagram().unwrap().expected_calibration_error;
    all.number("expected_calibration_error", error, 4);
    let worst = predictions.top_losses(data, 12).unwrap();
    for (i, (&loss, &p)) in worst.losses.iter().zip(&worst.probabilities).enumerate() {
        all.number(&format!("worst_loss_{i}"), loss, 2);
        all.percent(&format!("worst_confidence_{i}"), f64::from(p));
    }
    for epoch in 0..history.epochs() {
        for (name, values, digits) in [
            ("epoch_loss", &history.loss, 4),
            ("epoch_accuracy", &history.accuracy, 4),
            ("epoch_val_loss", &history.val_loss, 4),
            ("epoch_val_accuracy", &history.val_accuracy, 4),
            ("epoch_seconds", &history.seconds, 1),
            ("epoch_images_per_second", &history.images_per_second, 0),
        ] {
            if let Some(&value) = values.get(epoch) {
                all.number(&format!("{name}_{epoch}"), value, digits);
            }
        }
    }
    all
}

#[test]
fn each_number_of_the_report_is_the_librarys() {
    // Names that would end an element or an attribute, if they could.
    for (units, names) in [(1, &["cats", "dogs<!--"][..]), (3, &["<b>", "c&d", "e'\""][..])] {
        let dir = tempfile::tempdir().unwrap();
        let data = dataset(dir.path(), names, 9);
        let mut model = model(units);
        let history = model.fit(&data, FitOptions::epochs(2).validation_data(&data)).unwrap();
        let predictions = model.predict(&data).unwrap();
        for thumbnails in [true, false] {
            let options = HtmlReportOptions::default().thumbnails(thumbnails);
            let report = model.html_report(&data, &predictions, options).unwrap();
            let html = report.title("<i>title").history(&history).fact("a<b", "c").to_html();
            assert!(html.contains("&lt;i&gt;title") && !html.contains("<i>title") && html.contains("a&lt;b"));
            assert_eq!(html.contains("data:image/jpeg"), thumbnails);
            let mut found = numbers(&html);
            let points = found.remove("map_points").unwrap();
            assert_eq!(points, (data.len() as f64, data.len().to_string()));
            let variance: f64 =
                ["variance_1", "variance_2"].iter().map(|name| found.remove(*name).unwrap().0).sum();
            assert!(variance > 0.0 && variance <= 1.0 + 1e-9);
            assert_eq!(found, expected(&model, &data, &history).0);
            let said = photographs(&html);
            assert_eq!(said["classes"], serde_json::json!(data.class_names()));
            let all = said["photographs"].as_array().unwrap();
            assert_eq!(all.len(), data.len());
            let right = |row: &&Value| row[1] == row[2];
            let errors = all.iter().filter(|row| !right(row)).count();
            assert!(all[..errors].iter().all(|row| !right(&row)), "the wrong ones come first");
            for (i, &index) in predictions.indices.iter().enumerate() {
                let path =
                    data.file_paths()[index].strip_prefix(dir.path()).unwrap().to_str().unwrap().to_owned();
                let row = all.iter().find(|row| row[0] == path).unwrap();
                assert_eq!(row[1], predictions.actual[i]);
                assert_eq!(row[2], predictions.labels()[i]);
                assert_eq!(row[3].as_f64().unwrap() as f32, predictions.confidence()[i]);
                assert_eq!(row[4], predictions.losses().unwrap()[i]);
                assert!(row[5].is_array());
            }
        }
    }
}

#[test]
fn two_thousand_photographs_fit_into_five_megabytes_and_no_foreign_file_is_replaced() {
    let dir = tempfile::tempdir().unwrap();
    let data = dataset(&dir.path().join("photos"), &["cats", "dogs"], 1000);
    let model = model(1);
    let predictions = model.predict(&data).unwrap();
    let report = model.html_report(&data, &predictions, HtmlReportOptions::default()).unwrap();
    let path = dir.path().join("report.html");
    std::fs::write(&path, "<!doctype html>\n<html lang=\"en\">\n<p>mine").unwrap();
    assert!(report.save(&path).unwrap_err().to_string().contains("is not a page of this program"));
    std::fs::remove_file(&path).unwrap();
    report.save(&path).unwrap();
    let length = std::fs::metadata(&path).unwrap().len();
    assert!(length < 5_000_000, "{length} bytes");
    assert!(HtmlReport::check(&OutputFile::new(&path)).is_ok(), "its own is replaced");
    report.title("again").save(&path).unwrap();
    let said = photographs(&std::fs::read_to_string(&path).unwrap());
    assert_eq!(said["photographs"].as_array().unwrap().len(), 2000);
    // Of another data set.
    let other = dataset(&dir.path().join("other"), &["dogs", "cats", "eels"], 3);
    assert!(model.html_report(&other, &predictions, HtmlReportOptions::default()).is_err());
}

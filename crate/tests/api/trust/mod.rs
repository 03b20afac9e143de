//! How far a model can be trusted. Intervals, temperatures, calibration errors and out-of-fold predictions against
//! scipy's and scikit-learn's numbers in `reference.json`, which `make_reference.py` beside it made; `model.rs` checks
//! what a model keeps of them.

mod model;

use ndarray::Array2;
use serde_json::Value;
use transfer::explain::expected_calibration_error;
use transfer::model::{temperature_scaling, wilson_interval};
use transfer::train::out_of_fold;

fn reference(part: &str) -> Vec<Value> {
    let file: Value = serde_json::from_str(include_str!("reference.json")).unwrap();
    let cases = file[part].as_array().unwrap().clone();
    assert!(!cases.is_empty());
    cases
}

fn labels(value: &Value) -> Vec<u32> {
    serde_json::from_value(value.clone()).unwrap()
}

fn matrix(value: &Value) -> Array2<f32> {
    let rows: Vec<Vec<f32>> = serde_json::from_value(value.clone()).unwrap();
    Array2::from_shape_vec((rows.len(), rows[0].len()), rows.concat()).unwrap()
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap()
}

#[test]
fn intervals_are_scipys() {
    for case in reference("wilson") {
        let of = |name: &str| case[name].as_u64().unwrap() as usize;
        let found = wilson_interval(of("hits"), of("images")).unwrap();
        let (low, high) = (number(&case["low"]), number(&case["high"]));
        assert!((found.low - low).abs() < 1e-12 && (found.high - high).abs() < 1e-12, "{case}: {found:?}");
    }
}

#[test]
fn temperatures_are_scipys() {
    for case in reference("temperatures") {
        let found = temperature_scaling(&matrix(&case["logits"]), &labels(&case["labels"])).unwrap();
        let theirs = number(&case["temperature"]);
        assert!((found.temperature / theirs - 1.0).abs() < 1e-5, "{} and {theirs}", found.temperature);
        assert!((found.loss_before - number(&case["before"])).abs() < 1e-9);
        // Where the penalty holds the temperature, the loss is not flat.
        assert!((found.loss_after - number(&case["after"])).abs() < 1e-6);
    }
}

#[test]
fn calibration_errors_are_those_of_the_published_code() {
    for case in reference("calibration_errors") {
        let found =
            expected_calibration_error(&matrix(&case["probabilities"]), &labels(&case["labels"])).unwrap();
        assert!((found - number(&case["error"])).abs() < 1e-9, "{found} {}", case["error"]);
    }
}

#[test]
fn out_of_fold_predictions_are_scikit_learns() {
    for case in reference("out_of_fold") {
        let theirs = matrix(&case["log_probabilities"]);
        let (x, labels, folds) = (matrix(&case["x"]), labels(&case["labels"]), labels(&case["folds"]));
        let ours = out_of_fold(&x, &labels, theirs.ncols(), &folds, number(&case["l2"])).unwrap();
        for (a, b) in ours.log_probabilities.iter().zip(&theirs) {
            assert!((a - b).abs() < 2e-3 * b.abs().max(1.0), "{a} {b}");
        }
    }
}

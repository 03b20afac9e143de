//! How steps are taken, against Keras and torch: `reference.json` holds what they say, and
//! `make_reference.py` beside it made the file. Losses with smoothed, weighted and mixed labels are held
//! against the same file by a unit test of `loss/`, decisions of callbacks by those of
//! `train/callbacks/`. The modules train with all of it.

mod callbacks;
mod output;
mod training;

use serde_json::Value;
use transfer::optim::{CosineDecay, OneCycle, Schedule};

fn reference(part: &str) -> Vec<Value> {
    let file: Value = serde_json::from_str(include_str!("reference.json")).unwrap();
    file[part].as_array().unwrap().clone()
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect()
}

/// Compares the factors of all steps.
fn check(schedule: Schedule, case: &Value, tolerance: f64) {
    let steps = case["steps"].as_u64().unwrap();
    let theirs = numbers(&case["factors"]);
    assert_eq!(theirs.len() as u64, steps);
    for (step, theirs) in theirs.into_iter().enumerate() {
        let ours = schedule.factor(step as u64, steps);
        assert!(
            (ours - theirs).abs() <= tolerance,
            "{schedule:?}, step {step} of {steps}: {ours} and {theirs}"
        );
    }
}

#[test]
fn cosine_decay_is_keras() {
    for case in reference("cosine") {
        let of = |key: &str| case[key].as_f64().unwrap();
        // Keras computes it in f32.
        check(CosineDecay { warm_up: of("warm_up"), alpha: of("alpha") }.into(), &case, 1e-6);
    }
}

#[test]
fn one_cycle_is_torchs() {
    for case in reference("one_cycle") {
        let of = |key: &str| case[key].as_f64().unwrap();
        let schedule = OneCycle {
            pct_start: of("pct_start"),
            div_factor: of("div_factor"),
            final_div_factor: of("final_div_factor"),
        };
        check(schedule.into(), &case, 1e-12);
    }
}

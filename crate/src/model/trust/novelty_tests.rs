//! Files of what tells unknown photographs: of this version, of earlier ones, and damaged.

use ndarray::{array, Array1, Array2};

use super::nearest::{insert, Nearest};
use super::novelty::{Looks, Novelty};
use super::Unknown;
use crate::random::Rng;
use crate::weights::{Tensor, Weights};

/// Channels of a made-up network behind 0, 1 and 2 units.
const CHANNELS: [usize; 3] = [3, 4, 6];

fn nearest(width: usize) -> Nearest {
    let mut rng = Rng::new(&[width as u64]);
    let training = Array2::from_shape_simple_fn((30, width), || 1.0 + rng.uniform());
    let components = Array2::from_shape_fn((width, width), |(i, j)| f32::from(u8::from(i == j)));
    Nearest::new((Array1::zeros(width), components), &training).unwrap()
}

/// As a version wrote it that multiplied the parts of largest logit, distance and angle.
fn earlier() -> Weights {
    let mut weights = Weights::new();
    nearest(6).write("novelty/", &mut weights).unwrap();
    let mut rng = Rng::new(&[3]);
    let from = [-3.0, 0.0, -1.0];
    let held_out =
        Array2::from_shape_fn((40, 3), |(_, j)| from[j] + rng.uniform() * if j == 0 { 1.0 } else { 0.1 });
    insert(&mut weights, "novelty/held_out".into(), &held_out).unwrap();
    weights
}

#[test]
fn a_file_of_an_earlier_version_keeps_its_rule() {
    let weights = earlier();
    let novelty = Novelty::read(&weights, &CHANNELS, 0.05).unwrap();
    assert_eq!((novelty.images(), novelty.frozen_units()), (40, None));
    assert!(novelty.typicality().is_none());
    let features = array![
        [1.5, 1.5, 1.5, 1.5, 1.5, 1.5],
        [1.5, 1.5, 1.5, 1.5, 1.5, 1.5],
        [9.0, 0.0, 0.0, 0.0, 0.0, 0.0]
    ];
    let logits = array![[2.9f32, -9.0], [-5.0, -5.0], [2.9, -9.0]];
    let unknown = novelty.unknown(&Looks { logits: &logits, features: &features, frozen: None }).unwrap();
    assert_eq!(unknown[0], None);
    assert!(matches!(unknown[1], Some(Unknown::LittleEvidence { .. })), "{unknown:?}");
    assert!(matches!(unknown[2], Some(Unknown::FarFromTraining { .. })), "{unknown:?}");
    let mut again = Weights::new();
    novelty.write(&mut again).unwrap();
    assert!(again.contains("novelty/held_out") && !again.contains("novelty/scores"));
    assert!(Novelty::read(&again, &CHANNELS, 0.05).unwrap() == novelty);
}

/// One of this version.
fn with_frozen() -> Novelty {
    let mut rng = Rng::new(&[4]);
    let mut rows = |width: usize| Array2::from_shape_simple_fn((40, width), || 1.0 + rng.uniform());
    let (logits, features, frozen) = (rows(2), rows(6), rows(4));
    let looks = Looks { logits: &logits, features: &features, frozen: Some(&frozen) };
    Novelty::new(nearest(6), Some((1, nearest(4))), &looks, 0.05).unwrap()
}

#[test]
fn what_is_written_is_read_and_what_contradicts_itself_is_refused() {
    let novelty = with_frozen();
    let mut weights = Weights::new();
    novelty.write(&mut weights).unwrap();
    // An earlier version would take the scores for others.
    assert!(!weights.contains("novelty/held_out"));
    assert!(Novelty::read(&weights, &CHANNELS, 0.05).unwrap() == novelty);
    let of = novelty.typicality().unwrap();
    assert_eq!(of.scores.iter().map(|score| score.weight).collect::<Vec<_>>(), [1.0, 1.0, 10.0]);

    let changed = |name: &str, shape: Vec<usize>, data: Vec<f32>| {
        let mut weights = weights.clone();
        weights.insert(format!("novelty/{name}"), Tensor::new(shape, data).unwrap());
        Novelty::read(&weights, &CHANNELS, 0.05).is_err()
    };
    for units in [0.0, 2.0, 9.0, -1.0, f32::NAN] {
        assert!(changed("frozen/units", vec![1], vec![units]), "{units}");
    }
    assert!(changed("weight", vec![1], vec![0.0]) && changed("weight", vec![0], vec![]));
    assert!(changed("scores", vec![2, 2], vec![0.0; 4]) && changed("scores", vec![2, 3], vec![f32::NAN; 6]));
    assert!(changed("mean", vec![2], vec![0.0; 2]) && changed("frozen/kept", vec![1, 2], vec![0.0; 2]));
    assert!(!changed("frozen/units", vec![1], vec![1.0]));
}

/// Evidence, distances, parts, their combination and the threshold, computed by scipy and scikit-learn.
#[test]
fn what_is_unknown_and_why_is_what_scipy_says() {
    let file: serde_json::Value =
        serde_json::from_str(include_str!("../../../tests/api/trust/reference.json")).unwrap();
    let case = &file["unknown"];
    let matrix = |name: &str| {
        let rows: Vec<Vec<f32>> = serde_json::from_value(case[name].clone()).unwrap();
        Array2::from_shape_vec((rows.len(), rows[0].len()), rows.concat()).unwrap()
    };
    let nearest = |name: &str| {
        let training = matrix(name);
        let width = training.ncols();
        Nearest::new((Array1::zeros(width), Array2::eye(width)), &training).unwrap()
    };
    let [logits, features, frozen] = ["logits", "features", "frozen"].map(matrix);
    let held_out = ["held_out_logits", "held_out_features", "held_out_frozen"].map(matrix);
    let known = Looks { logits: &held_out[0], features: &held_out[1], frozen: Some(&held_out[2]) };
    let rate = case["rate"].as_f64().unwrap();
    let novelty =
        Novelty::new(nearest("training"), Some((1, nearest("frozen_training"))), &known, rate).unwrap();
    let looks = Looks { logits: &logits, features: &features, frozen: Some(&frozen) };
    let found = novelty.unknown(&looks).unwrap();
    let expected = case["unknown"].as_array().unwrap();
    assert!(found.len() == expected.len() && found.iter().any(Option::is_none));
    for kind in ["little", "far"] {
        assert!(expected.iter().any(|said| said[0] == kind), "{kind}");
    }
    for (i, (found, expected)) in found.into_iter().zip(expected).enumerate() {
        let Some(found) = found else {
            assert!(expected.is_null(), "{i}: {expected}");
            continue;
        };
        let (kind, share) = match found {
            Unknown::LittleEvidence { share } => ("little", share),
            Unknown::FarFromTraining { share } => ("far", share),
        };
        let part = expected[1].as_f64().unwrap();
        assert!(
            expected[0] == kind && (f64::from(share) - part).abs() < 1e-3 * part,
            "{i}: {found:?} {expected}"
        );
    }
}

//! Metrics against scikit-learn's: `reference.json` holds what it says of a few hundred random and
//! odd cases, and `make_reference.py` beside it made the file. The modules check the figures, and what
//! a model says of its own mistakes.

mod figures;
mod html;
mod model;
mod neighbours;

use ndarray::Array2;
use serde_json::Value;
use transfer::explain::{
    auc, classification_report, confusion_matrix, roc_auc_score, roc_curve, Average, Pca,
};
use transfer::train::ClassWeights;

fn reference(part: &str) -> Vec<Value> {
    let file: Value = serde_json::from_str(include_str!("reference.json")).unwrap();
    file[part].as_array().unwrap().clone()
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|v| v.as_f64().unwrap_or(f64::NAN)).collect()
}

fn labels(value: &Value) -> Vec<u32> {
    numbers(value).into_iter().map(|v| v as u32).collect()
}

fn matrix(value: &Value) -> Array2<f64> {
    let rows: Vec<Vec<f64>> = value.as_array().unwrap().iter().map(numbers).collect();
    Array2::from_shape_vec((rows.len(), rows[0].len()), rows.concat()).unwrap()
}

/// Equal up to rounding, and not a number where the other is not.
fn close(ours: &[f64], theirs: &[f64], tolerance: f64, what: &str) {
    assert_eq!(ours.len(), theirs.len(), "{what}: {ours:?} and {theirs:?}");
    for (a, b) in ours.iter().zip(theirs) {
        let same = (a.is_nan() && b.is_nan()) || (a - b).abs() <= tolerance;
        assert!(same, "{what}: {ours:?} and {theirs:?}");
    }
}

#[test]
fn confusion_matrices_and_reports_are_scikit_learns() {
    let cases = reference("classification");
    assert!(cases.len() > 100);
    for (number, case) in cases.iter().enumerate() {
        let names: Vec<String> = serde_json::from_value(case["names"].clone()).unwrap();
        let (actual, predicted) = (labels(&case["actual"]), labels(&case["predicted"]));
        let counts = confusion_matrix(&actual, &predicted, &names).unwrap().counts;
        assert_eq!(counts.mapv(|n| n as f64), matrix(&case["matrix"]), "case {number}");

        let report = classification_report(&actual, &predicted, &names).unwrap();
        let of = |value: fn(&transfer::explain::ClassScores) -> f64| -> Vec<f64> {
            report.classes.iter().map(value).collect()
        };
        let what = format!("case {number}");
        close(&of(|c| c.precision), &numbers(&case["precision"]), 1e-12, &what);
        close(&of(|c| c.recall), &numbers(&case["recall"]), 1e-12, &what);
        close(&of(|c| c.f1_score), &numbers(&case["f1"]), 1e-12, &what);
        close(&of(|c| c.support as f64), &numbers(&case["support"]), 0.0, &what);
        close(&[report.accuracy], &[case["accuracy"].as_f64().unwrap()], 1e-12, &what);
        let list = |a: &Average| [a.precision, a.recall, a.f1_score];
        close(&list(&report.macro_avg), &numbers(&case["macro"]), 1e-12, &what);
        close(&list(&report.weighted_avg), &numbers(&case["weighted"]), 1e-12, &what);
        assert_eq!(report.to_string(), case["text"].as_str().unwrap(), "case {number}");
    }
}

#[test]
fn roc_curves_have_scikit_learns_points_and_area() {
    let cases = reference("roc");
    assert!(cases.len() > 100);
    for (number, case) in cases.iter().enumerate() {
        let what = format!("case {number}");
        let actual = labels(&case["actual"]);
        let scores: Vec<f32> = numbers(&case["scores"]).into_iter().map(|v| v as f32).collect();
        let curve = roc_curve(&actual, &scores).unwrap();
        close(&curve.false_positive_rate, &numbers(&case["fpr"]), 1e-12, &what);
        close(&curve.true_positive_rate, &numbers(&case["tpr"]), 1e-12, &what);
        assert_eq!(curve.thresholds[0], f32::INFINITY);
        let thresholds: Vec<f64> = curve.thresholds[1..].iter().map(|&t| f64::from(t)).collect();
        close(&thresholds, &numbers(&case["thresholds"]), 0.0, &what);
        let area = case["auc"].as_f64().unwrap_or(f64::NAN);
        close(&[curve.auc, roc_auc_score(&actual, &scores).unwrap()], &[area, area], 1e-12, &what);
    }
}

#[test]
fn areas_under_rising_and_falling_curves_are_scikit_learns() {
    for (number, case) in reference("auc").iter().enumerate() {
        let area = auc(&numbers(&case["x"]), &numbers(&case["y"])).unwrap();
        close(&[area], &[case["auc"].as_f64().unwrap()], 1e-12, &format!("case {number}"));
    }
}

#[test]
fn balanced_class_weights_are_scikit_learns() {
    for (number, case) in reference("class_weights").iter().enumerate() {
        let classes = case["classes"].as_u64().unwrap() as usize;
        let weights = ClassWeights::balanced().of(&labels(&case["labels"]), classes).unwrap();
        close(&weights, &numbers(&case["weights"]), 1e-12, &format!("case {number}"));
    }
}

/// Compares what was found in `points`; numbers are measured by the largest.
fn check_pca(points: &Array2<f32>, case: &Value, tolerance: f64, what: &str) {
    let pca = Pca::fit(points, case["components"].as_u64().unwrap() as usize).unwrap();
    let scaled = |ours: &[f64], theirs: &[f64], part: &str| {
        let scale = theirs.iter().fold(0.0f64, |most, x| most.max(x.abs()));
        close(ours, theirs, tolerance * scale, &format!("{what}, {part}"));
    };
    scaled(&pca.explained_variance, &numbers(&case["variance"]), "variance");
    scaled(&pca.explained_variance_ratio, &numbers(&case["ratio"]), "ratio");
    scaled(&pca.singular_values, &numbers(&case["singular"]), "singular values");
    let first = |ours: &Array2<f64>, theirs: &Value, part: &str| {
        let theirs = matrix(theirs);
        let ours = ours.slice(ndarray::s![..theirs.nrows(), ..theirs.ncols()]);
        scaled(&ours.iter().copied().collect::<Vec<_>>(), &theirs.into_iter().collect::<Vec<_>>(), part);
    };
    first(&pca.components, &case["axes"], "axes");
    first(&pca.transform(points).unwrap(), &case["projected"], "projection");
}

#[test]
fn principal_components_of_a_few_points_are_scikit_learns_with_their_signs() {
    for (number, case) in reference("pca").iter().enumerate() {
        let points = matrix(&case["x"]).mapv(|v| v as f32);
        check_pca(&points, case, 1e-9, &format!("case {number}"));
    }
}

#[test]
fn principal_components_of_many_points_are_scikit_learns() {
    for case in reference("pca_formula") {
        let shape: (usize, usize) = serde_json::from_value(case["shape"].clone()).unwrap();
        // The same numbers as in make_reference.py.
        let points = Array2::from_shape_fn(shape, |(i, j)| {
            let noise = ((i * 7919 + j * 10473 + i * j * 31 + i * i * 17) % 1009) as f64 / 1009.0;
            let (x, y) = (i as f64, j as f64);
            let waves = 3.0 * (0.9 * x + 0.05 * y).sin() + 2.0 * (0.31 * x).cos() * (j % 7) as f64 / 7.0;
            (waves + noise) as f32
        });
        check_pca(&points, &case, 1e-6, &format!("{shape:?}"));
    }
}

/// Names of classes are names of folders, and so somebody's text.
#[test]
fn names_of_classes_neither_break_the_lines_of_a_report_nor_act_on_a_terminal() {
    let names = ["a\nb".to_owned(), "\u{1b}[2J\u{202e}dogs".to_owned()];
    let matrix = confusion_matrix(&[0, 1, 1], &[0, 0, 1], &names).unwrap();
    let report = matrix.report().unwrap();
    let plain = confusion_matrix(&[0, 1, 1], &[0, 0, 1], &["a".to_owned(), "b".to_owned()]).unwrap();
    assert_eq!(matrix.to_string().lines().count(), plain.to_string().lines().count());
    assert_eq!(report.to_string().lines().count(), plain.report().unwrap().to_string().lines().count());
    for text in [matrix.to_string(), report.to_string(), matrix.figure().unwrap().caption().to_owned()] {
        assert!(text.contains(r"a\nb"), "{text}");
        assert!(!text.contains(['\u{1b}', '\u{202e}']), "{text}");
    }
    let widths: Vec<usize> = matrix.to_string().lines().skip(1).map(|line| line.chars().count()).collect();
    assert!(widths.windows(2).all(|pair| pair[0] == pair[1]), "columns stand below each other: {widths:?}");
}

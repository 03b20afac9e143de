//! The best dense layer for photographs with several labels: one L2-regularised logistic regression for each class, by
//! itself. What scikit-learn's `OneVsRestClassifier(LogisticRegression(C = 1 / (l2 · n)))` computes.

use super::softmax_regression::{measure, Problem, Solution};
use crate::data::LabelSets;
use crate::loss::actual::Actual;
use crate::loss::Loss;
use crate::optim::lbfgs::Minimum;
use crate::Result;

/// The layer for features `(n, c)`, with its mean loss, without penalty, and the part of the photographs of which it has
/// all labels right. Where the search for a class did not end well, its end is that of the whole.
///
/// # Errors
/// As [`Problem::solve`].
pub(super) fn solve(
    features: &[f32],
    labels: &[u32],
    sets: &LabelSets,
    l2: f64,
) -> Result<(Solution, (f64, f64))> {
    let (units, n) = (sets.classes(), labels.len());
    let c = features.len() / n.max(1);
    let (mut kernel, mut bias) = (vec![0.0; c * units], vec![0.0; units]);
    let mut worst: Option<Minimum> = None;
    let hot = sets.multi_hot(labels);
    for class in 0..units {
        let has: Vec<u32> = (0..n).map(|i| u32::from(hot[i * units + class] > 0.5)).collect();
        let problem =
            Problem { features, labels: &has, units: 1, class_weights: None, l2, seen: None, start: None };
        let Solution { kernel: of_class, bias: of_bias, minimum } = problem.solve()?;
        kernel.iter_mut().skip(class).step_by(units).zip(of_class).for_each(|(to, from)| *to = from);
        bias[class] = of_bias[0];
        let rank = |m: &Minimum| (!m.converged, m.gradient);
        if worst.as_ref().is_none_or(|worst| rank(&minimum) > rank(worst)) {
            worst = Some(minimum);
        }
    }
    let minimum = worst.unwrap_or(Minimum { value: 0.0, iterations: 0, gradient: 0.0, converged: true });
    let measured = measure(
        features,
        Actual { labels, sets: Some(sets) },
        (&kernel, &bias),
        Loss::MultiLabelBinaryCrossentropy,
    );
    Ok((Solution { kernel, bias, minimum }, measured))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    fn numbers(value: &Value) -> Vec<f64> {
        match value {
            Value::Array(all) => all.iter().flat_map(numbers).collect(),
            other => vec![other.as_f64().unwrap()],
        }
    }

    #[test]
    fn each_class_is_scikit_learns_logistic_regression() {
        let file: Value =
            serde_json::from_str(include_str!("../../../tests/api/multi_label/reference.json")).unwrap();
        for case in file["regressions"].as_array().unwrap() {
            let classes = case["classes"].as_u64().unwrap() as usize;
            let hot = numbers(&case["targets"]);
            let n = hot.len() / classes;
            let sets: Vec<Vec<u32>> = (0..n)
                .map(|i| (0..classes as u32).filter(|&k| hot[i * classes + k as usize] > 0.5).collect())
                .collect();
            let sets = LabelSets::new(classes, sets).unwrap();
            let labels: Vec<u32> = (0..n as u32).collect();
            let features: Vec<f32> = numbers(&case["x"]).iter().map(|&x| x as f32).collect();
            let (found, (loss, accuracy)) =
                solve(&features, &labels, &sets, case["l2"].as_f64().unwrap()).unwrap();
            for (ours, theirs) in [(&found.kernel, &case["kernel"]), (&found.bias, &case["bias"])] {
                for (a, b) in ours.iter().zip(numbers(theirs)) {
                    assert!((f64::from(*a) - b).abs() < 5e-3 * b.abs().max(1.0), "{a} {b}");
                }
            }
            assert!((loss - case["loss"].as_f64().unwrap()).abs() < 1e-3);
            assert!((accuracy - case["accuracy"].as_f64().unwrap()).abs() < 1e-9);
        }
    }
}

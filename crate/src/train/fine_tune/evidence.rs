//! Which of several candidates held-out photographs prefer.

use crate::loss::Loss;

/// The loss of each photograph from its `logits`, with the weight of its class.
pub(super) fn losses(
    loss: Loss,
    logits: &[f32],
    labels: &[u32],
    class_weights: Option<&[f64]>,
    units: usize,
) -> Vec<f64> {
    let one = |(row, &label): (&[f32], &u32)| {
        let weight = class_weights.map_or(1.0, |weights| weights[label as usize]);
        weight * loss.sum(row, &[label], units)
    };
    logits.chunks_exact(units).zip(labels).map(one).collect()
}

/// The first candidate that is as good as the best one, among those that are clearly better than candidate 0; that one
/// where there is none. `losses` has a row for each candidate, the simplest first, with its loss on each held-out
/// photograph.
///
/// Clearly means by more than a standard error of the mean of the differences, photograph by photograph, and as good means
/// not clearly worse: the one-standard-error rule of Breiman et al., Classification and Regression Trees (1984).
pub(super) fn clearly_best(losses: &[Vec<f64>]) -> usize {
    let Some(first) = losses.first() else { return 0 };
    let better: Vec<usize> = (1..losses.len()).filter(|&i| is_clearly_less(&losses[i], first)).collect();
    let least = better.iter().copied().min_by(|&a, &b| mean(&losses[a]).total_cmp(&mean(&losses[b])));
    let Some(least) = least else { return 0 };
    better.into_iter().find(|&i| i == least || !is_clearly_less(&losses[least], &losses[i])).unwrap_or(least)
}

/// Whether losses are less than others of the same photographs. Not a number is no evidence.
fn is_clearly_less(losses: &[f64], others: &[f64]) -> bool {
    let differences: Vec<f64> = losses.iter().zip(others).map(|(a, b)| a - b).collect();
    let (mean, error) = mean_and_error(&differences);
    mean + error < 0.0
}

/// The mean and its standard error; of fewer than two values the error is infinite.
fn mean_and_error(values: &[f64]) -> (f64, f64) {
    let n = values.len() as f64;
    let mean = self::mean(values);
    if values.len() < 2 {
        return (mean, f64::INFINITY);
    }
    let squares: f64 = values.iter().map(|v| (v - mean).powi(2)).sum();
    (mean, (squares / (n - 1.0) / n).sqrt())
}

/// The mean; of no values not a number.
pub(super) fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn standard_errors_are_those_of_the_textbook() {
        // numpy: std(ddof=1) / sqrt(4) of 1, 2, 4, 9 is 1.7795130...
        let (mean, error) = mean_and_error(&[1.0, 2.0, 4.0, 9.0]);
        assert!((mean - 4.0).abs() < 1e-12 && (error - 1.779_513_042).abs() < 1e-8);
        assert_eq!(mean_and_error(&[4.0]), (4.0, f64::INFINITY));
    }

    #[test]
    fn a_candidate_has_to_be_better_by_more_than_the_noise() {
        let first = vec![1.0; 10];
        let a_little: Vec<f64> = (0..10).map(|i| if i % 2 == 0 { 1.4 } else { 0.59 }).collect();
        assert_eq!(clearly_best(&[first.clone(), a_little.clone()]), 0, "0.005 better, and noise of 0.13");
        let clearly: Vec<f64> = (0..10).map(|i| 0.9 - 0.01 * f64::from(i)).collect();
        let more: Vec<f64> = (0..10).map(|i| 0.8 - 0.01 * f64::from(i)).collect();
        assert_eq!(clearly_best(&[first.clone(), a_little, clearly.clone()]), 2);
        assert_eq!(clearly_best(&[first.clone(), more.clone(), clearly.clone()]), 1, "the better of two");
        assert_eq!(
            clearly_best(&[first.clone(), clearly.clone(), more.clone()]),
            2,
            "clearly better than the simpler"
        );
        let about: Vec<f64> = clearly.iter().enumerate().map(|(i, c)| c + [0.2, -0.21][i % 2]).collect();
        assert_eq!(clearly_best(&[first.clone(), clearly.clone(), about]), 1, "the simpler of equals");
        assert_eq!(clearly_best(&[clearly, first]), 0);
    }

    #[test]
    fn what_is_no_evidence_changes_nothing() {
        assert_eq!(clearly_best(&[]), 0);
        assert_eq!(clearly_best(&[vec![], vec![]]), 0);
        assert_eq!(clearly_best(&[vec![1.0], vec![0.0]]), 0, "a single photograph");
        assert_eq!(clearly_best(&[vec![1.0; 3], vec![f64::NAN, 0.0, 0.0]]), 0);
        assert_eq!(clearly_best(&[vec![1.0; 3], vec![f64::NEG_INFINITY; 3]]), 0);
    }
}

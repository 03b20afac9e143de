//! The penalty on the head's weights, and a head for each run.

use super::collected::Collected;
use super::evidence::{clearly_best, losses, mean};
use super::held_out::HeldOut;
use super::plan::USUAL_L2 as USUAL;
use super::softmax_regression::{logits, Problem, Solution};
use crate::loss::Loss;
use crate::progress::check_stop;
use crate::Result;

/// Kernel and bias.
pub(super) type HeadValues = (Vec<f32>, Vec<f32>);

/// A penalty, and the heads that were solved for with it.
pub(super) struct Penalty {
    pub l2: f64,
    /// For each run, without the photographs that are held out of it.
    pub heads: Vec<HeadValues>,
}

/// The penalty `asked` for, else the one that the held-out photographs clearly prefer to the usual one: a weaker or a
/// stronger one, by factors of four. `problem` is that of all photographs.
///
/// # Errors
/// As [`Problem::solve`].
pub(super) fn choose(
    problem: &Problem<'_>,
    collected: &Collected,
    held_out: &HeldOut,
    loss: Loss,
    asked: Option<f64>,
) -> Result<Penalty> {
    let mut tried = vec![Tried::new(problem, collected, held_out, loss, asked.unwrap_or(USUAL), None)?];
    if asked.is_none() {
        let next = |tried: &mut Vec<Tried>, l2: f64| -> Result<bool> {
            let before = tried.last().map(|t| &t.penalty.heads[..]);
            let this = Tried::new(problem, collected, held_out, loss, l2, before)?;
            let better = tried.iter().all(|t| mean(&this.losses) < mean(&t.losses));
            tried.push(this);
            Ok(better)
        };
        // The mean has one minimum over the penalties in all that was measured, so the search goes downhill.
        if next(&mut tried, USUAL / 4.0)? {
            next(&mut tried, USUAL / 16.0)?;
        } else {
            next(&mut tried, USUAL * 4.0)?;
        }
    }
    let losses: Vec<Vec<f64>> = tried.iter_mut().map(|t| std::mem::take(&mut t.losses)).collect();
    Ok(tried.swap_remove(clearly_best(&losses)).penalty)
}

/// A penalty that was tried, and what came of it.
struct Tried {
    penalty: Penalty,
    /// Of each held-out photograph, over the runs.
    losses: Vec<f64>,
}

impl Tried {
    fn new(
        problem: &Problem<'_>,
        collected: &Collected,
        held_out: &HeldOut,
        loss: Loss,
        l2: f64,
        starts: Option<&[HeadValues]>,
    ) -> Result<Self> {
        let (mut heads, mut losses) = (Vec::with_capacity(held_out.runs), Vec::new());
        for run in 0..held_out.runs {
            check_stop("The training of the head")?;
            let seen: Vec<bool> =
                collected.indices.iter().map(|&image| !held_out.is_out(run, image)).collect();
            let start = starts.map(|starts| (&starts[run].0[..], &starts[run].1[..]));
            let Solution { kernel, bias, .. } =
                Problem { l2, seen: Some(&seen), start, ..*problem }.solve()?;
            losses.extend(held_out_losses(collected, &seen, &kernel, &bias, loss, problem.class_weights));
            heads.push((kernel, bias));
        }
        Ok(Tried { penalty: Penalty { l2, heads }, losses })
    }
}

/// The loss of each photograph that a head has not `seen`, from the mean of the logits of its rows.
fn held_out_losses(
    collected: &Collected,
    seen: &[bool],
    kernel: &[f32],
    bias: &[f32],
    loss: Loss,
    class_weights: Option<&[f64]>,
) -> Vec<f64> {
    let units = bias.len();
    let all = logits(&collected.features, collected.labels.len(), (kernel, bias));
    // By image: the sum of its rows' logits, their number, its label. In the order of the images.
    let mut images: std::collections::BTreeMap<usize, (Vec<f32>, f32, u32)> = Default::default();
    for (row, of_row) in all.chunks_exact(units).enumerate().filter(|(row, _)| !seen[*row]) {
        let new = || (vec![0.0; units], 0.0, collected.labels[row]);
        let (sum, rows, _) = images.entry(collected.indices[row]).or_insert_with(new);
        sum.iter_mut().zip(of_row).for_each(|(sum, logit)| *sum += logit);
        *rows += 1.0;
    }
    let labels: Vec<u32> = images.values().map(|(_, _, label)| *label).collect();
    let mean = |(sum, rows, _): (Vec<f32>, f32, u32)| sum.into_iter().map(move |sum| sum / rows);
    let means: Vec<f32> = images.into_values().flat_map(mean).collect();
    losses(loss, &means, &labels, class_weights, units)
}

//! L-BFGS, for smooth functions that are computed whole: the head on features that are kept.
//!
//! Limited-memory BFGS with the two-loop recursion (Nocedal & Wright, *Numerical Optimization*, 2nd ed.,
//! algorithms 7.4 and 7.5) and a line search that halves the step until the function has fallen enough
//! (Armijo). Not a dfdx `Optimizer`: it needs the function's value as well as its gradient, several times a
//! step.

use std::collections::VecDeque;

/// Pairs of (step, change of the gradient) that make up the memory.
const MEMORY: usize = 10;
/// A step must gain this part of what the slope promises.
const ARMIJO: f64 = 1e-4;
/// After so many halvings the function's rounding errors are all that is left.
const HALVINGS: usize = 20;

/// Where a minimisation ended.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Minimum {
    /// The function's value.
    pub value: f64,
    /// Iterations done.
    pub iterations: usize,
    /// The largest element of the gradient there, without its sign; infinite where one is not a number.
    pub gradient: f64,
    /// Whether that is within the tolerance. Where it is not, the iterations were used up, or the function's
    /// rounding errors hid any further fall.
    pub converged: bool,
}

/// Makes `f` small, from `x` on, in place. `f` writes the gradient and returns the value; what it cannot
/// compute it may call NaN or infinite, and such a place is never gone to.
pub(crate) fn minimize(
    x: &mut [f64],
    max_iterations: usize,
    tolerance: f64,
    mut f: impl FnMut(&[f64], &mut [f64]) -> f64,
) -> Minimum {
    let n = x.len();
    let mut gradient = vec![0.0; n];
    let mut value = f(x, &mut gradient);
    let (mut next, mut next_gradient) = (vec![0.0; n], vec![0.0; n]);
    let mut pairs: VecDeque<Pair> = VecDeque::new();
    let ended = |value, iterations, gradient: &[f64]| {
        let gradient = largest(gradient);
        Minimum { value, iterations, gradient, converged: gradient <= tolerance }
    };
    for iteration in 0..max_iterations {
        if largest(&gradient) <= tolerance {
            return ended(value, iteration, &gradient);
        }
        let mut direction = direction(&gradient, &pairs);
        let mut slope = dot(&direction, &gradient);
        if slope >= 0.0 {
            pairs.clear();
            direction = gradient.iter().map(|g| -g).collect();
            slope = -dot(&gradient, &gradient);
        }
        // The first direction has the gradient's length, which says nothing of how far to go.
        let mut step = if pairs.is_empty() { 1.0 / dot(&gradient, &gradient).sqrt().max(1.0) } else { 1.0 };
        let mut found = None;
        for _ in 0..HALVINGS {
            for ((next, x), d) in next.iter_mut().zip(x.iter()).zip(&direction) {
                *next = x + step * d;
            }
            let there = f(&next, &mut next_gradient);
            if there <= value + ARMIJO * step * slope {
                found = Some(there);
                break;
            }
            step *= 0.5;
        }
        let Some(there) = found else {
            return ended(value, iteration, &gradient);
        };
        let s: Vec<f64> = next.iter().zip(x.iter()).map(|(a, b)| a - b).collect();
        let y: Vec<f64> = next_gradient.iter().zip(&gradient).map(|(a, b)| a - b).collect();
        let curvature = dot(&s, &y);
        if curvature > 1e-10 * dot(&s, &s).sqrt() * dot(&y, &y).sqrt() {
            if pairs.len() == MEMORY {
                pairs.pop_front();
            }
            let single = |v: Vec<f64>| v.into_iter().map(|v| v as f32).collect();
            pairs.push_back(Pair { s: single(s), y: single(y), curvature });
        }
        x.copy_from_slice(&next);
        std::mem::swap(&mut gradient, &mut next_gradient);
        value = there;
    }
    ended(value, max_iterations, &gradient)
}

/// In half the memory, since with a thousand classes a pair has millions of numbers; it only bends the
/// direction, and what is looked for stays what it is.
struct Pair {
    s: Vec<f32>,
    y: Vec<f32>,
    /// `s · y`.
    curvature: f64,
}

/// Minus the gradient, times the inverse of the curvature that the pairs know of.
fn direction(gradient: &[f64], pairs: &VecDeque<Pair>) -> Vec<f64> {
    let mut d: Vec<f64> = gradient.iter().map(|g| -g).collect();
    let mut factors = Vec::with_capacity(pairs.len());
    for pair in pairs.iter().rev() {
        let factor = mixed_dot(&pair.s, &d) / pair.curvature;
        add(&mut d, -factor, &pair.y);
        factors.push(factor);
    }
    if let Some(last) = pairs.back() {
        let square: f64 = last.y.iter().map(|&y| f64::from(y) * f64::from(y)).sum();
        let scale = last.curvature / square;
        d.iter_mut().for_each(|d| *d *= scale);
    }
    for (pair, factor) in pairs.iter().zip(factors.into_iter().rev()) {
        let other = mixed_dot(&pair.y, &d) / pair.curvature;
        add(&mut d, factor - other, &pair.s);
    }
    d
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn mixed_dot(a: &[f32], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(&a, b)| f64::from(a) * b).sum()
}

fn add(to: &mut [f64], factor: f64, what: &[f32]) {
    to.iter_mut().zip(what).for_each(|(to, &what)| *to += factor * f64::from(what));
}

fn largest(values: &[f64]) -> f64 {
    values.iter().fold(0.0, |most: f64, v| if v.is_nan() { f64::INFINITY } else { most.max(v.abs()) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_finds_the_bottom_of_rosenbrocks_valley() {
        let mut x = [-1.2, 1.0];
        let end = minimize(&mut x, 200, 1e-8, |x, g| {
            let (a, b) = (1.0 - x[0], x[1] - x[0] * x[0]);
            (g[0], g[1]) = (-2.0 * a - 400.0 * x[0] * b, 200.0 * b);
            a * a + 100.0 * b * b
        });
        assert!(end.converged, "{end:?}");
        assert!((x[0] - 1.0).abs() < 1e-7 && (x[1] - 1.0).abs() < 1e-7, "{x:?}");
    }

    #[test]
    fn it_never_goes_where_the_function_is_not_finite() {
        let mut x = [3.0];
        let end = minimize(&mut x, 100, 1e-9, |x, g| {
            g[0] = 1.0 - 1.0 / x[0];
            if x[0] <= 0.0 {
                f64::NAN
            } else {
                x[0] - x[0].ln()
            }
        });
        assert!(end.converged && (x[0] - 1.0).abs() < 1e-8, "{x:?} {end:?}");
    }

    #[test]
    fn no_iterations_leave_everything_as_it_was() {
        let mut x = [2.0];
        let end = minimize(&mut x, 0, 1e-9, |x, g| {
            g[0] = 2.0 * x[0];
            x[0] * x[0]
        });
        assert_eq!((x[0], end.iterations, end.converged, end.value), (2.0, 0, false, 4.0));
        assert_eq!(end.gradient, 4.0);
    }

    #[test]
    fn a_search_that_ends_early_says_so_and_how_far_it_is() {
        // A thousand times steeper in one direction than in the other: not done in two steps.
        let valley = |x: &[f64], g: &mut [f64]| {
            (g[0], g[1]) = (x[0], 1000.0 * x[1]);
            0.5 * (x[0] * x[0] + 1000.0 * x[1] * x[1])
        };
        let mut x = [1.0, 1.0];
        let end = minimize(&mut x, 2, 1e-6, valley);
        assert_eq!((end.iterations, end.converged), (2, false));
        assert_eq!(end.gradient, x[0].abs().max(1000.0 * x[1].abs()), "{x:?}");
        // A function whose value cannot fall although its gradient says so.
        let mut x = [1.0];
        let end = minimize(&mut x, 100, 1e-6, |_, g| {
            g[0] = 0.5;
            1.0
        });
        assert_eq!((x[0], end.iterations, end.converged, end.gradient), (1.0, 0, false, 0.5));
        // NaN is never convergence.
        let end = minimize(&mut [1.0], 0, 1e-6, |_, g| {
            g[0] = f64::NAN;
            1.0
        });
        assert!(!end.converged && end.gradient == f64::INFINITY);
    }
}

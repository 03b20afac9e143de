//! The largest eigenvalues of a symmetric matrix without negative ones, and their vectors.
//!
//! Small matrices are diagonalised by Jacobi's rotations. For larger ones a block of vectors is
//! multiplied by the matrix and made orthogonal again until the wanted ones stay where they are
//! (subspace iteration with Rayleigh-Ritz projection, Saad, "Numerical Methods for Large Eigenvalue
//! Problems", chapter 5). Nothing is random: the first block is a fixed one.

use ndarray::{s, Array1, Array2};

use crate::random::Rng;

/// Up to this size all eigenvectors are computed at once.
const SMALL: usize = 64;
/// Vectors in the block besides the wanted ones; the more, the fewer rounds.
const SPARE: usize = 16;
const MOST_ROUNDS: usize = 1000;
/// What may be left of `A·v − λ·v`, as a part of the largest eigenvalue.
const RESIDUAL: f64 = 1e-12;

/// The `k` largest eigenvalues, falling, and their vectors of length 1 as columns (n, k); `k` is at
/// most n.
pub(super) fn largest(matrix: &Array2<f64>, k: usize) -> (Array1<f64>, Array2<f64>) {
    // Squares of very small or large numbers would be 0 or infinite.
    let scale = matrix.fold(0.0f64, |most, x| most.max(x.abs()));
    let scale = if scale > 0.0 { scale } else { 1.0 };
    let (values, vectors) = largest_of_scaled(&(matrix / scale), k);
    (values * scale, vectors)
}

fn largest_of_scaled(matrix: &Array2<f64>, k: usize) -> (Array1<f64>, Array2<f64>) {
    let n = matrix.nrows();
    if n <= SMALL {
        let (values, vectors) = jacobi(matrix.clone());
        return (values.slice(s![..k]).to_owned(), vectors.slice(s![.., ..k]).to_owned());
    }
    let block = (k + SPARE).min(n);
    let mut rng = Rng::new(&[u64::from_be_bytes(*b"eigen   ")]);
    let mut basis = Array2::from_shape_simple_fn((n, block), || f64::from(rng.uniform()) - 0.5);
    orthonormalize(&mut basis, &mut rng);
    for round in 0.. {
        let image = matrix.dot(&basis);
        let (values, turn) = jacobi(basis.t().dot(&image));
        let (vectors, image) = (basis.dot(&turn), image.dot(&turn));
        let left = |i: usize| {
            let rest = &image.column(i) - &(&vectors.column(i) * values[i]);
            rest.dot(&rest).sqrt()
        };
        let enough = RESIDUAL * values[0].max(f64::MIN_POSITIVE);
        if round == MOST_ROUNDS || (0..k).all(|i| left(i) <= enough) {
            return (values.slice(s![..k]).to_owned(), vectors.slice(s![.., ..k]).to_owned());
        }
        basis = image;
        orthonormalize(&mut basis, &mut rng);
    }
    unreachable!("the last round returns")
}

/// All eigenvalues, falling, and their vectors as columns, by Jacobi's cyclic rotations.
fn jacobi(mut a: Array2<f64>) -> (Array1<f64>, Array2<f64>) {
    const SWEEPS: usize = 60;
    let n = a.nrows();
    let mut v = Array2::<f64>::eye(n);
    let all = a.iter().map(|x| x * x).sum::<f64>();
    for _ in 0..SWEEPS {
        let off: f64 = (0..n).flat_map(|i| (0..i).map(move |j| (i, j))).map(|at| a[at] * a[at]).sum();
        if off <= 1e-32 * all {
            break;
        }
        for p in 0..n {
            for q in p + 1..n {
                if a[(p, q)] == 0.0 {
                    continue;
                }
                // Golub and Van Loan, "Matrix Computations", 8.5.2.
                let tau = (a[(q, q)] - a[(p, p)]) / (2.0 * a[(p, q)]);
                let t = tau.signum() / (tau.abs() + tau.hypot(1.0));
                let cos = 1.0 / t.hypot(1.0);
                let sin = t * cos;
                for i in 0..n {
                    let (x, y) = (a[(i, p)], a[(i, q)]);
                    (a[(i, p)], a[(i, q)]) = (cos * x - sin * y, sin * x + cos * y);
                }
                for i in 0..n {
                    let (x, y) = (a[(p, i)], a[(q, i)]);
                    (a[(p, i)], a[(q, i)]) = (cos * x - sin * y, sin * x + cos * y);
                    let (x, y) = (v[(i, p)], v[(i, q)]);
                    (v[(i, p)], v[(i, q)]) = (cos * x - sin * y, sin * x + cos * y);
                }
            }
        }
    }
    let mut order: Vec<usize> = (0..n).collect();
    order.sort_by(|&i, &j| a[(j, j)].total_cmp(&a[(i, i)]));
    let values = order.iter().map(|&i| a[(i, i)]).collect();
    (values, v.select(ndarray::Axis(1), &order))
}

/// Gram-Schmidt, twice for each column. A column that is a mixture of those before it gives way to a new
/// direction.
fn orthonormalize(basis: &mut Array2<f64>, rng: &mut Rng) {
    for i in 0..basis.ncols() {
        let scale = basis.column(i).fold(0.0f64, |most, x| most.max(x.abs()));
        // Not the smallest numbers, whose squares are 0.
        if scale > 1e-150 {
            basis.column_mut(i).mapv_inplace(|x| x / scale);
        } else {
            basis.column_mut(i).mapv_inplace(|_| f64::from(rng.uniform()) - 0.5);
        }
        loop {
            let before = length(basis, i);
            for _ in 0..2 {
                let (done, mut rest) = basis.view_mut().split_at(ndarray::Axis(1), i);
                let mut column = rest.column_mut(0);
                let shares = done.t().dot(&column);
                column -= &done.dot(&shares);
            }
            let after = length(basis, i);
            if after > 1e-10 * before && after > 0.0 {
                basis.column_mut(i).mapv_inplace(|x| x / after);
                break;
            }
            basis.column_mut(i).mapv_inplace(|_| f64::from(rng.uniform()) - 0.5);
        }
    }
}

fn length(basis: &Array2<f64>, column: usize) -> f64 {
    basis.column(column).dot(&basis.column(column)).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A matrix with these eigenvalues, and its eigenvectors as columns.
    fn matrix(values: &[f64]) -> (Array2<f64>, Array2<f64>) {
        let n = values.len();
        let mut rng = Rng::new(&[n as u64]);
        let mut vectors = Array2::from_shape_simple_fn((n, n), || f64::from(rng.uniform()) - 0.5);
        orthonormalize(&mut vectors, &mut rng);
        let diagonal = Array2::from_diag(&Array1::from(values.to_vec()));
        (vectors.dot(&diagonal).dot(&vectors.t()), vectors)
    }

    fn check(values: &[f64], k: usize) {
        let (a, _) = matrix(values);
        let (found, vectors) = largest(&a, k);
        let mut sorted = values.to_vec();
        sorted.sort_by(|a, b| b.total_cmp(a));
        let scale = sorted[0].max(1e-300);
        for i in 0..k {
            assert!((found[i] - sorted[i]).abs() < 1e-11 * scale, "{i}: {} and {}", found[i], sorted[i]);
            let rest = a.dot(&vectors.column(i)) - &vectors.column(i) * found[i];
            assert!(rest.iter().all(|x| x.abs() < 1e-10 * scale), "{i}");
        }
        let products = vectors.t().dot(&vectors);
        let wrong = (&products - &Array2::<f64>::eye(k)).mapv(f64::abs).into_iter().fold(0.0, f64::max);
        assert!(wrong < 1e-10, "not orthonormal by {wrong}");
    }

    #[test]
    fn vectors_and_values_satisfy_their_equation_small_and_large() {
        for n in [1, 2, 3, 17, 64, 65, 90, 200] {
            let values: Vec<f64> = (0..n).map(|i| (i + 1) as f64).collect();
            check(&values, n.min(3));
        }
    }

    #[test]
    fn equal_and_vanishing_eigenvalues_still_get_directions_of_their_own() {
        for n in [5, 120] {
            let with = |some: &[f64]| (0..n).map(|i| some.get(i).copied().unwrap_or(0.0)).collect::<Vec<_>>();
            check(&with(&[3.0, 3.0, 3.0]), 2);
            check(&with(&[2.0]), 3);
            check(&with(&[]), 2);
            check(&vec![1.0; n], 2);
            check(&with(&[1e-200, 1e-201]), 2);
        }
    }
}

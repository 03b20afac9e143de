//! Whether two photographs show the same: one is moved and scaled until it fits the other best, and then compared.
//!
//! The search is that of Lucas and Kanade (Baker & Matthews 2004, <https://doi.org/10.1023/B:VISI.0000011205.11775.fd>),
//! for a scale and a shift in each direction, first on 16 x 16 and then on 32 x 32 cells. Brightness and contrast do not
//! count.

use super::levels::Plane;
use crate::check::fingerprint::CELLS;

/// Scales and shifts that are searched: a cut of 15 % of a side, with the plane from -1 to 1.
const SCALES: [f64; 2] = [0.8, 1.25];
const MOST_SHIFT: f64 = 0.25;
/// Steps on 16 x 16, and on 32 x 32 cells.
const STEPS: [usize; 2] = [8, 6];
/// Smoothing before the comparison, in cells.
const SMOOTHING: f32 = 0.7;
/// What is smoother than this, in cells, is no detail.
const NO_DETAIL: f32 = 2.5;
/// A correlation after the first search below which there is no second one.
const HOPELESS: f64 = 0.75;

/// Where a cell of the second photograph lies in the first.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Warp {
    /// To the right, and downwards.
    pub scale: [f64; 2],
    pub shift: [f64; 2],
}

/// How alike two photographs are.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Fit {
    pub warp: Warp,
    /// Pearson's correlation of grey levels, where both photographs have some.
    pub correlation: f64,
    /// That of their details: grey levels less smoothed ones.
    pub details: f64,
}

/// Fits one fingerprint to another; with `mirrored`, the mirror image of the first.
pub(super) fn fit(a: &[u8; CELLS], b: &[u8; CELLS], mirrored: bool) -> Fit {
    let (a, b) = (Plane::of(a, mirrored), Plane::of(b, false));
    let mut warp = Warp { scale: [1.0; 2], shift: [0.0; 2] };
    let half = |plane: &Plane| plane.smaller(2).smoothed(SMOOTHING);
    let coarse = search(&half(&a), &half(&b), &mut warp, STEPS[0]);
    if coarse < HOPELESS {
        return Fit { warp, correlation: coarse, details: 0.0 };
    }
    let (fine_a, fine_b) = (a.smoothed(SMOOTHING), b.smoothed(SMOOTHING));
    let correlation = search(&fine_a, &fine_b, &mut warp, STEPS[1]);
    let detail = |plane: &Plane, fine: &Plane| fine.less(&plane.smoothed(NO_DETAIL));
    let (a, b) = (detail(&a, &fine_a), detail(&b, &fine_b));
    let details = Overlap::of(&a, &b, &warp).correlation();
    Fit { warp, correlation, details }
}

/// Middles of cells, from -1 to 1.
fn middle(i: usize, side: usize) -> f64 {
    (2 * i + 1) as f64 / side as f64 - 1.0
}

/// The other way round, in cells from the first one's middle.
fn cell(place: f64, side: usize) -> f32 {
    ((place + 1.0) * side as f64 / 2.0 - 0.5) as f32
}

impl Warp {
    /// Row and column in the first photograph.
    fn of(&self, row: usize, column: usize, side: usize) -> (f32, f32) {
        let x = self.scale[0] * middle(column, side) + self.shift[0];
        let y = self.scale[1] * middle(row, side) + self.shift[1];
        (cell(y, side), cell(x, side))
    }

    /// A change by the four parameters, within what is searched.
    fn step(&mut self, by: [f64; 4]) {
        let by = by.map(|d| d.clamp(-0.1, 0.1));
        for i in 0..2 {
            self.scale[i] = (self.scale[i] + by[i]).clamp(SCALES[0], SCALES[1]);
            self.shift[i] = (self.shift[i] + by[2 + i]).clamp(-MOST_SHIFT, MOST_SHIFT);
        }
    }
}

/// Numbers of both where they overlap.
struct Overlap {
    /// The cell of the second plane, the number there, and that of the first.
    pairs: Vec<(usize, f64, f64)>,
    /// Sums of squares and of products of what differs from the mean.
    squares: [f64; 2],
    products: f64,
}

impl Overlap {
    fn of(a: &Plane, b: &Plane, warp: &Warp) -> Self {
        let side = b.side;
        let mut pairs = Vec::with_capacity(side * side);
        for (i, &second) in b.values.iter().enumerate() {
            let (y, x) = warp.of(i / side, i % side, side);
            pairs.extend(a.at(y, x).map(|first| (i, f64::from(second), f64::from(first))));
        }
        let n = pairs.len().max(1) as f64;
        let mean = [pairs.iter().map(|p| p.1).sum::<f64>() / n, pairs.iter().map(|p| p.2).sum::<f64>() / n];
        let (mut squares, mut products) = ([0.0; 2], 0.0);
        for (_, second, first) in &mut pairs {
            *second -= mean[0];
            *first -= mean[1];
            squares[0] += *second * *second;
            squares[1] += *first * *first;
            products += *second * *first;
        }
        Overlap { pairs, squares, products }
    }

    fn correlation(&self) -> f64 {
        let lengths = (self.squares[0] * self.squares[1]).sqrt();
        if lengths > 0.0 {
            self.products / lengths
        } else {
            0.0
        }
    }
}

/// Improves a warp in so many steps of Gauss and Newton; returns the correlation at its end.
fn search(a: &Plane, b: &Plane, warp: &mut Warp, steps: usize) -> f64 {
    let slopes = a.slopes();
    for _ in 0..steps {
        let overlap = Overlap::of(a, b, warp);
        let step = gauss_newton(&overlap, &slopes, warp, b.side);
        warp.step(step);
    }
    Overlap::of(a, b, warp).correlation()
}

fn gauss_newton(overlap: &Overlap, (right, down): &(Plane, Plane), warp: &Warp, side: usize) -> [f64; 4] {
    // The contrast that makes the second as strong as what the first shares with it.
    let gain = if overlap.squares[0] > 0.0 { overlap.products / overlap.squares[0] } else { 0.0 };
    let mut jacobian = Vec::with_capacity(overlap.pairs.len());
    let mut mean = [0.0; 4];
    for &(i, ..) in &overlap.pairs {
        let (y, x) = warp.of(i / side, i % side, side);
        let (gx, gy) = (f64::from(right.at(y, x).unwrap_or(0.0)), f64::from(down.at(y, x).unwrap_or(0.0)));
        let row = [gx * middle(i % side, side), gy * middle(i / side, side), gx, gy];
        mean.iter_mut().zip(row).for_each(|(m, v)| *m += v);
        jacobian.push(row);
    }
    mean.iter_mut().for_each(|m| *m /= overlap.pairs.len().max(1) as f64);
    let (mut hessian, mut gradient) = ([[0.0; 4]; 4], [0.0; 4]);
    for (row, &(_, second, first)) in jacobian.iter().zip(&overlap.pairs) {
        let error = gain * second - first;
        for i in 0..4 {
            let v = row[i] - mean[i];
            gradient[i] += v * error;
            for j in 0..=i {
                hessian[i][j] += v * (row[j] - mean[j]);
            }
        }
    }
    // Levenberg's damping, so that planes without structure stay where they are.
    let damping = 0.01 * (0..4).map(|i| hessian[i][i]).sum::<f64>() / 4.0 + 1e-3;
    (0..4).for_each(|i| hessian[i][i] += damping);
    solve(hessian, gradient)
}

/// Solves a symmetric positive system, of which the lower half is given, by Cholesky's decomposition.
fn solve(mut a: [[f64; 4]; 4], mut b: [f64; 4]) -> [f64; 4] {
    for i in 0..4 {
        for j in 0..=i {
            let sum: f64 = (0..j).map(|k| a[i][k] * a[j][k]).sum();
            a[i][j] = if i == j { (a[i][i] - sum).max(1e-12).sqrt() } else { (a[i][j] - sum) / a[j][j] };
        }
        b[i] = (b[i] - (0..i).map(|k| a[i][k] * b[k]).sum::<f64>()) / a[i][i];
    }
    for i in (0..4).rev() {
        b[i] = (b[i] - (i + 1..4).map(|k| a[k][i] * b[k]).sum::<f64>()) / a[i][i];
    }
    b
}

/// How far the outline of one photograph lies outside or inside of the other, as a part of a side.
pub(super) fn displacement(warp: &Warp) -> f64 {
    let corner = |scale: f64, shift: f64, side: f64| ((scale - 1.0) * side + shift).abs() / 2.0;
    let ends = (0..2).flat_map(|i| [-1.0, 1.0].map(|side| corner(warp.scale[i], warp.shift[i], side)));
    ends.fold(0.0, f64::max)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::fingerprint::SIDE;

    /// A smooth pattern with detail, at a place from -1 to 1.
    fn pattern(x: f64, y: f64) -> f64 {
        128.0
            + 50.0 * (3.0 * x + y).sin()
            + 40.0 * (4.0 * y - 1.5 * x * x).cos()
            + 25.0 * (9.0 * x * y + 7.0 * y).sin()
    }

    fn drawn(of: impl Fn(f64, f64) -> f64) -> Box<[u8; CELLS]> {
        let mut cells = Box::new([0; CELLS]);
        for (i, cell) in cells.iter_mut().enumerate() {
            *cell = of(middle(i % SIDE, SIDE), middle(i / SIDE, SIDE)).clamp(0.0, 255.0) as u8;
        }
        cells
    }

    #[test]
    fn a_moved_and_scaled_photograph_of_other_brightness_is_found_and_the_warp_is_right() {
        let a = drawn(pattern);
        let b = drawn(|x, y| 0.7 * pattern(0.9 * x + 0.06, 0.94 * y - 0.05) + 20.0);
        let Fit { warp, correlation, details } = fit(&a, &b, false);
        assert!(correlation > 0.995 && details > 0.95, "{correlation} {details}");
        for (found, expected) in [warp.scale[0], warp.scale[1], warp.shift[0], warp.shift[1]]
            .into_iter()
            .zip([0.9, 0.94, 0.06, -0.05])
        {
            assert!((found - expected).abs() < 0.01, "{warp:?}");
        }
        // 0.9 x + 0.06 at x = -1 is -0.84: 8 % of the width are cut off there.
        assert!((displacement(&warp) - 0.08).abs() < 0.01);
        let mirrored = drawn(|x, y| pattern(-x, y));
        assert!(fit(&a, &mirrored, true).details > 0.999);
        assert!(fit(&a, &mirrored, false).details < 0.5);
    }

    #[test]
    fn other_patterns_and_planes_without_structure_do_not_fit() {
        let a = drawn(pattern);
        let other = drawn(|x, y| 128.0 + 60.0 * (5.0 * x - 2.0 * y).cos() + 30.0 * (8.0 * y * y).sin());
        assert!(fit(&a, &other, false).details < 0.5);
        let flat = drawn(|_, _| 90.0);
        let Fit { correlation, details, .. } = fit(&flat, &flat, false);
        assert_eq!((correlation, details), (0.0, 0.0));
    }

    #[test]
    fn a_system_of_four_is_solved() {
        let l = [[2.0, 0.0, 0.0, 0.0], [1.0, 3.0, 0.0, 0.0], [0.5, -1.0, 1.5, 0.0], [1.0, 0.2, 0.3, 1.0]];
        let a: [[f64; 4]; 4] =
            std::array::from_fn(|i| std::array::from_fn(|j| (0..4).map(|k| l[i][k] * l[j][k]).sum()));
        let x = [1.0, -2.0, 0.5, 3.0];
        let b: [f64; 4] = std::array::from_fn(|i| (0..4).map(|j| a[i][j] * x[j]).sum());
        let found = solve(a, b);
        assert!(found.iter().zip(x).all(|(f, x)| (f - x).abs() < 1e-9), "{found:?}");
    }

    #[test]
    fn correlations_are_numpys() {
        let file: serde_json::Value =
            serde_json::from_str(include_str!("../../../tests/api/check/reference.json")).unwrap();
        let kept = &file["fingerprints"];
        let planes: Vec<Plane> = kept["cases"]
            .as_array()
            .unwrap()
            .iter()
            .map(|case| {
                let cells = case["cells"].as_array().unwrap().iter();
                Plane { side: SIDE, values: cells.map(|v| v.as_f64().unwrap().round() as f32).collect() }
            })
            .collect();
        let expected: Vec<f64> =
            kept["correlations"].as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect();
        let still = Warp { scale: [1.0; 2], shift: [0.0; 2] };
        for (i, &expected) in expected.iter().enumerate() {
            let found = Overlap::of(&planes[i / 3], &planes[i % 3], &still).correlation();
            // A place at the border is moved inside by a thousandth of a cell.
            assert!((found - expected).abs() < 1e-3, "{i}: {found} {expected}");
        }
    }
}

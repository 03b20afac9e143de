//! A fingerprint as images of floating-point numbers: smoothed, smaller, mirrored, with gradients.

use crate::check::fingerprint::{CELLS, SIDE};

/// A square image of numbers, row by row.
#[derive(Debug, Clone)]
pub(super) struct Plane {
    pub side: usize,
    pub values: Vec<f32>,
}

impl Plane {
    /// The cells of a fingerprint, mirrored left to right where asked for.
    pub fn of(fingerprint: &[u8; CELLS], mirrored: bool) -> Self {
        let mut values: Vec<f32> = fingerprint.iter().map(|&v| f32::from(v)).collect();
        if mirrored {
            values.chunks_exact_mut(SIDE).for_each(<[f32]>::reverse);
        }
        Plane { side: SIDE, values }
    }

    /// The mean of each square of `factor` x `factor` numbers.
    pub fn smaller(&self, factor: usize) -> Self {
        let side = self.side / factor;
        let part = 1.0 / (factor * factor) as f32;
        let mut values = vec![0.0; side * side];
        for (y, row) in self.values.chunks_exact(self.side).enumerate() {
            for (x, value) in row.iter().enumerate() {
                values[y / factor * side + x / factor] += part * value;
            }
        }
        Plane { side, values }
    }

    /// Smoothed by a Gaussian of this standard deviation, cut off at three of them; the border's numbers go on outside.
    pub fn smoothed(&self, deviation: f32) -> Self {
        let reach = (3.0 * deviation).ceil() as isize;
        let mut weights: Vec<f32> =
            (-reach..=reach).map(|i| (-0.5 * (i as f32 / deviation).powi(2)).exp()).collect();
        let sum: f32 = weights.iter().sum();
        weights.iter_mut().for_each(|w| *w /= sum);
        let side = self.side as isize;
        let near = |i: isize| i.clamp(0, side - 1) as usize;
        let pass = |values: &[f32], across: bool| -> Vec<f32> {
            let at = |y: isize, x: isize, i: isize| match across {
                true => values[y as usize * self.side + near(x + i)],
                false => values[near(y + i) * self.side + x as usize],
            };
            let cells = (0..side).flat_map(|y| (0..side).map(move |x| (y, x)));
            cells.map(|(y, x)| (-reach..=reach).zip(&weights).map(|(i, w)| w * at(y, x, i)).sum()).collect()
        };
        Plane { side: self.side, values: pass(&pass(&self.values, true), false) }
    }

    /// The numbers less those of another plane of the same size.
    pub fn less(&self, other: &Plane) -> Self {
        let values = self.values.iter().zip(&other.values).map(|(a, b)| a - b).collect();
        Plane { side: self.side, values }
    }

    /// Slopes to the right and downwards, where the plane reaches from -1 to 1: central differences, one-sided at the
    /// border.
    pub fn slopes(&self) -> (Plane, Plane) {
        let n = self.side;
        let slope = |step: usize, along: usize, at: usize| {
            let (back, on) = (if along > 0 { step } else { 0 }, if along + 1 < n { step } else { 0 });
            let cells = ((back + on) / step) as f32;
            (self.values[at + on] - self.values[at - back]) / cells * (n as f32 / 2.0)
        };
        let all = |f: &dyn Fn(usize, usize) -> f32| -> Plane {
            let values = (0..n * n).map(|at| f(at / n, at % n)).collect();
            Plane { side: n, values }
        };
        (all(&|y, x| slope(1, x, y * n + x)), all(&|y, x| slope(n, y, y * n + x)))
    }

    /// The number at a place in cells from the first one's middle, between cells bilinearly; `None` outside.
    pub fn at(&self, y: f32, x: f32) -> Option<f32> {
        let last = (self.side - 1) as f32;
        let inside = |v: f32| (-0.5..=last + 0.5).contains(&v);
        if !inside(y) || !inside(x) {
            return None;
        }
        let (y, x) = (y.clamp(0.0, last - 0.001), x.clamp(0.0, last - 0.001));
        let (row, column) = (y as usize, x as usize);
        let (down, right) = (y - row as f32, x - column as f32);
        let cell = |r: usize, c: usize| self.values[(row + r) * self.side + column + c];
        let upper = cell(0, 0) * (1.0 - right) + cell(0, 1) * right;
        let lower = cell(1, 0) * (1.0 - right) + cell(1, 1) * right;
        Some(upper * (1.0 - down) + lower * down)
    }
}

/// Coarse grey levels of a photograph and of its mirror image.
pub(super) type Coarse = [[f32; 64]; 2];

/// The grey levels of 8 x 8 squares without their mean, of length 1, and the same mirrored; zeros where nearly all are
/// the same.
pub(super) fn coarse(fingerprint: &[u8; CELLS]) -> Coarse {
    [false, true].map(|mirrored| {
        let plane = Plane::of(fingerprint, mirrored).smaller(SIDE / 8);
        let mean = plane.values.iter().sum::<f32>() / 64.0;
        let mut values = [0.0; 64];
        values.iter_mut().zip(&plane.values).for_each(|(to, from)| *to = from - mean);
        let length = values.iter().map(|v| v * v).sum::<f32>().sqrt();
        let scale = if length < 8.0 * FLATTEST { 0.0 } else { 1.0 / length };
        values.map(|v| v * scale)
    })
}

/// Standard deviation of grey levels below which a photograph has nothing that could be compared.
pub(in crate::check) const FLATTEST: f32 = 2.0;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn coarse_grey_levels_have_numpys_correlations() {
        let file: serde_json::Value =
            serde_json::from_str(include_str!("../../../tests/api/check/reference.json")).unwrap();
        let kept = &file["fingerprints"];
        let numbers =
            |value: &serde_json::Value| -> Vec<f64> { serde_json::from_value(value.clone()).unwrap() };
        let of_case = |case: &serde_json::Value| {
            let cells: Vec<u8> = numbers(&case["cells"]).into_iter().map(|v| v.round() as u8).collect();
            coarse(&cells.try_into().unwrap())
        };
        let all: Vec<Coarse> = kept["cases"].as_array().unwrap().iter().map(of_case).collect();
        let expected = numbers(&kept["coarse"]);
        assert_eq!(expected.len(), 2 * all.len() * all.len());
        for (i, expected) in expected.into_iter().enumerate() {
            let (side, other) = (i / all.len(), i % all.len());
            let side = &all[side % all.len()][side / all.len()];
            let found: f32 = side.iter().zip(&all[other][0]).map(|(a, b)| a * b).sum();
            assert!((f64::from(found) - expected).abs() < 1e-5, "{i}: {found} {expected}");
        }
    }
}

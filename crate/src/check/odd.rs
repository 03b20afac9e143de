//! Sizes, and photographs whose pixels are unusual.

use super::duplicates::FLATTEST;
use super::findings::{Oddity, Sizes};
use super::outliers::quantile;
use super::scan::Photograph;

/// The part of coloured pixels up to which a photograph is grey.
const GREY: f32 = 0.005;
/// The longer side by the shorter one above which a photograph is elongated.
const ELONGATED: usize = 3;

/// What is unusual about each photograph, by its number. Grey ones are usual where most are.
pub(super) fn oddities(all: &[Photograph]) -> Vec<(usize, Oddity)> {
    let mut found = Vec::new();
    let mostly_grey = 2 * all.iter().filter(|p| p.coloured <= GREY).count() > all.len();
    for (i, p) in all.iter().enumerate() {
        let (short, long) = (p.height.min(p.width), p.height.max(p.width));
        let flat = deviation(&p.fingerprint[..]) < FLATTEST;
        let odd = [
            (Oddity::Tiny, p.is_tiny()),
            (Oddity::SingleColour, flat),
            (Oddity::Grey, !flat && !mostly_grey && p.coloured <= GREY),
            (Oddity::Elongated, long > ELONGATED * short),
        ];
        found.extend(odd.into_iter().filter(|(_, is)| *is).map(|(oddity, _)| (i, oddity)));
    }
    found
}

/// The standard deviation of grey levels.
fn deviation(levels: &[u8]) -> f32 {
    let n = levels.len() as f32;
    let mean = levels.iter().map(|&v| f32::from(v)).sum::<f32>() / n;
    (levels.iter().map(|&v| (f32::from(v) - mean).powi(2)).sum::<f32>() / n).sqrt()
}

/// Sizes of all photographs.
pub(super) fn sizes(all: &[Photograph]) -> Sizes {
    if all.is_empty() {
        return Sizes::default();
    }
    let three = |of: &dyn Fn(&Photograph) -> f32| {
        let mut values: Vec<f32> = all.iter().map(of).collect();
        values.sort_by(f32::total_cmp);
        [0.0, 0.5, 1.0].map(|part| quantile(&values, part))
    };
    let pixels = |values: [f32; 3]| values.map(|v| v.round() as usize);
    Sizes {
        height: pixels(three(&|p| p.height as f32)),
        width: pixels(three(&|p| p.width as f32)),
        aspect_ratio: three(&|p| p.width as f32 / p.height as f32),
    }
}

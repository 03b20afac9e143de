//! Random rotation about the centre, as Keras' layer `RandomRotation` with its defaults: what lies
//! outside the image is its reflection, values are interpolated bilinearly, and the size stays.
//!
//! Other fill modes and interpolations are not offered.
//!
//! Here are the definition, pixel by pixel, and a fast form for three channels that does the same
//! operations in the same order and so gives the same bits.

use super::flip::Flip;

/// Turns each image by a random angle.
///
/// ```
/// let layer = transfer::augment::RandomRotation::new(0.2);
/// assert_eq!(layer.factor, 0.2); // up to 72 degrees either way
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RandomRotation {
    /// The largest angle, as a part of a full turn, both ways.
    pub factor: f32,
}

impl RandomRotation {
    /// A layer that turns by up to `factor` of a full turn either way. A factor that is not a
    /// finite number turns by nothing.
    pub fn new(factor: f32) -> Self {
        Self { factor: if factor.is_finite() { factor.abs() } else { 0.0 } }
    }

    /// The angle for one image, in radians, all equally likely.
    pub(super) fn choose(&self, chance: &mut crate::random::Rng) -> f32 {
        let most = self.factor * std::f32::consts::TAU;
        (2.0 * chance.uniform() - 1.0) * most
    }
}

/// Where each output pixel comes from: `x_in = a·x + b·y + c`, `y_in = d·x + e·y + f`. Not only a
/// rotation: zoom, shift and crop are the same with other numbers.
#[derive(Debug, Clone, Copy)]
pub(super) struct Turn {
    pub(super) to_x: [f32; 3],
    pub(super) to_y: [f32; 3],
}

impl Turn {
    /// A rotation by `angle` radians about the middle of the pixel centres, ((w-1)/2, (h-1)/2);
    /// positive is counter-clockwise.
    pub fn new(angle: f32, h: usize, w: usize) -> Self {
        let (sin, cos) = angle.sin_cos();
        let (right, bottom) = (w as f32 - 1.0, h as f32 - 1.0);
        let x_offset = (right - (cos * right - sin * bottom)) / 2.0;
        let y_offset = (bottom - (sin * right + cos * bottom)) / 2.0;
        Self { to_x: [cos, -sin, x_offset], to_y: [sin, cos, y_offset] }
    }

    fn source(&self, x: usize, y: usize) -> (f32, f32) {
        let at = |[a, b, c]: [f32; 3]| a * x as f32 + b * y as f32 + c;
        (at(self.to_x), at(self.to_y))
    }

    /// Whether one reflection brings every coordinate back into the image; in all but very long
    /// and narrow images it does. An affine map is largest in a corner.
    pub(super) fn stays_near(&self, h: usize, w: usize) -> bool {
        let near = |v: f32, len: usize| v > -(len as f32) + 1.0 && v < 2.0 * len as f32 - 1.0;
        [(0, 0), (w - 1, 0), (0, h - 1), (w - 1, h - 1)].into_iter().all(|(x, y)| {
            let (x, y) = self.source(x, y);
            near(x, w) && near(y, h)
        })
    }
}

/// Mirrors a coordinate into 0..=len-1: the image continues as `d c b a | a b c d | d c b a`.
fn reflect(at: f32, len: usize) -> f32 {
    let (n, last) = (len as f32, len as f32 - 1.0);
    if len <= 1 {
        return 0.0;
    }
    let mut at = at;
    if at < 0.0 {
        // Whole periods first; TensorFlow leaves one that fits exactly, which lands in the same place.
        at += 2.0 * n * (-at / (2.0 * n)).trunc();
        at = if at < -n { at + 2.0 * n } else { -at - 1.0 };
    } else if at > last {
        at -= 2.0 * n * (at / (2.0 * n)).trunc();
        if at >= n {
            at = 2.0 * n - at - 1.0;
        }
    }
    at.clamp(0.0, last)
}

/// [`reflect`] for -len..2·len, without branches.
#[inline(always)]
pub(super) fn reflect_once(at: f32, n: f32) -> f32 {
    let low = if at < 0.0 { -at - 1.0 } else { at };
    let at = if low >= n { 2.0 * n - low - 1.0 } else { low };
    // Not max and min: comparisons are one instruction, and not-a-number becomes 0 here too.
    let at = if at > 0.0 { at } else { 0.0 };
    if at < n - 1.0 {
        at
    } else {
        n - 1.0
    }
}

/// Turns an image (h, w, c), flipped first, in place.
pub(super) fn flip_and_turn(
    image: &mut [f32],
    (h, w, c): (usize, usize, usize),
    flip: Flip,
    turn: &Turn,
    scratch: &mut Vec<f32>,
) {
    // The fast form counts places in 32 bits.
    let countable = ((h + 1) * (w + 1)).checked_mul(3).is_some_and(|n| n < i32::MAX as usize);
    if c == 3 && countable && turn.stays_near(h, w) {
        turn_rgb(image, h, w, flip, turn, scratch);
    } else {
        flip.apply(image, (h, w, c));
        scratch.clear();
        scratch.extend_from_slice(image);
        turn_plainly(scratch, image, (h, w, c), turn);
    }
}

/// The definition.
pub(super) fn turn_plainly(from: &[f32], to: &mut [f32], (h, w, c): (usize, usize, usize), turn: &Turn) {
    for (i, out) in to.chunks_exact_mut(c).enumerate() {
        let (x, y) = turn.source(i % w, i / w);
        let (x, y) = (reflect(x, w), reflect(y, h));
        let (left, top) = (x.floor(), y.floor());
        let (right, bottom) = (left + 1.0, top + 1.0);
        for (k, out) in out.iter_mut().enumerate() {
            // Beyond the last row and column nothing is read; the weight is 0 there.
            let at = |y: f32, x: f32| {
                let (y, x) = (y as usize, x as usize);
                if y < h && x < w {
                    from[(y * w + x) * c + k]
                } else {
                    0.0
                }
            };
            let above = (right - x) * at(top, left) + (x - left) * at(top, right);
            let below = (right - x) * at(bottom, left) + (x - left) * at(bottom, right);
            *out = (bottom - y) * above + (y - top) * below;
        }
    }
}

/// Pixels that are worked on together: first their places are computed, which vectorises over
/// pixels, then their values, which vectorises over channels.
const GROUP: usize = 32;

/// Picks the same code compiled for wider registers, where the processor has them. Without fused
/// operations, which Rust does not make by itself, the bits are the same.
fn turn_rgb(image: &mut [f32], h: usize, w: usize, flip: Flip, turn: &Turn, scratch: &mut Vec<f32>) {
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("avx2") {
        #[target_feature(enable = "avx2")]
        fn wide(image: &mut [f32], h: usize, w: usize, flip: Flip, turn: &Turn, scratch: &mut Vec<f32>) {
            turn_rgb_here(image, h, w, flip, turn, scratch);
        }
        // SAFETY: the processor was just asked.
        return unsafe { wide(image, h, w, flip, turn, scratch) };
    }
    turn_rgb_here(image, h, w, flip, turn, scratch);
}

#[inline(always)]
fn turn_rgb_here(image: &mut [f32], h: usize, w: usize, flip: Flip, turn: &Turn, scratch: &mut Vec<f32>) {
    // One column and one row of zeros are added on the far sides, so that reading beyond the last
    // pixel (with a weight of 0) needs no test, and a few numbers, so that 3 can be read as 4.
    let stride = (w + 1) * 3;
    scratch.resize((h + 1) * stride + 4, 0.0);
    copy_flipped(image, h, w, flip, scratch);
    let source = &scratch[..];
    let mut places = Places { offsets: [0; GROUP], weights: [[0.0; 4]; GROUP] };
    let mut mixed = [0.0; GROUP * 3 + 1];
    for (y, line) in image.chunks_exact_mut(w * 3).enumerate() {
        for (group, out) in line.chunks_mut(GROUP * 3).enumerate() {
            places.find(turn, (group * GROUP, y), (h, w), stride);
            for i in 0..out.len() / 3 {
                let [right, left, below, above] = places.weights[i];
                let offset = places.offsets[i] as usize;
                let (top, bottom) = (&source[offset..][..7], &source[offset + stride..][..7]);
                let upper = mix(right, four(&top[..4]), left, four(&top[3..]));
                let lower = mix(right, four(&bottom[..4]), left, four(&bottom[3..]));
                mixed[i * 3..][..4].copy_from_slice(&mix(below, upper, above, lower));
            }
            out.copy_from_slice(&mixed[..out.len()]);
        }
    }
}

/// Four neighbouring numbers, so that the compiler keeps them in one register.
#[inline(always)]
fn four(numbers: &[f32]) -> [f32; 4] {
    [numbers[0], numbers[1], numbers[2], numbers[3]]
}

#[inline(always)]
fn mix(s: f32, a: [f32; 4], t: f32, b: [f32; 4]) -> [f32; 4] {
    std::array::from_fn(|k| s * a[k] + t * b[k])
}

struct Places {
    /// Where the upper left of the four pixels starts.
    offsets: [i32; GROUP],
    /// Of the left, right, upper and lower pixels.
    weights: [[f32; 4]; GROUP],
}

impl Places {
    /// Fills in where the pixels from `first` = (x, y) on come from.
    #[inline(always)]
    fn find(&mut self, turn: &Turn, first: (usize, usize), (h, w): (usize, usize), stride: usize) {
        let (n_x, n_y, y) = (w as f32, h as f32, first.1 as f32);
        let ([a, b, c], [d, e, f]) = (turn.to_x, turn.to_y);
        for i in 0..GROUP {
            let x = (first.0 + i) as i32 as f32;
            let at_x = reflect_once(a * x + b * y + c, n_x);
            let at_y = reflect_once(d * x + e * y + f, n_y);
            // Not negative, so cutting off is rounding down.
            // SAFETY: reflect_once gives numbers within 0..n, also for not-a-number, and only images
            // whose sides fit an i32 come here. (`as` tests for all that and keeps the loop scalar.)
            let (column, row) = unsafe { (at_x.to_int_unchecked::<i32>(), at_y.to_int_unchecked::<i32>()) };
            let (left, top) = (column as f32, row as f32);
            self.offsets[i] = row.wrapping_mul(stride as i32).wrapping_add(column.wrapping_mul(3));
            self.weights[i] = [(left + 1.0) - at_x, at_x - left, (top + 1.0) - at_y, at_y - top];
        }
    }
}

fn copy_flipped(image: &[f32], h: usize, w: usize, flip: Flip, to: &mut [f32]) {
    let (row, stride) = (w * 3, (w + 1) * 3);
    for (y, from) in image.chunks_exact(row).enumerate() {
        let y = if flip.vertical { h - 1 - y } else { y };
        let to = &mut to[y * stride..][..stride];
        if flip.horizontal {
            for (from, to) in from.chunks_exact(3).zip(to[..row].rchunks_exact_mut(3)) {
                to.copy_from_slice(from);
            }
        } else {
            to[..row].copy_from_slice(from);
        }
        to[row..].fill(0.0);
    }
    to[h * stride..].fill(0.0);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Rng;

    fn noise(n: usize) -> Vec<f32> {
        let mut rng = Rng::new(&[n as u64]);
        (0..n).map(|_| rng.uniform() * 255.0).collect()
    }

    #[test]
    fn the_fast_form_equals_the_definition_bit_for_bit() {
        let flips = [(false, false), (true, false), (false, true), (true, true)];
        for (h, w) in [(160, 160), (33, 70), (70, 33), (5, 5), (2, 2), (1, 1), (1, 2), (224, 96)] {
            for (step, (horizontal, vertical)) in (0..28).zip(flips.into_iter().cycle()) {
                let turn = Turn::new((step as f32 - 14.0) * 0.11, h, w);
                let flip = Flip { horizontal, vertical };
                let image = noise(h * w * 3);
                let mut fast = image.clone();
                // A dirty scratch, as after another image.
                flip_and_turn(&mut fast, (h, w, 3), flip, &turn, &mut vec![f32::NAN; 100_000]);
                let mut flipped = image.clone();
                flip.apply(&mut flipped, (h, w, 3));
                let mut plain = image.clone();
                turn_plainly(&flipped, &mut plain, (h, w, 3), &turn);
                assert_eq!(fast, plain, "{h}x{w} at step {step}");
            }
        }
    }

    #[test]
    fn a_quarter_turn_moves_every_pixel_of_a_square_exactly() {
        let (n, c) = (9, 3);
        let image = noise(n * n * c);
        let mut turned = image.clone();
        let turn = Turn::new(std::f32::consts::FRAC_PI_2, n, n);
        flip_and_turn(&mut turned, (n, n, c), Flip::default(), &turn, &mut Vec::new());
        for y in 0..n {
            for x in 0..n {
                for k in 0..c {
                    // Counter-clockwise: what was on the right is now at the top.
                    let (from_y, from_x) = (x, n - 1 - y);
                    let wanted = image[(from_y * n + from_x) * c + k];
                    assert!((turned[(y * n + x) * c + k] - wanted).abs() < 1e-2);
                }
            }
        }
    }

    #[test]
    fn no_turn_changes_nothing() {
        let image = noise(16 * 24 * 3);
        let mut same = image.clone();
        flip_and_turn(&mut same, (16, 24, 3), Flip::default(), &Turn::new(0.0, 16, 24), &mut Vec::new());
        assert_eq!(image, same);
    }

    #[test]
    fn the_image_continues_as_its_own_reflection() {
        // d c b a | a b c d | d c b a, at whole coordinates and over several periods.
        let letters = [3, 2, 1, 0, 0, 1, 2, 3];
        for at in -40i32..40 {
            let wanted = letters[(at + 4).rem_euclid(8) as usize];
            assert_eq!(reflect(at as f32, 4), wanted as f32, "at {at}");
        }
        // Half-way between, the edge value stands for both of its copies.
        assert_eq!((reflect(-0.5, 4), reflect(3.5, 4), reflect(-1.25, 4)), (0.0, 3.0, 0.25));
        assert_eq!(reflect(-17.0, 1), 0.0);
        for i in -3999..7999 {
            let at = i as f32 / 1000.0;
            assert_eq!(reflect(at, 4), reflect_once(at, 4.0), "at {at}");
        }
    }

    #[test]
    fn a_long_narrow_image_is_reflected_more_than_once() {
        let (h, w) = (2, 90);
        let turn = Turn::new(1.0, h, w);
        assert!(!turn.stays_near(h, w));
        let mut image = vec![7.0; h * w * 3];
        flip_and_turn(&mut image, (h, w, 3), Flip::default(), &turn, &mut Vec::new());
        assert!(image.iter().all(|v| (v - 7.0).abs() < 1e-4));
    }

    #[test]
    fn angles_are_spread_evenly_over_the_whole_range() {
        let layer = RandomRotation::new(-0.2);
        let most = 0.2 * std::f32::consts::TAU;
        let mut bins = [0; 8];
        for i in 0..8000 {
            let angle = layer.choose(&mut Rng::new(&[5, i]));
            assert!(angle.abs() <= most);
            bins[((angle / most + 1.0) * 4.0).min(7.0) as usize] += 1;
        }
        assert!(bins.iter().all(|n| (880..1120).contains(n)), "{bins:?}");
        assert_eq!(RandomRotation::new(f32::NAN).choose(&mut Rng::new(&[1])), 0.0);
    }
}

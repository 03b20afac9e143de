//! The rotation of an image straight from the cache: unpacked, flipped, turned and rescaled in one
//! pass, with the bits of doing one after the other.
//!
//! Mixing multiples of 1/256 and multiplying by 1/256 at the end is the same, a power of two being
//! exact; and a flip only changes from which side the four neighbours are read.

use super::flip::Flip;
#[cfg(target_arch = "x86_64")]
use super::rotation::reflect_once;
use super::rotation::Turn;
use crate::data::Stored;
use crate::preprocess::Rescaling;

/// Writes a stored image `(h, w, 3)`, flipped, turned and rescaled, to `to`; `false`, with nothing
/// done, where this processor or this image needs the general way.
pub(super) fn turn_stored(
    from: &Stored<'_>,
    to: &mut [f32],
    (h, w): (usize, usize),
    flip: Flip,
    turn: &Turn,
    then: Option<Rescaling>,
) -> bool {
    #[cfg(target_arch = "x86_64")]
    {
        let len = to.len();
        // Places are counted in 32 bits, and a pixel needs neighbours.
        let fits = h >= 2 && w >= 2 && len == h * w * 3 && len < i32::MAX as usize / 4;
        if fits
            && std::arch::is_x86_feature_detected!("avx2")
            && turn.stays_near(h, w)
            && let Some(numbers) = from.numbers(len)
        {
            // SAFETY: the processor was just asked, and so were the lengths.
            unsafe { x86::turn_image(numbers, to, (h, w), flip, turn, then) };
            return true;
        }
    }
    let _ = (from, to, h, w, flip, turn, then);
    false
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::*;
    use std::arch::x86_64::*;

    /// Pixels whose places are found together.
    const GROUP: usize = 32;

    /// Where a group's pixels come from.
    struct Places {
        /// Of the upper two of the four neighbours, and of the lower two.
        rows: [[i32; GROUP]; 2],
        /// Of the first and the second neighbour in a row, and of the two rows.
        weights: [[f32; GROUP]; 4],
    }

    /// # Safety
    /// The processor has AVX2; `numbers` are an image and eight more, of which `to` has the size; the
    /// sides are at least 2 and their product times 3 fits an `i32`.
    #[target_feature(enable = "avx2")]
    pub(super) unsafe fn turn_image(
        numbers: &[u16],
        to: &mut [f32],
        (h, w): (usize, usize),
        flip: Flip,
        turn: &Turn,
        then: Option<Rescaling>,
    ) {
        // The cache of images is far larger than the processor's, and an image that is turned is not
        // read in the order in which memory is fetched ahead.
        for line in numbers.chunks(64 / size_of::<u16>()) {
            _mm_prefetch::<_MM_HINT_T0>(line.as_ptr().cast());
        }
        let mut places = Places { rows: [[0; GROUP]; 2], weights: [[0.0; GROUP]; 4] };
        // Times one and plus minus zero changes no bit, and nor does it matter when one multiplies by a
        // power of two.
        let Rescaling { scale, offset } = then.unwrap_or(Rescaling::new(1.0, -0.0));
        let last = [two_of(scale.map(|scale| scale * Stored::STEP)), two_of(offset)];
        let mut mixed = [0.0f32; GROUP * 3 + 8];
        for y in 0..h {
            for x in (0..w).step_by(GROUP) {
                places.find(turn, (x, y), (h, w), flip);
                let (start, n) = ((y * w + x) * 3, GROUP.min(w - x));
                // Two pixels are written as eight numbers: what is too much lies in pixels that are
                // still to come, if there are any.
                let direct = start + n * 3 + 8 <= to.len();
                let out = if direct { to[start..].as_mut_ptr() } else { mixed.as_mut_ptr() };
                for i in (0..n).step_by(2) {
                    // SAFETY: `find` gives places of two pixels inside the image, so that eight
                    // numbers can be read; i is even and below GROUP.
                    unsafe { two_pixels(numbers.as_ptr(), &places, i, last, out.add(3 * i)) };
                }
                if !direct {
                    to[start..start + n * 3].copy_from_slice(&mixed[..n * 3]);
                }
            }
        }
    }

    impl Places {
        #[inline(always)]
        fn find(&mut self, turn: &Turn, first: (usize, usize), (h, w): (usize, usize), flip: Flip) {
            let (n_x, n_y, y) = (w as f32, h as f32, first.1 as f32);
            let ([a, b, c], [d, e, f]) = (turn.to_x, turn.to_y);
            // A sum that is rounded after each step still never falls where the exact one rises: if both
            // ends of the group lie in the image, all of it does.
            let inside = [0, GROUP - 1].into_iter().all(|i| {
                let x = (first.0 + i) as i32 as f32;
                let (at_x, at_y) = (a * x + b * y + c, d * x + e * y + f);
                at_x >= 0.0 && at_x <= n_x - 1.0 && at_y >= 0.0 && at_y <= n_y - 1.0
            });
            if inside {
                self.find_each(turn, first, (h, w), flip, |at, _| at);
            } else {
                self.find_each(turn, first, (h, w), flip, reflect_once);
            }
        }

        #[inline(always)]
        fn find_each(
            &mut self,
            turn: &Turn,
            first: (usize, usize),
            (h, w): (usize, usize),
            flip: Flip,
            reflect: impl Fn(f32, f32) -> f32,
        ) {
            let (n_x, n_y, y) = (w as f32, h as f32, first.1 as f32);
            let ([a, b, c], [d, e, f]) = (turn.to_x, turn.to_y);
            let (last_column, last_row, row_len) = (w as i32 - 2, h as i32 - 2, 3 * w as i32);
            for i in 0..GROUP {
                let x = (first.0 + i) as i32 as f32;
                let at_x = reflect(a * x + b * y + c, n_x);
                let at_y = reflect(d * x + e * y + f, n_y);
                // SAFETY: these are within 0..n: reflect_once sees to it, also for not-a-number.
                let (column, row) =
                    unsafe { (at_x.to_int_unchecked::<i32>(), at_y.to_int_unchecked::<i32>()) };
                // On the last column the first neighbour has all the weight; as the second one of
                // the pair before it has, too, and no pixel outside is read.
                let column = if column < last_column { column } else { last_column };
                let row = if row < last_row { row } else { last_row };
                let (left, top) = (column as f32, row as f32);
                let x_weights = [(left + 1.0) - at_x, at_x - left];
                let y_weights = [(top + 1.0) - at_y, at_y - top];
                let column = if flip.horizontal { last_column - column } else { column };
                let (upper, lower) =
                    if flip.vertical { (last_row + 1 - row, last_row - row) } else { (row, row + 1) };
                self.rows[0][i] = upper.wrapping_mul(row_len).wrapping_add(3 * column);
                self.rows[1][i] = lower.wrapping_mul(row_len).wrapping_add(3 * column);
                let swap = usize::from(flip.horizontal);
                self.weights[swap][i] = x_weights[0];
                self.weights[1 - swap][i] = x_weights[1];
                self.weights[2][i] = y_weights[0];
                self.weights[3][i] = y_weights[1];
            }
        }
    }

    /// Computes pixels `i` and `i + 1` of a group; eight numbers are written, of which six count.
    ///
    /// # Safety
    /// At the places of both, eight numbers can be read; `to` has room for eight.
    #[inline]
    #[target_feature(enable = "avx2")]
    unsafe fn two_pixels(
        from: *const u16,
        places: &Places,
        i: usize,
        [scale, offset]: [__m256; 2],
        to: *mut f32,
    ) {
        // SAFETY: the caller's promise.
        unsafe {
            let row = |which: usize| {
                let load = |i: usize| _mm_loadu_si128(from.offset(places.rows[which][i] as isize).cast());
                let both = _mm256_set_m128i(load(i + 1), load(i));
                // From 16 bits to 32: the first pixel's three numbers, then the second one's.
                const NONE: i8 = -1;
                let first = _mm_setr_epi8(
                    0, 1, NONE, NONE, 2, 3, NONE, NONE, 4, 5, NONE, NONE, NONE, NONE, NONE, NONE,
                );
                let second = _mm_setr_epi8(
                    6, 7, NONE, NONE, 8, 9, NONE, NONE, 10, 11, NONE, NONE, NONE, NONE, NONE, NONE,
                );
                let widen =
                    |which| _mm256_cvtepi32_ps(_mm256_shuffle_epi8(both, _mm256_broadcastsi128_si256(which)));
                mix(weight(places, 0, i), widen(first), weight(places, 1, i), widen(second))
            };
            let sum = mix(weight(places, 2, i), row(0), weight(places, 3, i), row(1));
            let sum = _mm256_add_ps(_mm256_mul_ps(sum, scale), offset);
            _mm_storeu_ps(to, _mm256_castps256_ps128(sum));
            _mm_storeu_ps(to.add(3), _mm256_extractf128_ps::<1>(sum));
        }
    }

    /// The three numbers of one pixel and of the next; what lies behind each does not count.
    #[inline]
    #[target_feature(enable = "avx2")]
    fn two_of([r, g, b]: [f32; 3]) -> __m256 {
        _mm256_setr_ps(r, g, b, b, r, g, b, b)
    }

    /// Weight `which` of pixel `i` four times, and of pixel `i + 1` four times.
    #[inline]
    #[target_feature(enable = "avx2")]
    fn weight(places: &Places, which: usize, i: usize) -> __m256 {
        // Two broadcasts from memory cost the busy shuffle unit nothing.
        let of = |i: usize| _mm256_set1_ps(places.weights[which][i]);
        _mm256_blend_ps::<0b1111_0000>(of(i), of(i + 1))
    }

    /// `s a + t b`, rounded after each step.
    #[inline]
    #[target_feature(enable = "avx2")]
    fn mix(s: __m256, a: __m256, t: __m256, b: __m256) -> __m256 {
        _mm256_add_ps(_mm256_mul_ps(s, a), _mm256_mul_ps(t, b))
    }
}

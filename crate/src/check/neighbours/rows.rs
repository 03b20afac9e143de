//! Rows of numbers that are fetched by their positions, each of length 1.

use crate::check::features::Features;
use crate::{threads, Result};

/// Rows that a thread scales at a time.
const AT_A_TIME: usize = 64;

/// Rows of length 1 (n, width).
pub(in crate::check) trait Rows {
    /// Numbers in a row.
    fn width(&self) -> usize;

    /// Copies rows by their positions into `out`, which becomes as long as they are together.
    ///
    /// # Errors
    /// Where they lie in a file that cannot be read.
    fn gather(&mut self, which: &[u32], out: &mut Vec<f32>) -> Result<()>;
}

/// Features, scaled to length 1.
pub(in crate::check) struct UnitFeatures<'a>(pub &'a mut Features);

impl Rows for UnitFeatures<'_> {
    fn width(&self) -> usize {
        self.0.width()
    }

    fn gather(&mut self, which: &[u32], out: &mut Vec<f32>) -> Result<()> {
        self.0.gather(which, out)?;
        let width = self.width();
        let parts = out.chunks_mut(AT_A_TIME * width.max(1)).collect();
        threads::each(parts, |rows| of_length_one(rows, width));
        Ok(())
    }
}

/// Scales each row to length 1; a row of zeros stays.
pub(super) fn of_length_one(rows: &mut [f32], c: usize) {
    for row in rows.chunks_exact_mut(c.max(1)) {
        let length = row.iter().map(|&v| f64::from(v) * f64::from(v)).sum::<f64>().sqrt();
        if length > 0.0 {
            let scale = (1.0 / length) as f32;
            row.iter_mut().for_each(|v| *v *= scale);
        }
    }
}

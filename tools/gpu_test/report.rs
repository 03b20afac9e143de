//! What was checked, how far it was off, and how far it may be.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::Path;

use serde_json::{json, Value};

use crate::Result;

/// The checks of one part. Each is a line of `checks.jsonl`, written before the next one starts: whatever ends the
/// program loses nothing of what was found until then.
pub struct Report {
    part: &'static str,
    file: File,
    checks: usize,
    failed: usize,
}

impl Report {
    /// Goes on writing to `checks.jsonl` in the folder.
    pub fn open(part: &'static str, out: &Path) -> Result<Self> {
        std::fs::create_dir_all(out)?;
        let path = out.join("checks.jsonl");
        let file = OpenOptions::new().create(true).append(true).open(&path);
        let file = file.map_err(|e| format!("cannot write {}: {e}", path.display()))?;
        Ok(Report { part, file, checks: 0, failed: 0 })
    }

    /// Notes that something is off by `error`, where `limit` is allowed.
    pub fn within(&mut self, name: &str, error: f64, limit: f64) -> Result<()> {
        self.note(name, error <= limit, json!({ "error": error, "limit": limit }))
    }

    /// Notes how far off numbers are; see [`compare`]. Of gradients, a few may be further off.
    pub fn near(&mut self, name: &str, ours: &[f32], reference: &[f32], limit: f64) -> Result<()> {
        self.near_but(name, ours, reference, limit, 0.0)
    }

    /// [`near`](Self::near) of gradients, behind corners of ReLU6.
    pub fn near_gradients(&mut self, name: &str, ours: &[f32], reference: &[f32], limit: f64) -> Result<()> {
        self.near_but(name, ours, reference, limit, OUTLIERS)
    }

    fn near_but(
        &mut self,
        name: &str,
        ours: &[f32],
        reference: &[f32],
        limit: f64,
        outliers: f64,
    ) -> Result<()> {
        let off = compare(ours, reference, limit);
        let ok = off.relative <= limit && off.outliers <= outliers && off.largest.is_finite();
        let more = json!({ "error": off.relative, "limit": limit, "largest": off.largest, "outliers": off.outliers });
        self.note(name, ok, more)
    }

    /// Notes that something is so, or is not.
    pub fn holds(&mut self, name: &str, ok: bool) -> Result<()> {
        self.note(name, ok, json!({}))
    }

    /// Notes what is no check.
    pub fn remark(&mut self, name: &str, value: Value) -> Result<()> {
        println!("         {name}: {value}");
        self.write(&json!({ "part": self.part, "name": name, "value": value }))
    }

    fn note(&mut self, name: &str, ok: bool, more: Value) -> Result<()> {
        self.checks += 1;
        self.failed += usize::from(!ok);
        let numbers =
            more.as_object().filter(|m| !m.is_empty()).map(|_| format!(" {more}")).unwrap_or_default();
        println!("  {} {name}{numbers}", if ok { "ok    " } else { "FAILED" });
        let mut line = json!({ "part": self.part, "name": name, "ok": ok });
        if let (Some(line), Value::Object(more)) = (line.as_object_mut(), more) {
            line.extend(more);
        }
        self.write(&line)
    }

    fn write(&mut self, line: &Value) -> Result<()> {
        writeln!(self.file, "{line}")?;
        Ok(self.file.flush()?)
    }

    /// An error where a check failed.
    pub fn finish(self) -> Result<()> {
        match self.failed {
            0 => {
                println!("all {} checks of {} passed", self.checks, self.part);
                Ok(())
            }
            failed => Err(format!("{failed} of {} checks of {} failed", self.checks, self.part).into()),
        }
    }
}

/// The share of numbers that may be further off than the limit: where an activation comes within rounding of a corner
/// of ReLU6, its gradient is another one, and that is no fault.
pub const OUTLIERS: f64 = 1e-3;

/// How far off numbers are.
#[derive(Debug, PartialEq)]
pub struct Off {
    /// √(Σ(a−b)² / Σb²) of those that are no outliers.
    pub relative: f64,
    /// The largest difference, relative to the largest reference value.
    pub largest: f64,
    /// The share of numbers that differ by more than the limit times the largest reference value. Not-a-number does.
    pub outliers: f64,
}

/// Compares with reference values.
pub fn compare(ours: &[f32], reference: &[f32], limit: f64) -> Off {
    if ours.len() != reference.len() {
        return Off { relative: f64::INFINITY, largest: f64::INFINITY, outliers: 1.0 };
    }
    let most = reference.iter().fold(f32::MIN_POSITIVE, |m, v| m.max(v.abs()));
    let (mut squares, mut all, mut largest, mut outliers) = (0.0f64, 0.0f64, 0.0f64, 0usize);
    for (a, b) in ours.iter().zip(reference) {
        let off = f64::from((a - b).abs()) / f64::from(most);
        largest = if off.is_nan() { f64::INFINITY } else { largest.max(off) };
        all += f64::from(*b).powi(2);
        match off <= limit {
            true => squares += f64::from(a - b).powi(2),
            false => outliers += 1,
        }
    }
    let relative = if all > 0.0 { (squares / all).sqrt() } else { squares.sqrt() };
    Off { relative, largest, outliers: outliers as f64 / ours.len().max(1) as f64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_at_a_corner_is_an_outlier_and_many_are_a_failure() {
        let reference: Vec<f32> = (0..4000).map(|i| (i as f32 * 0.1).sin()).collect();
        let mut ours = reference.clone();
        assert_eq!(compare(&ours, &reference, 1e-3), Off { relative: 0.0, largest: 0.0, outliers: 0.0 });
        ours[7] += 0.5;
        let off = compare(&ours, &reference, 1e-3);
        assert!(off.relative == 0.0 && off.outliers <= OUTLIERS && off.largest > 0.4, "{off:?}");
        (0..10).for_each(|i| ours[i] = f32::NAN);
        assert!(compare(&ours, &reference, 1e-3).outliers > OUTLIERS);
        // A little off everywhere is a failure, too.
        let scaled: Vec<f32> = reference.iter().map(|v| v * 1.0009).collect();
        assert!(compare(&scaled, &reference, 1e-3).relative > 5e-4);
        assert_eq!(compare(&ours[1..], &reference, 1e-3).outliers, 1.0);
    }
}

//! What was checked, how far it was off, and how far it may be.

use std::path::Path;

use serde_json::{json, Value};
use transfer::Device;

use crate::Result;

/// The checks so far.
pub struct Report {
    device: String,
    checks: Vec<Value>,
    failed: usize,
}

impl Report {
    pub fn new(device: &Device) -> Self {
        Report { device: device.to_string(), checks: Vec::new(), failed: 0 }
    }

    /// Notes that something is off by `error`, where `limit` is allowed.
    pub fn within(&mut self, name: &str, error: f64, limit: f64) {
        let ok = error <= limit;
        self.failed += usize::from(!ok);
        let word = if ok { "ok    " } else { "FAILED" };
        println!("  {word} {name}: {error:.2e} (at most {limit:.0e})");
        self.checks.push(json!({ "name": name, "ok": ok, "error": error, "limit": limit }));
    }

    /// Notes that something is so, or is not.
    pub fn holds(&mut self, name: &str, ok: bool) {
        self.failed += usize::from(!ok);
        println!("  {} {name}", if ok { "ok    " } else { "FAILED" });
        self.checks.push(json!({ "name": name, "ok": ok }));
    }

    /// Notes what is no check.
    pub fn remark(&mut self, name: &str, value: Value) {
        println!("         {name}: {value}");
        self.checks.push(json!({ "name": name, "ok": true, "value": value }));
    }

    /// Writes `checks.json`; an error where a check failed.
    pub fn write(&self, out: &Path) -> Result<()> {
        std::fs::create_dir_all(out)?;
        let all = json!({
            "device": self.device,
            "version": env!("CARGO_PKG_VERSION"),
            "failed": self.failed,
            "checks": self.checks,
        });
        std::fs::write(out.join("checks.json"), serde_json::to_string_pretty(&all)?)?;
        if self.failed > 0 {
            return Err(format!("{} of {} checks failed", self.failed, self.checks.len()).into());
        }
        println!("all {} checks passed", self.checks.len());
        Ok(())
    }
}

/// The largest difference, relative to the largest reference value.
pub fn relative_error(ours: &[f32], reference: &[f32]) -> f64 {
    if ours.len() != reference.len() {
        return f64::INFINITY;
    }
    let largest = reference.iter().fold(0.0f32, |m, v| m.max(v.abs()));
    let mut worst = 0.0f32;
    for (a, b) in ours.iter().zip(reference) {
        let off = (a - b).abs();
        // Not a number is as wrong as can be.
        worst = if off.is_nan() { f32::INFINITY } else { worst.max(off) };
    }
    f64::from(worst) / f64::from(largest.max(f32::MIN_POSITIVE))
}

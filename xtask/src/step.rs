//! Steps of the set-up: each says what it does and how long that may take, and is skipped when
//! its stamp says that it was done for the same inputs.

use std::path::Path;
use std::time::Instant;

use crate::Result;

/// Announces `what` (and how long it may take), does it, and says how long it took.
pub fn step(what: &str, expected: &str, work: impl FnOnce() -> Result<()>) -> Result<()> {
    println!("==> {what} ({expected})");
    let start = Instant::now();
    work()?;
    println!("    done in {}", duration(start.elapsed().as_secs_f64()));
    Ok(())
}

/// Seconds as a person says them.
pub fn duration(seconds: f64) -> String {
    if seconds < 60.0 {
        format!("{seconds:.1} s")
    } else {
        let whole = seconds.round() as u64;
        format!("{} min {} s", whole / 60, whole % 60)
    }
}

/// Whether the stamp at `path` was made for just these `inputs`.
pub fn is_done(path: &Path, inputs: &str) -> bool {
    std::fs::read_to_string(path).is_ok_and(|found| found == inputs)
}

/// Notes at `path` that the step is done for these `inputs`.
pub fn note_done(path: &Path, inputs: &str) -> Result<()> {
    let failed = |e: std::io::Error| format!("cannot write {}: {e}", path.display());
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(failed)?;
    }
    std::fs::write(path, inputs).map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_as_a_person_says_them() {
        assert_eq!(duration(4.26), "4.3 s");
        assert_eq!(duration(59.97), "60.0 s");
        assert_eq!(duration(320.4), "5 min 20 s");
    }
}

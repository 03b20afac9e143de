//! Time and memory of a check of many photographs: links to a few.

use std::path::Path;
use std::time::Instant;

use transfer::check::{check_photographs, CheckOptions, CheckReport};

use crate::plant::{name, photographs, Folder};
use crate::Result;

/// Checks `n` photographs, and prints the seconds and the most memory that the process took.
pub fn measure(folder: &Path, n: usize) -> Result<()> {
    let all = photographs(folder)?;
    let place = Folder::new("size")?;
    for i in 0..n {
        let (class, path) = &all[i % all.len()];
        place.put(path, format!("{class}/{}-{}.jpg", name(path), i / all.len()))?;
    }
    check(&place, CheckOptions::default()).map(drop)
}

/// Checks a folder, and prints the seconds, the most memory and how much was found.
pub fn check(place: &Folder, options: CheckOptions) -> Result<CheckReport> {
    let start = Instant::now();
    let report = check_photographs(place.path(), options)?;
    println!(
        "{} photographs in {:.1} s; most memory {} MB; {} groups of duplicates, {} suspects, {} outliers",
        report.photographs(),
        start.elapsed().as_secs_f64(),
        most_memory().map_or("?".to_owned(), |kb| (kb / 1000).to_string()),
        report.duplicates.len(),
        report.suspects.len(),
        report.outliers.len()
    );
    Ok(report)
}

/// The most memory that this process took, in kB.
fn most_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

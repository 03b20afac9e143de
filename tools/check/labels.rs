//! Planted wrong labels.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use transfer::check::{check_photographs, CheckOptions};
use transfer::random::Rng;

use crate::plant::{name, photographs, Folder};
use crate::Result;

/// Wrong labels among the photographs.
const WRONG: usize = 40;
/// How many of the first suspects are looked at.
const FIRST: usize = 60;

/// Plants wrong labels with five seeds, and prints how many are among the first suspects.
pub fn planted(folder: &Path) -> Result<()> {
    let all = photographs(folder)?;
    let mut classes: Vec<&String> = all.iter().map(|(class, _)| class).collect();
    classes.dedup();
    for seed in 1..=5 {
        let mut rng = Rng::new(&[seed, u64::from_be_bytes(*b"labels  ")]);
        let mut order: Vec<usize> = (0..all.len()).collect();
        rng.shuffle(&mut order);
        let chosen: HashSet<usize> = order.into_iter().take(WRONG).collect();
        let place = Folder::new(&format!("labels-{seed}"))?;
        let mut wrong: HashSet<PathBuf> = HashSet::new();
        for (i, (class, path)) in all.iter().enumerate() {
            if !chosen.contains(&i) {
                place.put(path, format!("{class}/{}.jpg", name(path)))?;
                continue;
            }
            let others: Vec<&&String> = classes.iter().filter(|other| **other != class).collect();
            let other = others[rng.below(others.len())];
            wrong.insert(place.put(path, format!("{other}/{}.jpg", name(path)))?);
        }
        let report = check_photographs(place.path(), CheckOptions::default())?;
        let hits = |n: usize| {
            report.suspects.iter().take(n).filter(|suspect| wrong.contains(&suspect.file.path)).count()
        };
        println!(
            "seed {seed}: {} of {WRONG} among the first {FIRST} suspects; {} suspects, {} of them planted",
            hits(FIRST),
            report.suspects.len(),
            hits(usize::MAX)
        );
    }
    Ok(())
}

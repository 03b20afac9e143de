//! Planted duplicates, within one set and across two.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::time::Instant;

use transfer::check::{check_photographs, CheckOptions, CheckReport};
use transfer::random::Rng;

use crate::plant::{duplicate, name, photographs, Folder, KINDS};
use crate::Result;

/// Planted duplicates of each kind.
const EACH: usize = 100;

/// A pair that is one scene: the planted file and its photograph.
struct Planted {
    kind: String,
    pair: [PathBuf; 2],
}

/// Plants in the same class folder, and prints how many pairs are found and how many found pairs are none.
pub fn within(folder: &Path) -> Result<()> {
    let (planted, all) = plant(folder, "", "")?;
    let (report, seconds) = checked(all.path())?;
    print(&report, &planted, seconds)
}

/// Plants in the validation set what is in the training set.
pub fn across(folder: &Path) -> Result<()> {
    let (planted, all) = plant(folder, "train/", "validation/")?;
    let (report, seconds) = checked(all.path())?;
    print(&report, &planted, seconds)?;
    let leaking: HashSet<&PathBuf> = planted.iter().map(|planted| &planted.pair[1]).collect();
    println!("leaks: {} found, {} planted", report.leaks(), leaking.len());
    Ok(())
}

fn checked(folder: &Path) -> Result<(CheckReport, f64)> {
    let start = Instant::now();
    let report = check_photographs(folder, CheckOptions::default())?;
    Ok((report, start.elapsed().as_secs_f64()))
}

fn plant(folder: &Path, old: &str, new: &str) -> Result<(Vec<Planted>, Folder)> {
    let all = photographs(folder)?;
    let place = Folder::new("duplicates")?;
    let mut files = Vec::new();
    for (class, path) in &all {
        let inner = format!("{old}{class}/{}.jpg", name(path));
        files.push(place.put(path, inner)?);
    }
    let mut planted = Vec::new();
    for (number, kind) in KINDS.into_iter().enumerate() {
        let mut rng = Rng::new(&[1, number as u64]);
        let mut order: Vec<usize> = (0..all.len()).collect();
        rng.shuffle(&mut order);
        for &i in order.iter().take(EACH) {
            let (class, path) = &all[i];
            let to = place.path().join(format!("{new}{class}/{}_{kind:?}.jpg", name(path)));
            std::fs::create_dir_all(to.parent().ok_or("no folder")?)?;
            duplicate(kind, path, &to, &mut rng)?;
            planted.push(Planted { kind: format!("{kind:?}"), pair: [files[i].clone(), to] });
        }
    }
    Ok((planted, place))
}

fn print(report: &CheckReport, planted: &[Planted], seconds: f64) -> Result<()> {
    let mut groups: HashMap<&Path, usize> = HashMap::new();
    for (number, group) in report.duplicates.iter().enumerate() {
        groups.extend(group.files.iter().map(|file| (&*file.path, number)));
    }
    let mut of_kind: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    for Planted { kind, pair: [a, b] } in planted {
        let found = groups.get(&**a).is_some_and(|group| groups.get(&**b) == Some(group));
        let (hits, all) = of_kind.entry(kind).or_default();
        (*hits, *all) = (*hits + usize::from(found), *all + 1);
    }
    println!("{} photographs in {seconds:.1} s", report.photographs());
    for (kind, (hits, all)) in &of_kind {
        println!("{kind}: {hits} of {all} found, recall {:.3}", *hits as f64 / *all as f64);
    }
    // A group is right where all of its files come from one photograph.
    let scene = |path: &Path| {
        let name = name(path);
        name.split('_').next().unwrap_or_default().to_owned()
    };
    let mut wrong = Vec::new();
    for group in &report.duplicates {
        let scenes: HashSet<(String, String)> =
            group.files.iter().map(|file| (file.class.clone(), scene(&file.path))).collect();
        if scenes.len() > 1 {
            wrong.push(scenes);
        }
    }
    let right = report.duplicates.len() - wrong.len();
    println!(
        "groups: {} found, {right} of one photograph, precision {:.4}; look at the others:",
        report.duplicates.len(),
        right as f64 / report.duplicates.len().max(1) as f64
    );
    wrong.iter().for_each(|scenes| println!("  {scenes:?}"));
    Ok(())
}

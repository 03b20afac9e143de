//! What lies beside the folder of a run: those of other runs, of which one may be what the user meant to go on with.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::progress::say;
use crate::train::checkpoint::marker::{Marker, MARKER};
use crate::Show;

/// The most that are looked at, the newest first.
const LOOKED_AT: usize = 20;
/// From so many other runs on, their number is told.
const MANY: usize = 5;

/// Says, for a run that has no checkpoint, which other one was not finished and how it differs. Other runs are never
/// changed. Markers that cannot be read are passed over.
pub(super) fn say_what_differs(current: &Path, here: &Marker) {
    let runs = others(current);
    let markers = runs.iter().take(LOOKED_AT).filter_map(|run| Some((run, Marker::read(run).ok()??)));
    let unfinished = markers.filter(|(_, there)| !there.finished && !there.files.is_empty());
    let compared = unfinished.map(|(run, there)| (here.changes(&there), run));
    // The first of equals is the newest.
    if let Some((changes, run)) = compared.min_by_key(|(changes, _)| changes.len()) {
        say(format!(
            "A training that was not finished has its checkpoints in {}. This one differs from it and starts anew; \
             those checkpoints stay. What differs:\n  {}",
            run.shown(),
            changes.join("\n  ")
        ));
    }
    if runs.len() >= MANY {
        let parent = current.parent().unwrap_or(current);
        say(format!(
            "{} other trainings have checkpoints in {}. They stay; remove those that you no longer need.",
            runs.len(),
            parent.shown()
        ));
    }
}

/// The folders of other runs beside `current`, the one that was written last first.
fn others(current: &Path) -> Vec<PathBuf> {
    let Some(entries) = current.parent().and_then(|parent| crate::input::entries(parent).ok()) else {
        return Vec::new();
    };
    let is_run = |path: &Path| {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        path != current && name.len() == 16 && name.bytes().all(|b| b.is_ascii_hexdigit())
    };
    let paths = entries.iter().map(|entry| entry.path()).filter(|path| is_run(path));
    let mut runs: Vec<(SystemTime, PathBuf)> =
        paths.filter_map(|path| Some((path.join(MARKER).metadata().ok()?.modified().ok()?, path))).collect();
    runs.sort();
    runs.into_iter().rev().map(|(_, path)| path).collect()
}

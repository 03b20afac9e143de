//! Carries out a table of changes in a new folder, where a table has the labels.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use super::apply::{refuse_inside, Applied, ApplyOptions};
use super::fix::Action;
use super::table::{self, Row};
use crate::data::{LabelTable, LineChange};
use crate::output::tree::NewFolder;
use crate::progress::check_stop;
use crate::{Error, Result, Show};

/// The new table of labels in the new folder.
const LABELS: &str = "labels.csv";

/// As [`apply_fixes`](super::apply_fixes), where `labels` says what the photographs below `dir` show. Those that are not
/// dropped are in the new folder under their names, with a table `labels.csv`: the lines of `labels` with the labels and
/// splits that are changed, without those that are dropped. Images that `labels` does not name are not taken along.
///
/// # Errors
/// As [`apply_fixes`](super::apply_fixes); [`Error::Data`] where a photograph of `labels` is missing, a change is to a
/// label that `labels` does not have, or moves a photograph where `labels` has no column `split`.
pub fn apply_fixes_of_table(
    dir: impl AsRef<Path>,
    labels: &LabelTable,
    changes: impl AsRef<Path>,
    into: impl AsRef<Path>,
    options: ApplyOptions,
) -> Result<Applied> {
    let (dir, changes, into) = (dir.as_ref(), changes.as_ref(), into.as_ref());
    let rows = table::read(changes)?;
    refuse_inside(dir, into)?;
    let mut actions: HashMap<PathBuf, Row> = rows.into_iter().map(|row| (row.file.clone(), row)).collect();
    let wrong = |line: u64, what: String| Error::Data(format!("{}: line {line}: {what}", changes.shown()));
    let (mut done, mut lines, mut files) = (Applied::default(), HashMap::new(), Vec::new());
    for (name, path) in labels.found_in(dir)? {
        let inner = path.strip_prefix(dir).unwrap_or(&path).to_owned();
        let row = actions.remove(&inner);
        let line = row.as_ref().map_or(0, |row| row.line);
        let change = match row.map_or(Action::Keep, |row| row.action) {
            Action::Keep => None,
            Action::Drop => Some(Ok(LineChange::Drop)),
            Action::Move(to) => Some(labels.moved(&to)),
            Action::Relabel(to) => Some(labels.relabelled(&to)),
        };
        let change = change.transpose().map_err(|what| wrong(line, what))?;
        match &change {
            Some(LineChange::Drop) => done.dropped += 1,
            Some(LineChange::Split(_)) => done.moved += 1,
            Some(LineChange::Label(_)) => done.relabelled += 1,
            None => {}
        }
        if change != Some(LineChange::Drop) {
            files.push((path, inner));
        }
        lines.extend(change.map(|change| (name.to_owned(), change)));
    }
    if let Some(Row { line, file, .. }) = actions.into_values().min_by_key(|row| row.line) {
        return Err(wrong(
            line,
            format!(
                "expected a photograph of the table of labels. Received {}, which is none. Correct its name, or remove \
                 the line.",
                file.shown()
            ),
        ));
    }
    let text = labels.rewritten(&lines)?;
    let mut folder = NewFolder::create(into)?;
    for (from, to) in files {
        check_stop("The new folder")?;
        done.copies += usize::from(!folder.add(&from, &to, options.copy)?);
        done.photographs += 1;
    }
    folder.write(Path::new(LABELS), &text)?;
    folder.finish()?;
    Ok(done)
}

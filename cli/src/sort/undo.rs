//! Taking back what a list says, and finishing what an interrupted run began.
//!
//! Nothing is removed but what has the same bytes at its other place. Each step leaves things so that the same command
//! can go on after it was interrupted.

use std::io::Write;
use std::path::Path;

use transfer::output::{remove_unfinished_copy, same_content, Transfer};
use transfer::Show;

use super::list::{self, Act};
use crate::{screen, stop, Failure};

/// What became of a file.
enum Undone {
    Done,
    /// It had not been done.
    Nothing,
    Kept(String),
}

/// `transfer sort --undo LIST`.
pub fn undo(path: &Path) -> crate::Result<()> {
    let acts = list::read(path)?;
    let (mut done, mut kept) = (0, 0);
    for act in acts.iter().rev() {
        stop::check("Undoing")?;
        let Act::File { how, from, to, .. } = act else { continue };
        match undo_file(*how, from, to)? {
            Undone::Done => done += 1,
            Undone::Nothing => {}
            Undone::Kept(why) => {
                kept += 1;
                screen::say(&format!("error: {why}"));
            }
        }
        screen::count(done);
    }
    if kept == 0 {
        // Nothing needs it any more, and the folders are empty only without it.
        std::fs::remove_file(path)
            .map_err(|e| Failure::Error(format!("cannot remove {}: {e}", path.shown())))?;
    }
    for act in acts.iter().rev() {
        if let Act::Folder(folder) = act {
            // Goes only where it is empty.
            let _ = std::fs::remove_dir(folder);
        }
    }
    writeln!(std::io::stdout().lock(), "{done:>7}  taken back")?;
    match kept {
        0 => Ok(()),
        n => {
            screen::say(&format!(
                "{n} of the list could not be taken back; they are named above. The list stays."
            ));
            Err(Failure::SomeFiles)
        }
    }
}

fn undo_file(how: Transfer, from: &Path, to: &Path) -> crate::Result<Undone> {
    remove_unfinished_copy(to);
    let there = |path: &Path| path.symlink_metadata().is_ok();
    Ok(match (there(from), there(to)) {
        (true, false) => Undone::Nothing,
        (false, false) => Undone::Kept(format!("neither {} nor {} is there", from.shown(), to.shown())),
        (true, true) if same_content(from, to)? => {
            std::fs::remove_file(to)
                .map_err(|e| Failure::Error(format!("cannot remove {}: {e}", to.shown())))?;
            Undone::Done
        }
        (true, true) => {
            Undone::Kept(format!("{} has changed, and stays beside {}", to.shown(), from.shown()))
        }
        (false, true) if how == Transfer::Move => {
            if let Some(folder) = from.parent() {
                std::fs::create_dir_all(folder)
                    .map_err(|e| Failure::Error(format!("cannot make {}: {e}", folder.shown())))?;
            }
            match Transfer::Move.carry_out(to, from)? {
                true => Undone::Done,
                false => Undone::Kept(format!("{} appeared meanwhile; {} stays", from.shown(), to.shown())),
            }
        }
        (false, true) => Undone::Kept(format!("{} is gone, so {} stays", from.shown(), to.shown())),
    })
}

/// Finishes moves of earlier lists in this folder that were interrupted between the copy and the removal, which happens
/// where files are moved to another disk.
pub fn finish_earlier(folder: &Path) -> crate::Result<()> {
    for path in list::earlier(folder) {
        for act in list::read(&path)? {
            let Act::File { how: Transfer::Move, from, to, .. } = act else { continue };
            let there = |path: &Path| path.symlink_metadata().is_ok();
            if there(&from) && there(&to) && same_content(&from, &to)? {
                std::fs::remove_file(&from)
                    .map_err(|e| Failure::Error(format!("cannot remove {}: {e}", from.shown())))?;
            }
        }
    }
    Ok(())
}

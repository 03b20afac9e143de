//! Folders and files that this program may delete or overwrite: those that it made itself.
//!
//! A folder is known by a note in it, which is written before anything else and removed last. A folder without the note
//! is somebody's own, and one behind a link is somewhere else on the disk: both are left alone.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use crate::Result;

/// The note in a folder; `assets/programs.rs` of the crate looks for it in `.venv`.
pub const NOTE: &str = "made-by-cargo-xtask";
const NOTE_TEXT: &str = "`cargo xtask` made this folder, and deletes what is in it when it makes it anew.\n";

/// Makes an empty folder of our own at `path`, in place of what this program left there. `older` are files by which
/// folders of earlier versions, which wrote no note, are known.
pub fn empty_folder(path: &Path, older: &[&str]) -> Result<()> {
    match state(path, older)? {
        State::Missing => fs::create_dir_all(path).map_err(|e| cannot("make", path, &e))?,
        State::Ours => {
            write_note(path)?;
            remove_content(path)?;
        }
    }
    write_note(path)
}

/// Whether a folder of our own is at `path`; an error where something else is.
pub fn is_there(path: &Path, older: &[&str]) -> Result<bool> {
    Ok(matches!(state(path, older)?, State::Ours))
}

/// Writes the note into a folder that [`is_there`].
pub fn write_note(path: &Path) -> Result<()> {
    let note = path.join(NOTE);
    fs::write(&note, NOTE_TEXT).map_err(|e| cannot("write", &note, &e))
}

enum State {
    Missing,
    Ours,
}

fn state(path: &Path, older: &[&str]) -> Result<State> {
    let about = match path.symlink_metadata() {
        Ok(about) => about,
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(State::Missing),
        Err(e) => return Err(cannot("read", path, &e)),
    };
    let what = if about.is_symlink() {
        "a symbolic link"
    } else if !about.is_dir() {
        "no folder"
    } else if [NOTE].iter().chain(older).any(|name| is_plain_file(&path.join(name))) {
        return Ok(State::Ours);
    } else if fs::read_dir(path).map_err(|e| cannot("read", path, &e))?.next().is_none() {
        // Nothing is lost with it.
        return Ok(State::Ours);
    } else {
        "not made by `cargo xtask`"
    };
    Err(format!(
        "{} is {what}, and this command would have to delete what is in it. Nothing was changed. Move it away or \
         delete it yourself, then run the command again",
        path.display()
    ))
}

fn is_plain_file(path: &Path) -> bool {
    path.symlink_metadata().is_ok_and(|about| about.is_file())
}

/// Deletes all but the note, so that a folder whose deletion was broken off is still known for ours.
fn remove_content(path: &Path) -> Result<()> {
    for entry in fs::read_dir(path).map_err(|e| cannot("read", path, &e))? {
        let entry = entry.map_err(|e| cannot("read", path, &e))?;
        if entry.file_name() == NOTE {
            continue;
        }
        let (inner, kind) = (entry.path(), entry.file_type());
        let kind = kind.map_err(|e| cannot("read", &inner, &e))?;
        // A link is removed, and not what it leads to.
        let removed = if kind.is_dir() { fs::remove_dir_all(&inner) } else { fs::remove_file(&inner) };
        removed.map_err(|e| cannot("delete", &inner, &e))?;
    }
    Ok(())
}

/// Writes `text` to `path`. Another file that is there is renamed first; its new name is the result.
pub fn write_keeping(path: &Path, text: &str) -> Result<Option<PathBuf>> {
    let kept = match fs::read(path) {
        Ok(found) if found == text.as_bytes() => return Ok(None),
        Err(e) if e.kind() == ErrorKind::NotFound && path.symlink_metadata().is_err() => None,
        _ => Some(set_aside(path)?),
    };
    fs::write(path, text).map_err(|e| cannot("write", path, &e))?;
    Ok(kept)
}

/// Renames a file or folder to `STEM-N.ENDING` with the first N that is free.
pub fn set_aside(path: &Path) -> Result<PathBuf> {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let ending = path.extension().map_or(String::new(), |ending| format!(".{}", ending.to_string_lossy()));
    let free = |n: usize| {
        let other = path.with_file_name(format!("{stem}-{n}{ending}"));
        other.symlink_metadata().is_err().then_some(other)
    };
    let other = (1..=1000).find_map(free).ok_or_else(|| {
        format!(
            "a thousand older ones lie beside {}: delete some, then run the command again",
            path.display()
        )
    })?;
    fs::rename(path, &other).map_err(|e| cannot("rename", path, &e))?;
    Ok(other)
}

fn cannot(what: &str, path: &Path, error: &std::io::Error) -> String {
    format!("cannot {what} {}: {error}", path.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An empty folder of this test's own.
    fn scratch(name: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("xtask-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        folder
    }

    #[test]
    fn a_folder_of_our_own_is_emptied_and_made_where_there_is_none() {
        let folder = scratch("owned");
        let ours = folder.join("a/venv");
        assert_eq!(is_there(&ours, &[]), Ok(false));
        empty_folder(&ours, &[]).unwrap();
        fs::create_dir_all(ours.join("lib/deep")).unwrap();
        fs::write(ours.join("lib/deep/file"), "").unwrap();
        assert_eq!(is_there(&ours, &[]), Ok(true));
        empty_folder(&ours, &[]).unwrap();
        assert_eq!(fs::read_dir(&ours).unwrap().count(), 1);
        // One of an earlier version.
        let old = folder.join("old");
        fs::create_dir(&old).unwrap();
        fs::write(old.join("place"), "").unwrap();
        assert!(is_there(&old, &[]).is_err());
        empty_folder(&old, &["place"]).unwrap();
        assert_eq!(fs::read_dir(&old).unwrap().count(), 1);
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn a_folder_of_somebody_else_and_what_a_link_leads_to_are_left_alone() {
        let folder = scratch("foreign");
        let (venv, precious) = (folder.join(".venv"), folder.join("other"));
        for owned in [&venv, &precious] {
            fs::create_dir(owned).unwrap();
            fs::write(owned.join("precious"), "1").unwrap();
        }
        let error = empty_folder(&venv, &["place"]).unwrap_err();
        assert!(error.contains("not made by `cargo xtask`") && error.contains("Move it away"), "{error}");
        assert!(venv.join("precious").is_file());
        fs::remove_dir_all(&venv).unwrap();
        #[cfg(unix)]
        {
            // Even one with our note: it is somewhere else.
            fs::write(precious.join(NOTE), "").unwrap();
            std::os::unix::fs::symlink(&precious, &venv).unwrap();
            let error = empty_folder(&venv, &["place"]).unwrap_err();
            assert!(error.contains("symbolic link"), "{error}");
            assert!(precious.join("precious").is_file());
            // A link inside of ours goes, and what it leads to stays.
            let ours = folder.join("ours");
            empty_folder(&ours, &[]).unwrap();
            std::os::unix::fs::symlink(&precious, ours.join("link")).unwrap();
            empty_folder(&ours, &[]).unwrap();
            assert!(ours.join("link").symlink_metadata().is_err() && precious.join("precious").is_file());
        }
        let file = folder.join("file");
        fs::write(&file, "1").unwrap();
        assert!(empty_folder(&file, &[]).unwrap_err().contains("no folder"));
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn a_file_that_differs_is_renamed_before_another_takes_its_place() {
        let folder = scratch("keeping");
        let file = folder.join("a.ipynb");
        assert_eq!(write_keeping(&file, "one"), Ok(None));
        assert_eq!(write_keeping(&file, "one"), Ok(None));
        assert_eq!(write_keeping(&file, "two"), Ok(Some(folder.join("a-1.ipynb"))));
        assert_eq!(write_keeping(&file, "three"), Ok(Some(folder.join("a-2.ipynb"))));
        let read = |name: &str| fs::read_to_string(folder.join(name)).unwrap();
        assert_eq!([read("a.ipynb"), read("a-1.ipynb"), read("a-2.ipynb")], ["three", "one", "two"]);
        fs::remove_dir_all(&folder).unwrap();
    }
}

//! The table beside a model of the photographs that were left out of its training.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use transfer::data::BadImages;
use transfer::Show;

use crate::Failure;

/// Where the table of a model is: `model.safetensors.left_out.csv`.
pub fn path(model: &Path) -> PathBuf {
    let mut name = model.file_name().unwrap_or_default().to_owned();
    name.push(".left_out.csv");
    model.with_file_name(name)
}

/// Refuses to start where something else has the table's name, which is not replaced.
pub fn check(model: &Path) -> crate::Result<()> {
    is_ours(&path(model)).map(drop)
}

/// Writes the table, and tells where; without photographs that were left out, removes that of an earlier training.
pub fn write(model: &Path, bad: &BadImages) -> crate::Result<Option<PathBuf>> {
    let path = path(model);
    let old = is_ours(&path)?;
    if !bad.is_empty() {
        bad.save_csv(&path)?;
        return Ok(Some(path));
    }
    if old {
        std::fs::remove_file(&path)
            .map_err(|e| Failure::Error(format!("cannot remove the old list {}: {e}", path.shown())))?;
    }
    Ok(None)
}

/// Whether there is a table that this program wrote; an error where there is something else.
fn is_ours(path: &Path) -> crate::Result<bool> {
    match path.symlink_metadata() {
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(false),
        Err(e) => return Err(Failure::Error(format!("cannot look at {}: {e}", path.shown()))),
        Ok(about) if about.is_file() && BadImages::is_csv(path)? => return Ok(true),
        Ok(_) => {}
    }
    Err(Failure::Error(format!(
        "{} is in the way: the list of photographs that were left out is written there, and it is no such list. Move \
         it, or choose another --output.",
        path.shown()
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(failure: Failure) -> String {
        match failure {
            Failure::Error(text) => text,
            _ => panic!("another kind of failure"),
        }
    }

    #[test]
    fn an_old_list_of_ours_is_replaced_or_removed_and_nothing_else_is() {
        let dir = tempfile::tempdir().unwrap();
        let model = dir.path().join("m.safetensors");
        let list = path(&model);
        let none = BadImages::default();
        assert_eq!(write(&model, &none).ok(), Some(None));
        std::fs::write(&list, "file,reason\na.jpg,is empty (0 bytes)\n").unwrap();
        assert!(check(&model).is_ok());
        assert_eq!(write(&model, &none).ok(), Some(None));
        assert!(!list.exists());
        for other in ["file,reasons\n1,2\n", "", "my notes"] {
            std::fs::write(&list, other).unwrap();
            for refused in [check(&model), write(&model, &none).map(drop)] {
                assert!(message(refused.unwrap_err()).contains("in the way"), "{other}");
            }
            assert_eq!(std::fs::read_to_string(&list).unwrap(), other);
        }
        std::fs::remove_file(&list).unwrap();
        std::fs::create_dir(&list).unwrap();
        assert!(check(&model).is_err());
    }
}

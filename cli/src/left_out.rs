//! The table beside a model of the photographs that were left out of its training.

use serde_json::{Map, Value};
use transfer::data::{BadImages, Skipped};
use transfer::OutputFile;

use crate::formats::insert_file;

/// The table of a model: `model.safetensors.left_out.csv`.
fn table(model: &OutputFile) -> OutputFile {
    model.companion(".left_out.csv")
}

/// Refuses to start where the table could not be written.
pub fn check(model: &OutputFile) -> crate::Result<()> {
    Ok(table(model).check_csv(&BadImages::COLUMNS)?)
}

/// Writes the table, and returns it; without photographs that were left out, removes that of an earlier training.
pub fn write(model: &OutputFile, bad: &BadImages) -> crate::Result<Option<OutputFile>> {
    let table = table(model);
    match bad.is_empty() {
        true => table.remove_csv(&BadImages::COLUMNS).map(|_| None),
        false => bad.save_csv(&table).map(|()| Some(table)),
    }
    .map_err(crate::Failure::from)
}

/// A file that was left out, as JSON.
pub fn as_json(file: &Skipped) -> Value {
    let mut said = Map::new();
    insert_file(&mut said, &file.path);
    said.insert("reason".into(), file.reason.clone().into());
    said.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_old_list_of_ours_is_replaced_or_removed_and_nothing_else_is() {
        let dir = tempfile::tempdir().unwrap();
        let model = OutputFile::new(dir.path().join("m.safetensors"));
        let list = dir.path().join("m.safetensors.left_out.csv");
        let none = BadImages::default();
        assert!(matches!(write(&model, &none), Ok(None)));
        std::fs::write(&list, "file,reason\na.jpg,is empty (0 bytes)\n").unwrap();
        assert!(check(&model).is_ok());
        assert!(matches!(write(&model, &none), Ok(None)));
        assert!(!list.exists());
        for other in ["file,reasons\n1,2\n", "my notes"] {
            std::fs::write(&list, other).unwrap();
            assert!(check(&model).is_err(), "{other}");
            assert!(matches!(write(&model, &none), Ok(None)));
            assert_eq!(std::fs::read_to_string(&list).unwrap(), other);
        }
        std::fs::remove_file(&list).unwrap();
        std::fs::create_dir(&list).unwrap();
        assert!(check(&model).is_err());
    }
}

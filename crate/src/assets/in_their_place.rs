//! Somebody's own photographs in the place of the cats and dogs, for the tutorial's notebook.

use super::found::{CatsAndDogs, Source};
use crate::{Error, Result, Show};
use std::path::Path;

/// The sets in `dir`, which have the same two class folders.
pub(super) fn own_photographs(dir: &Path) -> Result<CatsAndDogs> {
    let sets = crate::data::two_sets(dir)?;
    if sets.class_names.len() != 2 {
        return Err(Error::Data(format!(
            "expected two class folders in {}, since the tutorial's model tells two classes apart. Received {}. The \
             notebook your_own_photos takes any number.",
            sets.train.shown(),
            sets.class_names.len()
        )));
    }
    Ok(CatsAndDogs {
        dir: dir.to_owned(),
        train_dir: sets.train,
        validation_dir: sets.validation,
        source: Source::Own,
        why: "which TRANSFER_PHOTOS names".to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{image_dataset_from_directory, ImageDatasetOptions};

    #[test]
    fn a_small_set_of_two_classes_gives_the_notebook_all_three_of_its_sets() {
        let dir = tempfile::tempdir().unwrap();
        let pictures = |name: &str, n: u32| {
            let folder = dir.path().join(name);
            std::fs::create_dir_all(&folder).unwrap();
            (0..n).for_each(|i| image::RgbImage::new(2, 2).save(folder.join(format!("{i}.png"))).unwrap());
        };
        let refused = |what: &str| {
            let text = own_photographs(dir.path()).unwrap_err().to_string();
            assert!(text.contains(what), "{text}");
        };
        ["train/hens", "train/geese"].into_iter().for_each(|name| pictures(name, 3));
        refused("Received no validation set");
        pictures("Val/hens", 20);
        refused("Received: geese, hens, and hens");
        pictures("Val/geese", 20);
        let found = own_photographs(dir.path()).unwrap();
        assert!(found.to_string().contains("your own photographs in"), "{found}");
        let held_out =
            image_dataset_from_directory(&found.validation_dir, ImageDatasetOptions::default()).unwrap();
        let (test, validation) = held_out.test_split(0.2).unwrap();
        assert_eq!((test.class_counts(), validation.class_counts()), (vec![4, 4], vec![16, 16]));
        ["train/ducks", "Val/ducks"].into_iter().for_each(|name| pictures(name, 1));
        refused("Received 3. The notebook your_own_photos");
    }
}

//! Every function that writes a file which a user names, on each kind of thing that may stand there.

use std::path::{Path, PathBuf};

use transfer::plot::{learning_curves, LearningCurves};
use transfer::prelude::*;
use transfer::weights::{write_safetensors, Tensor, Weights};

use crate::scenario::{dataset, model, pictures};

/// Something that writes a file.
type Write = Box<dyn Fn(OutputFile) -> Result<()>>;

/// All of them, with the ends of the names that they take.
fn writers(folder: &Path) -> Vec<(&'static str, &'static str, Write)> {
    pictures(&folder.join("pictures"), 0).unwrap();
    let data = dataset(&folder.join("pictures")).unwrap();
    let fit = move |options: FitOptions| model(Sequential::new())?.fit(&data, options).map(drop);
    let weights: Weights = [("a".to_owned(), Tensor::new([1], vec![0.5]).unwrap())].into_iter().collect();
    let curves = LearningCurves { accuracy: vec![0.9], loss: vec![0.3], ..Default::default() };
    let figure = learning_curves(&curves).unwrap();
    let (log, keep) = (fit.clone(), fit);
    vec![
        ("Model::save", "safetensors", Box::new(|file| model(Sequential::new())?.save(file))),
        ("save_weights", "safetensors", Box::new(|file| model(Sequential::new())?.save_weights(file))),
        (
            "write_safetensors",
            "safetensors",
            Box::new(move |f| write_safetensors(f, &weights, &Default::default())),
        ),
        ("export_onnx", "onnx", Box::new(|file| model(Sequential::new())?.export_onnx(file))),
        ("Figure::save", "png", Box::new(move |file| figure.save(file))),
        ("write_csv", "csv", Box::new(|file| file.write_csv(&["file", "reason"], [["=1+1", "-2"]]))),
        ("CsvLogger", "csv", Box::new(move |f| log(FitOptions::epochs(1).callback(CsvLogger::new(f))))),
        ("ModelCheckpoint", "safetensors", {
            Box::new(move |f| keep(FitOptions::epochs(1).callback(ModelCheckpoint::new(f))))
        }),
    ]
}

fn count(folder: &Path) -> usize {
    folder.read_dir().unwrap().count()
}

#[test]
fn what_is_not_ours_is_replaced_only_where_that_is_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out");
    std::fs::create_dir(&out).unwrap();
    // Where it writes the first time, and again; an empty file is as good as none.
    let writers = writers(dir.path());
    for (name, end, write) in &writers {
        let file = out.join(format!("{name}.{end}"));
        std::fs::write(&file, "").unwrap();
        write((&file).into()).unwrap_or_else(|e| panic!("{name}: {e}"));
        write((&file).into()).unwrap_or_else(|e| panic!("{name} over its own: {e}"));
        assert!(file.metadata().unwrap().len() > 8, "{name}");
    }
    assert_eq!(count(&out), writers.len(), "nothing is left beside them");
    let made: Vec<PathBuf> = writers.iter().map(|(name, end, _)| out.join(format!("{name}.{end}"))).collect();
    for (name, end, write) in &writers {
        // Everybody else's file, a text, a picture of somebody else's, and a table of somebody else's.
        let mut others: Vec<Vec<u8>> = vec![b"a letter".to_vec(), b"epoch,mine\n1,2\n".to_vec()];
        let picture = image::RgbImage::new(3, 3);
        let mut png = std::io::Cursor::new(Vec::new());
        picture.write_to(&mut png, image::ImageFormat::Png).unwrap();
        others.push(png.into_inner());
        // Weights alone are one kind, whoever wrote them.
        let weights = ["save_weights", "write_safetensors", "ModelCheckpoint"];
        let same = |a: &str, b: &str| a == b || weights.contains(&a) && weights.contains(&b);
        let theirs = writers.iter().zip(&made).filter(|((other, ..), _)| !same(name, other));
        others.extend(theirs.map(|(_, path)| std::fs::read(path).unwrap()));
        let file = out.join(format!("other.{end}"));
        for (i, content) in others.iter().enumerate() {
            std::fs::write(&file, content).unwrap();
            let error = write((&file).into()).unwrap_err().to_string();
            assert!(error.contains("overwrite(true)"), "{name} over {i}: {error}");
            assert!(&std::fs::read(&file).unwrap() == content, "{name} over {i}");
        }
        write(OutputFile::new(&file).overwrite(true)).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert!(std::fs::read(&file).unwrap() != others[others.len() - 1], "{name}");
        let folder = out.join(format!("folder.{end}"));
        std::fs::create_dir(&folder).unwrap();
        let error = write(OutputFile::new(&folder).overwrite(true)).unwrap_err().to_string();
        assert!(error.contains("a folder"), "{name}: {error}");
        std::fs::remove_dir(&folder).unwrap();
        std::fs::remove_file(&file).unwrap();
    }
    assert_eq!(count(&out), writers.len());
}

#[cfg(unix)]
#[test]
fn links_permissions_and_what_is_no_file_are_the_same_for_all() {
    use std::os::unix::fs::{symlink, MetadataExt, PermissionsExt};
    let dir = tempfile::tempdir().unwrap();
    for (name, end, write) in &writers(dir.path()) {
        let out = dir.path().join(name);
        std::fs::create_dir(&out).unwrap();
        let (file, link) = (out.join(format!("deep.{end}")), out.join(format!("link.{end}")));
        symlink(file.file_name().unwrap(), &link).unwrap();
        write((&link).into()).unwrap_or_else(|e| panic!("{name}: {e}"));
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o604)).unwrap();
        let before = file.metadata().unwrap();
        write((&link).into()).unwrap_or_else(|e| panic!("{name}: {e}"));
        let after = file.metadata().unwrap();
        assert!(link.symlink_metadata().unwrap().is_symlink(), "{name}");
        assert_eq!(
            (before.mode(), before.uid(), before.gid()),
            (after.mode(), after.uid(), after.gid()),
            "{name}"
        );
        // A table is written twice, and a file system may give the first one's number to the third.
        if *name != "CsvLogger" {
            assert_ne!(before.ino(), after.ino(), "{name}: it was written beside and renamed");
        }
        // The folder's number of entries shows what is left beside it.
        assert_eq!(count(&out), 2, "{name}");
        let fifo = out.join(format!("fifo.{end}"));
        assert!(std::process::Command::new("mkfifo").arg(&fifo).status().unwrap().success());
        symlink("/dev/null", out.join(format!("null.{end}"))).unwrap();
        symlink(format!("b.{end}"), out.join(format!("a.{end}"))).unwrap();
        symlink(format!("a.{end}"), out.join(format!("b.{end}"))).unwrap();
        for (path, what) in [("fifo", "a FIFO"), ("null", "a device"), ("a", "leads back")] {
            let path = out.join(format!("{path}.{end}"));
            let error = write(OutputFile::new(&path).overwrite(true)).unwrap_err().to_string();
            assert!(error.contains(what), "{name}: {error}");
        }
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o444)).unwrap();
        let error = write((&file).into()).unwrap_err().to_string();
        assert!(error.contains("write-protected"), "{name}: {error}");
    }
}

#[test]
fn a_reserved_place_is_one_trainings_and_what_appears_there_meanwhile_stays() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("model.safetensors");
    let model = model(Sequential::new()).unwrap();
    let reserved = OutputFile::new(&path).reserve_model().unwrap();
    assert_eq!(count(dir.path()), 1, "the partial file");
    let second = OutputFile::new(&path).reserve_model().unwrap_err().to_string();
    assert!(second.contains("another process"), "{second}");
    std::fs::write(&path, "a letter").unwrap();
    let error = model.save(&reserved).unwrap_err().to_string();
    assert!(error.contains("is not a model"), "{error}");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "a letter");
    assert_eq!(count(dir.path()), 1, "the letter");
    std::fs::remove_file(&path).unwrap();
    // Not used at all: gone with the value.
    drop(OutputFile::new(&path).reserve_model().unwrap());
    assert_eq!(count(dir.path()), 0);
    let reserved = OutputFile::new(&path).reserve_model().unwrap();
    model.save(&reserved).unwrap();
    let length = path.metadata().unwrap().len();
    let plain = dir.path().join("plain.safetensors");
    model.save(&plain).unwrap();
    assert!(std::fs::read(&plain).unwrap() == std::fs::read(&path).unwrap(), "{length} bytes");
}

#[test]
fn companions_go_where_the_file_goes_and_are_removed_only_where_they_are_ours() {
    let dir = tempfile::tempdir().unwrap();
    let model = OutputFile::new(dir.path().join("m.safetensors"));
    let list = model.companion(".left_out.csv");
    assert_eq!(list.path(), dir.path().join("m.safetensors.left_out.csv"));
    let header = ["file", "reason"];
    assert!(!list.remove_csv(&header).unwrap());
    list.write_csv(&header, [["a,\"b\".jpg", "@cut off"], ["-1", "+x\n"]]).unwrap();
    assert_eq!(
        std::fs::read_to_string(list.path()).unwrap(),
        "file,reason\n\"a,\"\"b\"\".jpg\",'@cut off\n-1,\"'+x\n\"\n"
    );
    assert!(list.remove_csv(&header).unwrap());
    std::fs::write(list.path(), "file;reason\nmine\n").unwrap();
    assert!(!list.remove_csv(&header).unwrap());
    assert!(list.write_csv(&header, [["a", "b"]]).unwrap_err().to_string().contains("overwrite(true)"));
    assert_eq!(std::fs::read_to_string(list.path()).unwrap(), "file;reason\nmine\n");
    let odd = OutputFile::new(dir.path().join("odd.csv")).write_csv(&header, [["only one"]]);
    assert!(odd.unwrap_err().to_string().contains("rows of 2 cells"));
    assert_eq!(count(dir.path()), 1);
}

#[test]
fn paths_of_weights_are_looked_at_before_anything_is_trained() {
    let dir = tempfile::tempdir().unwrap();
    pictures(&dir.path().join("pictures"), 0).unwrap();
    let data = dataset(&dir.path().join("pictures")).unwrap();
    let epochs = dir.path().join("weights/{epoch:02d}.safetensors");
    std::fs::create_dir(dir.path().join("weights")).unwrap();
    std::fs::write(dir.path().join("weights/03.safetensors"), "a letter").unwrap();
    for (path, what) in [
        (epochs.clone(), "03.safetensors"),
        (dir.path().join("{é"), "brace"),
        (dir.path().join("{val_loss}"), "need validation data"),
        (dir.path().join("{val_accuracy:.2f}"), "need validation data"),
        (dir.path().join("{epoch:99999999}"), "{epoch:99999999}"),
        (dir.path().join("{acc}"), "{acc}"),
    ] {
        let mut model = model(Sequential::new()).unwrap();
        let before = model.weights().unwrap();
        let options = FitOptions::epochs(3).callback(ModelCheckpoint::new(&path));
        let error = model.fit(&data, options).unwrap_err().to_string();
        assert!(error.contains(what), "{path:?}: {error}");
        assert!(model.weights().unwrap() == before, "{path:?}");
    }
    assert_eq!(count(&dir.path().join("weights")), 1);
    let over = OutputFile::new(&epochs).overwrite(true);
    model(Sequential::new())
        .unwrap()
        .fit(&data, FitOptions::epochs(3).callback(ModelCheckpoint::new(over)))
        .unwrap();
    assert_eq!(count(&dir.path().join("weights")), 3);
}

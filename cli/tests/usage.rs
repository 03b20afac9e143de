//! What the program says and how it ends where something is not as it should be.

mod common;
#[path = "features/mod.rs"]
mod features;
#[path = "usage/output.rs"]
mod output;
#[path = "serve/mod.rs"]
mod serve;
#[path = "sort/mod.rs"]
mod sort;
#[path = "trust/mod.rs"]
mod trust;

use common::{code, run, stderr, stdout, untrained_model};

#[test]
fn help_has_examples_and_wrong_usage_ends_with_2() {
    let dir = tempfile::tempdir().unwrap();
    let help = common::succeed(dir.path(), &["--help"]);
    assert!(help.contains("Examples:") && help.contains("Exit codes:"), "{help}");
    // What the list of commands says of each, and a sentence of its own help.
    for (command, about, explained) in [
        ("train", "Train a classifier on a folder", "DIR holds one folder for each class"),
        ("check", "Look for duplicates, wrong labels", "carry it out with `--apply`"),
        ("evaluate", "Evaluate a model on photographs", "named on standard error"),
        ("predict", "Predict the classes of image files", "Files are read one after the other"),
        ("serve", "Try a model on a page in the browser", "`/openapi.json` describes the API"),
        ("sort", "Sort photographs into folders", "Nothing is replaced"),
        ("export", "Write a model as an ONNX file", "Its properties hold the names of the classes"),
        ("summary", "Show the classes, the image size", "Usage: transfer summary"),
        ("bases", "List the networks that training can start from", "For each: its name for `--base`"),
    ] {
        assert!(help.contains(command) && help.contains(about), "{help}");
        let help = common::succeed(dir.path(), &[command, "--help"]);
        assert!(help.contains("Example") && help.contains("transfer "), "{help}");
        let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(words(&help).contains(explained), "{help}");
    }
    for wrong in [
        &[][..],
        &["learn"],
        &["train"],
        &["predict", "model.safetensors"],
        &["train", "x", "--image-size", "5"],
        &["train", "x", "--epochs", "-1"],
        &["train", "x", "--validation-split", "1"],
        &["train", "x", "--validation", "y", "--validation-split", "0.5"],
        &["predict", "m", "f", "--format", "xml"],
        &["predict", "m", "f", "--top", "0"],
        &["predict", "m", "f", "--base", "efficientnet_lite0"],
        &["train", "x", "--base", "resnet"],
        &["predict", "m", "f", "--unknown", "1"],
        &["train", "x", "--folds", "1"],
        &["train", "x", "--refit", "--share", "0.5"],
        &["export", "m", "--int8"],
        &["export", "m", "--calibrate", "x"],
        &["export", "m", "--int8", "--calibrate", "x", "--max-loss", "101"],
    ] {
        let output = run(dir.path(), wrong);
        assert_eq!((code(&output), stdout(&output)), (2, String::new()), "{wrong:?}");
        assert!(!output.stderr.is_empty());
    }
    assert_eq!(dir.path().read_dir().unwrap().count(), 0);
}

#[test]
fn what_cannot_be_done_is_said_and_ends_with_1() {
    let dir = tempfile::tempdir().unwrap();
    let here = dir.path();
    std::fs::write(here.join("text.safetensors"), "no model").unwrap();
    untrained_model(&here.join("m.safetensors"));
    std::fs::create_dir_all(here.join("photos/cats")).unwrap();
    std::fs::create_dir_all(here.join("empty")).unwrap();
    for name in [
        "sets/train/cats",
        "sets/test/circle",
        "deep/photos/cats",
        "deep/photos/dogs",
        "loose/train",
        "loose/test",
    ] {
        std::fs::create_dir_all(here.join(name)).unwrap();
        common::shape(0, 1, 40).save(here.join(name).join("1.png")).unwrap();
    }
    for (arguments, what) in [
        (&["train", "nothing"][..], "nothing"),
        (&["train", "photos"], "at least two class folders"),
        (&["train", "photos", "--output", "no/such/m.safetensors"], "--output"),
        (&["train", "photos", "--output", "empty"], "--output"),
        (&["predict", "nothing.safetensors", "a.jpg"], "nothing.safetensors"),
        (&["export", "m.safetensors", "--int8", "--calibrate", "nothing"], "nothing"),
        (&["export", "m.safetensors", "--int8", "--calibrate", "photos"], "photos"),
        (&["predict", "text.safetensors", "a.jpg"], "text.safetensors"),
        (&["train", "empty"], "Received none"),
        (&["train", "text.safetensors"], "Received a file"),
        (&["train", "deep"], "did you mean deep/photos"),
        (&["train", "loose"], "never taken for classes"),
        (&["train", "deep/photos"], "at least two photographs of each class"),
        (&["train", "deep/photos", "--classes", "cats,cows"], "cows"),
        (&["train", "deep/photos", "--validation", "deep/photos"], "the same folder twice"),
        (&["evaluate", "m.safetensors", "sets"], "sets/test"),
        (&["evaluate", "m.safetensors", "empty"], "Received no folder"),
        (&["predict", "m.safetensors", "empty"], "Received no image"),
        (&["evaluate", "m.safetensors", "photos"], "Received: cats"),
        (&["evaluate", "m.safetensors", "nothing"], "nothing"),
        (&["export", "m.safetensors", "-o", "empty"], "empty"),
        (&["summary", "photos"], "photos"),
    ] {
        let output = run(here, arguments);
        assert_eq!((code(&output), stdout(&output)), (1, String::new()), "{arguments:?}");
        let text = stderr(&output);
        assert!(text.contains("error: ") && text.contains(what) && !text.contains("panicked"), "{text}");
    }
}

#[test]
fn a_corrupt_file_in_the_middle_is_named_and_passed_over() {
    let dir = tempfile::tempdir().unwrap();
    let here = dir.path();
    untrained_model(&here.join("m.safetensors"));
    common::shapes(&here.join("in"), 30, 0, 40);
    let good = std::fs::read(here.join("in/square/00015.png")).unwrap();
    std::fs::write(here.join("in/square/00015.png"), &good[..good.len() / 2]).unwrap();
    std::fs::write(here.join("in/square/00016.png"), "").unwrap();
    let output = run(here, &["predict", "m.safetensors", "in", "missing.jpg", "--format", "csv"]);
    let (lines, said) = (stdout(&output), stderr(&output));
    assert_eq!(code(&output), 1, "{said}");
    assert_eq!(lines.lines().count(), 1 + 88, "{lines}");
    assert!(
        lines.contains("00017.png") && lines.contains("triangle/00029.png"),
        "those behind it are predicted"
    );
    assert!(!lines.lines().any(|line| line.contains("square") && line.contains("00015.png")), "{lines}");
    for name in ["square/00015.png", "square/00016.png is empty", "missing.jpg", "3 of 91 could not be used"]
    {
        assert!(said.contains(name), "{said}");
    }
    let quiet = run(here, &["--quiet", "predict", "m.safetensors", "in/circle"]);
    assert_eq!((code(&quiet), stderr(&quiet)), (0, String::new()));
    assert_eq!(stdout(&quiet).lines().count(), 31);
    let pattern =
        common::succeed(here, &["predict", "m.safetensors", "in/*/0000[12].png", "--format", "jsonl"]);
    assert_eq!(pattern.lines().count(), 6, "{pattern}");
}

#[test]
fn evaluation_leaves_a_corrupt_file_out_and_counts_it() {
    let dir = tempfile::tempdir().unwrap();
    let here = dir.path();
    untrained_model(&here.join("m.safetensors"));
    common::shapes(&here.join("in"), 4, 0, 40);
    std::fs::write(here.join("in/square/00001.png"), "broken").unwrap();
    std::fs::remove_dir_all(here.join("in/circle")).unwrap();
    let output = run(here, &["--quiet", "evaluate", "m.safetensors", "in", "--format", "json"]);
    assert_eq!(code(&output), 1, "as its help says");
    assert!(stderr(&output).contains("square/00001.png does not look like an image"), "{}", stderr(&output));
    let said: serde_json::Value = serde_json::from_str(&stdout(&output)).unwrap();
    assert_eq!((&said["images"], &said["left_out"]), (&7.into(), &1.into()), "{said}");
    assert_eq!(said["left_out_files"][0]["file"], "in/square/00001.png");
    assert_eq!(said["classes"][0]["support"], 0);
    let none = run(here, &["evaluate", "m.safetensors", "in", "--max-left-out", "0"]);
    assert_eq!((code(&none), stdout(&none)), (1, String::new()));
    assert!(stderr(&none).contains("1 of 4 photographs of the class square"), "{}", stderr(&none));
    std::fs::remove_file(here.join("in/square/00001.png")).unwrap();
    common::succeed(here, &["evaluate", "m.safetensors", "in", "--max-left-out", "0"]);
}

#[cfg(unix)]
#[test]
fn too_few_files_that_may_be_open_lose_no_photograph() {
    let dir = tempfile::tempdir().unwrap();
    let here = dir.path();
    untrained_model(&here.join("m.safetensors"));
    common::shapes(&here.join("in"), 30, 0, 40);
    let expected = common::succeed(here, &["evaluate", "m.safetensors", "in", "--format", "json"]);
    for limit in [4, 5] {
        let mut shell = std::process::Command::new("sh");
        shell.args(["-c", &format!("ulimit -n {limit}; exec \"$0\" \"$@\""), env!("CARGO_BIN_EXE_transfer")]);
        shell.args(["evaluate", "m.safetensors", "in", "--format", "json"]).env("TRANSFER_THREADS", "8");
        let output = shell.current_dir(here).output().unwrap();
        match code(&output) {
            0 => assert_eq!(stdout(&output), expected, "with {limit} files"),
            failed => {
                let said = stderr(&output);
                assert_eq!((failed, stdout(&output)), (1, String::new()), "{said}");
                assert!(said.contains("error: ") && said.contains("os error 24"), "{said}");
            }
        }
    }
}

#[cfg(unix)]
#[test]
fn pipes_and_devices_are_refused_at_once_wherever_a_file_is_expected() {
    let dir = tempfile::tempdir().unwrap();
    let here = dir.path();
    untrained_model(&here.join("m.safetensors"));
    common::shapes(&here.join("in"), 1, 0, 40);
    let pipe = std::ffi::CString::new(here.join("pipe.png").to_str().unwrap()).unwrap();
    // SAFETY: a plain system call with a string that ends in a zero.
    assert_eq!(unsafe { libc::mkfifo(pipe.as_ptr(), 0o600) }, 0);
    for (arguments, what) in [
        (&["predict", "m.safetensors", "pipe.png"][..], "is a pipe"),
        (&["predict", "m.safetensors", "/dev/null"], "is a device"),
        (&["predict", "pipe.png", "in"], "is a pipe"),
        (&["summary", "pipe.png"], "is a pipe"),
        (&["evaluate", "/dev/null", "in"], "is a device"),
        (&["export", "pipe.png"], "is a pipe"),
    ] {
        let output = run(here, arguments);
        let said = stderr(&output);
        assert_eq!((code(&output), stdout(&output)), (1, String::new()), "{arguments:?}: {said}");
        assert!(said.contains(what), "{arguments:?}: {said}");
    }
    // In a folder it is passed over by name, with the rest predicted.
    std::fs::rename(here.join("pipe.png"), here.join("in/pipe.png")).unwrap();
    let output = run(here, &["predict", "m.safetensors", "in", "--format", "jsonl"]);
    assert_eq!((code(&output), stdout(&output).lines().count()), (1, 3), "{}", stderr(&output));
    assert!(stderr(&output).contains("in/pipe.png is a pipe"), "{}", stderr(&output));
}

#[test]
fn prediction_takes_images_by_their_content_and_names_what_it_passes_over() {
    let dir = tempfile::tempdir().unwrap();
    let here = dir.path();
    untrained_model(&here.join("m.safetensors"));
    std::fs::create_dir_all(here.join("in/__MACOSX")).unwrap();
    let picture = common::shape(0, 1, 40);
    for name in ["in/a", "in/b.txt", "in/.hidden.png", "in/__MACOSX/c.png"] {
        picture.save_with_format(here.join(name), image::ImageFormat::Png).unwrap();
    }
    for name in ["in/notes.txt", "in/labels.csv", "in/.DS_Store", "in/Thumbs.db"] {
        std::fs::write(here.join(name), "no image").unwrap();
    }
    let predict = |dir: &str| run(here, &["predict", "m.safetensors", dir, "--format", "csv"]);
    let output = predict("in");
    let lines = stdout(&output);
    assert_eq!((code(&output), lines.lines().count()), (0, 3), "{}", stderr(&output));
    assert!(lines.contains("in/a,") && lines.contains("in/b.txt,"), "{lines}");
    let said = stderr(&output);
    assert!(said.contains("Passed over 2 files that are no images: in/labels.csv, in/notes.txt."), "{said}");
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink(here.join("in"), here.join("linked")).unwrap();
        std::fs::create_dir(here.join("out")).unwrap();
        std::os::unix::fs::symlink("../linked", here.join("out/in")).unwrap();
        std::os::unix::fs::symlink("..", here.join("out/circle")).unwrap();
        let output = predict("out");
        assert_eq!((code(&output), stdout(&output).lines().count()), (0, 3), "{}", stderr(&output));
        assert!(stderr(&output).contains("out/circle leads to the same folder as"), "{}", stderr(&output));
        std::os::unix::fs::symlink("nothing", here.join("out/gone.jpg")).unwrap();
        let output = predict("out");
        assert_eq!((code(&output), stdout(&output).lines().count()), (1, 3));
        assert!(stderr(&output).contains("out/gone.jpg"), "{}", stderr(&output));
    }
}

#[test]
fn training_takes_the_classes_that_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let here = dir.path();
    common::shapes(here, 4, 0, 40);
    std::fs::rename(here.join("circle"), here.join("train")).unwrap();
    // The folder is read before the weights are, and these cannot be.
    std::fs::write(here.join("no weights.h5"), "nothing").unwrap();
    let mut train = common::transfer();
    train.current_dir(here).env("TRANSFER_WEIGHTS", here.join("no weights.h5"));
    let output = train.args(["train", ".", "--classes", "train,square", "--no-check"]).output().unwrap();
    let said = stderr(&output);
    assert!(said.contains("6 photographs to train on, 2 to validate with, of 2 classes"), "{said}");
    assert!(said.contains("Left out beside the class folders in .: triangle."), "{said}");
}

#[test]
fn a_number_of_threads_that_makes_no_sense_is_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let model = dir.path().join("model.safetensors");
    common::untrained_model(&model);
    for (value, expected) in [("0", 1), ("-1", 1), ("1025", 1), ("many", 1), ("2.5", 1), (" 2 ", 0), ("", 0)]
    {
        let mut summary = common::transfer();
        let output = summary.arg("summary").arg(&model).env("TRANSFER_THREADS", value).output().unwrap();
        assert_eq!(code(&output), expected, "{value:?}: {}", stderr(&output));
        let named = stderr(&output).contains("TRANSFER_THREADS");
        assert_eq!(named, expected == 1, "{value:?}: {}", stderr(&output));
    }
}

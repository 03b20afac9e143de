//! `transfer check`, and the split of `train` that keeps duplicates together. Weights that nothing has trained are
//! enough: duplicates are found by their pixels.

mod common;

use std::path::Path;
use std::process::Output;

use common::{code, stderr, stdout, transfer};
use image::{Rgb, RgbImage};
use serde_json::Value;
use transfer::random::Rng;

/// Blocks of random colours: no two pictures are alike, as shapes on a plain ground are.
fn blocks(key: u64) -> RgbImage {
    let mut rng = Rng::new(&[key]);
    let colours: Vec<[u8; 3]> = (0..144).map(|_| std::array::from_fn(|_| rng.below(256) as u8)).collect();
    RgbImage::from_fn(96, 96, |x, y| Rgb(colours[(y / 8 * 12 + x / 8) as usize]))
}

/// Photographs with three copies of a picture and a broken file, and weights.
fn folder() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (class, name) in common::SHAPES.iter().enumerate() {
        let folder = dir.path().join("photos").join(name);
        std::fs::create_dir_all(&folder).unwrap();
        (0..8).for_each(|i| blocks(100 * class as u64 + i).save(folder.join(format!("{i:05}.png"))).unwrap());
    }
    common::untrained_weights(&dir.path().join("weights.safetensors"));
    let at = |name: &str| dir.path().join("photos/circle").join(name);
    for name in ["copy.png", "other copy.png"] {
        std::fs::copy(at("00002.png"), at(name)).unwrap();
    }
    std::fs::write(at("broken.jpg"), [0xFF, 0xD8, 0xFF]).unwrap();
    dir
}

fn run(dir: &Path, arguments: &[&str]) -> Output {
    let mut command = transfer();
    command.current_dir(dir).env("TRANSFER_WEIGHTS", dir.join("weights.safetensors"));
    command.args(arguments).output().unwrap()
}

#[test]
fn findings_are_printed_as_text_and_as_json() {
    let dir = folder();
    let output = run(dir.path(), &["check", "photos"]);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    let text = stdout(&output);
    assert!(text.contains("26 photographs of 3 classes in photos"), "{text}");
    assert!(
        text.contains("copies (similarity 1.00): circle/00002.png circle/copy.png circle/other copy.png"),
        "{text}"
    );
    assert!(text.contains("unreadable files: 1\n  circle/broken.jpg"), "{text}");
    let output = run(dir.path(), &["check", "photos", "--format", "json", "--no-labels"]);
    let said: Value = serde_json::from_str(&stdout(&output)).unwrap();
    assert_eq!((&said["photographs"], &said["sets"]["all"]["circle"]), (&26.into(), &10.into()));
    let copies: Vec<&Value> =
        said["duplicates"].as_array().unwrap().iter().filter(|group| group["kind"] == "copy").collect();
    assert_eq!((copies.len(), copies[0]["files"].as_array().unwrap().len()), (1, 3));
    assert_eq!(copies[0]["files"][0]["file"], "photos/circle/00002.png");
    assert!(said["unreadable"][0]["reason"].as_str().unwrap().contains("cut off"), "{said}");
    assert!(said["suspects"].as_array().unwrap().is_empty());
}

#[test]
fn a_table_is_written_edited_and_applied() {
    let dir = folder();
    let output = run(dir.path(), &["check", "photos", "--fix", "changes.csv", "--no-labels"]);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    let table = std::fs::read_to_string(dir.path().join("changes.csv")).unwrap();
    assert!(
        table.contains("circle/broken.jpg,drop,,") && table.contains("circle/copy.png,drop,,"),
        "{table}"
    );
    let again = run(dir.path(), &["check", "photos", "--fix", "changes.csv", "--no-labels"]);
    assert_eq!(code(&again), 0, "a table of this program is replaced: {}", stderr(&again));
    let inside = run(dir.path(), &["check", "photos", "--fix", "photos/changes.csv"]);
    assert!(code(&inside) == 1 && stderr(&inside).contains("folder of photographs"), "{}", stderr(&inside));

    let output = run(dir.path(), &["check", "photos", "--apply", "changes.csv", "--into", "new"]);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    let text = stdout(&output);
    assert!(text.starts_with("new: ") && text.contains(" 0 moved, 0 relabelled"), "{text}");
    assert!(dir.path().join("new/circle/00002.png").is_file());
    assert!(!dir.path().join("new/circle/copy.png").exists());
    assert!(dir.path().join("photos/circle/copy.png").is_file());
    let again = run(dir.path(), &["check", "photos", "--apply", "changes.csv", "--into", "new"]);
    assert!(code(&again) == 1 && stderr(&again).contains("is not empty"), "{}", stderr(&again));
}

#[test]
fn a_table_of_labels_takes_the_place_of_class_folders() {
    let dir = folder();
    let mut table = String::from("file,label\n");
    for name in common::SHAPES {
        (0..8).for_each(|i| table += &format!("{name}/{i:05}.png,a {name}\n"));
    }
    table += "circle/copy.png,a circle\n";
    std::fs::write(dir.path().join("labels.csv"), table).unwrap();
    let with_table = ["check", "photos", "--labels", "labels.csv", "--no-labels"];
    let output = run(dir.path(), &[&with_table[..], &["--fix", "changes.csv", "--format", "json"]].concat());
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    let said: Value = serde_json::from_str(&stdout(&output)).unwrap();
    assert_eq!((&said["photographs"], &said["sets"]["all"]["a circle"]), (&25.into(), &9.into()));
    let output = run(dir.path(), &[&with_table[..4], &["--apply", "changes.csv", "--into", "new"]].concat());
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    let now = std::fs::read_to_string(dir.path().join("new/labels.csv")).unwrap();
    assert!(now.contains("circle/00002.png,a circle") && !now.contains("copy.png"), "{now}");
    assert!(!dir.path().join("new/circle/other copy.png").exists(), "no photograph of the table");
}

/// As spreadsheets write them: with a byte order mark, Windows' line ends, quotation marks, lines said twice.
#[test]
fn tables_of_spreadsheets_are_read() {
    let dir = folder();
    let here = dir.path();
    let odd = "a, \"b\".png";
    std::fs::rename(here.join("photos/circle/00003.png"), here.join("photos/circle").join(odd)).unwrap();
    let quoted = "\"circle/a, \"\"b\"\".png\"";
    let mut table = format!("\u{feff}Label,File\r\ncircle,{quoted}\r\n\"circle\",{quoted}\r\n");
    (0..8).for_each(|i| table += &format!("square,\"square/{i:05}.png\"\r\n"));
    std::fs::write(here.join("labels.csv"), table).unwrap();
    let output = run(here, &["check", "photos", "--labels", "labels.csv", "--no-labels", "--format", "json"]);
    let (text, said) = (stderr(&output), stdout(&output));
    assert!(code(&output) == 0 && text.contains("1 line says again"), "{text}");
    let said: Value = serde_json::from_str(&said).unwrap();
    assert_eq!((&said["photographs"], &said["sets"]["all"]["circle"]), (&9.into(), &1.into()));
    let changes =
        format!("\u{feff}to,Action,file\r\n,\"drop\",{quoted}\r\n,,\r\nsquare,relabel,circle/copy.png\r\n");
    std::fs::write(here.join("changes.csv"), changes).unwrap();
    let output = run(here, &["check", "photos", "--apply", "changes.csv", "--into", "new"]);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    assert!(stdout(&output).contains("1 dropped, 0 moved, 1 relabelled"), "{}", stdout(&output));
    assert!(here.join("new/square/copy.png").is_file() && !here.join("new/circle").join(odd).exists());
}

#[test]
fn a_hostile_table_ends_the_command_with_its_line_and_leaves_nothing_behind() {
    let dir = folder();
    let here = dir.path();
    std::fs::write(here.join("secret.png"), "secret").unwrap();
    let labels: [(&[u8], &str); 12] = [
        (b"file,label\n../secret.png,a\n", "line 2: expected a path below the folder"),
        (b"file,label\ncircle/../../secret.png,a\n", "line 2: expected a path below the folder"),
        (b"file,label\n/etc/passwd,a\n", "line 2: expected a path relative"),
        (
            b"file,label\r\ncircle/00000.png,a\r\ncircle/00000.png,b\r\n",
            "line 3: circle/00000.png was in line 2",
        ),
        (b"file,label\ncircle/00000.png,a\ncircle/gone.png,b\n", "circle/gone.png (line 3)"),
        (b"file,label\n\"circle/00000.png,a\ncircle/00001.png,b\n", "line 2: expected 2 fields"),
        (b"file,label\ncircle/00000.png,a,b\n", "line 2: expected 2 fields"),
        (b"file,label\ncircle/\xff.png,a\n", "line 2: expected a path in UTF-8"),
        (b"file,label\ncircle/\0.png,a\n", "line 2: expected a path without NUL"),
        (b"\xff\xfef\0i\0l\0e\0", "UTF-16"),
        (b"label\na\n", "expected a column `file`"),
        (b"", "Received nothing"),
    ];
    for (table, expected) in labels {
        std::fs::write(here.join("t.csv"), table).unwrap();
        let with_labels = ["photos", "--labels", "t.csv"];
        for arguments in [&["check"][..], &["train", "--epochs", "0", "--image-size", "32"]] {
            let output = run(here, &[&arguments[..1], &with_labels, &arguments[1..]].concat());
            assert!(code(&output) == 1 && stderr(&output).contains(expected), "{}", stderr(&output));
        }
    }
    let changes: [(&[u8], &str); 9] = [
        (b"file,action,to\n../secret.png,drop,\n", "line 2: expected a path below"),
        (b"file,action,to\n/etc/passwd,drop,\n", "line 2: expected a path below"),
        (b"file,action,to\ncircle/00000.png,relabel,../../new\n", "line 2: expected the name of a class"),
        (
            b"file,action,to\r\ncircle/00000.png,drop,\r\ncircle/00000.png,keep,\r\n",
            "line 3: expected each file once",
        ),
        (b"file,action,to\ncircle/gone.png,drop,\n", "circle/gone.png, which is none"),
        (b"file,action,to\n\"circle/00000.png,drop,\n", "line 2: expected"),
        (b"file,action,to\n\xff.png,drop,\n", "line 2: expected text in UTF-8"),
        (b"file,action,to\ncircle/00000.png,erase,\n", "line 2: expected keep, drop"),
        (b"", "expected the columns"),
    ];
    for (table, expected) in changes {
        std::fs::write(here.join("t.csv"), table).unwrap();
        let output = run(here, &["check", "photos", "--apply", "t.csv", "--into", "new"]);
        assert!(code(&output) == 1 && stderr(&output).contains(expected), "{}", stderr(&output));
        assert!(!here.join("new").exists());
    }
    assert_eq!(std::fs::read_to_string(here.join("secret.png")).unwrap(), "secret");
}

#[test]
fn wrong_usage_is_told() {
    let dir = folder();
    for arguments in [
        &["check"][..],
        &["check", "photos", "--apply", "t.csv"],
        &["check", "photos", "--into", "new"],
        &["check", "photos", "--apply", "t.csv", "--into", "new", "--fix", "x.csv"],
        &["check", "photos", "--copy"],
        &["train", "photos", "--group", "friends"],
    ] {
        assert_eq!(code(&run(dir.path(), arguments)), 2, "{arguments:?}");
    }
    let gone = run(dir.path(), &["check", "gone"]);
    assert!(code(&gone) == 1 && stderr(&gone).contains("does not exist"), "{}", stderr(&gone));
    let pattern = ["train", "photos", "--image-size", "32", "--epochs", "0", "--group-by", "*"];
    let pattern = run(dir.path(), &pattern);
    assert!(code(&pattern) == 1 && stderr(&pattern).contains("without brackets"), "{}", stderr(&pattern));
}

#[test]
fn train_says_what_was_found_and_without_groups_trains_as_without_a_check() {
    let dir = folder();
    let train = |name: &str, more: &[&str]| {
        let fixed = [
            "train",
            "photos",
            "--image-size",
            "32",
            "--epochs",
            "0",
            "--output",
            name,
            "--max-left-out",
            "0.2",
        ];
        let output = run(dir.path(), &[&fixed[..], more].concat());
        assert_eq!(code(&output), 0, "{}", stderr(&output));
        (stderr(&output), std::fs::read(dir.path().join(name)).unwrap())
    };
    let (said, _) = train("a.safetensors", &[]);
    assert!(said.contains("Checked 26 photographs: ") && said.contains("of duplicates"), "{said}");
    let (said, unchecked) = train("b.safetensors", &["--no-check"]);
    assert!(!said.contains("Checked"), "{said}");
    let (_, apart) = train("c.safetensors", &["--group", "none"]);
    assert!(apart == unchecked, "a check alone changes no bit");
}

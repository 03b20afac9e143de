//! Memory does not grow with the number of files: peaks of the real program on few and on many.
//!
//! `TRANSFER_MANY_FILES` asks for so many files instead of some; 20000 take minutes.
#![cfg(target_os = "linux")]

mod common;

use std::path::Path;

use image::codecs::jpeg::JpegEncoder;

/// What training, evaluation and prediction may take, however many files there are, and reading a table.
const LIMIT: u64 = 400 << 20;

/// `n` small JPEGs in three classes, links to a few, since disks are slow; decoders do not know.
fn photographs(dir: &Path, n: usize) {
    for (class, name) in common::SHAPES.iter().enumerate() {
        let folder = dir.join(name);
        std::fs::create_dir_all(&folder).unwrap();
        let mut bytes = Vec::new();
        for i in 0..n / 3 {
            if i < 8 {
                bytes.clear();
                common::shape(class, i as u64, 200).write_with_encoder(JpegEncoder::new(&mut bytes)).unwrap();
                std::fs::write(folder.join(format!("{i:05}.jpg")), &bytes).unwrap();
            } else {
                let (old, new) =
                    (folder.join(format!("{:05}.jpg", i % 8)), folder.join(format!("{i:05}.jpg")));
                std::fs::hard_link(old, new).unwrap();
            }
        }
    }
    std::fs::write(dir.join("square/00004x.jpg"), [0xFF, 0xD8, 0xFF]).unwrap();
}

/// Runs the program to its end, what it says in the files `out` and `err`: its peak of resident memory in bytes, and its exit code.
#[allow(clippy::zombie_processes)] // `wait4` waits for it, and tells what it took.
fn peak(dir: &Path, arguments: &[&str]) -> (u64, i32) {
    use std::os::unix::process::ExitStatusExt;
    let mut command = common::transfer();
    let child =
        command.current_dir(dir).args(arguments).stdout(std::fs::File::create(dir.join("out")).unwrap());
    let child = child.stderr(std::fs::File::create(dir.join("err")).unwrap()).spawn().unwrap();
    let mut usage = std::mem::MaybeUninit::<libc::rusage>::zeroed();
    let mut status = 0;
    // SAFETY: the child's own number, and places of the right types for what is written.
    let usage = unsafe {
        assert_eq!(libc::wait4(child.id() as i32, &mut status, 0, usage.as_mut_ptr()), child.id() as i32);
        usage.assume_init()
    };
    let code = std::process::ExitStatus::from_raw(status).code().unwrap_or(-1);
    (usage.ru_maxrss as u64 * 1024, code)
}

#[test]
fn predicting_evaluating_and_training_without_cache_stay_below_400_mb() {
    let n = std::env::var("TRANSFER_MANY_FILES").ok().and_then(|n| n.parse().ok()).unwrap_or(180);
    let dir = tempfile::tempdir().unwrap();
    let here = dir.path();
    photographs(&here.join("photos"), n);
    let train = ["train", "photos", "--no-cache", "--epochs", "1", "--output", "m.safetensors"];
    let evaluate = ["evaluate", "m.safetensors", "photos"];
    let predict = ["predict", "m.safetensors", "photos", "--format", "jsonl"];
    for (arguments, expected) in [(&train[..], 0), (&evaluate, 1), (&predict, 1)] {
        let (bytes, code) = peak(here, arguments);
        println!("{} of {n} files: {} MB at most", arguments[0], bytes / 1_000_000);
        assert_eq!(code, expected, "{arguments:?}");
        assert!(bytes > 20 << 20, "{bytes} bytes are too few to be true");
        assert!(bytes < LIMIT, "{arguments:?}: {bytes} bytes");
    }
    assert_eq!(std::fs::read_to_string(here.join("out")).unwrap().lines().count(), n / 3 * 3);
}

/// Ten million rows end in an error: of a table of labels at its millionth photograph, of a table of changes at its
/// millionth row or by its length.
#[test]
fn tables_of_ten_million_rows_are_refused_in_bounded_memory() {
    let dir = tempfile::tempdir().unwrap();
    let here = dir.path();
    photographs(&here.join("photos"), 24);
    // Rows of one length: the first and those behind it differ in the digits of a number.
    let table = |name: &str, header: &str, end: &str, rows: u32| {
        let mut text = header.as_bytes().to_vec();
        for thousand in 0..rows / 1000 {
            for i in 0..1000u32 {
                let number = thousand * 1000 + i;
                text.extend((0..7).rev().map(|digit| b'0' + (number / 10u32.pow(digit) % 10) as u8));
                text.extend(end.as_bytes());
            }
        }
        std::fs::write(here.join(name), text).unwrap();
    };
    table("labels.csv", "file,label\n", ",a\n", 10_000_000);
    table("changes.csv", "file,action,to\n", ",,\n", 10_000_000);
    table("shorter.csv", "file,action,to\n", ",,\n", 2_000_000);
    let labels = ["check", "photos", "--labels", "labels.csv"];
    let changes = |table| ["check", "photos", "--apply", table, "--into", "new"];
    let cases = [
        (&labels[..], "line 1000002: expected at most 1,000,000 photographs"),
        (&changes("changes.csv"), "longer than 64 MiB"),
        (&changes("shorter.csv"), "line 1000002: expected at most 1,000,000 rows"),
    ];
    for (arguments, expected) in cases {
        let (bytes, code) = peak(here, arguments);
        println!("{arguments:?}: {} MB at most", bytes / 1_000_000);
        assert!(code == 1 && bytes < LIMIT, "{arguments:?}: {bytes} bytes, code {code}");
        let said = std::fs::read_to_string(here.join("err")).unwrap();
        assert!(said.contains(expected), "{said}");
    }
    assert!(!here.join("new").exists());
}

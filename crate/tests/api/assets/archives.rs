//! Archives that must not be extracted, and ordinary ones that must.

use super::support::{crc32, file, left_in, Entry, Zip};
use std::io::{Cursor, Write};
use transfer::assets::{extract_zip, MAX_ENTRIES};
use transfer::{Error, Result};
use zip::{write::SimpleFileOptions, CompressionMethod, ZipWriter};

type Writer = ZipWriter<Cursor<Vec<u8>>>;

/// Extracts in a fresh folder; an error must leave it as it was.
fn extract(bytes: &[u8]) -> Result<Vec<String>> {
    let folder = tempfile::tempdir().unwrap();
    let (zip, target) = (folder.path().join("a.zip"), folder.path().join("inner/target"));
    std::fs::write(&zip, bytes).unwrap();
    let result = extract_zip(&zip, &target);
    if result.is_err() {
        assert!(!target.exists());
        assert_eq!(left_in(&folder.path().join("inner")), [""; 0], "something was left behind");
        assert_eq!(left_in(folder.path()).len(), 2, "something was written outside");
    }
    result.map(|()| {
        let mut names = left_in(&target);
        names.sort();
        names
    })
}

#[test]
fn an_ordinary_archive_is_extracted() {
    let folder = |name| Entry { mode: 0o040_755, ..file(name, b"") };
    let zip = Zip::default()
        .with(folder("photos/"))
        .with(file("photos/cats/1.jpg", b"cat"))
        .with(folder("photos/empty/"))
        .with(file("./readme.txt", b"read me"))
        .with(Entry { mode: 0, ..file("no mode", b"") })
        .with(file("__MACOSX/photos/._1.jpg", b"fork"))
        .with(Entry { flags: 1 << 11, ..file("gr\u{fc}n.txt", b"green") });
    let names = extract(&zip.bytes()).unwrap();
    assert_eq!(names, ["__MACOSX", "gr\u{fc}n.txt", "no mode", "photos", "readme.txt"]);
}

/// Archives with one hostile entry beside a good one, and what the refusal says.
fn hostile_entries() -> Vec<(&'static str, Vec<u8>, &'static str)> {
    let link = |name, to| Entry { mode: 0o120_777, ..file(name, to) };
    let special = |mode| Entry { mode, ..file("special", b"") };
    let long = "n".repeat(256);
    let longest = "long/".repeat(30) + &"n".repeat(251).repeat(4);
    let deep = "a/".repeat(40);
    // "../evil" under a name that readers of the newer field must take for the real one.
    let real = b"../evil";
    let mut unicode = vec![0x75, 0x70, 5 + real.len() as u8, 0, 1];
    unicode.extend(crc32(b"harmless").to_le_bytes());
    unicode.extend(real);
    // Sizes in the field for large files: nearly 2^64 bytes.
    let mut zip64 = vec![1, 0, 16, 0];
    zip64.extend((u64::MAX - 1).to_le_bytes());
    zip64.extend(1u64.to_le_bytes());
    let deflated = |text: &[u8]| {
        let mut out = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::best());
        out.write_all(text).unwrap();
        out.finish().unwrap()
    };
    let (kilobyte, mut bent) = (deflated(&[7; 1024]), deflated(b"some text to bend, some text to bend"));
    bent[0] = 0xFF;
    let stream = |data, stated, text: &[u8]| Entry {
        method: 8,
        stated: Some(stated),
        crc: Some(crc32(text)),
        ..file("stream", data)
    };
    let cases = [
        ("parent", file("../evil", b"x"), "leads out"),
        ("parent alone", file("..", b"x"), "leads out"),
        ("parent as a folder", Entry { mode: 0o040_755, ..file("../", b"") }, "leads out"),
        ("parent inside", file("a/b/../../../evil", b"x"), "leads out"),
        ("parent that stays inside", file("a/../evil", b"x"), "leads out"),
        ("parent in the newer name", Entry { extra: &unicode, ..file("harmless", b"x") }, "leads out"),
        ("absolute", file("/tmp/evil", b"x"), "absolute"),
        ("absolute, twice over", file("//server/share/evil", b"x"), "absolute"),
        ("drive", file("C:/evil", b"x"), "not allowed"),
        ("stream of a file", file("good.txt:evil", b"x"), "not allowed"),
        ("backslash", file("..\\evil", b"x"), "not allowed"),
        ("share", file("\\\\server\\share\\evil", b"x"), "not allowed"),
        ("nul", file("evil\0.txt", b"x"), "not allowed"),
        ("line break", file("evil\n.txt", b"x"), "not allowed"),
        ("escape", file("evil\x1b[2J", b"x"), "not allowed"),
        ("nameless", file("", b"x"), "names nothing"),
        ("dot", file("./", b""), "names nothing"),
        ("long part", file(&long, b"x"), "too long"),
        ("long name", file(&longest, b"x"), "too long"),
        ("deep", file(&deep, b""), "too many folders"),
        ("link", link("evil", b"/etc/passwd"), "link"),
        ("link out", link("evil", b"../.."), "link"),
        ("link that calls itself a folder", link("evil/", b"/tmp"), "link"),
        ("pipe", special(0o010_644), "device"),
        ("character device", special(0o020_644), "device"),
        ("block device", special(0o060_644), "device"),
        ("socket", special(0o140_644), "device"),
        ("twice", file("good.txt", b"bad"), "twice"),
        ("twice in disguise", file("./good.txt", b"bad"), "twice"),
        ("twice by way of slashes", file(".//good.txt", b"bad"), "twice"),
        ("file and folder", file("good.txt/evil", b"x"), "both a file and a folder"),
        ("encrypted", Entry { flags: 1, ..file("secret", b"123456789abcdef") }, "encrypted"),
        ("unknown compression", Entry { method: 77, ..file("a", b"x") }, "`a`"),
        ("wrong checksum", Entry { crc: Some(1), ..file("a", b"x") }, "`a`"),
        ("longer than stated", Entry { stated: Some(1), ..file("a", b"xyz") }, "`a`"),
        ("shorter than stated", Entry { stated: Some(9), ..file("a", b"xyz") }, "`a`"),
        ("grows beyond what it states", stream(&kilobyte, 10, &[7; 1024]), "`stream`"),
        ("grows to less than it states", stream(&kilobyte, 2000, &[7; 1024]), "`stream`"),
        ("bent stream", stream(&bent, 36, b""), "`stream`"),
        ("huge", Entry { stated: Some(u32::MAX - 1), ..file("a", b"x") }, "grow"),
        ("huge beyond 32 bits", Entry { stated: Some(u32::MAX), extra: &zip64, ..file("a", b"x") }, ""),
    ];
    cases.map(|(case, entry, expected)| (case, good().with(entry).bytes(), expected)).into()
}

fn good() -> Zip {
    Zip::default().with(file("good.txt", b"good"))
}

/// Archives whose structure lies.
fn hostile_structures() -> Vec<(&'static str, Vec<u8>, &'static str)> {
    let whole = good().bytes();
    let end = whole.len() - 22;
    let directory = good().local.len();
    let patched = |at: usize, bytes: &[u8]| {
        let mut zip = whole.clone();
        zip[at..at + bytes.len()].copy_from_slice(bytes);
        zip
    };
    let mut overlap = Zip::default().with(file("a", b"0123456789"));
    overlap.central.extend(overlap.central.clone());
    *overlap.central.last_mut().unwrap() = b'b';
    overlap.count = 2;
    let write = |add: &dyn Fn(&mut Writer)| {
        let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
        add(&mut zip);
        zip.finish().unwrap().into_inner()
    };
    let options = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
    let many = write(&|zip| (0..=MAX_ENTRIES).for_each(|i| zip.start_file(format!("{i}"), options).unwrap()));
    let deflate = options.compression_method(CompressionMethod::Deflated);
    let zeros = |files: usize, megabytes: usize| {
        let bomb = write(&|zip| {
            for file in 0..files {
                zip.start_file(format!("zeros{file}"), deflate).unwrap();
                (0..megabytes).for_each(|_| zip.write_all(&[0; 1 << 20]).unwrap());
            }
        });
        assert!(bomb.len() < 800_000);
        bomb
    };
    vec![
        ("no bytes", Vec::new(), "no whole zip"),
        ("a page instead of a file", b"<!DOCTYPE html><title>Not here</title>".to_vec(), "no whole zip"),
        ("another kind of archive", b"\x1f\x8b\x08\0\0\0\0\0\0\x03".to_vec(), "no whole zip"),
        ("cut in the middle", whole[..whole.len() / 2].to_vec(), "no whole zip"),
        ("without its last byte", whole[..whole.len() - 1].to_vec(), "no whole zip"),
        ("more entries stated than there are", patched(end + 8, &[9, 0, 9, 0]), ""),
        ("directory beyond the file", patched(end + 16, &[0xFF, 0xFF, 0xFF, 0x7F]), ""),
        ("directory of another kind", patched(directory, b"XX"), ""),
        ("on a second disk", patched(end + 4, &[1, 0, 0, 0]), ""),
        ("entry beyond the file", patched(directory + 42, &[0xFF, 0xFF, 0xFF, 0x7F]), ""),
        ("entry without a header", patched(0, b"XX"), ""),
        ("two entries share their bytes", overlap.bytes(), "overlap"),
        ("too many entries", many, "100001 entries"),
        ("one file of zeros", zeros(1, 80), "grow from"),
        ("many files of zeros", zeros(16, 5), "grow from"),
    ]
}

#[test]
fn fifty_hostile_archives_are_refused_whole_and_nothing_is_left_of_them() {
    let cases = [hostile_entries(), hostile_structures()].concat();
    assert!(cases.len() >= 50, "{}", cases.len());
    for (case, zip, expected) in cases {
        let error = extract(&zip).expect_err(case);
        assert!(matches!(error, Error::Archive(_)), "{case}: {error}");
        let text = error.to_string();
        assert!(text.contains(expected) && text.contains("a.zip"), "{case}: {text}");
    }
}

#[test]
fn every_truncation_and_every_flipped_byte_is_an_error_or_harmless() {
    let whole = Zip::default().with(file("a/1.txt", b"one")).with(file("a/2.txt", b"two")).bytes();
    for length in 0..whole.len() {
        assert!(extract(&whole[..length]).is_err(), "{length} bytes");
    }
    for position in 0..whole.len() {
        let mut damaged = whole.clone();
        damaged[position] ^= 0xFF;
        let _ = extract(&damaged);
    }
}

#[test]
fn a_folder_that_exists_is_not_extracted_into() {
    let folder = tempfile::tempdir().unwrap();
    let zip = folder.path().join("a.zip");
    std::fs::write(&zip, Zip::default().with(file("a", b"x")).bytes()).unwrap();
    assert!(matches!(extract_zip(&zip, folder.path()), Err(Error::Io { .. })));
    assert_eq!(left_in(folder.path()), ["a.zip"]);
}

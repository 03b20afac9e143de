//! Archives that must not be extracted, and ordinary ones that must.

use crate::support::{file, left_in, Entry, Zip};
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

#[test]
fn an_archive_with_one_hostile_entry_is_refused_whole() {
    let good = || Zip::default().with(file("good.txt", b"good"));
    let link = |name, to| Entry { mode: 0o120_777, ..file(name, to) };
    let cases: Vec<(&str, Zip, &str)> = vec![
        ("parent", good().with(file("../evil", b"x")), "leads out"),
        ("parent inside", good().with(file("a/b/../../../evil", b"x")), "leads out"),
        ("parent that stays inside", good().with(file("a/../evil", b"x")), "leads out"),
        ("absolute", good().with(file("/tmp/evil", b"x")), "absolute"),
        ("drive", good().with(file("C:/evil", b"x")), "not allowed"),
        ("backslash", good().with(file("..\\evil", b"x")), "not allowed"),
        ("nul", good().with(file("evil\0.txt", b"x")), "not allowed"),
        ("line break", good().with(file("evil\n.txt", b"x")), "not allowed"),
        ("nameless", good().with(file("", b"x")), "names nothing"),
        ("dot", good().with(file("./", b"")), "names nothing"),
        ("link", good().with(link("evil", b"/etc/passwd")), "link"),
        ("file through a link", good().with(link("d", b"/tmp")).with(file("d/evil", b"x")), "link"),
        ("pipe", good().with(Entry { mode: 0o010_644, ..file("pipe", b"") }), "device"),
        ("twice", good().with(file("good.txt", b"bad")), "twice"),
        ("twice in disguise", good().with(file("./good.txt", b"bad")), "twice"),
        ("file and folder", good().with(file("good.txt/evil", b"x")), "both a file and a folder"),
        ("deep", good().with(file(&"a/".repeat(40), b"")), "too many folders"),
        ("encrypted", good().with(Entry { flags: 1, ..file("secret", b"123456789abcdef") }), "encrypted"),
        ("wrong checksum", good().with(Entry { crc: Some(1), ..file("a", b"x") }), "`a`"),
        ("longer than stated", good().with(Entry { stated: Some(1), ..file("a", b"xyz") }), "`a`"),
        ("shorter than stated", good().with(Entry { stated: Some(9), ..file("a", b"xyz") }), "`a`"),
        ("huge", good().with(Entry { stated: Some(u32::MAX - 1), ..file("a", b"x") }), "grow"),
    ];
    for (case, zip, expected) in cases {
        let error = extract(&zip.bytes()).expect_err(case);
        assert!(matches!(error, Error::Archive(_)), "{case}: {error}");
        let text = error.to_string();
        assert!(text.contains(expected) && text.contains("a.zip"), "{case}: {text}");
    }
}

#[test]
fn too_many_entries_too_strong_compression_and_overlaps_are_refused() {
    let write = |add: &dyn Fn(&mut Writer)| {
        let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
        add(&mut zip);
        zip.finish().unwrap().into_inner()
    };
    let options = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
    let many = write(&|zip| (0..=MAX_ENTRIES).for_each(|i| zip.start_file(format!("{i}"), options).unwrap()));
    let error = extract(&many).unwrap_err().to_string();
    assert!(error.contains("100001 entries"), "{error}");

    let deflate = options.compression_method(CompressionMethod::Deflated);
    let bomb = write(&|zip| {
        zip.start_file("zeros", deflate).unwrap();
        (0..80).for_each(|_| zip.write_all(&[0; 1 << 20]).unwrap());
    });
    assert!(bomb.len() < 800_000);
    let error = extract(&bomb).unwrap_err().to_string();
    assert!(error.contains("grow from"), "{error}");

    let mut overlap = Zip::default().with(file("a", b"0123456789"));
    let start = overlap.central.len() - 5;
    let again = overlap.central.clone();
    overlap.central.extend(again);
    let last = overlap.central.len() - 1;
    overlap.central[last] = b'b';
    assert_eq!(&overlap.central[start..start + 4], [0; 4]);
    overlap.count = 2;
    let error = extract(&overlap.bytes()).unwrap_err();
    assert!(matches!(error, Error::Archive(_)), "{error}");
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

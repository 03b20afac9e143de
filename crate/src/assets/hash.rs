//! Hashes of files and of folders.

use crate::hex::hex;
use crate::progress::check_stop;
use crate::{input, Error, Result, Show};
use sha2::{Digest, Sha256};
use std::io::Read;
use std::path::{Path, PathBuf};

/// The SHA-256 of a file, in lower-case hexadecimal.
///
/// # Errors
/// [`Error::Io`] where the file cannot be read, [`Error::Interrupted`] where somebody asked for an end.
pub fn sha256_file(path: impl AsRef<Path>) -> Result<String> {
    let path = path.as_ref();
    let mut file = input::open(path).map_err(|e| Error::io("cannot read", path, e))?.file;
    let (mut hash, mut buffer) = (Sha256::new(), vec![0; 1 << 18]);
    loop {
        check_stop("Computing a hash")?;
        match file.read(&mut buffer).map_err(|e| Error::io("cannot read", path, e))? {
            0 => return Ok(hex(hash.finalize())),
            n => hash.update(&buffer[..n]),
        }
    }
}

/// The SHA-256 of bytes, in lower-case hexadecimal.
pub(super) fn sha256(bytes: &[u8]) -> String {
    hex(Sha256::digest(bytes))
}

/// One hash for all photographs in a folder, whatever archive they came in.
///
/// It is the SHA-256 of one line `<sha256 of the file>  <path>` for each file below `folder` whose
/// name ends in `.jpg`, sorted by path; paths are relative to `folder`, with `/` between the parts. The bytes of a name
/// are taken as they are, UTF-8 or not. A name with a line break or a backslash is written as `sha256sum` does it: these
/// as `\n`, `\r` and `\\`, and a backslash in front of the line; so no name can look like another line.
///
/// # Errors
/// [`Error::Io`] where a file or folder cannot be read, [`Error::Data`] where folders are nested too deep,
/// [`Error::Interrupted`] where somebody asked for an end.
pub fn content_digest(folder: impl AsRef<Path>) -> Result<String> {
    let folder = folder.as_ref();
    let mut lines = Vec::new();
    for (name, path, _) in files_below(folder, ".jpg")? {
        add_line(&mut lines, &sha256_file(path)?, &name);
    }
    Ok(sha256(&lines))
}

/// What a folder looks like without reading its files: how many there are, and a hash over their
/// names and sizes. Thousands of files take some milliseconds.
pub(super) fn outline(folder: &Path, ending: &str) -> Result<(usize, String)> {
    let files = files_below(folder, ending)?;
    let mut lines = Vec::new();
    files.iter().for_each(|(name, _, bytes)| add_line(&mut lines, &bytes.to_string(), name));
    Ok((files.len(), sha256(&lines)))
}

/// Adds the line about one file; different names always make different lines.
fn add_line(lines: &mut Vec<u8>, about: &str, name: &[u8]) {
    let odd = |byte: &u8| matches!(byte, b'\n' | b'\r' | b'\\');
    if name.iter().any(odd) {
        lines.push(b'\\');
    }
    lines.extend(about.bytes().chain(*b"  "));
    for byte in name {
        match byte {
            b'\n' => lines.extend(b"\\n"),
            b'\r' => lines.extend(b"\\r"),
            b'\\' => lines.extend(b"\\\\"),
            other => lines.push(*other),
        }
    }
    lines.push(b'\n');
}

/// The deepest that files may lie.
const MAX_DEPTH: usize = 8;

/// The bytes of the relative name, the path and the size of each file below `folder` whose name ends in `ending`, by
/// name.
fn files_below(folder: &Path, ending: &str) -> Result<Vec<(Vec<u8>, PathBuf, u64)>> {
    let mut files = Vec::new();
    let mut folders = vec![(Vec::new(), folder.to_owned(), 0)];
    while let Some((prefix, folder, depth)) = folders.pop() {
        let fail = |e| Error::io("cannot list", &folder, e);
        for entry in input::entries(&folder).map_err(fail)? {
            check_stop("Listing a folder")?;
            let (name, path) = (entry.file_name(), entry.path());
            let name = [&prefix, name.as_encoded_bytes()].concat();
            // Links are followed: a data set may well be a tree of them. The depth keeps circles out.
            let about = std::fs::metadata(&path).map_err(|e| Error::io("cannot read", &path, e))?;
            match about.is_dir() {
                true if depth == MAX_DEPTH => {
                    return Err(Error::Data(format!(
                        "{} lies deeper than the {MAX_DEPTH} folders expected: is there a link in a circle?",
                        path.shown()
                    )))
                }
                true => folders.push(([&name, &b"/"[..]].concat(), path, depth + 1)),
                false if name.ends_with(ending.as_bytes()) => files.push((name, path, about.len())),
                false => {}
            }
        }
    }
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_is_that_of_sorted_lines_of_hash_and_relative_path() {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in [("b/2.jpg", "two"), ("a/1.jpg", "one"), ("a.jpg", ""), ("a/readme.txt", "x")] {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        let line = |name: &str, text: &str| format!("{}  {name}\n", sha256(text.as_bytes()));
        // As text, "a.jpg" sorts before "a/1.jpg".
        let lines = line("a.jpg", "") + &line("a/1.jpg", "one") + &line("b/2.jpg", "two");
        assert_eq!(content_digest(folder.path()).unwrap(), sha256(lines.as_bytes()));
        assert_eq!(outline(folder.path(), ".jpg").unwrap().0, 3);
        assert_eq!(sha256(b""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn names_that_only_look_alike_have_digests_of_their_own() {
        use std::ffi::OsStr;
        use std::os::unix::ffi::OsStrExt;
        let digest = |names: &[&[u8]]| {
            let folder = tempfile::tempdir().unwrap();
            for name in names {
                std::fs::write(folder.path().join(OsStr::from_bytes(name)), "").unwrap();
            }
            (content_digest(folder.path()).unwrap(), outline(folder.path(), ".jpg").unwrap().1)
        };
        // As text with a sign for each bad byte these two are one name.
        let (a, b) = (digest(&[b"\xff.jpg"]), digest(&[b"\xfe.jpg"]));
        assert!(a.0 != b.0 && a.1 != b.1);
        // One name that reads like the lines of two files, and one that reads like an escape.
        let forged = format!("1.jpg\n{}  2.jpg", sha256(b""));
        assert_ne!(digest(&[b"1.jpg", b"2.jpg"]).0, digest(&[forged.as_bytes()]).0);
        assert_ne!(digest(&[b"1\n.jpg"]).0, digest(&[b"1\\n.jpg"]).0);
    }

    #[test]
    #[cfg(unix)]
    fn a_link_in_a_circle_is_an_error_and_not_a_smaller_data_set() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("1.jpg"), "").unwrap();
        std::os::unix::fs::symlink(folder.path(), folder.path().join("again")).unwrap();
        assert!(matches!(content_digest(folder.path()), Err(Error::Data(_))));
    }

    #[test]
    fn the_outline_changes_with_a_name_or_a_size() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("1.png");
        let mut seen = Vec::new();
        for (name, text) in [("1.png", "a"), ("1.png", "bb"), ("2.png", "bb")] {
            let _ = std::fs::remove_file(&path);
            std::fs::write(folder.path().join(name), text).unwrap();
            seen.push(outline(folder.path(), ".png").unwrap());
        }
        assert!(seen[0] != seen[1] && seen[1] != seen[2], "{seen:?}");
    }
}

//! Hashes of files and of folders.

use crate::{input, Error, Result};
use sha2::{Digest, Sha256};
use std::io::Read;
use std::path::{Path, PathBuf};

/// The SHA-256 of a file, in lower-case hexadecimal.
///
/// # Errors
/// [`Error::Io`] where the file cannot be read.
pub fn sha256_file(path: impl AsRef<Path>) -> Result<String> {
    let path = path.as_ref();
    let mut file = input::open(path).map_err(|e| Error::io("cannot read", path, e))?.file;
    let (mut hash, mut buffer) = (Sha256::new(), vec![0; 1 << 18]);
    loop {
        match file.read(&mut buffer).map_err(|e| Error::io("cannot read", path, e))? {
            0 => return Ok(hex(&hash.finalize())),
            n => hash.update(&buffer[..n]),
        }
    }
}

/// The SHA-256 of bytes, in lower-case hexadecimal.
pub(super) fn sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// One hash for all photographs in a folder, whatever archive they came in.
///
/// It is the SHA-256 of one line `<sha256 of the file>  <path>` for each file below `folder` whose
/// name ends in `.jpg`, sorted by path; paths are relative to `folder`, with `/` between the parts.
///
/// # Errors
/// [`Error::Io`] where a file or folder cannot be read.
pub fn content_digest(folder: impl AsRef<Path>) -> Result<String> {
    let folder = folder.as_ref();
    let mut lines = String::new();
    for (name, path, _) in files_below(folder, ".jpg")? {
        lines += &format!("{}  {name}\n", sha256_file(path)?);
    }
    Ok(sha256(lines.as_bytes()))
}

/// What a folder looks like without reading its files: how many there are, and a hash over their
/// names and sizes. Thousands of files take some milliseconds.
pub(super) fn outline(folder: &Path, ending: &str) -> Result<(usize, String)> {
    let files = files_below(folder, ending)?;
    let lines: String = files.iter().map(|(name, _, bytes)| format!("{bytes}  {name}\n")).collect();
    Ok((files.len(), sha256(lines.as_bytes())))
}

/// Relative name, path and size of each file below `folder` whose name ends in `ending`, by name.
fn files_below(folder: &Path, ending: &str) -> Result<Vec<(String, PathBuf, u64)>> {
    let mut files = Vec::new();
    let mut folders = vec![(String::new(), folder.to_owned(), 0)];
    while let Some((prefix, folder, depth)) = folders.pop() {
        let fail = |e| Error::io("cannot list", &folder, e);
        for entry in std::fs::read_dir(&folder).map_err(fail)? {
            let entry = entry.map_err(fail)?;
            let (name, path) = (entry.file_name(), entry.path());
            let name = format!("{prefix}{}", name.to_string_lossy());
            // Links are followed: a data set may well be a tree of them. The depth keeps circles out.
            let about = std::fs::metadata(&path).map_err(|e| Error::io("cannot read", &path, e))?;
            match about.is_dir() {
                true if depth < 8 => folders.push((format!("{name}/"), path, depth + 1)),
                false if name.ends_with(ending) => files.push((name, path, about.len())),
                _ => {}
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

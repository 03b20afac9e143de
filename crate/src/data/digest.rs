//! Digests of files: what tells a photograph from another one under the same name.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use sha2::{Digest, Sha256};

/// The SHA-256 of bytes.
pub(crate) type FileDigest = [u8; 32];

/// The digest of a file's bytes.
pub(super) fn bytes_digest(bytes: &[u8]) -> FileDigest {
    Sha256::digest(bytes).into()
}

/// The digest of all bytes of the file at `path`. An unreadable file has one too: that it cannot be read is a
/// fact about the data like others.
pub(crate) fn file_digest(path: &Path) -> FileDigest {
    read_and_digest(path).unwrap_or_else(|_| bytes_digest(b"unreadable"))
}

fn read_and_digest(path: &Path) -> std::io::Result<FileDigest> {
    // A pipe would block for ever, so the kind is looked at before the file is opened.
    if !std::fs::metadata(path)?.is_file() {
        return Err(std::io::ErrorKind::InvalidInput.into());
    }
    let (mut file, mut hash) = (File::open(path)?, Sha256::new());
    let mut buffer = vec![0; 1 << 16];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hash.finalize().into()),
            n => hash.update(&buffer[..n]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_changed_byte_in_the_middle_of_a_long_file_gives_another_digest() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("long");
        let mut bytes = vec![7; 5 << 20];
        std::fs::write(&path, &bytes).unwrap();
        assert_eq!(file_digest(&path), bytes_digest(&bytes));
        let before = file_digest(&path);
        bytes[2 << 20] = 8;
        std::fs::write(&path, &bytes).unwrap();
        assert_ne!(file_digest(&path), before);
    }

    #[test]
    fn what_is_no_file_has_a_digest_too() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(file_digest(folder.path()), file_digest(&folder.path().join("nothing")));
    }
}

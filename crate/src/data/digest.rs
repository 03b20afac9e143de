//! Digests of files: what tells a photograph from another one under the same name.

use std::io::{self, Read};
use std::path::Path;

use sha2::{Digest, Sha256};

use crate::input::{self, Input};

/// The SHA-256 of bytes.
pub(crate) type FileDigest = [u8; 32];

/// The digest of a file's bytes.
pub(super) fn bytes_digest(bytes: &[u8]) -> FileDigest {
    Sha256::digest(bytes).into()
}

/// The digest of all bytes of the file at `path`.
///
/// # Errors
/// As [`input::open`], what the system says, and where the file grew or shrank meanwhile.
pub(crate) fn file_digest(path: &Path) -> io::Result<FileDigest> {
    let Input { mut file, length } = input::open(path)?;
    let (mut hash, mut read) = (Sha256::new(), 0);
    let mut buffer = vec![0; 1 << 16];
    loop {
        match file.read(&mut buffer) {
            Ok(0) => break,
            Ok(n) => {
                hash.update(&buffer[..n]);
                read += n as u64;
            }
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    input::same_length(length, read)?;
    Ok(hash.finalize().into())
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
        let before = file_digest(&path).unwrap();
        assert_eq!(before, bytes_digest(&bytes));
        bytes[2 << 20] = 8;
        std::fs::write(&path, &bytes).unwrap();
        assert_ne!(file_digest(&path).unwrap(), before);
    }

    #[test]
    fn what_cannot_be_read_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        assert!(file_digest(folder.path()).is_err());
        assert!(file_digest(&folder.path().join("nothing")).is_err());
    }
}

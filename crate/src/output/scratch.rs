//! A file for what does not fit into memory, which nobody else sees.

use std::fs::{File, OpenOptions};

use crate::{Error, Result};

/// An empty file in the system's folder for temporary files, open for reading and writing. Its name is removed at once
/// where the system lets an open file be removed, so that it goes with this process.
pub(crate) fn scratch_file() -> Result<File> {
    let folder = std::env::temp_dir();
    let path = super::partial::beside(&folder.join("transfer-scratch"));
    let failed = |e| Error::io("cannot make the temporary file", &path, e);
    let mut options = OpenOptions::new();
    options.read(true).write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    #[cfg(windows)]
    {
        /// `FILE_FLAG_DELETE_ON_CLOSE`.
        const DELETE_ON_CLOSE: u32 = 0x0400_0000;
        std::os::windows::fs::OpenOptionsExt::custom_flags(&mut options, DELETE_ON_CLOSE);
    }
    let file = options.open(&path).map_err(failed)?;
    #[cfg(unix)]
    std::fs::remove_file(&path).map_err(failed)?;
    Ok(file)
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use std::io::{Read, Seek, SeekFrom, Write};
    use std::os::unix::fs::MetadataExt;

    #[test]
    fn it_is_read_and_written_and_has_no_name() {
        let mut file = scratch_file().unwrap();
        file.write_all(b"features").unwrap();
        file.seek(SeekFrom::Start(4)).unwrap();
        let mut text = String::new();
        file.read_to_string(&mut text).unwrap();
        let about = file.metadata().unwrap();
        assert_eq!((&*text, about.nlink(), about.mode() & 0o777), ("ures", 0, 0o600));
    }
}

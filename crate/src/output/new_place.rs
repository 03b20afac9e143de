//! Copies, links and moves of a user's files to places where nothing is: nothing is replaced, and at any moment each
//! file is whole at one of its two places at least.

use std::fs::File;
use std::io::{ErrorKind, Read, Result as IoResult};
use std::path::Path;

use super::folders::sync_parent;
use super::partial::{sweep_abandoned, Partial};
use crate::{input, Error, Result, Show};

/// How a file comes to a new place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transfer {
    /// The old file stays, and the new one has the same bytes.
    Copy,
    /// The old file stays, and the new one is a second name of it (a hard link).
    Link,
    /// The old name goes.
    Move,
}

impl Transfer {
    /// `copy`, `link` or `move`.
    pub fn name(self) -> &'static str {
        match self {
            Transfer::Copy => "copy",
            Transfer::Link => "link",
            Transfer::Move => "move",
        }
    }

    /// The one of this name.
    pub fn named(name: &str) -> Option<Self> {
        [Transfer::Copy, Transfer::Link, Transfer::Move].into_iter().find(|one| one.name() == name)
    }

    /// Brings the regular file `from` to `to`, whose folder is there; `false` where something is at `to` already, which
    /// stays as it is. If it is interrupted, by a kill too, `from` is still there or `to` is whole.
    ///
    /// # Errors
    /// [`Error::Io`] where a file cannot be read or written; [`Error::Invalid`] for a link to another file system.
    pub fn carry_out(self, from: &Path, to: &Path) -> Result<bool> {
        match self {
            Transfer::Copy => copy(from, to),
            Transfer::Link => link(from, to),
            Transfer::Move => relocate(from, to),
        }
    }
}

fn copy(from: &Path, to: &Path) -> Result<bool> {
    let failed = |e| Error::io("cannot write", to, e);
    if is_there(to).map_err(failed)? {
        return Ok(false);
    }
    sweep_abandoned(to);
    let mut source = input::patiently(|| input::open(from)).map_err(|e| input::photograph(from, e))?;
    let partial = Partial::create(to).map_err(failed)?;
    let copied = std::io::copy(&mut source.file, &mut partial.file()).map_err(failed)?;
    input::same_length(source.length, copied).map_err(|e| input::photograph(from, e))?;
    if let Ok(about) = source.file.metadata() {
        let _ = partial.file().set_permissions(about.permissions());
        if let Ok(time) = about.modified() {
            let _ = partial.file().set_modified(time);
        }
    }
    partial.file().sync_all().map_err(failed)?;
    let placed = rename_new(partial.path(), to).map_err(failed)?;
    if placed {
        let mut partial = partial;
        partial.set_placed();
        sync_parent(to);
    }
    Ok(placed)
}

fn link(from: &Path, to: &Path) -> Result<bool> {
    match std::fs::hard_link(from, to) {
        Ok(()) => {
            sync_parent(to);
            Ok(true)
        }
        Err(e) if e.kind() == ErrorKind::AlreadyExists => Ok(false),
        Err(e) if e.kind() == ErrorKind::CrossesDevices => Err(Error::Invalid(format!(
            "a link expected a file on the same file system. Received: {} for {}. Copy the files instead.",
            to.shown(),
            from.shown()
        ))),
        Err(e) => Err(Error::io("cannot link", to, e)),
    }
}

fn relocate(from: &Path, to: &Path) -> Result<bool> {
    match rename_new(from, to) {
        Ok(placed) => {
            if placed {
                sync_parent(to);
                sync_parent(from);
            }
            return Ok(placed);
        }
        Err(e) if e.kind() == ErrorKind::CrossesDevices => {}
        Err(e) => return Err(Error::io("cannot move", from, e)),
    }
    let placed = copy(from, to)?;
    // Not before the copy is on disk, and only if it still has the same bytes.
    if placed && same_content(from, to)? {
        std::fs::remove_file(from).map_err(|e| Error::io("cannot remove", from, e))?;
        sync_parent(from);
    }
    Ok(placed)
}

/// Renames a file to a place where nothing is; `false` where something is there.
fn rename_new(from: &Path, to: &Path) -> IoResult<bool> {
    #[cfg(target_os = "linux")]
    {
        use rustix::fs::{renameat_with, RenameFlags, CWD};
        use rustix::io::Errno;
        match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
            Ok(()) => return Ok(true),
            Err(Errno::EXIST) => return Ok(false),
            // The file system or the kernel has no such renaming.
            Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP | Errno::PERM) => {}
            Err(e) => return Err(e.into()),
        }
    }
    // A second name, unlike a renamed file, never takes the place of another file.
    match std::fs::hard_link(from, to) {
        Ok(()) => std::fs::remove_file(from).map(|()| true),
        Err(e) if e.kind() == ErrorKind::AlreadyExists => Ok(false),
        Err(e) if matches!(e.kind(), ErrorKind::CrossesDevices | ErrorKind::NotFound) => Err(e),
        // The file system has no hard links.
        Err(_) if is_there(to)? => Ok(false),
        Err(_) => std::fs::rename(from, to).map(|()| true),
    }
}

/// Whether anything has this name, also a link to nothing.
fn is_there(path: &Path) -> IoResult<bool> {
    match path.symlink_metadata() {
        Ok(_) => Ok(true),
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(false),
        Err(e) => Err(e),
    }
}

/// Whether two paths are of one regular file, or of two with the same bytes. `false` where one of them is not there or is
/// no regular file.
///
/// # Errors
/// [`Error::Io`] where a file cannot be read.
pub fn same_content(a: &Path, b: &Path) -> Result<bool> {
    let open = |path: &Path| match path.symlink_metadata() {
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
        Err(e) => Err(Error::io("cannot look at", path, e)),
        Ok(about) if !about.is_file() => Ok(None),
        Ok(_) => input::patiently(|| input::open(path)).map(Some).map_err(|e| input::photograph(path, e)),
    };
    let (Some(mut first), Some(mut second)) = (open(a)?, open(b)?) else { return Ok(false) };
    if first.length != second.length {
        return Ok(false);
    }
    let (mut here, mut there) = (vec![0; 64 << 10], vec![0; 64 << 10]);
    loop {
        let n = fill(&mut first.file, &mut here).map_err(|e| input::photograph(a, e))?;
        let m = fill(&mut second.file, &mut there).map_err(|e| input::photograph(b, e))?;
        if here[..n] != there[..m] {
            return Ok(false);
        }
        if n == 0 {
            return Ok(true);
        }
    }
}

/// Reads until the buffer is full or the file ends.
fn fill(file: &mut File, buffer: &mut [u8]) -> IoResult<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match file.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(n) => filled += n,
            Err(e) if e.kind() == ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(filled)
}

/// Removes what a copy to `to` that was killed left beside it.
pub fn remove_unfinished_copy(to: &Path) {
    sweep_abandoned(to);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_way_leaves_what_is_there_and_brings_the_same_bytes() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        for way in [Transfer::Copy, Transfer::Link, Transfer::Move] {
            assert_eq!(Transfer::named(way.name()), Some(way));
            let (from, to) = (at(&format!("{}.from", way.name())), at(&format!("{}.to", way.name())));
            std::fs::write(&from, way.name()).unwrap();
            std::fs::write(&to, "somebody's").unwrap();
            assert!(!way.carry_out(&from, &to).unwrap());
            assert_eq!(std::fs::read_to_string(&to).unwrap(), "somebody's");
            assert!(!same_content(&from, &to).unwrap());
            std::fs::remove_file(&to).unwrap();
            assert!(way.carry_out(&from, &to).unwrap());
            assert_eq!(std::fs::read_to_string(&to).unwrap(), way.name());
            assert_eq!(from.exists(), way != Transfer::Move);
            assert_eq!(same_content(&from, &to).unwrap(), way != Transfer::Move);
            assert!(way.carry_out(&at("nothing"), &at("new")).is_err());
            assert!(!at("new").exists());
        }
        assert_eq!(input::entries(dir.path()).unwrap().len(), 5, "no partial file is left");
        assert_eq!(Transfer::named("steal"), None);
    }
}

//! Reserving a place, writing, and renaming: in which order things are looked at and done.

use std::io::{BufWriter, ErrorKind, Seek, SeekFrom, Write};
use std::time::{Duration, Instant};

use super::folders::{create_parent, sync_parent};
use super::partial::{sweep_abandoned, Out, Partial};
use super::place::{self, Place};
use super::reserved::Reserved;
use super::{attributes, Format, OutputFile};
use crate::progress::check_stop;
use crate::{input, Error, Result, Show};

/// How long another process may still hold a reserved path: one that was just ended takes a moment to go.
const PATIENCE: Duration = Duration::from_secs(2);
/// How often what is at the place may change between a look and the renaming.
const TRIES: usize = 5;

impl OutputFile {
    pub(super) fn reserve(mut self, format: Format) -> Result<Self> {
        let place = self.permitted(&format)?;
        let start = Instant::now();
        let partial = loop {
            sweep_abandoned(&place.file);
            match Partial::reserve(&place.file).map_err(|e| self.not_written(&place, e))? {
                Some(partial) => break partial,
                None if start.elapsed() < PATIENCE => {
                    check_stop("The start")?;
                    std::thread::sleep(Duration::from_millis(50));
                }
                None => {
                    return Err(Error::Invalid(format!(
                    "{} is going to be written by another process now. Wait for it, end it, or name another \
                         output.",
                    self.path.shown()
                )))
                }
            }
        };
        keep_room(&partial, format.room()).map_err(|e| self.not_written(&place, e))?;
        self.reserved = Some(std::sync::Arc::new(std::sync::Mutex::new(Some(Reserved { partial, place }))));
        Ok(self)
    }

    /// Writes the file through `write`; what is at its path changes only when all of it is on disk.
    pub(crate) fn write(
        &self,
        format: &Format,
        write: impl FnOnce(&mut Out<'_>) -> std::io::Result<()>,
    ) -> Result<()> {
        let failed = |e| Error::io("cannot write", &self.path, e);
        let held =
            self.reserved.as_ref().and_then(|held| held.lock().unwrap_or_else(|e| e.into_inner()).take());
        if let Some(Reserved { mut partial, place }) = held {
            fill(&partial, write).map_err(failed)?;
            // What is replaced may have its name for a moment, and must not be taken for a reserved file.
            partial.release(&place.file).map_err(failed)?;
            return self.put(partial, place, format);
        }
        let place = self.permitted(format)?;
        sweep_abandoned(&place.file);
        let partial = Partial::create(&place.file).map_err(|e| self.not_written(&place, e))?;
        fill(&partial, write).map_err(failed)?;
        self.put(partial, place, format)
    }

    /// Finds out, before any work, whether the file could be written.
    pub(crate) fn check(&self, format: &Format) -> Result<()> {
        let place = self.permitted(format)?;
        sweep_abandoned(&place.file);
        Partial::create(&place.file).map(drop).map_err(|e| self.not_written(&place, e))
    }

    /// Finds out whether what is at the path may be replaced, if something is there.
    pub(crate) fn check_existing(&self, format: &Format) -> Result<()> {
        match self.path.symlink_metadata() {
            Err(_) => Ok(()),
            Ok(_) => self.permitted(format).map(drop),
        }
    }

    /// Brings a file that is whole to its place.
    fn put(&self, mut partial: Partial, expected: Place, format: &Format) -> Result<()> {
        let failed = |e| Error::io("cannot write", &self.path, e);
        for _ in 0..TRIES {
            let place = self.permitted(format)?;
            if place.file != expected.file {
                return Err(Error::Invalid(format!(
                    "{} led to {} when writing began, and leads to {} now. Nothing was replaced.",
                    self.path.shown(),
                    expected.file.shown(),
                    place.file.shown()
                )));
            }
            if let Some(old) = &place.old {
                attributes::keep(&place.file, old, partial.file()).map_err(failed)?;
            }
            partial.file().sync_all().map_err(failed)?;
            match swap(partial, &place).map_err(failed)? {
                None => {
                    sync_parent(&place.file);
                    return Ok(());
                }
                Some(not_yet) => partial = not_yet,
            }
        }
        Err(failed(std::io::Error::other("another process changes it again and again")))
    }

    /// Where it would be written; an error where that may not be.
    fn permitted(&self, format: &Format) -> Result<Place> {
        if self.path.symlink_metadata().is_err() {
            self.check_place(&place::above(&self.path)?)?;
            create_parent(&self.path)?;
        }
        let place = place::resolve(&self.path)?;
        self.check_place(&place)?;
        let Some(old) = &place.old else { return Ok(place) };
        if self.overwrite {
            return Ok(place);
        }
        let refused = |why: &str| {
            Error::Invalid(format!(
                "{} {why}. To replace it all the same, give `--force` to the program, or \
                 `OutputFile::new(path).overwrite(true)` in code; or name another file.",
                self.path.shown()
            ))
        };
        if old.permissions().readonly() {
            return Err(refused("is there already and is write-protected"));
        }
        if old.len() == 0 {
            return Ok(place);
        }
        let is_ours = input::open(&place.file).and_then(|mut input| format.is_written_here(&mut input.file));
        match is_ours {
            Ok(true) => Ok(place),
            Ok(false) => {
                Err(refused(&format!("is there already and is not {} of this program", format.name())))
            }
            Err(e) => Err(refused(&format!("is there already and cannot be read to see what it is ({e})"))),
        }
    }

    /// The rules that hold whatever is asked for.
    pub(super) fn check_place(&self, place: &Place) -> Result<()> {
        let folders = self.folders.iter().map(|folder| (folder, true));
        for (folder, linked) in folders.chain(self.taken.iter().map(|folder| (folder, false))) {
            let below = place.is_below(folder, linked);
            if below.map_err(|e| Error::io("cannot look for links in", folder, e))? {
                return Err(Error::Invalid(format!(
                    "{} lies in {}, a folder of photographs, into which nothing is written. Name an output in \
                     another folder.",
                    self.path.shown(),
                    folder.shown()
                )));
            }
        }
        match self.inputs.iter().find(|input| place.is(input)) {
            Some(input) => Err(self.is_read(input)),
            None => Ok(()),
        }
    }

    pub(super) fn is_read(&self, input: &std::path::Path) -> Error {
        Error::Invalid(format!(
            "{} is the same file as {}, which is read, and is not replaced. Name another output.",
            self.path.shown(),
            input.shown()
        ))
    }

    /// An error in opening the partial file.
    fn not_written(&self, place: &Place, error: std::io::Error) -> Error {
        let folder = place.file.parent().unwrap_or(&place.file);
        let no_folder = matches!(error.kind(), ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem);
        let why = match no_folder {
            true => format!(
                "{error}. A file is written beside its place and renamed, so its folder {} has to be writable, also \
                 where the file itself is",
                folder.shown()
            ),
            false => error.to_string(),
        };
        Error::io("cannot write", &self.path, std::io::Error::new(error.kind(), why))
    }
}

/// Writes a partial file from its start.
fn fill(partial: &Partial, write: impl FnOnce(&mut Out<'_>) -> std::io::Result<()>) -> std::io::Result<()> {
    let mut file = partial.file();
    file.seek(SeekFrom::Start(0))?;
    let mut out = BufWriter::new(file);
    write(&mut out)?;
    out.flush()?;
    drop(out);
    // Room that was kept and is not needed.
    let end = file.stream_position()?;
    file.set_len(end)
}

/// Makes a file as long as it may become, so that a full disk is found now.
fn keep_room(partial: &Partial, bytes: u64) -> std::io::Result<()> {
    if bytes == 0 {
        return Ok(());
    }
    let full = |e: std::io::Error| {
        let why = format!("{e}. It needs about {} MB", bytes.div_ceil(1_000_000));
        std::io::Error::new(e.kind(), why)
    };
    #[cfg(target_os = "linux")]
    {
        use rustix::fs::{fallocate, FallocateFlags};
        use rustix::io::{retry_on_intr, Errno};
        match retry_on_intr(|| fallocate(partial.file(), FallocateFlags::empty(), 0, bytes)) {
            Ok(()) => return Ok(()),
            Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) => {}
            Err(e) => return Err(full(e.into())),
        }
    }
    let zeros = vec![0; 1 << 20];
    let mut file = partial.file();
    let mut left = bytes;
    while left > 0 {
        let part = left.min(zeros.len() as u64) as usize;
        file.write_all(&zeros[..part]).map_err(full)?;
        left -= part as u64;
    }
    Ok(())
}

/// Renames a partial file to `place`. Gives it back where something else is there than was looked at; that is left
/// as it is.
fn swap(partial: Partial, place: &Place) -> std::io::Result<Option<Partial>> {
    #[cfg(target_os = "linux")]
    {
        use rustix::fs::{renameat_with, RenameFlags, CWD};
        use rustix::io::Errno;
        let rename = |flags| renameat_with(CWD, partial.path(), CWD, &place.file, flags);
        let flags = match place.old {
            None => RenameFlags::NOREPLACE,
            Some(_) => RenameFlags::EXCHANGE,
        };
        match rename(flags) {
            Ok(()) => {
                let Some(old) = &place.old else {
                    let mut partial = partial;
                    partial.set_placed();
                    return Ok(None);
                };
                // The partial file's name now stands for what was at the place.
                let expected = partial.path().symlink_metadata().is_ok_and(|there| is_unchanged(old, &there));
                if !expected {
                    rename(RenameFlags::EXCHANGE)?;
                    return Ok(Some(partial));
                }
                let mut partial = partial;
                partial.set_placed();
                return Ok(None);
            }
            // Something has appeared, or has gone.
            Err(Errno::EXIST) => return Ok(Some(partial)),
            Err(Errno::NOENT) if partial.path().exists() => return Ok(Some(partial)),
            // The file system or the kernel has no such renaming.
            Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP | Errno::PERM) => {}
            Err(e) => return Err(e.into()),
        }
    }
    if place.old.is_none() {
        // A second name, unlike a renamed file, never takes the place of another file.
        match std::fs::hard_link(partial.path(), &place.file) {
            Ok(()) => {
                let mut partial = partial;
                partial.set_placed();
                return Ok(None);
            }
            Err(e) if e.kind() == ErrorKind::AlreadyExists => return Ok(Some(partial)),
            // The file system has no hard links.
            Err(_) => {}
        }
    }
    let now = place.file.symlink_metadata();
    let unchanged = match (&place.old, &now) {
        (None, Err(e)) => e.kind() == ErrorKind::NotFound,
        (Some(old), Ok(now)) => is_unchanged(old, now),
        _ => false,
    };
    match unchanged {
        true => partial.rename(&place.file).map(|()| None),
        false => Ok(Some(partial)),
    }
}

/// Whether a file is still the one that was looked at, with the same content.
fn is_unchanged(old: &std::fs::Metadata, now: &std::fs::Metadata) -> bool {
    #[cfg(unix)]
    if !place::same(old, now) {
        return false;
    }
    now.is_file() && old.len() == now.len() && old.modified().ok() == now.modified().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looking_whether_a_file_could_be_written_removes_what_a_killed_process_left() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("table.csv");
        std::fs::write(super::super::partial::beside(&path), "").unwrap();
        OutputFile::new(&path).check(&Format::Report).unwrap();
        assert_eq!(input::entries(folder.path()).unwrap().len(), 0);
    }
}

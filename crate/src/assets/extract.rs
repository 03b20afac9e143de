//! Zip archives, extracted whole or not at all.
//!
//! An archive from the network can name files outside the folder, hold links, or grow without end.
//! One such entry and the whole archive is refused; nothing of it remains.

use super::files::{beside, create_parent, sync_parent, sync_tree, RemoveOnDrop};
use crate::input::{self, Input};
use crate::progress::check_stop;
use crate::Show;
use crate::{Error, Result};
use std::collections::HashSet;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;
use zip::ZipArchive;

/// More entries than this are refused.
pub const MAX_ENTRIES: usize = 100_000;
/// More bytes than this, all files together, are refused.
pub const MAX_BYTES: u64 = 4 << 30;
/// An archive that grows more than this many times is refused, unless it stays under 64 MiB.
pub const MAX_RATIO: u64 = 100;

type Archive = ZipArchive<BufReader<File>>;

/// Extracts a zip archive into a folder that must not exist yet; it appears when all of it is there.
///
/// Names must stay inside the folder and come once; links, encrypted entries and archives beyond
/// [`MAX_ENTRIES`], [`MAX_BYTES`] or [`MAX_RATIO`] are refused.
///
/// # Errors
/// [`Error::Archive`] for a damaged or refused archive, [`Error::Io`] where files cannot be read or
/// written, [`Error::Interrupted`] where somebody asked for an end. The folder does not exist then.
pub fn extract_zip(archive: impl AsRef<Path>, folder: impl AsRef<Path>) -> Result<()> {
    let (path, folder) = (archive.as_ref(), folder.as_ref());
    if folder.symlink_metadata().is_ok() {
        let exists = std::io::ErrorKind::AlreadyExists.into();
        return Err(Error::io("cannot extract an archive into what exists already,", folder, exists));
    }
    create_parent(folder)?;
    let partial = RemoveOnDrop(beside(folder));
    unpack(path, &partial.0)?;
    std::fs::rename(&partial.0, folder).map_err(|e| Error::io("cannot create", folder, e))?;
    std::mem::forget(partial);
    sync_parent(folder);
    Ok(())
}

/// Extracts into a new folder that the caller renames when all is well, or removes.
pub(super) fn unpack(path: &Path, folder: &Path) -> Result<()> {
    let (mut archive, bytes) = open(path)?;
    let entries = check(&mut archive, bytes).map_err(|what| refuse(path, what))?;
    std::fs::create_dir(folder).map_err(|e| Error::io("cannot create", folder, e))?;
    for (index, (name, size)) in entries.iter().enumerate() {
        check_stop("Extracting an archive")?;
        let target = folder.join(name);
        match size {
            None => std::fs::create_dir_all(&target).map_err(|e| Error::io("cannot create", &target, e))?,
            Some(size) => {
                create_parent(&target)?;
                extract_file(&mut archive, index, *size, &target).map_err(|failure| match failure {
                    Failure::Archive(what) => refuse(path, format!("`{name}`: {what}")),
                    Failure::Disk(e) => Error::io("cannot write", &target, e),
                    Failure::Stopped(e) => e,
                })?;
            }
        }
    }
    sync_tree(folder)
}

/// Reads one file of an archive, of at most `limit` bytes, into memory.
pub(super) fn read_entry(path: &Path, name: &str, limit: u64) -> Result<Vec<u8>> {
    let (mut archive, _) = open(path)?;
    let entry = archive.by_name(name).map_err(|e| refuse(path, format!("`{name}`: {e}")))?;
    let mut bytes = Vec::new();
    let read = entry.take(limit + 1).read_to_end(&mut bytes);
    read.map_err(|e| refuse(path, format!("`{name}`: {e}")))?;
    match bytes.len() as u64 > limit {
        true => Err(refuse(path, format!("`{name}` is larger than the {limit} bytes expected"))),
        false => Ok(bytes),
    }
}

fn open(path: &Path) -> Result<(Archive, u64)> {
    let fail = |e| Error::io("cannot read", path, e);
    let Input { file, length: bytes } = input::open(path).map_err(fail)?;
    match ZipArchive::new(BufReader::new(file)) {
        Ok(archive) => Ok((archive, bytes)),
        Err(e) => Err(refuse(path, format!("it is no whole zip archive ({bytes} bytes): {e}"))),
    }
}

fn refuse(path: &Path, what: impl std::fmt::Display) -> Error {
    Error::Archive(format!(
        "cannot extract {}: {what}. Nothing was extracted: delete the archive and fetch it again",
        path.shown()
    ))
}

/// Looks at every entry before the first one is written. Gives name and size, `None` for a folder.
fn check(archive: &mut Archive, bytes: u64) -> Result<Vec<(String, Option<u64>)>, String> {
    let count = archive.len();
    if count > MAX_ENTRIES {
        return Err(format!("it has {count} entries, more than the {MAX_ENTRIES} allowed"));
    }
    if archive.has_duplicate_names() {
        return Err("it has the same name twice".into());
    }
    if archive.has_overlapping_files().map_err(|e| e.to_string())? {
        return Err("its entries overlap".into());
    }
    let (mut entries, mut files, mut folders) = (Vec::new(), HashSet::new(), HashSet::new());
    let mut total = 0u64;
    for index in 0..count {
        let entry = archive.by_index_raw(index).map_err(|e| e.to_string())?;
        let name = entry.name().map_err(|e| format!("entry {index} has no readable name: {e}"))?.into_owned();
        let name = safe_name(&name).map_err(|what| format!("the name {name:?} {what}"))?;
        let kind = entry.unix_mode().map_or(0, |mode| mode & 0o170_000);
        if entry.is_symlink() || ![0, 0o100_000, 0o040_000].contains(&kind) {
            return Err(format!("`{name}` is a link or a device, where only files and folders are allowed"));
        }
        if entry.encrypted() {
            return Err(format!("`{name}` is encrypted"));
        }
        for (end, _) in name.match_indices('/') {
            folders.insert(name[..end].to_string());
        }
        if entry.is_dir() {
            folders.insert(name.clone());
        } else if !files.insert(name.clone()) {
            return Err(format!("it has `{name}` twice"));
        }
        total = total.saturating_add(entry.size());
        entries.push((name, (!entry.is_dir()).then_some(entry.size())));
    }
    if let Some(both) = files.intersection(&folders).next() {
        return Err(format!("`{both}` is both a file and a folder"));
    }
    let allowed = MAX_BYTES.min((bytes.saturating_mul(MAX_RATIO)).max(64 << 20));
    match total > allowed {
        true => Err(format!("it would grow from {bytes} to {total} bytes, more than the {allowed} allowed")),
        false => Ok(entries),
    }
}

/// The name without `.` parts and without the `/` that ends a folder's; an error unless every system
/// takes it for a path inside the folder.
fn safe_name(name: &str) -> Result<String, &'static str> {
    if name.starts_with('/') {
        return Err("is absolute");
    }
    if name.chars().any(|c| c.is_control() || c == '\\' || c == ':') {
        return Err("holds a character that is not allowed (control, backslash or colon)");
    }
    if name.len() > 1000 {
        return Err("is too long");
    }
    let parts: Vec<&str> = name.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
    if parts.contains(&"..") {
        return Err("leads out of the folder");
    }
    match parts.len() {
        0 => Err("names nothing"),
        // What the systems' own limits are, so that it is refused before anything is written.
        _ if parts.iter().any(|part| part.len() > 255) => Err("is too long"),
        1..=32 => Ok(parts.join("/")),
        _ => Err("has too many folders"),
    }
}

enum Failure {
    Archive(String),
    Disk(std::io::Error),
    Stopped(Error),
}

fn extract_file(archive: &mut Archive, index: usize, size: u64, target: &Path) -> Result<(), Failure> {
    let archived = |e: &dyn std::fmt::Display| Failure::Archive(e.to_string());
    // One byte more than stated is asked for, so that a longer entry shows; its checksum is tested by
    // the reader when the end is reached.
    let mut entry = archive.by_index(index).map_err(|e| archived(&e))?.take(size.saturating_add(1));
    let mut file = File::create_new(target).map_err(Failure::Disk)?;
    let (mut written, mut buffer) = (0, [0; 1 << 16]);
    loop {
        let n = entry.read(&mut buffer).map_err(|e| archived(&e))?;
        if n == 0 {
            break;
        }
        check_stop("Extracting an archive").map_err(Failure::Stopped)?;
        written += n as u64;
        std::io::Write::write_all(&mut file, &buffer[..n]).map_err(Failure::Disk)?;
    }
    match written == size {
        true => Ok(()),
        false => Err(Failure::Archive(format!("holds {written} bytes or more, where it states {size}"))),
    }
}

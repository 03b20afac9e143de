//! The file beside the place of an output, in which it is written: locked as long as it is open, so that others see
//! that it is in use, and removed unless it is renamed to its place.

use std::ffi::OsString;
use std::fs::{File, TryLockError};
use std::io::{BufWriter, ErrorKind, Result};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, TryLockError as Held};

use sha2::{Digest, Sha256};

use crate::{input, Show};

/// What contents are written through.
pub(crate) type Out<'a> = BufWriter<&'a File>;

const ENDING: &str = ".partial";
/// In place of the process and the number of a [reserved](Partial::reserve) file; no process has the number 0.
const RESERVED: &str = "0-0";
/// File systems take names of 255 bytes; of a longer one than this a part and a digest stand for it.
const MAX_NAME: usize = 200;

/// Those of this process that are open.
static OPEN: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

/// Removes the unfinished files of this process. For a program that is about to end without unwinding, as on a
/// second Ctrl-C; whatever still writes them fails.
pub fn remove_unfinished() {
    let open = match OPEN.try_lock() {
        Ok(open) => open.clone(),
        Err(Held::Poisoned(open)) => open.into_inner().clone(),
        // Whoever has it is opening or closing one; the next writer of the same file sweeps it away.
        Err(Held::WouldBlock) => return,
    };
    open.iter().for_each(|path| remove(path));
}

/// A path beside `path` that no other thread or process uses.
///
/// It starts with a dot and ends in `.partial`, so that no search for data or weights takes it for
/// anything.
pub(crate) fn beside(path: &Path) -> PathBuf {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let unique = NEXT.fetch_add(1, Ordering::Relaxed);
    named(path, &format!("{}-{unique}", std::process::id()))
}

/// A path beside `path`, with this in the middle of its name.
fn named(path: &Path, middle: &str) -> PathBuf {
    let mut name = start(path);
    name.push(middle);
    name.push(ENDING);
    path.with_file_name(name)
}

/// What the names of all files beside `path` start with.
fn start(path: &Path) -> OsString {
    let name = path.file_name().unwrap_or_default();
    let mut start = OsString::from(".");
    match name.len() <= MAX_NAME {
        true => start.push(name),
        false => {
            let digest = crate::hex::hex(Sha256::digest(name.as_encoded_bytes()));
            let text = name.to_string_lossy();
            let part: String = text.chars().take(MAX_NAME / 8).collect();
            start.push(format!("{part}-{}", &digest[..32]));
        }
    }
    start.push(".");
    start
}

/// What lies [`beside`] a path.
pub(crate) fn partials(path: &Path) -> Vec<PathBuf> {
    let start = start(path);
    let unique =
        |middle: &[u8]| !middle.is_empty() && middle.iter().all(|b| b.is_ascii_digit() || *b == b'-');
    let parent = path.parent().map(|p| if p.as_os_str().is_empty() { Path::new(".") } else { p });
    let entries = parent.and_then(|parent| input::entries(parent).ok()).into_iter().flatten();
    let is_partial = |entry: &std::fs::DirEntry| {
        let name = entry.file_name();
        let middle = name.as_encoded_bytes().strip_prefix(start.as_encoded_bytes());
        middle.and_then(|middle| middle.strip_suffix(ENDING.as_bytes())).is_some_and(unique)
    };
    entries.filter(is_partial).map(|entry| entry.path()).collect()
}

/// Removes what killed processes left beside this path: files that nobody holds.
pub(crate) fn sweep_abandoned(path: &Path) {
    for left in partials(path) {
        let regular = left.symlink_metadata().is_ok_and(|about| about.is_file());
        if regular
            && input::open(&left).is_ok_and(|left_over| {
                input::try_lock(&left_over.file).is_ok() && is_at(&left_over.file, &left)
            })
        {
            remove(&left);
        }
    }
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Partial {
    path: PathBuf,
    file: File,
    placed: bool,
}

impl Partial {
    /// A new file beside a path.
    pub fn create(target: &Path) -> Result<Self> {
        loop {
            let path = beside(target);
            let file = match options().create_new(true).open(&path) {
                // One of a process with the same number, on another machine or in another container.
                Err(e) if e.kind() == ErrorKind::AlreadyExists => continue,
                opened => opened?,
            };
            let partial = Partial::new(path, file);
            // Where the file system knows no locks, nobody sweeps either. And whoever sweeps may come between
            // the two calls above; the next file is not theirs any more.
            if partial.file.lock().is_err() || is_at(&partial.file, &partial.path) {
                return Ok(partial);
            }
        }
    }

    /// The file beside a path of which there is only one; `None` where another process has it.
    pub fn reserve(target: &Path) -> Result<Option<Self>> {
        let path = named(target, RESERVED);
        loop {
            match path.symlink_metadata() {
                Ok(about) if !about.is_file() => {
                    return Err(std::io::Error::other(format!("{} is in the way", path.shown())))
                }
                _ => {}
            }
            let (file, is_new) = match options().create_new(true).open(&path) {
                Ok(file) => (file, true),
                Err(e) if e.kind() == ErrorKind::AlreadyExists => match options().open(&path) {
                    Err(e) if e.kind() == ErrorKind::NotFound => continue,
                    opened => (opened?, false),
                },
                Err(e) => return Err(e),
            };
            match input::try_lock(&file) {
                Ok(()) if is_at(&file, &path) => {
                    let partial = Partial::new(path, file);
                    partial.file.set_len(0)?;
                    return Ok(Some(partial));
                }
                // It was renamed or removed meanwhile.
                Ok(()) => continue,
                Err(TryLockError::WouldBlock) => return Ok(None),
                // Some network file systems know no locks; nobody can be kept out there.
                Err(TryLockError::Error(_)) => {
                    if is_new {
                        remove(&path);
                    }
                    return Self::create(target).map(Some);
                }
            }
        }
    }

    fn new(path: PathBuf, file: File) -> Self {
        OPEN.lock().unwrap_or_else(|e| e.into_inner()).push(path.clone());
        Partial { path, file, placed: false }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn file(&self) -> &File {
        &self.file
    }

    /// Gives a reserved file a name of its own, so that the next process may reserve the place.
    pub fn release(&mut self, target: &Path) -> Result<()> {
        let path = beside(target);
        std::fs::rename(&self.path, &path)?;
        let mut open = OPEN.lock().unwrap_or_else(|e| e.into_inner());
        open.retain(|other| *other != self.path);
        open.push(path.clone());
        self.path = path;
        Ok(())
    }

    /// Renames it to its place, whatever is there.
    pub fn rename(mut self, target: &Path) -> Result<()> {
        std::fs::rename(&self.path, target)?;
        self.placed = true;
        Ok(())
    }

    /// Notes that its name stands for the file that it has replaced, which nobody wants any more, or for nothing.
    pub fn set_placed(&mut self) {
        remove(&self.path);
        self.placed = true;
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        if !self.placed {
            remove(&self.path);
        }
        OPEN.lock().unwrap_or_else(|e| e.into_inner()).retain(|path| *path != self.path);
    }
}

fn options() -> std::fs::OpenOptions {
    let mut options = File::options();
    options.read(true).write(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.custom_flags(libc::O_NONBLOCK | libc::O_NOFOLLOW);
    }
    options
}

/// Removes a file of ours; twice, as one refusal may be that of a moment.
fn remove(path: &Path) {
    let gone = |removed: &Result<()>| match removed {
        Err(e) => e.kind() == ErrorKind::NotFound,
        Ok(()) => true,
    };
    if !gone(&std::fs::remove_file(path)) {
        let _ = std::fs::remove_file(path);
    }
}

/// Whether an open file is still the one at this path.
pub(crate) fn is_at(file: &File, path: &Path) -> bool {
    #[cfg(unix)]
    {
        let (Ok(file), Ok(there)) = (file.metadata(), path.symlink_metadata()) else { return false };
        super::place::same(&file, &there)
    }
    #[cfg(not(unix))]
    {
        let _ = file;
        path.exists()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let names = folder.read_dir().unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<String> = names.collect();
        names.sort();
        names
    }

    #[test]
    fn a_partial_file_is_locked_while_it_is_open_and_gone_afterwards() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("model");
        let partial = Partial::create(&target).unwrap();
        assert!(File::open(partial.path()).unwrap().try_lock().is_err());
        sweep_abandoned(&target);
        assert_eq!(names(folder.path()).len(), 1, "what is in use stays");
        drop(partial);
        assert!(names(folder.path()).is_empty());
        std::fs::write(beside(&target), "left behind").unwrap();
        std::fs::create_dir(beside(&target)).unwrap();
        sweep_abandoned(&target);
        assert_eq!(names(folder.path()).len(), 1, "a folder is nothing that was left behind");
    }

    #[test]
    fn only_one_reserves_a_path_and_a_dead_one_is_no_obstacle() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("model");
        std::fs::write(named(&target, RESERVED), "of a killed process").unwrap();
        let held = Partial::reserve(&target).unwrap().unwrap();
        assert_eq!(held.file().metadata().unwrap().len(), 0);
        assert!(Partial::reserve(&target).unwrap().is_none());
        assert!(Partial::reserve(&folder.path().join("other")).unwrap().is_some());
        let mut held = held;
        held.release(&target).unwrap();
        drop(Partial::reserve(&target).unwrap().unwrap());
        held.rename(&target).unwrap();
        assert_eq!(names(folder.path()), ["model"]);
        drop(Partial::reserve(&target).unwrap().unwrap());
        assert_eq!(names(folder.path()), ["model"]);
    }

    #[cfg(unix)]
    #[test]
    fn something_else_of_the_reserved_name_is_neither_followed_nor_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("model");
        std::fs::write(folder.path().join("mine"), "mine").unwrap();
        std::os::unix::fs::symlink(folder.path().join("mine"), named(&target, RESERVED)).unwrap();
        assert!(Partial::reserve(&target).unwrap_err().to_string().contains("in the way"));
        assert_eq!(std::fs::read_to_string(folder.path().join("mine")).unwrap(), "mine");
    }

    #[test]
    fn names_as_long_as_a_file_system_takes_have_room_beside_them() {
        let folder = tempfile::tempdir().unwrap();
        for long in ["x".repeat(255), "ü".repeat(127)] {
            let target = folder.path().join(&long);
            drop(Partial::create(&target).unwrap());
            let beside = beside(&target);
            std::fs::write(&beside, "").unwrap();
            sweep_abandoned(&folder.path().join("z".repeat(250)));
            assert!(beside.exists(), "that of another long name");
            sweep_abandoned(&target);
            assert!(!beside.exists());
        }
    }
}

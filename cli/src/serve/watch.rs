//! Notices that a file was replaced or changed.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// What a file is known by.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Look {
    length: u64,
    modified: Option<SystemTime>,
    /// Its number in the file system, which a file that replaces it does not have.
    number: u64,
}

/// See the module.
#[derive(Debug)]
pub struct Watch {
    path: PathBuf,
    /// The file that was used last.
    used: Option<Look>,
    /// As it was at the last look.
    last: Option<Look>,
}

impl Watch {
    /// Watches a file that is going to be read now.
    pub fn new(path: &Path) -> Self {
        let now = look(path);
        Watch { path: path.to_owned(), used: now.clone(), last: now }
    }

    /// Whether another file is there than the one used last, the same at two looks: not one that is being written. The
    /// new one counts as used then. A file that is gone is no change.
    pub fn has_changed(&mut self) -> bool {
        let now = look(&self.path);
        let settled = now == self.last;
        self.last = now.clone();
        if now.is_none() || now == self.used || !settled {
            return false;
        }
        self.used = now;
        true
    }
}

fn look(path: &Path) -> Option<Look> {
    let about = path.metadata().ok()?;
    #[cfg(unix)]
    let number = std::os::unix::fs::MetadataExt::ino(&about);
    #[cfg(not(unix))]
    let number = 0;
    Some(Look { length: about.len(), modified: about.modified().ok(), number })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replaced_file_is_noticed_once_when_it_has_settled() {
        let dir = tempfile::tempdir().unwrap();
        let (file, next) = (dir.path().join("m"), dir.path().join("n"));
        std::fs::write(&file, "one").unwrap();
        let mut watch = Watch::new(&file);
        assert!(!watch.has_changed() && !watch.has_changed());
        std::fs::write(&next, "longer").unwrap();
        std::fs::rename(&next, &file).unwrap();
        assert!(!watch.has_changed(), "it may be being written");
        assert!(watch.has_changed() && !watch.has_changed());
        std::fs::remove_file(&file).unwrap();
        assert!(!watch.has_changed() && !watch.has_changed());
        std::fs::write(&file, "another one").unwrap();
        assert!(!watch.has_changed() && watch.has_changed());
    }
}

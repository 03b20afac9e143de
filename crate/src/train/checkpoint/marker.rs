//! The marker of a folder: that this program made it, for which run, and which files in it are the program's. What
//! is not listed here is somebody else's.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{ErrorKind, Read, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::assets::files;
use crate::train::checkpoint::identity::{Identity, Images};
use crate::{input, Error, Result, Show};

/// The name of the marker.
pub(super) const MARKER: &str = ".transfer-checkpoints";
const FORMAT: u32 = 1;
const ABOUT: &str =
    "Checkpoints of one training by the program transfer. Of the files beside this one, the program \
                     removes those that are listed here, and no others.";
/// One of a data set with a hundred thousand classes is shorter.
const MAX_BYTES: u64 = 64 << 20;

/// What is written down of a run.
#[derive(Debug, Clone, Default)]
pub(super) struct RunFacts {
    pub identity: Identity,
    pub images: BTreeMap<String, Images>,
    pub notes: BTreeMap<String, String>,
}

/// See the module.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Marker {
    pub format: u32,
    pub about: String,
    pub written_by: String,
    /// The run's [short name](Identity::short).
    pub run: String,
    /// Whether this program made the folder, which may then go with the last file.
    pub made: bool,
    /// Whether the run has come to its end.
    pub finished: bool,
    /// Numbers of the checkpoints that this program wrote here.
    pub files: BTreeSet<u64>,
    /// Numbers of those that a version without markers had left here. They are read, and never removed.
    pub found: BTreeSet<u64>,
    /// What the run depends on, to tell another run what differs.
    pub identity: Identity,
    pub images: BTreeMap<String, Images>,
    /// Settings in the words of whoever began the run.
    pub notes: BTreeMap<String, String>,
}

impl Marker {
    pub fn new(about: RunFacts, made: bool) -> Self {
        let RunFacts { identity, images, notes } = about;
        Marker {
            format: FORMAT,
            about: ABOUT.to_owned(),
            written_by: concat!("transfer ", env!("CARGO_PKG_VERSION")).to_owned(),
            run: identity.short(),
            made,
            finished: false,
            files: BTreeSet::new(),
            found: BTreeSet::new(),
            identity,
            images,
            notes,
        }
    }

    /// How this run differs from an earlier one, in words.
    pub fn changes(&self, there: &Marker) -> Vec<String> {
        let mut names: Vec<&String> = self.notes.keys().chain(there.notes.keys()).collect();
        names.sort();
        names.dedup();
        let none = "nothing".to_owned();
        let note = |name: &String| {
            let [now, before] = [self, there].map(|marker| marker.notes.get(name).unwrap_or(&none));
            (now != before).then(|| format!("{name}: {} before, {} now", before.shown(), now.shown()))
        };
        let notes: Vec<String> = names.into_iter().filter_map(note).collect();
        let facts = self.identity.changes(&there.identity, &self.images, &there.images);
        // Settings that were noted stand for what follows from them; the images never do.
        let kept = |line: &String| notes.is_empty() || line.contains(" class ");
        let facts: Vec<String> = facts.into_iter().filter(kept).collect();
        [notes, facts].concat()
    }

    /// The marker of a folder; `None` where it has none.
    ///
    /// # Errors
    /// Where there is something of its name that is no marker.
    pub fn read(folder: &Path) -> Result<Option<Self>> {
        let path = folder.join(MARKER);
        let failed = |e| Error::io("cannot read", &path, e);
        let mut bytes = Vec::new();
        match input::open(&path) {
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(failed(e)),
            Ok(input) => input.file.take(MAX_BYTES).read_to_end(&mut bytes).map_err(failed)?,
        };
        let marker: Marker = serde_json::from_slice(&bytes).map_err(|e| {
            Error::Training(format!(
                "{} is damaged ({e}), so nothing in its folder is used or removed. Name another folder for \
                 checkpoints.",
                path.shown()
            ))
        })?;
        match marker.format == FORMAT {
            true => Ok(Some(marker)),
            false => Err(Error::Training(format!(
                "{} has format {}, where this version knows {FORMAT}. Name another folder for checkpoints.",
                path.shown(),
                marker.format
            ))),
        }
    }

    /// Writes the marker, whole or not at all.
    pub fn write(&self, folder: &Path) -> Result<()> {
        let text = serde_json::to_vec_pretty(self)
            .map_err(|e| Error::Training(format!("cannot write the marker of {}: {e}", folder.shown())))?;
        files::write_whole(&folder.join(MARKER), |out| out.write_all(&text))
    }
}

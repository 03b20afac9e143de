//! What tells one data set from another: its rules and its files; and what the members of a team tell each other of them.

use super::digest::FileDigest;
use super::{Dataset, Fit, ImageDatasetOptions};
use crate::progress::check_stop;
use crate::team::{self, Team};
use crate::threads;
use crate::{Error, Result};

impl Dataset {
    /// All that decides which images come when, and with which values, besides the files themselves.
    pub(crate) fn rules(&self) -> String {
        let ImageDatasetOptions { image_size: (h, w), shuffle, seed, .. } = self.store.options;
        let batch_size = self.batch_size();
        let reshuffle = self.store.options.reshuffle_each_iteration;
        // Not where it is as it always was: checkpoints of earlier versions stay valid.
        let fit = match self.fit() {
            Fit::Squash => String::new(),
            other => format!(" by {other}"),
        };
        // Which set a number means is not seen from the numbers.
        let sets = self.label_sets().map(|sets| format!("sets of labels {sets:?}, ")).unwrap_or_default();
        format!(
            "{sets}batches of {batch_size} of {h}x{w}{fit}, shuffle {shuffle}, seed {seed}, reshuffle {reshuffle}, cache {}",
            self.has_cache()
        )
    }

    /// What each image is, in the order of epoch 0: the digest of its file's bytes, or `None` where it is left out.
    /// Reads the files, but for those of which `cache()` keeps a decoded copy: there it is the copy that counts.
    ///
    /// # Errors
    /// Where a file cannot be read.
    pub(crate) fn digests(&self) -> Result<Vec<Option<FileDigest>>> {
        let indices = self.indices();
        threads::map(indices, |i| {
            check_stop("Looking for photographs that have changed")?;
            self.store.digest(i, self.has_cache())
        })
        .into_iter()
        .collect()
    }

    /// Tells the members of a team which images cannot be decoded, and learns it from them.
    ///
    /// # Errors
    /// Where a member is gone, or more is left out than may be.
    pub(crate) fn tell_team(&self, team: &dyn Team) -> Result<()> {
        let own = serde_json::to_vec(&self.store.undecodable()).unwrap_or_default();
        for theirs in team::gathered(team, &own)? {
            let theirs: Vec<(usize, String)> = serde_json::from_slice(&theirs)
                .map_err(|e| Error::Team(format!("A member of the team sent no list of photographs: {e}")))?;
            for (index, reason) in theirs {
                self.store.leave_out(index, reason)?;
            }
        }
        self.store.tell_skipped();
        Ok(())
    }
}

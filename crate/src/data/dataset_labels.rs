//! What the labels of a data set mean: classes, or sets of them; and whether each class has photographs left.

use super::{Dataset, LabelSets};
use crate::{Error, Result, Show};

impl Dataset {
    /// The class names of `labels`, in their order; `?` for a label that no class has. In a data set of several labels a
    /// photograph they are names between `;`.
    ///
    /// ```no_run
    /// # fn example(dataset: &transfer::data::Dataset) -> transfer::Result<()> {
    /// let batch = dataset.first_batch()?;
    /// let titles: Vec<String> = dataset.label_names(&batch.labels);
    /// # Ok(()) }
    /// ```
    pub fn label_names<'a>(&self, labels: impl IntoIterator<Item = &'a u32>) -> Vec<String> {
        let name = |&label: &u32| match self.label_sets() {
            None => self.class_names().get(label as usize).cloned(),
            Some(sets) => {
                let of = sets.of(label).iter().map(|&class| self.class_names()[class as usize].as_str());
                Some(of.collect::<Vec<_>>().join(";"))
            }
        };
        labels.into_iter().map(|label| name(label).unwrap_or_else(|| "?".to_owned())).collect()
    }

    /// The sets of labels, where a photograph may have several.
    pub fn label_sets(&self) -> Option<&LabelSets> {
        self.store.label_sets.as_ref()
    }

    /// The classes of a file, by its position in [`file_paths`](Self::file_paths).
    pub(crate) fn classes_of(&self, index: usize) -> &[u32] {
        match self.label_sets() {
            Some(sets) => sets.of(self.labels()[index]),
            None => &self.labels()[index..=index],
        }
    }

    /// The classes that a label stands for.
    pub(crate) fn classes_with(&self, label: u32) -> Vec<u32> {
        self.label_sets().map_or_else(|| vec![label], |sets| sets.of(label).to_vec())
    }

    /// Refuses a data set whose photographs may have several labels, for what needs one: `who` begins the error.
    pub(crate) fn expect_one_label(&self, who: &str) -> Result<()> {
        match self.label_sets() {
            None => Ok(()),
            Some(_) => Err(Error::Invalid(format!(
                "{who} expected one label a photograph. Received a data set whose photographs may have several: leave \
                 it out there."
            ))),
        }
    }

    /// How many images of each class it has, in the order of the labels.
    pub fn class_counts(&self) -> Vec<usize> {
        let mut counts = vec![0; self.class_names().len()];
        let classes = self.indices().into_iter().flat_map(|i| self.classes_of(i));
        classes.for_each(|&class| counts[class as usize] += 1);
        counts
    }

    /// An error where more was left out than may be, as far as is known now: too many photographs of a class of the
    /// folder, or all photographs of a class that this data set has. After a pass over it, all is known.
    pub(crate) fn check_left_out(&self) -> Result<()> {
        self.store.tally.check_all()?;
        let classes = self.class_names().len();
        let (mut bad, mut any) = (vec![Vec::new(); classes], vec![false; classes]);
        for i in self.indices() {
            for &label in self.classes_of(i) {
                match self.store.reason(i) {
                    Some(_) => bad[label as usize].push(i),
                    None => any[label as usize] = true,
                }
            }
        }
        for (label, bad) in bad.iter().enumerate().filter(|(label, _)| !any[*label]) {
            let Some(&first) = bad.iter().min() else { continue };
            return Err(Error::Data(format!(
                "the class {} has no photograph left here: {} of {} cannot be decoded, as the first: {} {}. Replace or \
                 remove them.",
                self.class_names()[label].shown(),
                bad.len(),
                bad.len(),
                self.store.path(first).shown(),
                self.store.reason(first).unwrap_or_default()
            )));
        }
        Ok(())
    }
}

//! Photographs with several labels: which sets of labels there are.
//!
//! A data set has one number for each photograph, its label. Where a photograph may have several labels, or none, this
//! number is the position of its set of labels in a list.

/// The sets of labels of a data set with several labels a photograph.
///
/// ```
/// use transfer::data::LabelSets;
/// let sets = LabelSets::new(3, vec![vec![0, 2], vec![]])?;
/// assert_eq!(sets.of(0), [0, 2]);
/// assert_eq!(sets.multi_hot(&[1, 0]), [0.0, 0.0, 0.0, 1.0, 0.0, 1.0]);
/// # Ok::<(), transfer::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LabelSets {
    classes: usize,
    /// Positions in the names of the classes, ascending.
    sets: Vec<Vec<u32>>,
}

impl LabelSets {
    /// Sets of numbers below `classes`; order and repetitions within a set do not matter.
    ///
    /// # Errors
    /// [`Error::Data`](crate::Error::Data) where a number is no class.
    pub fn new(classes: usize, mut sets: Vec<Vec<u32>>) -> crate::Result<Self> {
        for set in &mut sets {
            set.sort_unstable();
            set.dedup();
            if let Some(&last) = set.last().filter(|&&last| last as usize >= classes) {
                return Err(crate::Error::Data(format!(
                    "Sets of labels expected numbers below {classes}, one for each class. Received: {last}"
                )));
            }
        }
        Ok(LabelSets { classes, sets })
    }

    /// Number of classes.
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// Number of different sets.
    pub fn len(&self) -> usize {
        self.sets.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.sets.is_empty()
    }

    /// The classes of the set number `label`, ascending; none where there is no such set.
    pub fn of(&self, label: u32) -> &[u32] {
        self.sets.get(label as usize).map_or(&[], Vec::as_slice)
    }

    /// One number for each photograph and class, `(n, classes)` row after row: 1 where the photograph has the label, else
    /// 0.
    pub fn multi_hot(&self, labels: &[u32]) -> Vec<f32> {
        let mut rows = vec![0.0; labels.len() * self.classes];
        for (row, &label) in rows.chunks_exact_mut(self.classes.max(1)).zip(labels) {
            self.of(label).iter().for_each(|&class| row[class as usize] = 1.0);
        }
        rows
    }
}

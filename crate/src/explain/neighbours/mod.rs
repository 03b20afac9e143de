//! Photographs of the training that look most like another photograph to the model.
//!
//! | file | what it holds |
//! |---|---|
//! | `gather.rs` | which photographs of the training are kept, with features and thumbnails |
//! | `file.rs` | the file beside a model that has them |
//! | `search.rs` | which of them are the nearest |

mod file;
mod gather;
mod search;
#[cfg(test)]
mod tests;

pub(crate) use file::{encode as encode_neighbours, parse as parse_neighbours};
pub use search::Neighbour;

/// Photographs of a training, each with its class, a thumbnail and what the model's dense layer saw of it: to show which
/// ones look most like another photograph to the model. Made by [`Model::neighbours`](crate::model::Model::neighbours).
///
/// At most [`MOST`](Self::MOST) photographs are kept: fewer where there are more than 4,096 features. One takes
/// 2 bytes a feature and about 1.5 KB for its thumbnail: about 4 KB with MobileNetV2's 1,280 features, in the file and in
/// memory.
///
/// ```no_run
/// # fn example(model: &transfer::model::Model, training: &transfer::data::Dataset) -> transfer::Result<()> {
/// use transfer::explain::Neighbours;
/// model.save("model.safetensors")?;
/// model.neighbours(training)?.save("model.safetensors.neighbours.safetensors")?;
/// // Later, with the same model:
/// let kept = Neighbours::load("model.safetensors.neighbours.safetensors", model)?;
/// let features = model.pooled_features(training)?.values;
/// for neighbour in kept.nearest(features.row(0).as_slice().unwrap_or_default(), 5)? {
///     println!("{}: {} ({:.3})", neighbour.file, neighbour.labels.join(", "), neighbour.similarity);
/// }
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Neighbours {
    /// What the model computes features and classes with: `Model::digest`.
    model: String,
    class_names: Vec<String>,
    /// Whether a photograph may have several labels, or none.
    several_labels: bool,
    /// Photographs of the training, of which some are kept.
    training: usize,
    photographs: Vec<Kept>,
    /// Numbers of a direction.
    width: usize,
    /// Features, photograph after photograph `(n, width)`, each scaled so that its largest number is 32,767: their
    /// direction is what counts.
    directions: Vec<i16>,
}

/// A photograph that is kept.
#[derive(Debug, Clone, PartialEq)]
struct Kept {
    /// Its file's name, without folders.
    file: String,
    /// Its class, or its labels.
    labels: Vec<u32>,
    /// A JPEG file.
    thumbnail: Vec<u8>,
}

impl Neighbours {
    /// The most photographs that are kept.
    pub const MOST: usize = 2000;

    /// How many photographs are kept.
    pub fn len(&self) -> usize {
        self.photographs.len()
    }

    /// Whether none is kept.
    pub fn is_empty(&self) -> bool {
        self.photographs.is_empty()
    }

    /// How many photographs the training had.
    pub fn training(&self) -> usize {
        self.training
    }

    /// How many features are compared.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Whether a photograph may have several labels, or none.
    pub fn several_labels(&self) -> bool {
        self.several_labels
    }

    /// What it takes in memory, in bytes, without names.
    pub fn bytes(&self) -> usize {
        let thumbnails: usize = self.photographs.iter().map(|kept| kept.thumbnail.len()).sum();
        thumbnails + size_of_val(&self.directions[..])
    }
}

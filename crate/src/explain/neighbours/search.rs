//! Which of the photographs that are kept are the nearest.

use super::Neighbours;
use crate::{Error, Result};

/// Sums that run beside each other, which vector instructions add at a time.
const LANES: usize = 16;

/// A photograph of the training that looks like another one to the model.
#[derive(Debug, Clone, PartialEq)]
pub struct Neighbour<'a> {
    /// Its file's name, without folders.
    pub file: &'a str,
    /// Its class; of several labels a photograph, all that it has.
    pub labels: Vec<&'a str>,
    /// The cosine of the angle between the features of both, from -1 to 1: 1 of a photograph and itself.
    pub similarity: f32,
    /// A JPEG file of 64x64 pixels.
    pub thumbnail: &'a [u8],
}

impl Neighbours {
    /// The `most` photographs whose features have the smallest angle to these, the most similar first; of equals the one
    /// that comes first among the files. All photographs that are kept are compared. Features of which all numbers are 0
    /// have the similarity 0 to all others.
    ///
    /// # Errors
    /// [`Error::Shape`] where there is another number of features; [`Error::Weights`] where one is not finite.
    pub fn nearest(&self, features: &[f32], most: usize) -> Result<Vec<Neighbour<'_>>> {
        if features.len() != self.width {
            return Err(Error::Shape(format!(
                "nearest expected {} features. Received: {}",
                self.width,
                features.len()
            )));
        }
        if let Some(value) = features.iter().find(|value| !value.is_finite()) {
            return Err(Error::Weights(format!("nearest expected finite features. Received: {value}")));
        }
        // So that no square overflows.
        let largest = features.iter().fold(0.0f32, |largest, value| largest.max(value.abs()));
        let scale = if largest > 0.0 { largest } else { 1.0 };
        let here: Vec<f32> = features.iter().map(|value| value / scale).collect();
        let length = here.iter().map(|x| x * x).sum::<f32>().sqrt();
        let rows = self.directions.chunks_exact(self.width.max(1));
        let similarities: Vec<f32> = rows
            .map(|row| {
                let (product, square) = product_and_square(row, &here);
                let lengths = length * square.sqrt();
                if lengths > 0.0 {
                    (product / lengths).clamp(-1.0, 1.0)
                } else {
                    0.0
                }
            })
            .collect();
        let mut order: Vec<usize> = (0..similarities.len()).collect();
        order.sort_by(|&a, &b| similarities[b].total_cmp(&similarities[a]).then(a.cmp(&b)));
        order.truncate(most);
        Ok(order.into_iter().map(|i| self.neighbour(i, similarities[i])).collect())
    }

    fn neighbour(&self, i: usize, similarity: f32) -> Neighbour<'_> {
        let kept = &self.photographs[i];
        let name = |&label: &u32| self.class_names.get(label as usize).map_or("?", String::as_str);
        Neighbour {
            file: &kept.file,
            labels: kept.labels.iter().map(name).collect(),
            similarity,
            thumbnail: &kept.thumbnail,
        }
    }
}

/// The scalar product of a direction and features, and the square of the direction's length.
pub(super) fn product_and_square(row: &[i16], features: &[f32]) -> (f32, f32) {
    let (mut products, mut squares) = ([0.0f32; LANES], [0.0f32; LANES]);
    let (of_row, of_features) = (row.chunks_exact(LANES), features.chunks_exact(LANES));
    let rest = of_row.remainder().iter().zip(of_features.remainder());
    for (row, features) in of_row.zip(of_features) {
        for lane in 0..LANES {
            let x = f32::from(row[lane]);
            products[lane] += x * features[lane];
            squares[lane] += x * x;
        }
    }
    for (&x, feature) in rest {
        let x = f32::from(x);
        products[0] += x * feature;
        squares[0] += x * x;
    }
    (products.iter().sum(), squares.iter().sum())
}

//! A report as figures.

use std::path::PathBuf;

use ndarray::{s, Array4};

use super::report::CheckReport;
use crate::data::load_img;
use crate::plot::{image_grid_with, prediction_grid_with, Figure, GridOptions};
use crate::{Error, Result};

/// Pixels a side at which photographs are shown.
const SIDE: usize = 160;
/// Photographs that a figure shows.
const COLUMNS: usize = 4;
const ROWS: usize = 4;

impl CheckReport {
    /// The surest of the suspected labels: each photograph under the class that it looks like and the one that its
    /// folder says.
    ///
    /// # Errors
    /// [`Error::Invalid`] where there are none; as [`load_img`] where a file is no longer there.
    pub fn figure(&self) -> Result<Figure> {
        let shown = &self.suspects[..self.suspects.len().min(ROWS * COLUMNS)];
        if shown.is_empty() {
            return Err(Error::Invalid(
                "The report has no suspected labels, so there is nothing to draw.".into(),
            ));
        }
        let images = images(shown.iter().map(|suspect| &suspect.file.path))?;
        let looks: Vec<String> = shown.iter().map(|suspect| suspect.looks_like.clone()).collect();
        let given: Vec<String> = shown.iter().map(|suspect| suspect.file.class.clone()).collect();
        let sure: Vec<f32> = shown.iter().map(|suspect| suspect.probability.clamp(0.0, 1.0)).collect();
        prediction_grid_with(&images, &looks, &given, Some(&sure), &grid(shown.len().div_ceil(COLUMNS)))
    }

    /// The first groups of duplicates, two photographs of each beside each other.
    ///
    /// # Errors
    /// As [`figure`](Self::figure).
    pub fn duplicates_figure(&self) -> Result<Figure> {
        let shown = &self.duplicates[..self.duplicates.len().min(ROWS * COLUMNS / 2)];
        if shown.is_empty() {
            return Err(Error::Invalid("The report has no duplicates, so there is nothing to draw.".into()));
        }
        let pairs = || shown.iter().flat_map(|group| &group.files[..2]);
        let images = images(pairs().map(|file| &file.path))?;
        let titles: Vec<String> = pairs().map(|file| format!("{}/{}", file.set, file.class)).collect();
        image_grid_with(&images, &titles, &grid((2 * shown.len()).div_ceil(COLUMNS)))
    }
}

fn grid(rows: usize) -> GridOptions {
    GridOptions { rows, columns: COLUMNS, side: 240 }
}

fn images<'a>(paths: impl Iterator<Item = &'a PathBuf>) -> Result<Array4<f32>> {
    let paths: Vec<&PathBuf> = paths.collect();
    let mut images = Array4::zeros((paths.len(), SIDE, SIDE, 3));
    for (i, path) in paths.into_iter().enumerate() {
        images.slice_mut(s![i, .., .., ..]).assign(&load_img(path, (SIDE, SIDE))?);
    }
    Ok(images)
}

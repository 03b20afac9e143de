//! Figures, each returned as one displayable picture.
//!
//! Each function takes plain numbers (a batch of images, a history) and returns a [`Figure`]: a PNG
//! with a caption. A notebook shows it when it is a cell's last expression; anything else calls
//! [`Figure::save`]. The caption carries the figure's numbers as text, so that what a picture shows
//! can be read, searched and tested without looking at it.
//!
//! Nothing here computes: no predictions, no augmentation, no training. And nothing here depends on
//! the rest of the crate, so that any numbers can be drawn.
//!
//! Shapes and lines are drawn with plotters, at three times the final size and then averaged down, which
//! smooths their edges. Text is Noto Sans, which comes inside the crate `notosans` (SIL Open Font
//! License 1.1), so no font has to be installed.
//!
//! ```
//! use transfer::plot::{learning_curves, LearningCurves};
//!
//! let figure = learning_curves(&LearningCurves {
//!     accuracy: vec![0.71, 0.88, 0.93],
//!     val_accuracy: vec![0.83, 0.91, 0.94],
//!     loss: vec![0.58, 0.37, 0.25],
//!     val_loss: vec![0.44, 0.30, 0.22],
//!     fine_tune_start: None,
//! })?;
//! assert!(figure.caption().starts_with("learning curves: 3 epochs, accuracy 0.9300"));
//! # Ok::<(), transfer::Error>(())
//! ```

mod axis;
mod bars;
mod canvas;
mod confusion;
mod curves;
mod feature_map;
mod figure;
mod frame;
mod grad_cam;
mod grid;
mod losses;
mod lr_find;
mod picture;
mod predictions;
mod reliability;
mod roc;
mod roc_curves;
mod size_curve;
mod style;
mod text;

pub use bars::{bar_chart, Bar, Bars};
pub use confusion::confusion_matrix_figure;
pub use curves::{learning_curves, LearningCurves};
pub use feature_map::{feature_map, FeatureMap};
pub use figure::Figure;
pub use grad_cam::grad_cam_figure;
pub use grid::{augmentation_grid, image_grid, image_grid_with, GridOptions};
pub use losses::top_losses;
pub use lr_find::{lr_find_figure, RateMark};
pub(crate) use predictions::percent;
pub use predictions::{prediction_grid, prediction_grid_with};
pub use reliability::reliability_figure;
pub use roc::roc_figure;
pub use roc_curves::{roc_curves_figure, ClassRoc};
pub use size_curve::{size_curve_figure, SizePoint};

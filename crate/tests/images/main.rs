//! What becomes of image files: every form that is read, every kind of damage that is not, and training
//! on folders that hold both. All files are made here.

mod forms;
mod kinds;
mod png;
#[path = "../common/random_weights.rs"]
mod random_weights;
mod reading;
mod tiff;
mod training;

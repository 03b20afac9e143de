//! What becomes of image files: every form that is read, every kind of damage that is not, and training
//! on folders that hold both. All files are made here.

mod forms;
mod kinds;
mod png;
mod reading;
mod tiff;
mod training;

//! (being written)

pub(crate) mod files;

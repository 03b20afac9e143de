//! The names that another library gives to a network's variables.

/// Where another library's files keep the variables of a network: for HDF5 files groups and data sets, for
/// safetensors plain names.
#[derive(Debug, Clone, Copy)]
pub struct NameMap {
    /// The group that holds all of them in an HDF5 file; empty for the root.
    pub root: &'static str,
    /// The place of the variable `variable` of the layer `layer`, below `root`: as in `Conv/weights:0` for `kernel` of
    /// `Conv1`.
    pub place: fn(layer: &str, variable: &str) -> String,
}

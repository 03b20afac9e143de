//! The names that another library gives to a network's variables, and how it lays kernels out.

/// The order of a convolution kernel's axes in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KernelLayout {
    /// Keras' and this crate's: `(h, w, in, out)`; of a depthwise convolution `(h, w, channels, 1)`; of a dense layer
    /// `(in, out)`.
    Keras,
    /// PyTorch's: `(out, in, h, w)`; of a depthwise convolution `(channels, 1, h, w)`; of a dense layer `(out, in)`.
    PyTorch,
}

/// Where another library's files keep the variables of a network: for HDF5 files groups and data sets, for
/// safetensors and PyTorch files plain names.
#[derive(Debug, Clone, Copy)]
pub struct NameMap {
    /// The group that holds all of them in an HDF5 file; empty for the root.
    pub root: &'static str,
    /// The place of the variable `variable` of the layer `layer`, below `root`: as in `Conv/weights:0` for `kernel` of
    /// `Conv1`.
    pub place: fn(layer: &str, variable: &str) -> String,
    /// How kernels lie.
    pub layout: KernelLayout,
    /// The name of the dense layer for ImageNet's classes, as in `_fc` of `_fc.weight` and `_fc.bias`, if such files
    /// have one.
    pub top: Option<&'static str>,
}

impl NameMap {
    /// Other names, with kernels in Keras' layout.
    pub fn keras(root: &'static str, place: fn(&str, &str) -> String) -> Self {
        NameMap { root, place, layout: KernelLayout::Keras, top: None }
    }

    /// The names of a PyTorch program: `place` gives them complete, as in `_bn0.running_var`.
    pub fn pytorch(place: fn(&str, &str) -> String) -> Self {
        NameMap { root: "", place, layout: KernelLayout::PyTorch, top: None }
    }

    /// Says how the dense layer for ImageNet's classes is called.
    pub fn top(self, name: &'static str) -> Self {
        NameMap { top: Some(name), ..self }
    }
}

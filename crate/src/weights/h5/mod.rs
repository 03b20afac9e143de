//! A network's weights from HDF5 files: in one of Keras' own layouts, or with the names of another library.
//!
//! | file | what it reads |
//! |---|---|
//! | `groups.rs` | a group for each layer, as Keras writes `.h5` files; the names of another library |
//! | `vars.rs` | numbered variables, as Keras writes `.weights.h5` files and those in `.keras` archives |
//!
//! A base inside of a larger model is found there; what stands beside the weights, such as the state of an optimizer,
//! is passed over.
//!
//! The HDF5 decoding itself is the `hdf5-reader` crate's. It gets the bytes in memory, no way to
//! other files, and runs where a panic of its own becomes an error.

mod groups;
mod vars;

use super::{read_bytes, LoadOptions, Tensor, Weights, WeightsOrigin};
use crate::architecture::{mobilenet_v2, Architecture, KernelLayout, NameMap, Network};
use crate::Show;
use crate::{Error, Result};
use hdf5_reader::{Dataset, Hdf5File, OpenOptions};
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::path::Path;

/// Weight files of this model have 9 MB; one saved together with its optimizer has three times that.
const MAX_BYTES: u64 = 256 << 20;

/// Reads MobileNetV2 from a Keras model file with a TF-Hub layer, in which the tensors are named
/// `…/MobilenetV2/expanded_conv_3/depthwise/depthwise_weights:0`.
///
/// # Errors
/// [`Error::Io`] where the file cannot be read; [`Error::Weights`] where it is damaged, truncated, or
/// not this model.
pub fn read_tf_hub_h5(path: impl AsRef<Path>) -> Result<Weights> {
    read(&mobilenet_v2(), path.as_ref(), Layout::Renamed, LoadOptions::default())
}

/// Reads MobileNetV2 from a file in the layout of Keras' own
/// `mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.0_160_no_top.h5`: one group a layer.
///
/// # Errors
/// [`Error::Io`] where the file cannot be read; [`Error::Weights`] where it is damaged, truncated, or
/// not this model.
pub fn read_keras_h5(path: impl AsRef<Path>) -> Result<Weights> {
    read(&mobilenet_v2(), path.as_ref(), Layout::Keras, LoadOptions::default())
}

pub(super) fn read_any_h5(network: &Network, path: &Path, options: LoadOptions) -> Result<Weights> {
    read(network, path, Layout::Either, options)
}

/// How tensors are named and nested in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Layout {
    /// The names of the network's [`NameMap`].
    Renamed,
    /// A group for each layer.
    Keras,
    /// Whichever it is.
    Either,
}

/// A layer that has variables: what a file is checked against.
pub(crate) struct LayerShapes {
    /// Keras' name of the layer.
    pub name: String,
    /// Its variables in Keras' order, each with its shape.
    pub variables: Vec<(&'static str, Vec<usize>)>,
}

/// What a file must hold, and under which names.
pub(crate) struct Expected {
    /// Layers with variables, in Keras' order.
    pub layers: Vec<LayerShapes>,
    /// The names of other libraries, where they publish this network in HDF5.
    pub names: Vec<NameMap>,
}

impl Expected {
    fn of(network: &Network) -> Self {
        let side = network.reduction();
        let layers = Architecture::new(network, side, side).layers.into_iter();
        let shapes = |layer: crate::architecture::LayerSpec| LayerShapes {
            name: layer.name,
            variables: layer.variables.into_iter().map(|v| (v.name, v.shape)).collect(),
        };
        let layers = layers.filter(|layer| !layer.variables.is_empty()).map(shapes).collect();
        let maps = network.names.iter().filter(|map| map.layout == KernelLayout::Keras);
        Expected { layers, names: maps.copied().collect() }
    }
}

/// Opens the file and reads it, with everything that can go wrong made an error.
fn read(network: &Network, path: &Path, layout: Layout, options: LoadOptions) -> Result<Weights> {
    let bytes = read_bytes(path, MAX_BYTES)?;
    let origin = WeightsOrigin::of(path, &bytes);
    decoded(network, path, bytes, layout, options, origin)
}

/// Reads an HDF5 file that is a part of the file at `path`, whose bytes are `whole`.
pub(super) fn read_part(
    network: &Network,
    path: &Path,
    whole: &[u8],
    part: Vec<u8>,
    options: LoadOptions,
) -> Result<Weights> {
    decoded(network, path, part, Layout::Either, options, WeightsOrigin::of(path, whole))
}

fn decoded(
    network: &Network,
    path: &Path,
    bytes: Vec<u8>,
    layout: Layout,
    options: LoadOptions,
    origin: WeightsOrigin,
) -> Result<Weights> {
    let mut weights = decode(bytes, layout, &Expected::of(network), options).map_err(|what| {
        Error::Weights(format!(
            "cannot use {} as weights of {} (HDF5): {what}. It may be damaged or made for another model: delete it \
             and fetch it again, or name another with TRANSFER_WEIGHTS",
            path.shown(),
            network.name()
        ))
    })?;
    weights.set_origin(origin);
    Ok(weights)
}

/// Reads what is expected from the bytes of a file.
///
/// The library is the only code here that is not ours, and it trusts its input more than we do. What
/// it gets is moved in and dies with it, so that catching a panic leaves nothing half done.
pub(crate) fn decode(
    bytes: Vec<u8>,
    layout: Layout,
    expected: &Expected,
    options: LoadOptions,
) -> Result<Weights, String> {
    let work = AssertUnwindSafe(|| decode_unguarded(bytes, layout, expected, options));
    catch_unwind(work).unwrap_or_else(|_| Err("it cannot be decoded".into()))
}

fn decode_unguarded(
    bytes: Vec<u8>,
    layout: Layout,
    expected: &Expected,
    options: LoadOptions,
) -> Result<Weights, String> {
    if !bytes.starts_with(&super::HDF5) {
        return Err(format!("it does not start like an HDF5 file ({} bytes)", bytes.len()));
    }
    let (length, layers) = (bytes.len(), &expected.layers[..]);
    // Published files are not compressed. So a file never makes more numbers than it has room for, and
    // the little that the library allocates unseen (5 MB for a list that a short file may announce) is
    // never more than the file either.
    let values =
        layers.iter().flat_map(|layer| &layer.variables).map(|(_, shape)| shape.iter().product::<usize>());
    let needed = 4 * values.sum::<usize>();
    if needed > length {
        return Err(format!(
            "it is truncated or compressed: {length} bytes, where its numbers alone take {needed}"
        ));
    }
    let limits = OpenOptions::default().with_max_chunk_bytes(length).with_max_read_bytes(length);
    let limits = limits.with_max_object_header_bytes(length.min(16 << 20)).with_chunk_cache_bytes(0);
    let file = Hdf5File::from_vec_with_options(bytes, limits).map_err(|e| e.to_string())?;
    let stated = file.superblock().eof_address;
    if stated > length as u64 {
        return Err(format!("it is truncated: {length} bytes of {stated}"));
    }
    let root = file.root_group().map_err(|e| e.to_string())?;
    let found =
        expected.names.iter().find_map(|names| Some((groups::renamed_root(&root, names, layers)?, names)));
    let weights = match (layout, found) {
        (Layout::Renamed | Layout::Either, Some((group, names))) => groups::renamed(&group, layers, names)?,
        (Layout::Renamed, None) => {
            let root = expected.names.first().map(|names| names.root).unwrap_or_default();
            return Err(format!("it has no group `{root}`, which holds the variables in that layout"));
        }
        (Layout::Keras, _) | (Layout::Either, None) => match vars::is_there(&root) {
            true => vars::read(&root, layers)?,
            false => groups::keras(&root, layers)?,
        },
    };
    options.check(&weights)?;
    Ok(weights)
}

/// Reads one data set whose shape must be `shape`; nothing is allocated before that is known.
fn tensor(data_set: &Dataset, shape: &[usize]) -> Result<Tensor, String> {
    if !data_set.shape().iter().copied().eq(shape.iter().map(|&axis| axis as u64)) {
        let (name, received) = (data_set.name(), data_set.shape());
        return Err(format!("`{name}` should have shape {shape:?}. Received: {received:?}"));
    }
    // Nor are they cut into chunks, whose index could be made far longer than the file.
    if data_set.chunks().is_some() {
        return Err(format!("`{}` is chunked or compressed; save it without", data_set.name()));
    }
    let mut values = vec![0f32; shape.iter().product()];
    data_set.read_into(&mut values).map_err(|e| format!("cannot read `{}`: {e}", data_set.name()))?;
    Tensor::new(shape, values).map_err(|e| e.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_that_is_not_finite_is_refused_unless_it_is_allowed() {
        let bytes = include_bytes!("../../../../tests/fuzz/corpus/tf_hub_h5/nan.h5");
        let layers =
            vec![LayerShapes { name: "Conv1".into(), variables: vec![("kernel", vec![3, 3, 3, 2])] }];
        let expected = Expected { layers, names: mobilenet_v2().names };
        let read = |options| decode(bytes.to_vec(), Layout::Renamed, &expected, options);
        let error = read(LoadOptions::default()).unwrap_err();
        assert!(error.contains("Conv1/kernel") && error.contains("NaN"), "{error}");
        let weights = read(LoadOptions::default().allow_non_finite(true)).unwrap();
        assert!(weights.get("Conv1/kernel").unwrap().data[0].is_nan());
    }
}

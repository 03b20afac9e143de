//! Tensors of bytes and of whole numbers as sealed safetensors files: what is kept beside a model and is no weight.

use std::collections::BTreeMap;
use std::io::Write;

use safetensors::{Dtype, SafeTensors};

use super::sealed::{make_room, seal, unsealed};
use super::tensors::{header_of, header_with, Entry};
use crate::output::Format;
use crate::{Error, OutputFile, Result, Show};

/// The kind of the values of a [`Packed`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    U8,
    U16,
    I16,
}

impl Kind {
    /// As the format calls it.
    fn name(self) -> &'static str {
        match self {
            Kind::U8 => "U8",
            Kind::U16 => "U16",
            Kind::I16 => "I16",
        }
    }
}

/// A tensor of whole numbers: the kind of its values, its shape, and the values, the smaller byte of each first.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Packed {
    pub kind: Kind,
    pub shape: Vec<usize>,
    pub bytes: Vec<u8>,
}

/// Tensors by name.
pub(crate) type Tensors = BTreeMap<String, Packed>;

/// Writes a sealed file, whole or not at all; its metadata has `about` under `key`.
///
/// # Errors
/// As [`OutputFile`] says; [`Error::Invalid`] where `about` or the names are too long to be read again.
pub(crate) fn write_packed(
    file: &OutputFile,
    format: &Format,
    tensors: &Tensors,
    (key, about): (&str, String),
) -> Result<()> {
    let header = packed_header(tensors, (key, about))
        .map_err(|what| Error::Invalid(format!("cannot write {}: {what}", file.path().shown())))?;
    file.write(format, |out| {
        out.write_all(&header)?;
        write_bytes(tensors, out)
    })
}

/// The header, digest included, of a file with these tensors; their values follow it.
fn packed_header(tensors: &Tensors, (key, about): (&str, String)) -> Result<Vec<u8>, String> {
    let mut metadata = [(key.to_owned(), about)].into();
    make_room(&mut metadata);
    let entries: Vec<Entry<'_>> = tensors
        .iter()
        .map(|(name, Packed { kind, shape, bytes })| Entry {
            name,
            kind: kind.name(),
            shape,
            bytes: bytes.len(),
        })
        .collect();
    seal(header_with(&entries, &metadata)?, |out| write_bytes(tensors, out))
}

/// The bytes of a whole file, for the fuzzer.
pub(crate) fn packed_file(tensors: &Tensors, about: (&str, String)) -> Result<Vec<u8>, String> {
    let mut file = packed_header(tensors, about)?;
    write_bytes(tensors, &mut file).map_err(|e| e.to_string())?;
    Ok(file)
}

fn write_bytes(tensors: &Tensors, out: &mut impl Write) -> std::io::Result<()> {
    tensors.values().try_for_each(|tensor| out.write_all(&tensor.bytes))
}

/// Takes a sealed file apart: its tensors, and what its metadata has under `key`. Without `verify` a wrong digest is let
/// through, which is for fuzzing. Takes as much memory as the file again, and a few times its header.
pub(crate) fn parse_packed(mut bytes: Vec<u8>, key: &str, verify: bool) -> Result<(Tensors, String), String> {
    let data = &bytes[header_of(&bytes)?.end..];
    let (_, header) = SafeTensors::read_metadata(&bytes).map_err(|e| e.to_string())?;
    let mut tensors = Tensors::new();
    for (name, about) in header.tensors() {
        let kind = match about.dtype {
            Dtype::U8 => Kind::U8,
            Dtype::U16 => Kind::U16,
            Dtype::I16 => Kind::I16,
            other => {
                return Err(format!("`{name}` holds {other:?} values, where U8, U16 and I16 are supported"))
            }
        };
        // As in `tensors::parse`.
        let (start, end) = about.data_offsets;
        let bytes = data.get(start..end).ok_or_else(|| format!("`{name}` lies outside of the file"))?;
        tensors.insert(name, Packed { kind, shape: about.shape.clone(), bytes: bytes.to_vec() });
    }
    let metadata = header.metadata().clone().unwrap_or_default().into_iter().collect();
    let about = unsealed(&mut bytes, metadata, key, verify)?;
    Ok((tensors, about))
}

//! safetensors files that carry the SHA-256 of themselves, so that each damaged bit is found.
//!
//! The digest stands in the metadata, under `sha256`, and is that of the whole file with zeros in its place.
//! Any safetensors reader sees an ordinary file. Checkpoints, saved models and the
//! photographs kept beside a model are written this way.

use crate::hex::hex;
use crate::Show;
use std::collections::BTreeMap;
use std::io::Write;

use sha2::{Digest, Sha256};

use super::tensors::{header, header_of, parse, write_values};
use super::{LoadOptions, Weights};
use crate::output::Format;
use crate::{Error, OutputFile, Result};

/// In place of the digest while it is computed.
const NO_DIGEST: &str = "0000000000000000000000000000000000000000000000000000000000000000";
const KEY: &str = "sha256";

/// Writes a model as a sealed file, whole or not at all.
pub(crate) fn write_sealed(
    file: &OutputFile,
    weights: &Weights,
    metadata: BTreeMap<String, String>,
) -> Result<()> {
    let header = sealed_header(weights, metadata)
        .map_err(|what| Error::Weights(format!("cannot save {}: {what}", file.path().shown())))?;
    file.write(&Format::Model, |out| {
        out.write_all(&header)?;
        write_values(weights, out)
    })
}

/// The header, digest included, of a file with these tensors; their values follow it.
pub(crate) fn sealed_header(
    weights: &Weights,
    mut metadata: BTreeMap<String, String>,
) -> Result<Vec<u8>, String> {
    make_room(&mut metadata);
    seal(header(weights, &metadata)?, |out| write_values(weights, out))
}

/// Puts into metadata what [`seal`] replaces.
pub(super) fn make_room(metadata: &mut BTreeMap<String, String>) {
    metadata.insert(KEY.to_owned(), NO_DIGEST.to_owned());
}

/// Puts the digest of a file into its header, for which [`make_room`] made room; `values` writes what follows.
pub(super) fn seal(
    mut header: Vec<u8>,
    values: impl FnOnce(&mut Hashing) -> std::io::Result<()>,
) -> Result<Vec<u8>, String> {
    let mut hash = Hashing(Sha256::new());
    hash.write_all(&header).and_then(|()| values(&mut hash)).map_err(|e| e.to_string())?;
    let place = find(&header, NO_DIGEST.as_bytes()).ok_or("it has no place for its digest")?;
    header[place..place + NO_DIGEST.len()].copy_from_slice(hex(hash.0.finalize()).as_bytes());
    Ok(header)
}

/// The SHA-256 of names, shapes and values of weights, and of what `more` says, in hexadecimal digits.
///
/// # Errors
/// Where a value is not finite.
pub(crate) fn digest(weights: &Weights, more: BTreeMap<String, String>) -> Result<String, String> {
    let mut hash = Hashing(Sha256::new());
    let header = header(weights, &more)?;
    hash.write_all(&header).and_then(|()| write_values(weights, &mut hash)).map_err(|e| e.to_string())?;
    Ok(hex(hash.0.finalize()))
}

/// Takes a sealed file apart: its tensors, and what its metadata has under `kind`. Without `verify` a wrong
/// digest is let through, which is for fuzzing.
pub(crate) fn parse_sealed(
    mut bytes: Vec<u8>,
    kind: &str,
    verify: bool,
) -> Result<(Weights, String), String> {
    let (weights, metadata) = parse(&bytes, LoadOptions::default())?;
    Ok((weights, unsealed(&mut bytes, metadata, kind, verify)?))
}

/// What the metadata of a sealed file has under `kind`; with `verify` an error where the bytes, in which the digest
/// becomes zeros, have another digest than the metadata states.
pub(super) fn unsealed(
    bytes: &mut [u8],
    mut metadata: BTreeMap<String, String>,
    kind: &str,
    verify: bool,
) -> Result<String, String> {
    let mut text = |key: &str| {
        metadata.remove(key).ok_or_else(|| format!("it is of another kind: its metadata has no `{key}`"))
    };
    let (about, stated) = (text(kind)?, text(KEY)?);
    if verify {
        let header = header_of(bytes)?;
        let place =
            find(&bytes[header.clone()], stated.as_bytes()).filter(|_| stated.len() == NO_DIGEST.len());
        let place = header.start + place.ok_or("its digest is malformed")?;
        bytes[place..place + NO_DIGEST.len()].copy_from_slice(NO_DIGEST.as_bytes());
        let found = hex(Sha256::digest(&*bytes));
        if found != stated {
            return Err(format!("it is damaged: its SHA-256 is {found}, where it states {stated}"));
        }
    }
    Ok(about)
}

pub(super) struct Hashing(Sha256);

impl Write for Hashing {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Where `part` starts last in `whole`. In a header the digest comes behind what a user may have chosen,
/// and that could hold the same digits only if somebody meant it to.
fn find(whole: &[u8], part: &[u8]) -> Option<usize> {
    whole.windows(part.len().max(1)).rposition(|window| window == part)
}

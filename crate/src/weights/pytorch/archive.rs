//! The format that PyTorch has written since 1.6: a zip archive with `data.pkl` and one entry for each storage.

use std::io::{Cursor, Read};

use zip::{CompressionMethod, ZipArchive};

use super::pickle::unpickle;
use super::tensors::tensors;
use crate::weights::Weights;

/// More entries than this are refused: a network has one for each tensor.
const MAX_ENTRIES: usize = 20_000;
const PICKLE: &str = "data.pkl";

type Archive<'a> = ZipArchive<Cursor<&'a [u8]>>;

pub(super) fn decode(bytes: &[u8]) -> Result<Weights, String> {
    let mut archive = open(bytes)?;
    let pickles = archive.file_names().filter_map(|name| name.ok().map(|name| name.into_owned()));
    let pickles: Vec<String> = pickles.filter(|name| folder_of(name).is_some()).collect();
    let [pickle] = &pickles[..] else {
        return Err(format!("expected one entry `{PICKLE}` in the archive. Received: {}", pickles.len()));
    };
    let folder = folder_of(pickle).unwrap_or_default().to_owned();
    if let Some(order) = entry(&mut archive, &format!("{folder}byteorder"), Some(16))?
        && order != b"little"
    {
        return Err("its numbers have the order of bytes of another kind of processor (big endian)".into());
    }
    let text = entry(&mut archive, pickle, None)?.ok_or("it has no pickle")?;
    let unpickled = unpickle(&text)?;
    if unpickled.length != text.len() {
        return Err("its pickle ends before its entry does".into());
    }
    let read = |number: usize| {
        let storage = &unpickled.storages[number];
        let (name, size) =
            (format!("{folder}data/{}", storage.key), storage.len.checked_mul(storage.kind.bytes()));
        // A copy shares what was read of the directory.
        let found = entry(&mut archive.clone(), &name, size)?;
        let found = found.ok_or_else(|| format!("it has no entry `{name}`, which its pickle refers to"))?;
        match Some(found.len()) == size {
            true => Ok(found),
            false => {
                Err(format!("its entry `{name}` has {} bytes, where its pickle says {size:?}", found.len()))
            }
        }
    };
    tensors(&unpickled, &read, super::most_values(bytes.len()))
}

/// The folder of an entry that is called `data.pkl`, with its `/`.
fn folder_of(name: &str) -> Option<&str> {
    let folder = name.strip_suffix(PICKLE)?;
    let levels = folder.matches('/').count();
    (folder.is_empty() || (folder.ends_with('/') && levels == 1)).then_some(folder)
}

fn open(bytes: &[u8]) -> Result<Archive<'_>, String> {
    let mut archive =
        ZipArchive::new(Cursor::new(bytes)).map_err(|e| format!("it is no whole zip archive: {e}"))?;
    if archive.len() > MAX_ENTRIES {
        return Err(format!("it has {} entries, more than the {MAX_ENTRIES} allowed", archive.len()));
    }
    if archive.has_duplicate_names() {
        return Err("it has the same name twice".into());
    }
    if archive.has_overlapping_files().map_err(|e| e.to_string())? {
        return Err("its entries overlap".into());
    }
    Ok(archive)
}

/// The content of an entry, of at most `limit` bytes; `None` where there is no such entry. PyTorch compresses nothing, so
/// that an entry is never longer than the file.
fn entry(archive: &mut Archive<'_>, name: &str, limit: Option<usize>) -> Result<Option<Vec<u8>>, String> {
    let wrong = |what: &dyn std::fmt::Display| format!("its entry `{name}`: {what}");
    let Some(index) = archive.index_for_name(name) else { return Ok(None) };
    let entry = archive.by_index(index).map_err(|e| wrong(&e))?;
    if entry.compression() != CompressionMethod::Stored || entry.encrypted() {
        return Err(wrong(&"is compressed or encrypted, which PyTorch never does"));
    }
    let limit = limit.unwrap_or(usize::MAX).min(entry.size() as usize) as u64;
    let mut bytes = Vec::new();
    entry.take(limit.saturating_add(1)).read_to_end(&mut bytes).map_err(|e| wrong(&e))?;
    Ok(Some(bytes))
}

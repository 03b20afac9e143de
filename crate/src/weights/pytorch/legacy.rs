//! The format that PyTorch wrote before 1.6: five pickles one after the other (a magic number, a version, facts about the
//! machine, the objects, the keys of the storages), then each storage as the number of its values and the values.

use std::collections::HashMap;
use std::ops::Range;

use super::objects::{Unpickled, Value};
use super::pickle::unpickle;
use super::tensors::tensors;
use crate::weights::Weights;

/// The only version there was.
const VERSION: i64 = 1001;

pub(super) fn decode(bytes: &[u8]) -> Result<Weights, String> {
    if !bytes.starts_with(&super::LEGACY) {
        return Err("it starts neither like a zip archive nor like a file of before PyTorch 1.6".into());
    }
    let mut rest = bytes;
    let mut next = || -> Result<Unpickled, String> {
        let unpickled = unpickle(rest)?;
        rest = rest.get(unpickled.length..).unwrap_or_default();
        Ok(unpickled)
    };
    let _magic = next()?;
    let version = next()?;
    if *version.value(version.root) != Value::Int(VERSION) {
        return Err(format!(
            "expected version {VERSION} of the format. Received: {:?}",
            version.value(version.root)
        ));
    }
    check_machine(&next()?)?;
    let objects = next()?;
    let keys = next()?;
    let places = places(bytes, bytes.len() - rest.len(), &objects, &keys)?;
    let read = |number: usize| {
        let place = places.get(&number).and_then(|place| bytes.get(place.clone()));
        place
            .map(<[u8]>::to_vec)
            .ok_or_else(|| format!("it lacks the storage `{}`", objects.storages[number].key))
    };
    tensors(&objects, &read, super::most_values(bytes.len()))
}

/// Numbers lie in the order of bytes of most processors.
fn check_machine(facts: &Unpickled) -> Result<(), String> {
    let Value::Dict(items, _) = facts.value(facts.root) else {
        return Err("it does not say which machine wrote it".into());
    };
    for (key, value) in items {
        if let (Value::Text(key), value) = (facts.value(*key), facts.value(*value))
            && key == "little_endian"
            && *value != Value::Truth(true)
        {
            return Err(
                "its numbers have the order of bytes of another kind of processor (big endian)".into()
            );
        }
    }
    Ok(())
}

/// Where each storage lies. The file ends behind the last one.
fn places(
    bytes: &[u8],
    mut at: usize,
    objects: &Unpickled,
    keys: &Unpickled,
) -> Result<HashMap<usize, Range<usize>>, String> {
    let Value::List(listed) = keys.value(keys.root) else { return Err("it has no list of storages".into()) };
    let numbers: HashMap<&str, usize> =
        objects.storages.iter().enumerate().map(|(number, storage)| (storage.key.as_str(), number)).collect();
    let mut places = HashMap::new();
    for &key in listed {
        let Value::Text(key) = keys.value(key) else {
            return Err("a storage has a key that is no text".into());
        };
        let number =
            *numbers.get(key.as_str()).ok_or_else(|| format!("no object refers to its storage `{key}`"))?;
        let storage = &objects.storages[number];
        let head = bytes.get(at..).and_then(|rest| rest.first_chunk::<8>());
        let stated = u64::from_le_bytes(*head.ok_or("it is truncated where a storage starts")?);
        if stated != storage.len as u64 {
            return Err(format!(
                "its storage `{key}` has {stated} values, where its pickle says {}",
                storage.len
            ));
        }
        let start = at + 8;
        let end = storage.len.checked_mul(storage.kind.bytes()).and_then(|length| start.checked_add(length));
        let end = end.filter(|&end| end <= bytes.len());
        let end = end.ok_or_else(|| format!("it is truncated: its storage `{key}` ends behind the file"))?;
        if places.insert(number, start..end).is_some() {
            return Err(format!("it has its storage `{key}` twice"));
        }
        at = end;
    }
    match at == bytes.len() {
        true => Ok(places),
        false => Err(format!("{} bytes follow its last storage", bytes.len() - at)),
    }
}

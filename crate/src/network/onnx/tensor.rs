//! The constants of an ONNX file (`TensorProto`): whether one is as large as it says, and small ones' values.

use crate::protobuf::{Fields, Value};
use crate::Show;

/// Numbers of the largest constant; as float32 they take 1 GiB.
const MOST_NUMBERS: u64 = 1 << 28;
/// Values are kept of constants with at most so many, which may be shapes.
const MOST_KEPT: usize = 64;

/// A constant.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Constant {
    pub name: String,
    /// Its values, rounded to f64; nothing where it has many or they are no numbers.
    pub values: Vec<f64>,
}

/// `TensorProto.DataType`.
const FLOAT: u64 = 1;
const INT32: u64 = 6;
const INT64: u64 = 7;
const DOUBLE: u64 = 11;

/// Bytes of a number in `raw_data`; `None` of types that the runtime refuses or reads in its own way.
fn bytes_of(kind: u64) -> Option<u64> {
    match kind {
        2 | 3 | 9 => Some(1),
        4 | 5 | 10 | 16 => Some(2),
        FLOAT | INT32 | 12 => Some(4),
        INT64 | DOUBLE | 13 => Some(8),
        _ => None,
    }
}

/// The integers of a field, which may be packed.
fn integers(value: Value<'_>, into: &mut Vec<u64>) -> Result<(), String> {
    match value {
        Value::Int(n) => into.push(n),
        Value::Bytes(bytes) => {
            let mut packed = Fields::of(bytes);
            while !packed.is_empty() {
                into.push(packed.varint()?);
            }
        }
        Value::Eight(_) | Value::Four(_) => return Err("a list of integers has another kind".to_owned()),
    }
    Ok(())
}

/// Takes a constant apart, and refuses one that is larger than its bytes, or whose bytes lie in another file.
pub(super) fn constant(bytes: &[u8]) -> Result<Constant, String> {
    let (mut dims, mut kind, mut name) = (Vec::new(), 0, String::new());
    let (mut raw, mut typed, mut elsewhere) = (None, Vec::new(), false);
    for field in Fields::of(bytes) {
        match field? {
            (1, dim) => integers(dim, &mut dims)?,
            (2, Value::Int(number)) => kind = number,
            (8, Value::Bytes(text)) => name = String::from_utf8_lossy(text).into_owned(),
            (9, Value::Bytes(data)) => raw = Some(data),
            (13, _) => elsewhere = true,
            (14, Value::Int(place)) => elsewhere |= place != 0,
            (field @ (4 | 5 | 6 | 7 | 10 | 11), value) => typed.push((field, value)),
            _ => {}
        }
    }
    let of = || format!("the constant {}", name.shown());
    if elsewhere {
        return Err(format!(
            "{} lies in another file, and only the ONNX file itself is read. Save it as one file: \
             `onnx.save(onnx.load(\"model.onnx\"), \"whole.onnx\")`",
            of()
        ));
    }
    // Kept short, so that hostile dimensions do not fill a screen.
    let shape = || format!("{:?}", dims.iter().take(8).map(|&n| n as i64).collect::<Vec<_>>());
    let numbers = dims.iter().try_fold(1u64, |all, &n| all.checked_mul(n)).filter(|&n| n <= MOST_NUMBERS);
    let Some(numbers) = numbers else {
        return Err(format!(
            "{} expected at most {MOST_NUMBERS} numbers. Received: the shape {}",
            of(),
            shape()
        ));
    };
    let held = match (raw, bytes_of(kind)) {
        (Some(data), Some(bytes)) if data.len() as u64 == numbers * bytes => numbers,
        (Some(data), Some(bytes)) => {
            let expected = numbers * bytes;
            return Err(format!(
                "{} of shape {} expected {expected} bytes. Received: {}",
                of(),
                shape(),
                data.len()
            ));
        }
        // Types below a byte have at most two numbers in one.
        (Some(data), None) => 2 * data.len() as u64,
        (None, _) => 2 * typed.iter().map(|(_, value)| bytes_in(value)).sum::<u64>(),
    };
    if numbers > held {
        return Err(format!("{} of shape {} expected {numbers} numbers. Received: fewer", of(), shape()));
    }
    let values = if numbers as usize <= MOST_KEPT { values(kind, raw, &typed)? } else { Vec::new() };
    Ok(Constant { name, values })
}

/// At least as many as the field has numbers.
fn bytes_in(value: &Value<'_>) -> u64 {
    match value {
        Value::Bytes(bytes) => bytes.len() as u64,
        _ => 1,
    }
}

fn values(kind: u64, raw: Option<&[u8]>, typed: &[(u32, Value<'_>)]) -> Result<Vec<f64>, String> {
    fn each<const N: usize>(bytes: &[u8], number: impl Fn([u8; N]) -> f64) -> Vec<f64> {
        bytes.as_chunks::<N>().0.iter().map(|&chunk| number(chunk)).collect()
    }
    let of_raw = |bytes: &[u8]| match kind {
        FLOAT => each(bytes, |b| f32::from_le_bytes(b).into()),
        INT32 => each(bytes, |b| i32::from_le_bytes(b).into()),
        INT64 => each(bytes, |b| i64::from_le_bytes(b) as f64),
        DOUBLE => each(bytes, f64::from_le_bytes),
        _ => Vec::new(),
    };
    if let Some(bytes) = raw {
        return Ok(of_raw(bytes));
    }
    let mut all = Vec::new();
    for &(field, value) in typed {
        match (kind, field, value) {
            (FLOAT, 4, Value::Bytes(bytes)) | (DOUBLE, 10, Value::Bytes(bytes)) => all.extend(of_raw(bytes)),
            (FLOAT, 4, Value::Four(bits)) => all.push(f32::from_bits(bits).into()),
            (DOUBLE, 10, Value::Eight(bits)) => all.push(f64::from_bits(bits)),
            (INT32, 5, value) | (INT64, 7, value) => {
                let mut found = Vec::new();
                integers(value, &mut found)?;
                all.extend(found.into_iter().map(|n| n as i64 as f64));
            }
            _ => {}
        }
    }
    Ok(all)
}

//! TensorBoard's event files: what stands in them, and how.
//!
//! A file is a row of records (TFRecord): length, a check of the length, the bytes, a check of the bytes. The
//! bytes are an `Event` in protocol buffers' encoding, of which the fields that scalars need are written here:
//!
//! ```text
//! Event    1 wall_time (double)  2 step  3 file_version  5 summary
//! Summary  1 value               Value  1 tag  8 tensor  9 metadata
//! Tensor   1 dtype  2 shape  5 float_val           Metadata  1 plugin_data {1 plugin_name}  4 data_class
//! ```
//! The formats: `tensorflow/core/lib/io/record_writer.h`, `tensorflow/core/util/event.proto` and
//! `tensorflow/core/framework/summary.proto`.

use crate::protobuf::Message;

/// Where the wall time stands in the bytes of an event: behind its key.
pub(super) const WALL_TIME: std::ops::Range<usize> = 1..9;
/// Length and its check before the bytes, and a check behind them.
const FRAME: usize = 12 + 4;
/// `TensorProto.dtype` of a float, and `SummaryMetadata.data_class` of a scalar.
const DT_FLOAT: i64 = 1;
const DATA_CLASS_SCALAR: i64 = 1;

/// The first event of each file. `wall_time` is seconds since 1970.
pub(super) fn file_version(wall_time: f64) -> Vec<u8> {
    started(wall_time, 0).bytes(3, "brain.Event:2").into_bytes()
}

/// An event with one scalar, as `tf.summary.scalar` writes it.
pub(super) fn scalar(wall_time: f64, step: u64, tag: &str, value: f32) -> Vec<u8> {
    let tensor = Message::new().int(1, DT_FLOAT).bytes(2, b"").bytes(5, value.to_le_bytes());
    let plugin = Message::new().bytes(1, "scalars");
    let metadata = Message::new().message(1, plugin).int(4, DATA_CLASS_SCALAR);
    let entry = Message::new().bytes(1, tag).message(8, tensor).message(9, metadata);
    started(wall_time, step).message(5, Message::new().message(1, entry)).into_bytes()
}

/// An event with its time and step; a step of 0 is not written, as all defaults.
fn started(wall_time: f64, step: u64) -> Message {
    let event = Message::new().double(1, wall_time);
    match i64::try_from(step) {
        Ok(step) if step > 0 => event.int(2, step),
        _ => event,
    }
}

/// An event as a record.
pub(super) fn record(event: &[u8]) -> Vec<u8> {
    let length = (event.len() as u64).to_le_bytes();
    let mut out = Vec::with_capacity(event.len() + FRAME);
    out.extend(length);
    out.extend(masked(crc32c(&length)).to_le_bytes());
    out.extend(event);
    out.extend(masked(crc32c(event)).to_le_bytes());
    out
}

/// The event of the record that `file` begins with, and what is behind it; `None` where it is not whole.
pub(super) fn first_record(file: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = file.split_first_chunk::<8>()?;
    let (check, rest) = rest.split_first_chunk::<4>()?;
    let n = usize::try_from(u64::from_le_bytes(*length)).ok()?;
    if u32::from_le_bytes(*check) != masked(crc32c(length)) || n > rest.len() {
        return None;
    }
    let (event, rest) = rest.split_at(n);
    let (check, rest) = rest.split_first_chunk::<4>()?;
    (u32::from_le_bytes(*check) == masked(crc32c(event))).then_some((event, rest))
}

/// CRC-32C (Castagnoli), bit by bit: a file has a few kilobytes.
fn crc32c(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0u32, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| (crc >> 1) ^ (0x82F6_3B78 & (crc & 1).wrapping_neg()))
    })
}

/// How records hold a CRC, because that of bytes that hold their own CRC means nothing.
fn masked(crc: u32) -> u32 {
    crc.rotate_right(15).wrapping_add(0xA282_EAD8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checks_are_those_of_rfc_3720() {
        assert_eq!(crc32c(b"123456789"), 0xE306_9283);
        assert_eq!(crc32c(&[0; 32]), 0x8A91_36AA);
        assert_eq!(crc32c(&[0xFF; 32]), 0x62A8_AB43);
        assert_eq!(crc32c(&[]), 0);
    }

    #[test]
    fn a_record_is_read_again_and_any_damage_is_seen() {
        let event = scalar(1234.5, 300, "epoch_loss", 0.25);
        let file = [record(&event), record(&file_version(0.0))].concat();
        let (first, rest) = first_record(&file).unwrap();
        assert_eq!(first, event);
        assert_eq!(first[WALL_TIME], 1234.5f64.to_le_bytes());
        assert_eq!(first_record(rest).unwrap(), (file_version(0.0).as_slice(), [].as_slice()));
        let one = record(&event);
        for at in 0..one.len() {
            assert!(first_record(&one[..at]).is_none(), "{at} bytes");
            let mut damaged = one.clone();
            damaged[at] ^= 4;
            assert!(first_record(&damaged).is_none(), "byte {at}");
        }
    }
}

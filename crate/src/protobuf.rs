//! Protocol buffers, as much of them as ONNX files and TensorBoard's event files need: a message is written, or read, field
//! by field.
//!
//! No schema: who writes or reads knows the numbers of the fields.
//! <https://protobuf.dev/programming-guides/encoding/>

/// A message in the making.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Message(Vec<u8>);

impl Message {
    pub fn new() -> Self {
        Self::default()
    }

    /// An integer; negative ones as protobuf's `int64` has them.
    pub fn int(mut self, field: u32, value: i64) -> Self {
        self.varint(u64::from(field) << 3);
        self.varint(value as u64);
        self
    }

    /// Bytes or text.
    pub fn bytes(mut self, field: u32, bytes: impl AsRef<[u8]>) -> Self {
        let bytes = bytes.as_ref();
        self.varint(u64::from(field) << 3 | 2);
        self.varint(bytes.len() as u64);
        self.0.extend(bytes);
        self
    }

    /// A number of 64 bits.
    pub fn double(mut self, field: u32, value: f64) -> Self {
        self.varint(u64::from(field) << 3 | 1);
        self.0.extend(value.to_le_bytes());
        self
    }

    /// A message within this one.
    pub fn message(self, field: u32, inner: Message) -> Self {
        self.bytes(field, inner.0)
    }

    /// One text after the other, as a repeated field.
    pub fn texts<'a>(self, field: u32, texts: impl IntoIterator<Item = &'a str>) -> Self {
        texts.into_iter().fold(self, |message, text| message.bytes(field, text))
    }

    /// One integer after the other, as a repeated field.
    pub fn ints(self, field: u32, values: &[i64]) -> Self {
        values.iter().fold(self, |message, &value| message.int(field, value))
    }

    pub fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }
}

/// What a field holds, as far as the encoding tells.
#[cfg(feature = "onnx")]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Value<'a> {
    /// An integer.
    Int(u64),
    /// Eight bytes: a number of 64 bits.
    Eight(u64),
    /// Bytes, a text, a message, or numbers one behind the other.
    Bytes(&'a [u8]),
    /// Four bytes: a number of 32 bits.
    Four(u32),
}

/// The fields of an encoded message, one after the other, with their numbers. It ends behind the first error.
#[cfg(feature = "onnx")]
#[derive(Debug, Clone)]
pub(crate) struct Fields<'a>(&'a [u8]);

#[cfg(feature = "onnx")]
impl<'a> Fields<'a> {
    /// Those of a message with these bytes.
    pub fn of(bytes: &'a [u8]) -> Self {
        Fields(bytes)
    }

    /// The next integer of a packed field, or of the encoding itself.
    pub fn varint(&mut self) -> Result<u64, String> {
        let mut value = 0u64;
        for shift in (0..70).step_by(7) {
            let (&byte, rest) = self.0.split_first().ok_or("it ends within a number")?;
            self.0 = rest;
            // The tenth byte has one bit left.
            if shift == 63 && byte > 1 {
                break;
            }
            value |= u64::from(byte & 0x7F) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err("a number has more than 64 bits".to_owned())
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn take(&mut self, n: u64) -> Result<&'a [u8], String> {
        let split = usize::try_from(n).ok().and_then(|n| self.0.split_at_checked(n));
        let (taken, rest) = split.ok_or_else(|| {
            format!("it ends early: expected {n} bytes of a field. Received: {}", self.0.len())
        })?;
        self.0 = rest;
        Ok(taken)
    }

    fn field(&mut self) -> Result<(u32, Value<'a>), String> {
        let tag = self.varint()?;
        let number = u32::try_from(tag >> 3).ok().filter(|&n| n > 0).ok_or("a field has no number")?;
        let value = match tag & 7 {
            0 => Value::Int(self.varint()?),
            1 => Value::Eight(u64::from_le_bytes(self.take(8)?.try_into().unwrap_or_default())),
            2 => {
                let length = self.varint()?;
                Value::Bytes(self.take(length)?)
            }
            5 => Value::Four(u32::from_le_bytes(self.take(4)?.try_into().unwrap_or_default())),
            kind => return Err(format!("field {number} has the unknown kind {kind}")),
        };
        Ok((number, value))
    }
}

#[cfg(feature = "onnx")]
impl<'a> Iterator for Fields<'a> {
    type Item = Result<(u32, Value<'a>), String>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let field = self.field();
        if field.is_err() {
            self.0 = &[];
        }
        Some(field)
    }
}

#[cfg(all(test, feature = "onnx"))]
mod reading_tests {
    use super::{Fields, Message, Value};

    #[test]
    fn what_was_written_is_read() {
        let inner = Message::new().int(1, -1);
        let bytes =
            Message::new().int(1, 150).bytes(2, "text").double(3, 0.5).message(400, inner).into_bytes();
        let fields: Vec<_> = Fields::of(&bytes).collect::<Result<_, _>>().unwrap();
        assert_eq!(fields[..2], [(1, Value::Int(150)), (2, Value::Bytes(b"text"))]);
        assert_eq!(fields[2], (3, Value::Eight(0.5f64.to_bits())));
        let Value::Bytes(inner) = fields[3].1 else { panic!("{fields:?}") };
        assert_eq!(Fields::of(inner).next().unwrap().unwrap(), (1, Value::Int(u64::MAX)));
        for end in 1..bytes.len() {
            // Some cuts fall between two fields.
            let read = Fields::of(&bytes[..end]).collect::<Result<Vec<_>, _>>();
            assert!(read.is_err() || read.unwrap().len() < 4);
        }
    }

    #[test]
    fn numbers_that_are_too_long_and_kinds_that_are_unknown_are_refused() {
        for wrong in
            [&[0x08, 255, 255, 255, 255, 255, 255, 255, 255, 255, 2][..], &[0x0B], &[0x00, 1], &[0x12, 200]]
        {
            assert!(Fields::of(wrong).next().unwrap().is_err(), "{wrong:?}");
        }
        assert_eq!(Fields::of(&[0x0D, 1, 0, 0, 0]).next().unwrap().unwrap(), (1, Value::Four(1)));
    }
}

#[cfg(test)]
mod tests {
    use super::Message;

    #[test]
    fn fields_are_encoded_as_the_specification_has_them() {
        assert_eq!(Message::new().int(1, 150).into_bytes(), [0x08, 0x96, 0x01]);
        assert_eq!(Message::new().bytes(2, "testing").into_bytes(), b"\x12\x07testing");
        assert_eq!(Message::new().message(3, Message::new().int(1, 150)).into_bytes(), [0x1A, 3, 8, 0x96, 1]);
        assert_eq!(Message::new().double(1, 1.0).into_bytes(), [9, 0, 0, 0, 0, 0, 0, 0xF0, 0x3F]);
        let negative = Message::new().int(20, -1).into_bytes();
        assert_eq!(negative, [0xA0, 1, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1]);
        assert_eq!(Message::new().texts(1, ["a", "b"]).into_bytes(), b"\x0A\x01a\x0A\x01b");
        assert_eq!(Message::new().ints(8, &[1, 2]).into_bytes(), [0x40, 1, 0x40, 2]);
    }
}

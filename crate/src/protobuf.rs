//! Protocol buffers, as much of them as ONNX files and TensorBoard's event files need: a message is written field by field.
//!
//! Not a reader, and no schema: who writes knows the numbers of the fields.
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

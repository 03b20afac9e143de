//! What is read of a tensor's `Debug` text, for `address.rs`: no more than its start. Nothing here touches a GPU.

use std::fmt::Write;

/// The start of a text, up to where the address and the length are.
#[derive(Default)]
pub(super) struct Start {
    pub(super) text: String,
    /// The name of the last field that is wanted has been seen: what ends its value is the end.
    at_len: bool,
}

/// More than enough for what stands before the address.
const LONGEST: usize = 512;

impl Start {
    /// Address and length, once both are there with what ends them.
    pub(super) fn found(&self) -> Option<(u64, usize)> {
        let (_, rest) =
            self.text.split_once("data: CachableCudaSlice { data: CudaSlice { cu_device_ptr: ")?;
        let (address, rest) = rest.split_once(", len: ")?;
        let (len, _) = rest.split_once(", ")?;
        Some((address.parse().ok()?, len.parse().ok()?))
    }
}

impl Write for Start {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        let room = LONGEST.saturating_sub(self.text.len());
        let end = (0..=room.min(text.len())).rev().find(|&i| text.is_char_boundary(i)).unwrap_or(0);
        self.text.push_str(&text[..end]);
        let done = self.at_len && text.starts_with(',');
        self.at_len |= text == "len";
        match done || end < text.len() {
            true => Err(std::fmt::Error),
            false => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    fn read(text: &str) -> Start {
        let mut start = Start::default();
        let _ = write!(start, "{text}");
        start
    }

    #[test]
    fn address_and_length_are_read_from_the_text_of_a_tensor_and_no_more_than_that() {
        let text = "Tensor { id: UniqueId(7), data: CachableCudaSlice { data: CudaSlice { cu_device_ptr: \
                    139901, len: 6, device: CudaDevice { cu_device: 0";
        assert_eq!(read(text).found(), Some((139901, 6)));
        // In pieces as a derived `Debug` writes them.
        #[derive(Debug)]
        #[allow(dead_code)]
        struct CudaSlice {
            cu_device_ptr: u64,
            len: usize,
            device: [u8; 100_000],
        }
        #[derive(Debug)]
        #[allow(dead_code)]
        struct CachableCudaSlice {
            data: CudaSlice,
        }
        #[derive(Debug)]
        #[allow(dead_code)]
        struct Tensor {
            id: usize,
            data: Arc<CachableCudaSlice>,
        }
        let data = CudaSlice { cu_device_ptr: 139901, len: 6, device: [0; 100_000] };
        let tensor = Tensor { id: 7, data: Arc::new(CachableCudaSlice { data }) };
        let mut start = Start::default();
        assert!(write!(start, "{tensor:?}").is_err(), "it did not stop");
        assert_eq!(start.found(), Some((139901, 6)));
        assert!(start.text.ends_with("len: 6, "), "it read on: {}", start.text);
    }

    #[test]
    fn another_text_gives_no_address() {
        for text in [
            "",
            "Tensor { id: UniqueId(7), storage: 139901, len: 6, ",
            "data: CachableCudaSlice { data: CudaSlice { cu_device_ptr: 0x7f, len: 6, ",
            "data: CachableCudaSlice { data: CudaSlice { cu_device_ptr: 139901, len: 6",
            "data: CachableCudaSlice { data: CudaSlice { cu_device_ptr: -1, len: 6, ",
        ] {
            assert_eq!(read(text).found(), None, "{text}");
        }
        assert_eq!(read(&"ä".repeat(1000)).text.len(), LONGEST);
    }
}

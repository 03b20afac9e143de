//! PNG files written byte by byte, so that they can hold what no encoder would write.

use std::io::Write;

const SIGNATURE: &[u8] = b"\x89PNG\r\n\x1a\n";

/// A PNG file in the making.
pub struct Png(Vec<u8>);

impl Png {
    /// Signature and header: size, bits a sample, colour type, whether interlaced.
    pub fn new(size: (u32, u32), bits: u8, colour: u8, interlaced: bool) -> Self {
        let (w, h) = (size.0.to_be_bytes(), size.1.to_be_bytes());
        let header = [&w[..], &h, &[bits, colour, 0, 0, u8::from(interlaced)]].concat();
        Png(SIGNATURE.to_vec()).chunk(b"IHDR", &header)
    }

    /// Adds a chunk with the right checksum.
    pub fn chunk(mut self, kind: &[u8; 4], data: &[u8]) -> Self {
        let mut crc = flate2::Crc::new();
        crc.update(kind);
        crc.update(data);
        self.0.extend((data.len() as u32).to_be_bytes());
        self.0.extend([&kind[..], data, &crc.sum().to_be_bytes()].concat());
        self
    }

    /// Adds the pixels, given as rows that each start with their filter's number, and the end.
    pub fn rows(self, rows: &[u8]) -> Vec<u8> {
        self.chunk(b"IDAT", &deflated(rows)).chunk(b"IEND", b"").0
    }

    /// The file as it is now.
    pub fn bytes(self) -> Vec<u8> {
        self.0
    }
}

/// `bytes` as a zlib stream.
pub fn deflated(bytes: &[u8]) -> Vec<u8> {
    let mut out = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
    out.write_all(bytes).unwrap();
    out.finish().unwrap()
}

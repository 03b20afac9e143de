//! TIFF files written byte by byte, so that they can hold what no encoder would write.

/// A little-endian TIFF file of one picture in one strip, in the making.
#[derive(Clone)]
pub struct Tiff {
    /// Number, type and values of each entry.
    entries: Vec<(u16, u16, Vec<u32>)>,
    pixels: Vec<u8>,
    inner: Vec<Tiff>,
    next: Option<Box<Tiff>>,
}

const SHORT: u16 = 3;
const LONG: u16 = 4;
const ASCII: u16 = 2;

impl Tiff {
    /// Size, bits of a sample, and how samples are to be read: 0 white is zero, 1 grey, 2 colours, 3 a palette, 5 CMYK.
    pub fn new(w: u32, h: u32, bits: u32, photometric: u32) -> Self {
        let samples = match photometric {
            2 => 3,
            5 => 4,
            _ => 1,
        };
        let tiff = Tiff { entries: Vec::new(), pixels: Vec::new(), inner: Vec::new(), next: None };
        let tiff = tiff.tag(256, &[w]).tag(257, &[h]).tag(258, &vec![bits; samples as usize]).tag(259, &[1]);
        tiff.tag(262, &[photometric]).tag(277, &[samples]).tag(278, &[h])
    }

    /// Adds an entry of 16-bit numbers, or replaces it.
    pub fn tag(mut self, number: u16, values: &[u32]) -> Self {
        self.entries.retain(|entry| entry.0 != number);
        self.entries.push((number, SHORT, values.to_vec()));
        self
    }

    /// Adds an entry of text.
    pub fn ascii(mut self, number: u16, text: &str) -> Self {
        self.entries.push((number, ASCII, text.bytes().chain([0]).map(u32::from).collect()));
        self
    }

    /// The bytes of the pixels.
    pub fn pixels(mut self, bytes: &[u8]) -> Self {
        self.pixels = bytes.to_vec();
        self
    }

    /// Adds a picture inside of this one, as cameras do it.
    pub fn inner(mut self, other: Tiff) -> Self {
        self.inner.push(other);
        self
    }

    /// Adds a page behind this one.
    pub fn page(mut self, other: Tiff) -> Self {
        self.next = Some(Box::new(other));
        self
    }

    /// The file.
    pub fn bytes(self) -> Vec<u8> {
        let mut out = b"II*\0\0\0\0\0".to_vec();
        let first = self.write(&mut out);
        out[4..8].copy_from_slice(&first.to_le_bytes());
        out
    }

    /// Appends the directory and all that belongs to it; tells where it is.
    fn write(mut self, out: &mut Vec<u8>) -> u32 {
        let next = self.next.take().map_or(0, |next| next.write(out));
        let inner: Vec<u32> =
            std::mem::take(&mut self.inner).into_iter().map(|tiff| tiff.write(out)).collect();
        if !inner.is_empty() {
            self.entries.push((330, LONG, inner));
        }
        if !self.pixels.is_empty() {
            self.entries.push((273, LONG, vec![out.len() as u32]));
            self.entries.push((279, LONG, vec![self.pixels.len() as u32]));
            out.extend(&self.pixels);
        }
        self.entries.sort();
        let mut table = Vec::new();
        for (number, kind, values) in &self.entries {
            let bytes: Vec<u8> = match *kind {
                ASCII => values.iter().map(|&v| v as u8).collect(),
                SHORT => values.iter().flat_map(|&v| (v as u16).to_le_bytes()).collect(),
                _ => values.iter().flat_map(|v| v.to_le_bytes()).collect(),
            };
            table.extend(number.to_le_bytes());
            table.extend(kind.to_le_bytes());
            table.extend((values.len() as u32).to_le_bytes());
            let mut field = [0; 4];
            if bytes.len() <= 4 {
                field[..bytes.len()].copy_from_slice(&bytes);
            } else {
                field = (out.len() as u32).to_le_bytes();
                out.extend(bytes);
            }
            table.extend(field);
        }
        let at = out.len() as u32;
        out.extend((self.entries.len() as u16).to_le_bytes());
        out.extend(table);
        out.extend(next.to_le_bytes());
        at
    }
}

//! The little of TIFF's structure that is needed before decoding.
//!
//! Not a decoder. Cameras write their raw files as TIFF files whose first picture is a thumbnail, and a decoder
//! would take that for the photograph. And a TIFF file may hold JPEG data that claims any size.

use std::io::{Error, Read, Result, Seek, SeekFrom};

use super::kinds::{not_read, raw};

const NEW_SUBFILE_TYPE: u16 = 254;
const COMPRESSION: u16 = 259;
const PHOTOMETRIC: u16 = 262;
const MAKE: u16 = 271;
const SUB_IFDS: u16 = 330;
const DNG_VERSION: u16 = 50706;

/// Entries of a directory that are looked at, and sub-directories.
const MAX_ENTRIES: u16 = 1000;
const MAX_SUB_IFDS: u32 = 16;

/// A directory: one picture and what is said of it.
#[derive(Debug, Default)]
struct Directory {
    is_preview: bool,
    compression: u32,
    photometric: u32,
    make: String,
    is_dng: bool,
    sub_ifds: Vec<u32>,
    next: u32,
}

/// Why a TIFF file is not decoded although it is one, in words that follow its path; `None` where nothing speaks
/// against it. `Err` only where the file cannot be read.
pub(super) fn refusal(file: &mut (impl Read + Seek)) -> Result<Option<String>> {
    match look(file) {
        Ok(reason) => Ok(reason),
        // Cut off, or lengths that lie: the decoder will say what is wrong.
        Err(e) if e.raw_os_error().is_none() => Ok(None),
        Err(e) => Err(e),
    }
}

fn look(file: &mut (impl Read + Seek)) -> Result<Option<String>> {
    let mut head = [0; 10];
    file.seek(SeekFrom::Start(0))?;
    file.read_exact(&mut head)?;
    let little = head[0] == b'I';
    let mut reader = Reader { file, little };
    if reader.short(&head[2..]) != 42 {
        // BigTIFF, which no camera writes.
        return Ok(None);
    }
    if head[8..10] == *b"CR" {
        return Ok(Some(raw("a Canon raw file (CR2)")));
    }
    let first = reader.directory(reader.long(&head[4..]))?;
    if first.is_dng {
        return Ok(Some(raw("a raw file (DNG)")));
    }
    let mut directories = vec![&first];
    let inner: Vec<Directory> = first.sub_ifds.iter().filter_map(|&at| reader.directory(at).ok()).collect();
    directories.extend(&inner);
    if directories.iter().any(|d| d.is_raw()) {
        return Ok(Some(raw(match first.make.to_ascii_uppercase() {
            make if make.contains("NIKON") => "a Nikon raw file (NEF)",
            make if make.contains("SONY") => "a Sony raw file (ARW)",
            make if make.contains("PENTAX") || make.contains("RICOH") => "a Pentax raw file (PEF)",
            make if make.contains("SAMSUNG") => "a Samsung raw file (SRW)",
            _ => "a camera's raw file",
        })));
    }
    if first.is_preview && (first.next != 0 || !first.sub_ifds.is_empty()) {
        return Ok(Some(not_read(
            "a tiff file whose first picture is but a preview of another",
            "magick in.tif[1] out.png",
        )));
    }
    Ok(match first.compression {
        6 | 7 => Some(not_read("a tiff file that holds jpeg data", "magick in.tif[0] out.png")),
        _ => None,
    })
}

impl Directory {
    /// Colour filter arrays and linear raw; Nikon's, Sony's, Pentax', Samsung's and Kodak's own compressions.
    fn is_raw(&self) -> bool {
        matches!(self.photometric, 32803 | 34892)
            || matches!(self.compression, 34713 | 32767 | 32769 | 32770 | 65535 | 65000)
    }
}

struct Reader<'a, F> {
    file: &'a mut F,
    little: bool,
}

impl<F: Read + Seek> Reader<'_, F> {
    fn short(&self, b: &[u8]) -> u16 {
        let b = [b[0], b[1]];
        if self.little {
            u16::from_le_bytes(b)
        } else {
            u16::from_be_bytes(b)
        }
    }

    fn long(&self, b: &[u8]) -> u32 {
        let b = [b[0], b[1], b[2], b[3]];
        if self.little {
            u32::from_le_bytes(b)
        } else {
            u32::from_be_bytes(b)
        }
    }

    fn bytes(&mut self, at: u32, count: usize) -> Result<Vec<u8>> {
        let mut bytes = vec![0; count];
        self.file.seek(SeekFrom::Start(at.into()))?;
        self.file.read_exact(&mut bytes)?;
        Ok(bytes)
    }

    fn directory(&mut self, at: u32) -> Result<Directory> {
        let count = self.bytes(at, 2)?;
        let count = self.short(&count);
        if count > MAX_ENTRIES {
            return Err(Error::other("too many entries"));
        }
        let start = at.checked_add(2).ok_or_else(|| Error::other("it lies behind the end"))?;
        let table = self.bytes(start, usize::from(count) * 12)?;
        let mut found = Directory { compression: 1, ..Directory::default() };
        // The last directory of a file may lack the place of the next one.
        if let Ok(next) = self.bytes(start.saturating_add(u32::from(count) * 12), 4) {
            found.next = self.long(&next);
        }
        for entry in table.chunks_exact(12) {
            let (kind, number) = (self.short(&entry[2..]), self.long(&entry[4..]));
            let value = match kind {
                3 => u32::from(self.short(&entry[8..])),
                _ => self.long(&entry[8..]),
            };
            match self.short(entry) {
                NEW_SUBFILE_TYPE => found.is_preview = value & 1 == 1,
                COMPRESSION => found.compression = value,
                PHOTOMETRIC => found.photometric = value,
                DNG_VERSION => found.is_dng = true,
                MAKE if (5..=64).contains(&number) => {
                    let text = self.bytes(value, number as usize)?;
                    found.make = String::from_utf8_lossy(&text).into_owned();
                }
                SUB_IFDS if number == 1 => found.sub_ifds = vec![value],
                SUB_IFDS if number <= MAX_SUB_IFDS => {
                    let places = self.bytes(value, number as usize * 4)?;
                    found.sub_ifds = places.chunks_exact(4).map(|place| self.long(place)).collect();
                }
                _ => {}
            }
        }
        Ok(found)
    }
}

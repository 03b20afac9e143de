//! The little of JPEG's structure that is needed before decoding: the size of the image, and
//! how often the decoder has to go over it, and whether the file ends where it should.
//!
//! Not a decoder. It exists because the decoder reads a whole file before it tells the size, and
//! fills what is missing from a cut-off file with grey without a word.

use std::io::{BufRead, Read, Seek, SeekFrom};

/// (width, height), read by going from segment to segment.
pub(super) fn dimensions(mut file: impl BufRead + Seek) -> Result<(u32, u32), String> {
    let cut = |_| "was cut off before the size of the image".to_owned();
    file.seek(SeekFrom::Start(2)).map_err(cut)?;
    loop {
        let marker = next_marker(&mut file).map_err(cut)?;
        match marker {
            // Start of frame, in all its kinds; the three left out share the range but are others.
            0xC0..=0xCF if !matches!(marker, 0xC4 | 0xC8 | 0xCC) => {
                let mut frame = [0; 7];
                file.read_exact(&mut frame).map_err(cut)?;
                let number = |i: usize| u32::from(u16::from_be_bytes([frame[i], frame[i + 1]]));
                return Ok((number(5), number(3)));
            }
            0x01 | 0xD0..=0xD8 => {}
            0xD9 | 0xDA => return Err("lacks the size of the image".into()),
            _ => {
                let mut length = [0; 2];
                file.read_exact(&mut length).map_err(cut)?;
                let length = i64::from(u16::from_be_bytes(length));
                file.seek_relative((length - 2).max(0)).map_err(cut)?;
            }
        }
    }
}

/// The next byte after one or more 0xFF that is not itself 0xFF or 0.
fn next_marker(file: &mut impl Read) -> std::io::Result<u8> {
    let (mut byte, mut after_ff) = ([0], false);
    loop {
        file.read_exact(&mut byte)?;
        match byte[0] {
            0xFF => after_ff = true,
            marker if after_ff && marker != 0 => return Ok(marker),
            _ => after_ff = false,
        }
    }
}

/// Whether the end-of-image marker is there, so that nothing was cut off.
pub(super) fn is_complete(bytes: &[u8]) -> bool {
    const END: [u8; 2] = [0xFF, 0xD9];
    if bytes.ends_with(&END) {
        return true;
    }
    // Something follows the image, or nothing does: only going through the segments tells, for a
    // preview picture inside one of them has an end of its own.
    let mut at = 2;
    let mut in_scan = false;
    while let Some(found) =
        bytes.get(at..).and_then(|rest| rest.windows(2).position(|w| w[0] == 0xFF && w[1] != 0))
    {
        at += found;
        let marker = bytes[at + 1];
        // Damaged scan data may hold anything; only what can stand between scans counts there.
        let segment = if in_scan {
            matches!(marker, 0xC4 | 0xDA..=0xDD | 0xE0..=0xEF | 0xFE)
        } else {
            !matches!(marker, 0x01 | 0xD0..=0xD9 | 0xFF)
        };
        if marker == 0xD9 {
            return true;
        } else if segment {
            in_scan = marker == 0xDA;
            let length = bytes.get(at + 2..at + 4).map_or(2, |l| u16::from_be_bytes([l[0], l[1]]));
            at += 2 + usize::from(length);
        } else {
            at += if marker == 0xFF { 1 } else { 2 };
        }
    }
    false
}

/// How many scans there are at most: a preview picture's in a segment are counted along.
pub(super) fn scans(bytes: &[u8]) -> usize {
    bytes.windows(2).filter(|w| w[0] == 0xFF && w[1] == 0xDA).count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::codecs::jpeg::JpegEncoder;
    use std::io::Cursor;

    fn sample() -> Vec<u8> {
        let pixels: Vec<u8> = (0..40 * 24 * 3).map(|i| (i * 7 % 251) as u8).collect();
        let mut bytes = Vec::new();
        JpegEncoder::new(&mut bytes).encode(&pixels, 40, 24, image::ExtendedColorType::Rgb8).unwrap();
        bytes
    }

    #[test]
    fn the_size_is_found_behind_long_segments() {
        let mut bytes = sample();
        assert_eq!(dimensions(Cursor::new(&bytes)).unwrap(), (40, 24));
        assert_eq!(scans(&bytes), 1);
        let mut comment = vec![0xFF, 0xFE, 0xFF, 0xFF];
        comment.extend([0xFF; 0xFFFD]);
        bytes.splice(2..2, comment);
        assert_eq!(dimensions(Cursor::new(&bytes)).unwrap(), (40, 24));
    }

    #[test]
    fn a_file_cut_anywhere_is_not_complete() {
        let bytes = sample();
        assert!(is_complete(&bytes));
        for end in 0..bytes.len() - 1 {
            assert!(!is_complete(&bytes[..end]), "cut at {end} of {}", bytes.len());
            let _ = dimensions(Cursor::new(&bytes[..end]));
        }
    }

    #[test]
    fn bytes_behind_the_image_do_no_harm() {
        let mut bytes = sample();
        bytes.extend(b"trailing words");
        assert!(is_complete(&bytes));
    }

    #[test]
    fn the_end_of_an_embedded_preview_is_not_the_end_of_the_image() {
        let mut bytes = sample();
        bytes.splice(2..2, [0xFF, 0xE1, 0, 6, 0xFF, 0xD9, 0, 0]);
        assert!(is_complete(&bytes));
        bytes.truncate(bytes.len() - 20);
        assert!(!is_complete(&bytes));
    }
}

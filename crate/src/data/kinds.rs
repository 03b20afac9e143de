//! What a file is, by its first bytes. Names are not looked at, but for one question: whether a file that is no
//! image was meant to be one.

use image::ImageFormat;
use std::path::Path;

/// How many bytes of a file decide.
pub(super) const HEAD: usize = 1024;

/// Ends of names of files that are meant to be images.
const ENDINGS: [&str; 30] = [
    "jpg", "jpeg", "jpe", "jfif", "png", "bmp", "gif", "webp", "tif", "tiff", "heic", "heif", "avif", "jxl",
    "jp2", "psd", "ico", "tga", "ppm", "dng", "cr2", "cr3", "nef", "arw", "raf", "orf", "rw2", "pef", "srw",
    "svg",
];

/// What a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// An image that is decoded.
    Image(ImageFormat),
    /// A picture of a kind that is not decoded: its name, and the command that makes one of it that is.
    Foreign(&'static str, &'static str),
    /// Nothing that anybody would take for a picture.
    Other,
}

const HEIF: &str = "heif-convert in.heic out.jpg";
const AVIF: &str = "heif-convert in.avif out.jpg";
const RAW: &str = "darktable-cli in.raw out.jpg";
const FILM: &str = "ffmpeg -i in.mp4 -frames:v 1 out.png";
const MAGICK: &str = "magick in.psd[0] out.png";

/// First bytes of kinds that are not decoded. Raw files that are also TIFF files are told in `tiff.rs`.
const SIGNATURES: [(&[u8], Kind); 22] = [
    (b"8BPS", Kind::Foreign("a PSD (Photoshop) file", MAGICK)),
    (b"%PDF", Kind::Foreign("a PDF document", "pdftoppm -png in.pdf out")),
    (b"\x00\x00\x00\x0cJXL \r\n\x87\n", Kind::Foreign("a JPEG XL image", "djxl in.jxl out.png")),
    (b"\xff\x0a", Kind::Foreign("a JPEG XL image", "djxl in.jxl out.png")),
    (
        b"\x00\x00\x00\x0cjP  \r\n\x87\n",
        Kind::Foreign("a JPEG 2000 image", "opj_decompress -i in.jp2 -o out.png"),
    ),
    (b"\xff\x4f\xff\x51", Kind::Foreign("a JPEG 2000 image", "opj_decompress -i in.j2k -o out.png")),
    (b"FUJIFILMCCD-RAW", Kind::Foreign("a Fujifilm raw file (RAF)", RAW)),
    (b"IIRO", Kind::Foreign("an Olympus raw file (ORF)", RAW)),
    (b"IIRS", Kind::Foreign("an Olympus raw file (ORF)", RAW)),
    (b"MMOR", Kind::Foreign("an Olympus raw file (ORF)", RAW)),
    (b"IIU\x00", Kind::Foreign("a Panasonic raw file (RW2)", RAW)),
    (b"FOVb", Kind::Foreign("a Sigma raw file (X3F)", RAW)),
    (b"\x00MRM", Kind::Foreign("a Minolta raw file (MRW)", RAW)),
    (b"\x1a\x45\xdf\xa3", Kind::Foreign("a Matroska or WebM film", "ffmpeg -i in.mkv -frames:v 1 out.png")),
    (b"\x00\x00\x01\x00", Kind::Foreign("an icon (ICO)", "magick in.ico out.png")),
    (b"qoif", Kind::Foreign("a QOI image", "magick in.qoi out.png")),
    (b"\x76\x2f\x31\x01", Kind::Foreign("an OpenEXR image", "magick in.exr out.png")),
    (b"#?RADIANCE", Kind::Foreign("a Radiance HDR image", "magick in.hdr out.png")),
    (b"DDS ", Kind::Foreign("a DDS texture", "magick in.dds out.png")),
    (b"gimp xcf", Kind::Foreign("a GIMP file (XCF)", "magick in.xcf -flatten out.png")),
    (b"\xc5\xd0\xd3\xc6", Kind::Foreign("an EPS drawing", "magick in.eps out.png")),
    (b"%!PS", Kind::Foreign("a PostScript drawing", "magick in.eps out.png")),
];

/// The kind of a file that starts with `head`, its first [`HEAD`] bytes or all of it.
pub(super) fn kind_of(head: &[u8]) -> Kind {
    use ImageFormat::{Bmp, Gif, Jpeg, Png, Tiff, WebP};
    if let Some(kind) = of_boxes(head) {
        return kind;
    }
    if let Some((_, kind)) = SIGNATURES.iter().find(|(start, _)| head.starts_with(start)) {
        return *kind;
    }
    // Larger than 4 GiB at most, but some programs write small ones.
    if head.starts_with(b"II+\0") || head.starts_with(b"MM\0+") {
        return Kind::Image(Tiff);
    }
    match image::guess_format(head) {
        // "BM" begins many a text, too.
        Ok(Bmp) if !is_bmp(head) => Kind::Other,
        Ok(format @ (Jpeg | Png | Bmp | Gif | WebP | Tiff)) => Kind::Image(format),
        Ok(ImageFormat::Pnm) => Kind::Foreign("a PNM image", "magick in.ppm out.png"),
        Ok(_) => Kind::Foreign("an image of a rare kind", "magick in.image out.png"),
        Err(_) if is_svg(head) => Kind::Foreign("an SVG drawing", "rsvg-convert in.svg -o out.png"),
        Err(_) => Kind::Other,
    }
}

/// Files of boxes (ISO 14496-12): the first box names brands, among them what is in the file.
fn of_boxes(head: &[u8]) -> Option<Kind> {
    let start = head.get(4..8)?;
    if matches!(start, b"moov" | b"mdat" | b"wide" | b"pnot") {
        return Some(Kind::Foreign("a QuickTime film (MOV)", "ffmpeg -i in.mov -frames:v 1 out.png"));
    }
    if start != b"ftyp" {
        return None;
    }
    let length = u32::from_be_bytes([head[0], head[1], head[2], head[3]]) as usize;
    let brands = head.get(8..length.min(head.len())).unwrap_or_default();
    // The second group of four is a version number, no brand.
    let mut brands = brands.chunks_exact(4).enumerate().filter(|(i, _)| *i != 1).map(|(_, brand)| brand);
    let main = brands.clone().next().unwrap_or_default();
    let mut is = |names: &[&[u8]]| brands.any(|brand| names.contains(&brand));
    Some(match main {
        b"crx " => Kind::Foreign("a Canon raw file (CR3)", RAW),
        b"qt  " => Kind::Foreign("a QuickTime film (MOV)", "ffmpeg -i in.mov -frames:v 1 out.png"),
        b"avif" | b"avis" => Kind::Foreign("an AVIF image", AVIF),
        b"heic" | b"heix" | b"heim" | b"heis" | b"hevc" | b"hevx" => Kind::Foreign("a HEIC photograph", HEIF),
        b"mif1" | b"msf1" => match is(&[b"avif", b"avis"]) {
            true => Kind::Foreign("an AVIF image", AVIF),
            false => Kind::Foreign("a HEIC photograph", HEIF),
        },
        b"jxl " => Kind::Foreign("a JPEG XL image", "djxl in.jxl out.png"),
        b"jp2 " => Kind::Foreign("a JPEG 2000 image", "opj_decompress -i in.jp2 -o out.png"),
        _ => Kind::Foreign("a film (MP4)", FILM),
    })
}

/// Whether the second header of a bitmap has one of its known lengths, as far as it is there.
fn is_bmp(head: &[u8]) -> bool {
    let known = [12, 16, 40, 52, 56, 64, 108, 124];
    head.get(14..18).is_none_or(|length| known.iter().any(|known: &u32| known.to_le_bytes() == length))
}

/// Whether a text begins as SVG, also behind a byte order mark, an XML declaration and comments.
fn is_svg(head: &[u8]) -> bool {
    let text = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head).trim_ascii_start();
    let named = |text: &[u8]| text.windows(4).any(|w| w.eq_ignore_ascii_case(b"<svg"));
    let prefix = |name: &[u8]| text.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name));
    prefix(b"<svg") || ((prefix(b"<?xml") || prefix(b"<!--") || prefix(b"<!DOCTYPE svg")) && named(text))
}

/// What is said of a kind that is not decoded, in words that follow the file's path.
pub(super) fn not_read(name: &str, command: &str) -> String {
    format!("is {name}, which is not read. Convert it first: {command}")
}

/// A camera's raw file, in the same words.
pub(super) fn raw(name: &str) -> String {
    not_read(name, RAW)
}

/// Whether a file's name says that it is meant to be an image.
pub(super) fn is_called_like_an_image(path: &Path) -> bool {
    let end = path.extension().and_then(|end| end.to_str()).unwrap_or_default().to_ascii_lowercase();
    ENDINGS.contains(&end.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_decoded_is_known_by_its_content() {
        let boxes = |brands: &[u8]| {
            let length = (8 + brands.len()) as u32;
            [&length.to_be_bytes()[..], b"ftyp", brands, b"\0\0\0\x08free"].concat()
        };
        let cases: [(Vec<u8>, &str); 16] = [
            (boxes(b"heic\0\0\0\0mif1heic"), "HEIC"),
            (boxes(b"mif1\0\0\0\0mif1heic"), "HEIC"),
            (boxes(b"mif1\0\0\0\0mif1avif"), "AVIF"),
            (boxes(b"avif\0\0\0\0avifmif1"), "AVIF"),
            (boxes(b"crx \0\0\0\x01crx isom"), "CR3"),
            (boxes(b"isom\0\0\x02\0isomiso2avc1mp41"), "MP4"),
            (boxes(b"qt  \0\0\0\0qt  "), "MOV"),
            (b"\0\0\0\x14moov rest of it".to_vec(), "MOV"),
            (b"\0\0\0\x0cJXL \r\n\x87\n\0\0\0\x14ftypjxl ".to_vec(), "JPEG XL"),
            (b"\xff\x0a\x10\x20".to_vec(), "JPEG XL"),
            (b"8BPS\0\x01".to_vec(), "PSD"),
            (b"%PDF-1.7\n".to_vec(), "PDF"),
            (b"FUJIFILMCCD-RAW 0201".to_vec(), "RAF"),
            (b"IIRO\x08\0\0\0".to_vec(), "ORF"),
            (b"IIU\0\x18\0\0\0".to_vec(), "RW2"),
            (b"\xef\xbb\xbf<?xml version=\"1.0\"?>\n<!-- x -->\n<svg width=\"3\"/>".to_vec(), "SVG"),
        ];
        for (head, expected) in cases {
            let Kind::Foreign(name, command) = kind_of(&head) else {
                panic!("{expected}: {:?}", kind_of(&head))
            };
            assert!(name.contains(expected) && command.contains("in."), "{name}: {command}");
        }
        for text in [&b""[..], b"\xff", b"<html><svg/></html>", b"GIF", b"PK\x03\x04", b"\0\0\0\0\0\0\0\0\0"]
        {
            assert_eq!(kind_of(text), Kind::Other, "{text:?}");
        }
        assert_eq!(kind_of(b"II*\0\x08\0\0\0"), Kind::Image(ImageFormat::Tiff));
        assert_eq!(kind_of(b"MM\0+\0\x08\0\0"), Kind::Image(ImageFormat::Tiff));
    }

    #[test]
    fn a_name_says_what_a_file_is_meant_to_be() {
        for name in ["a.jpg", "b/c.JPEG", "x.HEIC", "scan.tif"] {
            assert!(is_called_like_an_image(Path::new(name)), "{name}");
        }
        for name in ["notes.txt", "Thumbs.db", "jpg", "a.jpg.csv", ""] {
            assert!(!is_called_like_an_image(Path::new(name)), "{name}");
        }
    }
}

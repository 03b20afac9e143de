//! The kinds of files that are no readable images, each with words that the reason must hold.

use super::png::Png;
use super::tiff::Tiff;
use image::{ImageFormat, RgbImage};
use std::io::Cursor;

/// Name, bytes, words of the reason.
pub type Kind = (&'static str, Vec<u8>, &'static str);

/// All of them.
pub fn all() -> Vec<Kind> {
    [not_images(), foreign(), jpegs(), pngs(), bmps(), gifs(), webps(), tiffs()].concat()
}

/// A noisy picture, so that every part of its file matters.
pub fn encoded(format: ImageFormat) -> Vec<u8> {
    let noise = RgbImage::from_fn(48, 40, |x, y| {
        image::Rgb([1, 2, 3].map(|k: u32| ((x * x * 31 + y * 57 * k + x * y) % 251) as u8))
    });
    let mut bytes = Cursor::new(Vec::new());
    noise.write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

fn part(bytes: &[u8], percent: usize) -> Vec<u8> {
    bytes[..bytes.len() * percent / 100].to_vec()
}

fn patched(bytes: &[u8], at: usize, new: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    bytes[at..at + new.len()].copy_from_slice(new);
    bytes
}

fn not_images() -> Vec<Kind> {
    let none = "does not look like an image";
    let noise = (0..4000u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    vec![
        ("empty.jpg", Vec::new(), "is empty"),
        ("one byte.jpg", vec![0xFF], none),
        ("text.jpg", b"this is no image\n".to_vec(), none),
        ("page.jpg", b"<!DOCTYPE html><title>Not here</title>".to_vec(), none),
        ("archive.png", b"PK\x03\x04\x14\0\0\0\0\0".to_vec(), none),
        ("script.jpg", b"#!/bin/sh\nexit 1\n".to_vec(), none),
        ("zeros.jpg", vec![0; 4096], none),
        ("noise.jpg", noise, none),
    ]
}

/// What others can open: each is named, with the program that converts it.
fn foreign() -> Vec<Kind> {
    let boxes = |brands: &[u8]| {
        [&(8 + brands.len() as u32).to_be_bytes()[..], b"ftyp", brands, b"\0\0\0\x08mdat"].concat()
    };
    vec![
        (
            "telephone.jpg",
            boxes(b"heic\0\0\0\0mif1heic"),
            "HEIC photograph, which is not read. Convert it first: heif-convert",
        ),
        ("telephone.heic", boxes(b"mif1\0\0\0\0mif1heic"), "heif-convert in.heic out.jpg"),
        ("browser.avif", boxes(b"avif\0\0\0\0avifmif1"), "heif-convert in.avif"),
        ("new.jxl", b"\xff\x0a\xfa\x1f".to_vec(), "djxl in.jxl out.png"),
        ("boxes.jxl", b"\0\0\0\x0cJXL \r\n\x87\n\0\0\0\x14".to_vec(), "djxl in.jxl out.png"),
        ("old.jp2", b"\0\0\0\x0cjP  \r\n\x87\n\0\0\0\x14".to_vec(), "JPEG 2000"),
        (
            "canon.cr3",
            boxes(b"crx \0\0\0\x01crx isom"),
            "(CR3), which is not read. Convert it first: darktable-cli",
        ),
        ("fuji.raf", b"FUJIFILMCCD-RAW 0201FF383501".to_vec(), "(RAF)"),
        ("olympus.orf", b"IIRO\x08\0\0\0".to_vec(), "(ORF)"),
        ("panasonic.rw2", b"IIU\0\x18\0\0\0".to_vec(), "(RW2)"),
        ("layers.psd", b"8BPS\0\x01\0\0\0\0\0\0\0\x03".to_vec(), "magick in.psd[0] out.png"),
        ("document.jpg", b"%PDF-1.7\n%\xE2\xE3\xCF\xD3".to_vec(), "pdftoppm"),
        ("drawing.svg", b"<svg xmlns=\"http://www.w3.org/2000/svg\"/>".to_vec(), "rsvg-convert"),
        (
            "film.jpg",
            boxes(b"isom\0\0\x02\0isomiso2avc1mp41"),
            "a film (MP4), which is not read. Convert it first: ffmpeg",
        ),
        ("film of apple.jpg", boxes(b"qt  \0\0\0\0qt  "), "(MOV)"),
        ("icon.png", b"\0\0\x01\0\x01\0\x10\x10\0\0\x01\0\x20\0".to_vec(), "an icon (ICO)"),
        ("plain map.png", b"P6\n2 2\n255\n123456789abc".to_vec(), "PNM"),
    ]
}

/// Tiff files: cameras' raw files, forms that are not read, damage.
fn tiffs() -> Vec<Kind> {
    let whole = encoded(ImageFormat::Tiff);
    let small = || Tiff::new(2, 1, 8, 1).pixels(&[1, 2]);
    let thumbnail = |inner: Tiff| small().tag(254, &[1]).ascii(271, "NIKON CORPORATION").inner(inner).bytes();
    let sensor = |photometric, compression| {
        Tiff::new(2, 1, 16, photometric).tag(259, &[compression]).pixels(&[1, 0, 2, 0])
    };
    vec![
        ("tiff.jpg", b"II*\0\x08\0\0\0 and so on".to_vec(), "damaged tiff"),
        ("head only.tif", whole[..8].to_vec(), "damaged tiff"),
        ("cut in the pixels.tif", part(&whole, 50), "damaged tiff"),
        ("canon.cr2", [&b"II*\0\x10\0\0\0CR\x02\0"[..], &[0; 40]].concat(), "(CR2)"),
        (
            "nikon.nef",
            thumbnail(sensor(32803, 34713)),
            "(NEF), which is not read. Convert it first: darktable-cli",
        ),
        ("sony.arw", small().ascii(271, "SONY").inner(sensor(32803, 32767)).bytes(), "(ARW)"),
        ("pentax.pef", small().ascii(271, "PENTAX Corporation").tag(259, &[65535]).bytes(), "(PEF)"),
        ("adobe.dng", small().tag(254, &[1]).tag(50706, &[0x0401]).bytes(), "(DNG)"),
        ("unknown camera.tif", small().inner(sensor(34892, 1)).bytes(), "a camera's raw file"),
        ("preview first.tif", small().tag(254, &[1]).inner(small()).bytes(), "but a preview"),
        ("jpeg inside.tif", small().tag(259, &[7]).bytes(), "holds jpeg data"),
        (
            "palette.tif",
            Tiff::new(2, 1, 8, 3).tag(320, &[0; 768]).pixels(&[0, 1]).bytes(),
            "of a form that is not read",
        ),
        ("floats.tif", Tiff::new(1, 1, 32, 2).tag(339, &[3; 3]).pixels(&[0; 12]).bytes(), "floating-point"),
        ("no pixels.tif", Tiff::new(2, 1, 8, 1).bytes(), "damaged tiff"),
        ("too wide.tif", Tiff::new(30_000, 1, 8, 1).pixels(&[0; 4]).bytes(), "no side may exceed"),
        ("too large.tif", Tiff::new(19_999, 19_999, 8, 1).pixels(&[0; 4]).bytes(), "MiB decoded"),
        ("fewer rows.tif", Tiff::new(2000, 2000, 8, 1).pixels(&[0; 400]).bytes(), "damaged tiff"),
    ]
}

/// Where the segment with this marker starts.
fn segment(jpeg: &[u8], marker: u8) -> usize {
    jpeg.windows(2).position(|w| w == [0xFF, marker]).unwrap()
}

fn jpegs() -> Vec<Kind> {
    let whole = encoded(ImageFormat::Jpeg);
    let (frame, scan) = (segment(&whole, 0xC0), segment(&whole, 0xDA));
    // Marker, length, precision, height, width, components.
    let size = |w: u16, h: u16| patched(&whole, frame + 5, &[h.to_be_bytes(), w.to_be_bytes()].concat());
    let without = |marker| {
        let mut bytes = whole.clone();
        while let Some(at) = bytes.windows(2).position(|w| w == [0xFF, marker]) {
            let length = usize::from(u16::from_be_bytes([bytes[at + 2], bytes[at + 3]]));
            bytes.drain(at..at + 2 + length);
        }
        bytes
    };
    let mut scans = size(3000, 3000);
    let header = scans[scan..scan + 14].to_vec();
    for _ in 0..1500 {
        scans.splice(scan..scan, header.clone());
    }
    vec![
        ("start only.jpg", vec![0xFF, 0xD8, 0xFF], "cut off before the size"),
        ("cut in the head.jpg", whole[..frame].to_vec(), "cut off before the size"),
        ("cut before the scan.jpg", whole[..scan].to_vec(), "cut off"),
        ("cut in the scan.jpg", part(&whole, 70), "cut off"),
        ("without its end.jpg", whole[..whole.len() - 2].to_vec(), "cut off"),
        ("no width.jpg", size(0, 40), "no pixels"),
        ("no height.jpg", size(48, 0), "no pixels"),
        ("too wide.jpg", size(65_000, 40), "no side may exceed"),
        ("too large.jpg", size(19_999, 19_999), "MiB decoded"),
        ("bomb.jpg", size(10_000, 10_000), "cannot hold 10000x10000 pixels"),
        ("bomb of scans.jpg", scans, "is a bomb: it goes 1501 times"),
        ("without tables.jpg", without(0xDB), "damaged jpeg"),
        ("without codes.jpg", without(0xC4), "damaged jpeg"),
        ("without a frame.jpg", without(0xC0), "lacks the size"),
        ("scan before the frame.jpg", patched(&whole, frame, &[0xFF, 0xDA]), "lacks the size"),
        ("nine components.jpg", patched(&whole, frame + 9, &[9]), "damaged jpeg"),
        ("twelve bits.jpg", patched(&whole, frame + 4, &[12]), "damaged jpeg"),
        ("arithmetic codes.jpg", patched(&whole, frame + 1, &[0xC9]), "damaged jpeg"),
        ("lossless.jpg", patched(&whole, frame + 1, &[0xC3]), "damaged jpeg"),
        ("table that lies.jpg", patched(&whole, segment(&whole, 0xC4) + 5, &[0xFF; 16]), "damaged jpeg"),
    ]
}

fn pngs() -> Vec<Kind> {
    let whole = encoded(ImageFormat::Png);
    let new = |w, h, bits, colour| Png::new((w, h), bits, colour, false);
    let row = [0u8; 13];
    vec![
        ("signature only.png", whole[..8].to_vec(), "damaged png"),
        ("cut in the head.png", whole[..20].to_vec(), "damaged png"),
        ("cut in the middle.png", part(&whole, 50), "damaged png"),
        ("wrong checksum of the head.png", patched(&whole, 29, &[1, 2, 3, 4]), "damaged png"),
        (
            "wrong checksum of the pixels.png",
            {
                let at = whole.len() - 12 - 4;
                patched(&whole, at, &[1, 2, 3, 4])
            },
            "damaged png",
        ),
        ("no width.png", new(0, 4, 8, 2).rows(&row), "png"),
        ("no height.png", new(4, 0, 8, 2).rows(&row), "png"),
        ("too wide.png", new(30_000, 1, 8, 2).rows(&row), "no side may exceed"),
        ("too large.png", new(19_999, 19_999, 8, 2).rows(&row), "MiB decoded"),
        ("bomb.png", new(11_000, 11_000, 8, 2).rows(&row), "damaged png"),
        ("unknown colours.png", new(4, 1, 8, 5).rows(&row), "damaged png"),
        ("unknown bits.png", new(4, 1, 7, 2).rows(&row), "damaged png"),
        ("palette of sixteen bits.png", new(4, 1, 16, 3).rows(&row), "damaged png"),
        ("without its palette.png", new(12, 1, 8, 3).rows(&row), "damaged png"),
        ("without pixels.png", new(4, 1, 8, 2).chunk(b"IEND", b"").bytes(), "damaged png"),
        ("too few rows.png", new(4, 9, 8, 2).rows(&row), "damaged png"),
        ("unknown filter.png", new(4, 1, 8, 2).rows(&[9; 13]), "damaged png"),
        (
            "no stream.png",
            new(4, 1, 8, 2).chunk(b"IDAT", b"no zlib stream at all").chunk(b"IEND", b"").bytes(),
            "damaged png",
        ),
    ]
}

fn bmps() -> Vec<Kind> {
    let whole = encoded(ImageFormat::Bmp);
    vec![
        ("head only.bmp", whole[..14].to_vec(), "damaged bmp"),
        ("cut in the middle.bmp", part(&whole, 50), "damaged bmp"),
        ("too wide.bmp", patched(&whole, 18, &60_000u32.to_le_bytes()), "60000"),
        ("no width.bmp", patched(&whole, 18, &[0; 4]), "bmp"),
        ("seven bits.bmp", patched(&whole, 28, &[7, 0]), "damaged bmp"),
        ("bomb.bmp", patched(&whole, 18, &[[0x10, 0x27, 0, 0], [0x10, 0x27, 0, 0]].concat()), "damaged bmp"),
    ]
}

fn gifs() -> Vec<Kind> {
    let whole = encoded(ImageFormat::Gif);
    vec![
        ("signature only.gif", whole[..6].to_vec(), "damaged gif"),
        ("cut in the middle.gif", part(&whole, 50), "damaged gif"),
        ("no width.gif", patched(&whole, 6, &[0, 0]), "no pixels"),
        ("too wide.gif", patched(&whole, 6, &[0xFF, 0xFF]), "no side may exceed"),
        ("without a frame.gif", [&whole[..13], b";"].concat(), "gif"),
    ]
}

fn webps() -> Vec<Kind> {
    let whole = encoded(ImageFormat::WebP);
    vec![
        ("head only.webp", whole[..16].to_vec(), "damaged webp"),
        ("cut in the middle.webp", part(&whole, 50), "damaged webp"),
        ("unknown chunk.webp", patched(&whole, 12, b"VP8?"), "damaged webp"),
        ("wrong signature.webp", patched(&whole, 20, &[0]), "damaged webp"),
    ]
}

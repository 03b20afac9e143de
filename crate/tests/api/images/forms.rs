//! The forms that images come in, each with the pixels that it must become.

use super::png::{deflated, Png};
use super::tiff::Tiff;
use std::path::Path;
use transfer::data::load_img;

/// Reads a file without resizing it: red, green and blue of each pixel.
fn pixels(folder: &Path, bytes: &[u8], size: (usize, usize)) -> Vec<[u8; 3]> {
    let path = folder.join("image");
    std::fs::write(&path, bytes).unwrap();
    let image = load_img(&path, (size.1, size.0)).unwrap();
    let values: Vec<u8> = image.iter().map(|&v| v as u8).collect();
    values.chunks_exact(3).map(|p| [p[0], p[1], p[2]]).collect()
}

fn grey(values: [u8; 4]) -> Vec<[u8; 3]> {
    values.map(|v| [v; 3]).into()
}

#[test]
fn every_form_of_png_becomes_red_green_and_blue_of_eight_bits() {
    let folder = tempfile::tempdir().unwrap();
    let new = |bits, colour| Png::new((4, 1), bits, colour, false);
    let read = |bytes: Vec<u8>| pixels(folder.path(), &bytes, (4, 1));
    let palette = [10, 20, 30, 40, 50, 60, 70, 80, 90, 100, 110, 120];
    let colours = vec![[70, 80, 90], [10, 20, 30], [100, 110, 120], [40, 50, 60]];
    let indexed = |bits, row: &[u8]| new(bits, 3).chunk(b"PLTE", &palette).rows(&[&[0], row].concat());

    assert_eq!(read(new(1, 0).rows(&[0, 0b0110_0000])), grey([0, 255, 255, 0]), "grey, 1 bit");
    assert_eq!(read(new(2, 0).rows(&[0, 0b0001_1011])), grey([0, 85, 170, 255]), "grey, 2 bits");
    assert_eq!(read(new(4, 0).rows(&[0, 0x0F, 0x5A])), grey([0, 255, 85, 170]), "grey, 4 bits");
    assert_eq!(read(new(8, 0).rows(&[0, 1, 2, 3, 255])), grey([1, 2, 3, 255]), "grey, 8 bits");
    let sixteen = [0, 1, 255, 2, 0, 3, 128, 255, 255];
    assert_eq!(read(new(16, 0).rows(&sixteen)), grey([1, 2, 3, 255]), "grey, 16 bits");
    assert_eq!(read(new(8, 4).rows(&[0, 1, 0, 2, 255, 3, 7, 4, 9])), grey([1, 2, 3, 4]), "grey with alpha");
    let deep = [&[0u8][..], &[1, 99, 0, 0, 2, 99, 9, 9, 3, 99, 255, 255, 4, 99, 0, 1]].concat();
    assert_eq!(read(new(16, 4).rows(&deep)), grey([1, 2, 3, 4]), "grey with alpha, 16 bits");

    assert_eq!(read(indexed(2, &[0b1000_1101])), colours, "palette, 2 bits");
    assert_eq!(read(indexed(4, &[0x20, 0x31])), colours, "palette, 4 bits");
    assert_eq!(read(indexed(8, &[2, 0, 3, 1])), colours, "palette, 8 bits");
    let clear = new(8, 3).chunk(b"PLTE", &palette).chunk(b"tRNS", &[0, 128, 0]).rows(&[0, 2, 0, 3, 1]);
    assert_eq!(read(clear), colours, "palette with transparent colours");

    let flat: Vec<u8> = colours.concat();
    assert_eq!(read(new(8, 2).rows(&[&[0], &flat[..]].concat())), colours, "colours");
    let key = new(8, 2).chunk(b"tRNS", &[0, 70, 0, 80, 0, 90]).rows(&[&[0], &flat[..]].concat());
    assert_eq!(read(key), colours, "colours, one of them transparent");
    let gamma = new(8, 2).chunk(b"gAMA", &22_222u32.to_be_bytes()).rows(&[&[0], &flat[..]].concat());
    assert_eq!(read(gamma), colours, "colours with a gamma");
    let alpha: Vec<u8> = colours.iter().flat_map(|&[r, g, b]| [r, g, b, 0]).collect();
    assert_eq!(read(new(8, 6).rows(&[&[0], &alpha[..]].concat())), colours, "colours, all transparent");
    let deep: Vec<u8> = flat.iter().flat_map(|&v| [v, 0xEE]).collect();
    assert_eq!(read(new(16, 2).rows(&[&[0], &deep[..]].concat())), colours, "colours, 16 bits");
    let deep: Vec<u8> = alpha.iter().flat_map(|&v| [v, 0xEE]).collect();
    assert_eq!(read(new(16, 6).rows(&[&[0], &deep[..]].concat())), colours, "colours with alpha, 16 bits");
}

#[test]
fn compressed_words_and_profiles_that_would_grow_without_end_are_not_read() {
    let folder = tempfile::tempdir().unwrap();
    let zeros = deflated(&vec![0; 100 << 20]);
    for kind in [b"zTXt", b"iCCP"] {
        let chunk = [&b"name\0\0"[..], &zeros].concat();
        let bytes = Png::new((4, 1), 8, 0, false).chunk(kind, &chunk).rows(&[0, 1, 2, 3, 4]);
        assert_eq!(pixels(folder.path(), &bytes, (4, 1)), grey([1, 2, 3, 4]));
    }
}

#[test]
fn an_interlaced_png_has_its_pixels_in_their_places() {
    let folder = tempfile::tempdir().unwrap();
    // Of the seven passes over 4x2 pixels: 1 has (0,0); 4 has (2,0); 6 has (1,0), (3,0); 7 has row 1.
    let rows = [[0, 1].as_slice(), &[0, 3], &[0, 2, 4], &[0, 5, 6, 7, 8]].concat();
    let bytes = Png::new((4, 2), 8, 0, true).rows(&rows);
    let read = pixels(folder.path(), &bytes, (4, 2));
    assert_eq!(read, [grey([1, 2, 3, 4]), grey([5, 6, 7, 8])].concat());
}

#[test]
fn every_form_of_tiff_that_is_read_becomes_red_green_and_blue_of_eight_bits() {
    let folder = tempfile::tempdir().unwrap();
    let read = |tiff: Tiff, w| pixels(folder.path(), &tiff.bytes(), (w, 1));
    let colours: [u8; 12] = [70, 80, 90, 10, 20, 30, 100, 110, 120, 40, 50, 60];
    let expected = vec![[70, 80, 90], [10, 20, 30], [100, 110, 120], [40, 50, 60]];
    let wide = |bytes: &[u8]| bytes.iter().flat_map(|&v| [0xEE, v]).collect::<Vec<u8>>();

    assert_eq!(read(Tiff::new(4, 1, 8, 1).pixels(&[1, 2, 3, 255]), 4), grey([1, 2, 3, 255]), "grey");
    assert_eq!(
        read(Tiff::new(4, 1, 8, 0).pixels(&[254, 253, 252, 0]), 4),
        grey([1, 2, 3, 255]),
        "white is zero"
    );
    assert_eq!(
        read(Tiff::new(4, 1, 16, 1).pixels(&wide(&[1, 2, 3, 255])), 4),
        grey([1, 2, 3, 255]),
        "grey, 16 bits"
    );
    assert_eq!(
        read(Tiff::new(4, 1, 1, 1).pixels(&[0b0110_0000]), 4),
        grey([0, 255, 255, 0]),
        "black and white"
    );
    assert_eq!(
        read(Tiff::new(4, 1, 1, 0).pixels(&[0b1001_0000]), 4),
        grey([0, 255, 255, 0]),
        "white and black"
    );
    assert_eq!(read(Tiff::new(4, 1, 8, 2).pixels(&colours), 4), expected, "colours");
    assert_eq!(read(Tiff::new(4, 1, 16, 2).pixels(&wide(&colours)), 4), expected, "colours, 16 bits");
    let alpha: Vec<u8> = colours.chunks(3).flat_map(|c| [c[0], c[1], c[2], 0]).collect();
    let transparent = Tiff::new(4, 1, 8, 2).tag(258, &[8; 4]).tag(277, &[4]).tag(338, &[2]).pixels(&alpha);
    assert_eq!(read(transparent, 4), expected, "colours, all transparent");
    let ink = Tiff::new(2, 1, 8, 5).pixels(&[0, 255, 255, 0, 0, 0, 0, 255]);
    assert_eq!(read(ink, 2), [[255, 0, 0], [0, 0, 0]], "CMYK");
    let pages = Tiff::new(4, 1, 8, 1).pixels(&[1, 2, 3, 4]).page(Tiff::new(9, 9, 8, 1).pixels(&[7; 81]));
    assert_eq!(read(pages, 4), grey([1, 2, 3, 4]), "two pages");
    let deflate = Tiff::new(4, 1, 8, 1).tag(259, &[8]).pixels(&deflated(&[1, 2, 3, 4]));
    assert_eq!(read(deflate, 4), grey([1, 2, 3, 4]), "deflate");
    let pack_bits = Tiff::new(4, 1, 8, 1).tag(259, &[32773]).pixels(&[3, 1, 2, 3, 4]);
    assert_eq!(read(pack_bits, 4), grey([1, 2, 3, 4]), "PackBits");
    // Row 0 is the right side, column 0 the top: turned right to see it.
    let turned = Tiff::new(4, 1, 8, 1).tag(274, &[6]).pixels(&[1, 2, 3, 4]);
    assert_eq!(pixels(folder.path(), &turned.bytes(), (1, 4)), grey([1, 2, 3, 4]), "turned");
    let upside_down = Tiff::new(4, 1, 8, 1).tag(274, &[3]).pixels(&[1, 2, 3, 4]);
    assert_eq!(read(upside_down, 4), grey([4, 3, 2, 1]), "upside down");
}

#[test]
fn a_page_scanned_in_black_and_white_is_read_although_its_file_is_a_thousandth_of_it() {
    let folder = tempfile::tempdir().unwrap();
    let (w, h) = (4960u32, 7016u32);
    let row = w.div_ceil(8) as usize;
    let mut rows = vec![0xFF; (row + 1) * h as usize];
    (0..h as usize).for_each(|y| rows[y * (row + 1)] = 0);
    let png = Png::new((w, h), 1, 0, false).rows(&rows);
    let strip = deflated(&vec![0xFF; row * h as usize]);
    let tiff = Tiff::new(w, h, 1, 1).tag(259, &[8]).pixels(&strip).bytes();
    for (name, bytes) in [("png", png), ("tiff", tiff)] {
        assert!(bytes.len() < 40_000, "{name}: {} bytes", bytes.len());
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        let image = load_img(&path, (9, 7)).unwrap();
        assert!(image.iter().all(|&v| v == 255.0), "{name}");
    }
}

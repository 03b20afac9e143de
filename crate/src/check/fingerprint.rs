//! A photograph as 32 x 32 grey levels: what survives resizing and recompression.

/// Cells a side.
pub(super) const SIDE: usize = 32;
/// Cells.
pub(super) const CELLS: usize = SIDE * SIDE;

/// Mean grey levels of 32 x 32 cells of equal size, row by row, whatever the photograph's aspect ratio.
pub(super) type Fingerprint = Box<[u8; CELLS]>;

/// The fingerprint of bytes (height, width, 3). Grey is 0.299 red + 0.587 green + 0.114 blue (ITU-R BT.601), the mean of
/// a cell weights a pixel by the area that it shares with the cell.
pub(super) fn of(pixels: &[u8], (height, width): (usize, usize)) -> Fingerprint {
    let columns = shares(width);
    let mut sums = [0.0f32; CELLS];
    let mut line = vec![0.0f32; width];
    for (cell, rows) in shares(height).into_iter().enumerate() {
        // The rows of a cell first, which is one pass over whole lines.
        line.fill(0.0);
        for (y, of_row) in rows {
            let pixels = pixels[3 * y * width..3 * (y + 1) * width].chunks_exact(3);
            line.iter_mut().zip(pixels).for_each(|(sum, pixel)| *sum += of_row * grey(pixel));
        }
        for (sum, columns) in sums[cell * SIDE..].iter_mut().zip(&columns) {
            *sum = columns.iter().map(|&(x, share)| share * line[x]).sum();
        }
    }
    let mut cells = Box::new([0; CELLS]);
    cells.iter_mut().zip(&sums).for_each(|(cell, sum)| *cell = sum.round() as u8);
    cells
}

/// Squares a side whose colours are compared.
const SQUARES: usize = 4;

/// Red less green and blue less green, the means of 4 x 4 squares, row by row.
pub(super) type Colours = [[i16; 2]; SQUARES * SQUARES];

/// The colours of bytes (height, width, 3), to whole levels. A pixel belongs to the square that its upper left corner
/// lies in; squares without one are grey.
pub(super) fn colours(pixels: &[u8], (height, width): (usize, usize)) -> Colours {
    let mut sums = [[0i64; 3]; SQUARES * SQUARES];
    for (y, line) in pixels.chunks_exact(3 * width).enumerate() {
        let row = y * SQUARES / height * SQUARES;
        for (x, pixel) in line.chunks_exact(3).enumerate() {
            let sum = &mut sums[row + x * SQUARES / width];
            let [red, green, blue] = [pixel[0], pixel[1], pixel[2]].map(i64::from);
            *sum = [sum[0] + red - green, sum[1] + blue - green, sum[2] + 1];
        }
    }
    sums.map(|[red, blue, n]| [red, blue].map(|sum| (sum / n.max(1)) as i16))
}

/// The mean strength of colours, in levels: 0 for grey.
pub(super) fn strength(colours: &Colours) -> f32 {
    let sum: i32 = colours.iter().flatten().map(|&v| i32::from(v).abs()).sum();
    sum as f32 / (2 * SQUARES * SQUARES) as f32
}

/// How much colours differ, in levels: the mean over squares and both differences. `mirrored` compares the mirror image
/// of the first.
pub(super) fn colour_difference(a: &Colours, b: &Colours, mirrored: bool) -> f32 {
    let mut sum = 0;
    for (i, b) in b.iter().enumerate() {
        let (row, column) = (i / SQUARES, i % SQUARES);
        let column = if mirrored { SQUARES - 1 - column } else { column };
        let a = a[row * SQUARES + column];
        sum += a.iter().zip(b).map(|(a, b)| i32::from((a - b).abs())).sum::<i32>();
    }
    sum as f32 / (2 * SQUARES * SQUARES) as f32
}

fn grey(pixel: &[u8]) -> f32 {
    0.299 * f32::from(pixel[0]) + 0.587 * f32::from(pixel[1]) + 0.114 * f32::from(pixel[2])
}

/// For each cell the pixels of a line of `n` that it covers, each with its share in the mean.
fn shares(n: usize) -> Vec<Vec<(usize, f32)>> {
    let size = n as f64 / SIDE as f64;
    let of_cell = |cell: usize| {
        let (from, to) = (cell as f64 * size, (cell + 1) as f64 * size);
        let pixels = from as usize..(to.ceil() as usize).min(n);
        let share = |x: usize| (to.min((x + 1) as f64) - from.max(x as f64)) / size;
        pixels.map(|x| (x, share(x) as f32)).filter(|&(_, share)| share > 0.0).collect()
    };
    (0..SIDE).map(of_cell).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_hold_the_mean_by_area_for_more_and_for_fewer_pixels_than_cells() {
        // 48 columns: a cell covers one and a half. Grey levels 0, 2, 4, ...
        let line: Vec<u8> = (0..48).flat_map(|x| [2 * x as u8; 3]).collect();
        let cells = of(&line.repeat(40), (40, 48));
        // Cell 0 covers pixel 0 and half of pixel 1: (0 + 0.5 * 2) / 1.5. Cell 1 the other half and pixel 2.
        assert_eq!((cells[0], cells[1], cells[31]), (1, 3, 93));
        assert_eq!(cells[..SIDE], cells[CELLS - SIDE..]);
        // 2 x 1 pixels: each stands for half of the cells.
        let cells = of(&[255, 255, 255, 0, 0, 0], (1, 2));
        assert!(cells.chunks(16).enumerate().all(|(i, half)| half.iter().all(|&v| v == [255, 0][i % 2])));
        // The weights of the colours.
        assert_eq!(of(&[255, 0, 0], (1, 1))[0], 76);
        assert_eq!(of(&[0, 255, 0], (1, 1))[0], 150);
        assert_eq!(of(&[0, 0, 255], (1, 1))[0], 29);
    }

    #[test]
    fn colours_are_compared_square_by_square_also_with_a_mirror_image() {
        // The left half is red (200, 100, 100), the right half grey.
        let line = [[200, 100, 100].repeat(4), [50; 12].to_vec()].concat();
        let left = colours(&line.repeat(6), (6, 8));
        assert_eq!((left[0], left[3]), ([100, 0], [0, 0]));
        let line = [[50; 12].to_vec(), [200, 100, 100].repeat(4)].concat();
        let right = colours(&line.repeat(6), (6, 8));
        assert_eq!(colour_difference(&left, &right, false), 50.0);
        assert_eq!(colour_difference(&left, &right, true), 0.0);
        assert_eq!((strength(&left), strength(&right)), (25.0, 25.0));
        assert_eq!(colours(&[9, 1, 2], (1, 1))[0], [8, 1]);
    }

    #[test]
    fn cells_are_numpys_means() {
        let file: serde_json::Value =
            serde_json::from_str(include_str!("../../tests/api/check/reference.json")).unwrap();
        let cases = file["fingerprints"]["cases"].as_array().unwrap();
        assert_eq!(cases.len(), 3);
        for case in cases {
            let size = |key: &str| case[key].as_u64().unwrap() as usize;
            let numbers = |key: &str| case[key].as_array().unwrap().iter().map(|v| v.as_f64().unwrap());
            let pixels: Vec<u8> = numbers("pixels").map(|v| v as u8).collect();
            let cells = of(&pixels, (size("height"), size("width")));
            for (found, expected) in cells.iter().zip(numbers("cells")) {
                assert!((f64::from(*found) - expected).abs() < 0.501, "{found} {expected}");
            }
        }
    }
}

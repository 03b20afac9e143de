//! Folding and unfolding on the GPU against the processor's, and sums over rows against plain ones.

use super::super::calls::*;
use super::emulator::{Buffer, Emulator};
use super::on_emulator;
use transfer_kernels::batch_norm::{fold, unfold_gradients, Folded, Variables as Slices};
use transfer_kernels::testing::{assert_close, random, wide};

const EPSILON: f32 = 1e-3;

/// Rows and channels: pointwise and depthwise kernels, odd ones, and none.
const SIZES: [(usize, usize); 9] =
    [(96, 24), (24, 144), (9, 960), (27, 32), (1, 1), (1280, 1), (130, 7), (2100, 12), (0, 8)];

fn variables(rows: usize, c: usize) -> [Vec<f32>; 5] {
    let variance = random(5, c).iter().map(|v| v.abs() + 0.01).collect();
    [random(1, rows * c), random(2, c), random(3, c), random(4, c), variance]
}

fn slices(v: &[Vec<f32>; 5]) -> Slices<'_> {
    Slices { kernel: &v[0], gamma: &v[1], beta: &v[2], mean: &v[3], variance: &v[4], epsilon: EPSILON }
}

#[test]
fn folding_gives_the_bits_of_the_processors() {
    let results = on_emulator(|card| {
        let mut results = Vec::new();
        for (rows, c) in SIZES {
            let [kernel, gamma, beta, mean, variance] = variables(rows, c).map(|v| card.floats(&v));
            let (w, b) = (card.unwritten(rows * c), card.unwritten(c));
            let v = Variables { kernel, gamma, beta, mean, variance };
            card.launch(fold_batch_norm(v, EPSILON, (rows, c), w, b));
            results.extend([card.read(w), card.read(b)]);
        }
        results
    });
    let Some(results) = results else { return };
    for ((rows, c), results) in SIZES.into_iter().zip(results.chunks_exact(2)) {
        let mut folded = Folded::default();
        fold(slices(&variables(rows, c)), &mut folded);
        assert_eq!(results, [folded.w, folded.b], "{rows} {c}");
    }
}

/// A table on the emulated GPU. Rows are made of numbers of buffers, counted from 1 and in the upper half, plus bytes;
/// whatever is smaller is a number.
fn table(card: &mut Emulator, buffers: &[Buffer], words: &[u64]) -> Buffer {
    let table = card.bytes(&vec![0; 8 * words.len()]);
    for (i, word) in words.iter().enumerate() {
        match (*word >> 32) as usize {
            0 => card.write_number(table, i, *word),
            buffer => card.write_address(table, i, buffers[buffer - 1], *word as u32 as usize),
        }
    }
    table
}

/// The address of a buffer in a row.
fn at(buffer: usize) -> u64 {
    (buffer as u64 + 1) << 32
}

fn addresses() -> Variables<u64> {
    let [kernel, gamma, beta, mean, variance] = [0, 1, 2, 3, 4].map(at);
    Variables { kernel, gamma, beta, mean, variance }
}

#[test]
fn many_convolutions_are_folded_as_one_by_one() {
    // The last takes several pieces.
    let sizes = [(96, 24), (9, 960), (27, 32), (1, 1), (130, 7), (24, 576)];
    let results = on_emulator(|card| {
        let (mut words, mut buffers, mut results) = (Vec::new(), Vec::new(), Vec::new());
        for (rows, c) in sizes {
            let first = buffers.len();
            buffers.extend(variables(rows, c).map(|v| card.floats(&v)));
            buffers.extend([card.unwritten(rows * c), card.unwritten(c)]);
            let rows = fold_rows(addresses(), EPSILON, (rows, c), at(5), at(6));
            // Of this convolution's buffers.
            words.extend(rows.iter().map(|w| if *w >> 32 == 0 { *w } else { *w + ((first as u64) << 32) }));
            results.push([buffers[first + 5], buffers[first + 6]]);
        }
        let table = table(card, &buffers, &words);
        card.launch(fold_all(table, words.len() / FOLD_WORDS));
        results.concat().into_iter().map(|b| card.read(b)).collect()
    });
    let Some(results) = results else { return };
    for ((rows, c), results) in sizes.into_iter().zip(results.chunks_exact(2)) {
        let mut folded = Folded::default();
        fold(slices(&variables(rows, c)), &mut folded);
        assert_eq!(results, [folded.w, folded.b], "{rows} {c}");
    }
}

#[test]
fn unfolded_gradients_are_the_processors() {
    let results = on_emulator(|card| {
        let mut results = Vec::new();
        for (rows, c) in SIZES {
            // Sums as a whole, and as three parts with something between them.
            for parts in [1usize, 3] {
                let variables = variables(rows, c).map(|v| card.floats(&v));
                let each = rows * c + c + 4;
                let in_parts: Vec<f32> = (0..parts)
                    .flat_map(|p| {
                        [random(6 + 10 * p as u64, rows * c), random(7 + 10 * p as u64, c), vec![f32::NAN; 4]]
                    })
                    .flatten()
                    .collect();
                let sums = card.floats(&in_parts);
                let [d_kernel, d_gamma, d_beta] = [rows * c, c, c].map(|len| card.unwritten(len));
                let buffers: Vec<Buffer> =
                    variables.into_iter().chain([sums, d_kernel, d_gamma, d_beta]).collect();
                let dw = Parts { at: at(5), parts, each };
                let db = Parts { at: at(5) + 4 * (rows * c) as u64, parts, each };
                let norm = Some((at(7), at(8)));
                let words = unfold_rows(addresses(), EPSILON, (dw, db), Some(at(6)), norm, (rows, c));
                let table = table(card, &buffers, &words);
                card.launch(unfold_all(table, words.len() / UNFOLD_WORDS));
                results.extend([d_kernel, d_gamma, d_beta].map(|b| card.read(b)));
            }
        }
        results
    });
    let Some(results) = results else { return };
    let mut results = results.chunks_exact(3);
    for (rows, c) in SIZES {
        for parts in [1u64, 3] {
            let sum = |key: u64, len: usize| {
                let mut sum = random(key, len);
                (1..parts)
                    .for_each(|p| sum.iter_mut().zip(random(key + 10 * p, len)).for_each(|(s, v)| *s += v));
                sum
            };
            let (mut d_kernel, mut d_gamma) = (vec![0.0; rows * c], vec![0.0; c]);
            let (dw, db) = (sum(6, rows * c), sum(7, c));
            unfold_gradients(slices(&variables(rows, c)), &dw, &db, Some(&mut d_kernel), &mut d_gamma);
            let results = results.next().unwrap();
            assert_close(&format!("{rows} {c}, kernel"), &results[0], &wide(&d_kernel), 1e-6);
            assert_close(&format!("{rows} {c}, gamma"), &results[1], &wide(&d_gamma), 1e-5);
            assert_eq!(results[2], db, "{rows} {c}, beta");
        }
    }
}

#[test]
fn gradients_that_nobody_asked_for_are_not_written() {
    let (rows, c) = (12, 8);
    let results = on_emulator(|card| {
        let buffers: Vec<Buffer> = variables(rows, c).map(|v| card.floats(&v)).into_iter().collect();
        let (dw, db) = (card.floats(&random(6, rows * c)), card.floats(&random(7, c)));
        let [d_kernel, d_gamma, d_beta] = [rows * c, c, c].map(|len| card.floats(&vec![5.0; len]));
        let buffers: Vec<Buffer> = buffers.into_iter().chain([dw, db, d_kernel, d_gamma, d_beta]).collect();
        for (kernel, norm) in [(Some(at(7)), None), (None, Some((at(8), at(9))))] {
            let sums = (Parts::whole(at(5)), Parts::whole(at(6)));
            let words = unfold_rows(addresses(), EPSILON, sums, kernel, norm, (rows, c));
            let table = table(card, &buffers, &words);
            card.launch(unfold_all(table, words.len() / UNFOLD_WORDS));
            if kernel.is_some() {
                assert!(card.read(d_gamma).iter().chain(&card.read(d_beta)).all(|v| *v == 5.0));
            }
        }
        [d_kernel, d_gamma, d_beta].map(|b| card.read(b)).into()
    });
    let Some(results) = results else { return };
    assert!(results.iter().all(|result| result.iter().all(|v| *v != 5.0)));
}

#[test]
fn sums_over_rows_are_plain_sums_whatever_their_number() {
    let sizes: Vec<(usize, usize)> =
        SIZES.into_iter().chain([(1, 4), (31, 4), (33, 36), (127, 1), (9000, 4), (8193, 3)]).collect();
    let results = on_emulator(|card| {
        let mut results = Vec::new();
        for &(rows, c) in &sizes {
            let x = card.floats(&random(1, rows * c));
            let partition = column_partition(rows, c);
            let (partials, sums) = (card.unwritten(partition.len()), card.floats(&vec![1.0; c]));
            card.launch(column_sums(x, partials, rows, c));
            card.launch(sum_partials(partials, partition, 0..c, true, sums));
            results.push(card.read(sums));
        }
        results
    });
    let Some(results) = results else { return };
    for (&(rows, c), result) in sizes.iter().zip(&results) {
        let mut sums = vec![1.0; c];
        random(1, rows * c).iter().enumerate().for_each(|(i, v)| sums[i % c] += f64::from(*v));
        assert_close(&format!("{rows} {c}"), result, &sums, 1e-5);
    }
}

#[test]
fn how_a_sum_is_cut_depends_on_its_rows_alone_and_is_bounded() {
    for rows in [0, 1, 127, 128, 129, 5000, 1 << 24] {
        let partition = column_partition(rows, 8);
        assert!((1..=64).contains(&partition.parts), "{rows} rows: {partition:?}");
        assert_eq!(partition.len(), partition.parts * 8);
    }
}

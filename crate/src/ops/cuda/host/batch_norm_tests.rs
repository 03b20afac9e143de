//! Folding and unfolding on the GPU against the processor's, and sums over rows against plain ones.

use super::super::calls::*;
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

#[test]
fn unfolded_gradients_are_the_processors() {
    let results = on_emulator(|card| {
        let mut results = Vec::new();
        for (rows, c) in SIZES {
            let [kernel, gamma, beta, mean, variance] = variables(rows, c).map(|v| card.floats(&v));
            let v = Variables { kernel, gamma, beta, mean, variance };
            let (dw, db) = (card.floats(&random(6, rows * c)), card.floats(&random(7, c)));
            let sums = card.floats(&vec![1.0; rows * c]);
            for d_kernel in [Some(sums), None] {
                let partials = card.unwritten(column_partition(rows, c).len());
                let [d_gamma, d_beta] = [2.0, 3.0].map(|v| card.floats(&vec![v; c]));
                card.launch(unfold_partials(v, EPSILON, dw, d_kernel, partials, rows, c));
                card.launch(unfold_finish(partials, db, mean, variance, EPSILON, d_gamma, d_beta, rows, c));
                results.extend([sums, d_gamma, d_beta].map(|b| card.read(b)));
            }
        }
        results
    });
    let Some(results) = results else { return };
    for ((rows, c), results) in SIZES.into_iter().zip(results.chunks_exact(6)) {
        let (mut d_kernel, mut d_gamma) = (vec![1.0; rows * c], vec![0.0; c]);
        let (dw, db) = (random(6, rows * c), random(7, c));
        let v = variables(rows, c);
        unfold_gradients(slices(&v), &dw, &db, Some(&mut d_kernel), &mut d_gamma);
        d_gamma.iter_mut().for_each(|d| *d += 2.0);
        let d_beta: Vec<f32> = db.iter().map(|d| d + 3.0).collect();
        // Whether the kernel trains changes nothing for the others; it is added to once.
        for results in results.chunks_exact(3) {
            assert_close(&format!("{rows} {c}, kernel"), &results[0], &wide(&d_kernel), 1e-6);
            assert_close(&format!("{rows} {c}, gamma"), &results[1], &wide(&d_gamma), 1e-5);
            assert_eq!(results[2], d_beta, "{rows} {c}, beta");
        }
    }
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

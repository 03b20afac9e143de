//! Images on the card, to the bits of the processor's augmentation.

use super::super::calls::*;
use super::on_emulator;
use crate::augment::{FlipMode, RandomFlip, RandomRotation, RandomZoom, Sequential};
use crate::data::ImageKey;
use crate::ops::testing::random;
use crate::preprocess::Rescaling;

const SIZES: [(usize, usize); 7] = [(40, 40), (33, 50), (5, 5), (2, 2), (1, 1), (1, 6), (2, 90)];

fn rescaling() -> Rescaling {
    Rescaling::new(1.0 / 127.5, -1.0)
}

/// Grey levels in the forms that images come in, and as floats.
fn image(form: Pixels, key: u64, len: usize) -> (Vec<u8>, Vec<f32>) {
    let grey: Vec<f32> = random(key, len).iter().map(|v| (v + 1.0) * 127.5).collect();
    match form {
        Pixels::U8 => {
            let bytes: Vec<u8> = grey.iter().map(|v| *v as u8).collect();
            (bytes.clone(), bytes.iter().map(|&v| f32::from(v)).collect())
        }
        Pixels::U16 => {
            let steps: Vec<u16> = grey.iter().map(|v| (v * 256.0) as u16).collect();
            let floats = steps.iter().map(|&v| f32::from(v) / 256.0).collect();
            (steps.iter().flat_map(|v| v.to_le_bytes()).collect(), floats)
        }
        Pixels::F32 => (grey.iter().flat_map(|v| v.to_le_bytes()).collect(), grey),
    }
}

#[test]
fn grey_levels_in_any_form_are_rescaled_to_the_processors_bits() {
    let forms = [Pixels::U8, Pixels::U16, Pixels::F32];
    let results = on_emulator(|card| {
        forms
            .map(|form| {
                let x = card.bytes(&image(form, 1, 1000).0);
                let y = card.unwritten(1000);
                card.launch(rescale(x, form, rescaling(), y, 1000));
                card.read(y)
            })
            .to_vec()
    });
    let Some(results) = results else { return };
    for (form, result) in forms.into_iter().zip(results) {
        let mut expected = image(form, 1, 1000).1;
        rescaling().apply_slice(&mut expected);
        assert_eq!(result, expected, "{form:?}");
    }
}

#[test]
fn images_are_augmented_to_the_processors_bits() {
    const N: usize = 3;
    let flip = RandomFlip::new(FlipMode::HorizontalAndVertical);
    let augmentations = [
        Sequential::new().add(flip).add(RandomRotation::new(0.9)).add(rescaling()),
        Sequential::new().add(RandomZoom::new(0.4)).seed(3),
        Sequential::new().add(flip).seed(5),
    ];
    let key = |i: usize| ImageKey { epoch: 7, index: i as u64 };
    let forms = [Pixels::U8, Pixels::U16, Pixels::F32];
    let cases = || {
        let all = augmentations.iter().flat_map(|a| SIZES.map(|size| (a, size)));
        all.flat_map(|(a, size)| forms.map(|form| (a, size, form)))
    };
    let results = on_emulator(|card| {
        let run = |(augmentation, (h, w), form): (&Sequential, (usize, usize), Pixels)| {
            let x = card.bytes(&image(form, 2, N * h * w * 3).0);
            let placed = [0, 1, 2].map(|i| augmentation.placing(key(i), (h, w)).unwrap());
            let places: Vec<f32> = placed.iter().flat_map(|p| p.numbers).collect();
            let (places, y) = (card.floats(&places), card.unwritten(N * h * w * 3));
            let r = placed[0].rescaling.unwrap_or(Rescaling::new(1.0, -0.0));
            card.launch(augment(x, form, places, r, y, (N, h, w, 3)));
            card.read(y)
        };
        cases().map(run).collect()
    });
    let Some(results) = results else { return };
    for ((augmentation, (h, w), form), result) in cases().zip(results) {
        let mut expected = image(form, 2, N * h * w * 3).1;
        for (i, image) in expected.chunks_exact_mut(h * w * 3).enumerate() {
            augmentation.apply(image, (h, w, 3), key(i), &mut Vec::new());
        }
        assert_eq!(result, expected, "{h}x{w}, {form:?}, {augmentation:?}");
    }
}

#[test]
fn any_number_of_channels_may_be_moved_and_nothing_moves_without_a_turn() {
    let (h, w, c) = (6, 9, 5);
    let x = random(3, h * w * c);
    let results = on_emulator(|card| {
        let (from, y) = (card.floats(&x), card.unwritten(x.len()));
        let still = card.floats(&[1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0]);
        card.launch(augment(from, Pixels::F32, still, Rescaling::new(1.0, -0.0), y, (1, h, w, c)));
        vec![card.read(y)]
    });
    let Some(results) = results else { return };
    assert_eq!(results[0], x);
}

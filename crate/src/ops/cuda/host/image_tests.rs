//! Images on the GPU, to the bits of the processor's augmentation.

use super::super::calls::*;
use super::on_emulator;
use crate::augment::{FlipMode, RandomFlip, RandomRotation, RandomZoom, Sequential};
use crate::data::ImageKey;
use crate::preprocess::Rescaling;
use transfer_kernels::testing::random;

const SIZES: [(usize, usize); 7] = [(40, 40), (33, 50), (5, 5), (2, 2), (1, 1), (1, 6), (2, 90)];

fn rescaling() -> Rescaling {
    Rescaling::new(1.0 / 127.5, -1.0)
}

/// Grey levels as the cache keeps them, and as floats.
fn image(key: u64, len: usize) -> (Vec<u8>, Vec<f32>) {
    let steps = random(key, len).into_iter().map(|v| ((v + 1.0) * 127.5 * 256.0) as u16);
    let bytes = steps.clone().flat_map(|v| v.to_le_bytes()).collect();
    (bytes, steps.map(|v| f32::from(v) / 256.0).collect())
}

#[test]
fn images_are_augmented_to_the_processors_bits() {
    const N: usize = 3;
    let flip = RandomFlip::new(FlipMode::HorizontalAndVertical);
    let augmentations = [
        Sequential::new().add(flip).add(RandomRotation::new(0.9)).add(rescaling()),
        Sequential::new().add(RandomZoom::new(0.4)).seed(3),
        Sequential::new().add(flip).seed(5),
        Sequential::new().add(flip).add(Rescaling::per_channel([0.5, 0.25, 2.0], [1.0, -1.0, 0.0])).seed(6),
    ];
    let key = |i: usize| ImageKey { epoch: 7, index: i as u64 };
    let cases = || augmentations.iter().flat_map(|a| SIZES.map(|size| (a, size)));
    let results = on_emulator(|card| {
        let run = |(augmentation, (h, w)): (&Sequential, (usize, usize))| {
            let images = image(2, N * h * w * 3).0;
            let each = images.len() / N;
            let [first, second, third] = [0, 1, 2].map(|i| &images[i * each..][..each]);
            let x = card.bytes(&[second, second, first, third, second].concat());
            let placed = [0, 1, 2].map(|i| augmentation.placing(key(i), (h, w)).unwrap());
            let places: Vec<f32> = placed.iter().flat_map(|p| p.numbers).collect();
            assert_eq!(places.len(), N * PLACE);
            let (places, y) = (card.floats(&places), card.unwritten(N * h * w * 3));
            let r = placed[0].rescaling.unwrap_or(Rescaling::new(1.0, -0.0));
            // Behind two other images, in another order.
            let which = card.bytes(&[2u32, 4, 3].map(u32::to_le_bytes).concat());
            card.launch(augment(x, which, places, r, y, (N, h, w, 3)));
            card.read(y)
        };
        cases().map(run).collect()
    });
    let Some(results) = results else { return };
    for ((augmentation, (h, w)), result) in cases().zip(results) {
        let mut expected = image(2, N * h * w * 3).1;
        for (i, image) in expected.chunks_exact_mut(h * w * 3).enumerate() {
            augmentation.apply(image, (h, w, 3), key(i), &mut Vec::new());
        }
        assert_eq!(result, expected, "{h}x{w}, {augmentation:?}");
    }
}

#[test]
fn any_number_of_channels_may_be_moved_and_nothing_moves_without_a_turn() {
    let (h, w, c) = (6, 9, 5);
    let (bytes, x) = image(3, h * w * c);
    let results = on_emulator(|card| {
        let (from, y) = (card.bytes(&bytes), card.unwritten(x.len()));
        let still = card.floats(&[1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0]);
        let which = card.bytes(&0u32.to_le_bytes());
        card.launch(augment(from, which, still, Rescaling::new(1.0, -0.0), y, (1, h, w, c)));
        vec![card.read(y)]
    });
    let Some(results) = results else { return };
    assert_eq!(results[0], x);
}

//! What a [`Sequential`] does to an image, in numbers: for a device that moves pixels itself.

use super::flip::Flip;
use super::rotation::Turn;
use super::{AugmentationLayer, Sequential, AUGMENT};
use crate::data::ImageKey;
use crate::preprocess::Rescaling;
use crate::random::Rng;

/// One image's flip, its affine map, and what its grey levels become.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Placing {
    /// `a, b, c, d, e, f` of `x_in = a·x + b·y + c, y_in = d·x + e·y + f`, and whether it is flipped
    /// horizontally and vertically before (1 or 0).
    pub numbers: [f32; 8],
    /// Last of all.
    pub rescaling: Option<Rescaling>,
}

impl Sequential {
    /// What [`apply`](Sequential::apply) does to an image (h, w); `None` where it is more than flips, then at most
    /// one layer that moves pixels, then a rescaling. That depends on the layers alone.
    pub(crate) fn placing(&self, key: ImageKey, (h, w): (usize, usize)) -> Option<Placing> {
        let (mut flip, mut turn, mut rescaling) = (Flip::default(), None, None);
        for (position, layer) in self.layers.iter().enumerate() {
            let mut chance = Rng::new(&[self.seed, AUGMENT, key.epoch, key.index, position as u64]);
            match layer {
                _ if rescaling.is_some() => return None,
                AugmentationLayer::Rescaling(layer) => rescaling = Some(*layer),
                _ if turn.is_some() => return None,
                AugmentationLayer::RandomFlip(layer) => flip = flip.then(layer.choose(&mut chance)),
                other => turn = Some(other.placement(&mut chance, h, w)?),
            }
        }
        let still = Turn { to_x: [1.0, 0.0, 0.0], to_y: [0.0, 1.0, 0.0] };
        let Turn { to_x: [a, b, c], to_y: [d, e, f] } = turn.unwrap_or(still);
        let flag = |on: bool| f32::from(u8::from(on));
        Some(Placing { numbers: [a, b, c, d, e, f, flag(flip.horizontal), flag(flip.vertical)], rescaling })
    }
}

#[cfg(test)]
mod tests {
    use super::super::rotation::turn_plainly;
    use super::super::{RandomContrast, RandomFlip, RandomRotation, RandomZoom};
    use super::*;

    const KEY: ImageKey = ImageKey { epoch: 0, index: 3 };

    /// What a kernel makes of an image by the numbers alone.
    fn by_numbers(image: &[f32], (h, w): (usize, usize), placing: &Placing) -> Vec<f32> {
        let [a, b, c, d, e, f, horizontal, vertical] = placing.numbers;
        let mut flipped = image.to_vec();
        Flip { horizontal: horizontal == 1.0, vertical: vertical == 1.0 }.apply(&mut flipped, (h, w, 3));
        let mut out = vec![0.0; image.len()];
        turn_plainly(&flipped, &mut out, (h, w, 3), &Turn { to_x: [a, b, c], to_y: [d, e, f] });
        if let Some(rescaling) = placing.rescaling {
            rescaling.apply_slice(&mut out);
        }
        out
    }

    #[test]
    fn the_numbers_say_all_that_the_layers_do() {
        let rescaling = Rescaling::new(1.0 / 127.5, -1.0);
        let all = [
            Sequential::new().add(RandomFlip::horizontal()).add(RandomRotation::new(0.2)).add(rescaling),
            Sequential::new().add(RandomFlip::vertical()).add(RandomFlip::horizontal()).add(rescaling),
            Sequential::new().add(RandomZoom::new(0.4)),
            Sequential::new().add(rescaling),
            Sequential::new(),
        ];
        let (h, w) = (33, 20);
        let mut rng = Rng::new(&[1]);
        let image: Vec<f32> = (0..h * w * 3).map(|_| (rng.uniform() * 255.0).round()).collect();
        for layers in all {
            for epoch in 0..8 {
                let key = ImageKey { epoch, ..KEY };
                let mut expected = image.clone();
                layers.apply(&mut expected, (h, w, 3), key, &mut Vec::new());
                let placing = layers.placing(key, (h, w)).unwrap();
                assert_eq!(by_numbers(&image, (h, w), &placing), expected, "{layers:?}, epoch {epoch}");
            }
        }
    }

    #[test]
    fn layers_that_numbers_cannot_tell_are_told_apart() {
        let rescaling = Rescaling::new(1.0, 0.0);
        for layers in [
            Sequential::new().add(RandomRotation::new(0.2)).add(RandomFlip::horizontal()),
            Sequential::new().add(RandomRotation::new(0.2)).add(RandomZoom::new(0.2)),
            Sequential::new().add(RandomContrast::new(0.2)),
            Sequential::new().add(rescaling).add(RandomFlip::horizontal()),
            Sequential::new().add(rescaling).add(rescaling),
        ] {
            assert_eq!(layers.placing(KEY, (4, 4)), None, "{layers:?}");
        }
    }
}

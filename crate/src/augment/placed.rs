//! Augmentation as eight numbers an image, for a device that moves the pixels itself.
//!
//! Only what one pass can do: flips, then at most one layer that moves pixels, then at most one
//! rescaling. Whatever else a [`Sequential`] holds, the processor has to do.

use super::{Flip, Layer, Rng, Sequential, Turn, AUGMENT};
use crate::data::ImageKey;
use crate::preprocess::Rescaling;

/// What happens to one image (h, w, c).
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Placed {
    /// `a, b, c, d, e, f` of `x_in = a·x + b·y + c, y_in = d·x + e·y + f`, and whether it is flipped
    /// horizontally and vertically before (1 or 0).
    pub(crate) numbers: [f32; 8],
    /// What its numbers go through then.
    pub(crate) rescaling: Rescaling,
}

impl Sequential {
    /// What [`apply`](Sequential::apply) does to the image of this key; `None` where it is more than
    /// a [`Placed`] can say.
    pub(crate) fn placed(&self, (h, w): (usize, usize), key: ImageKey) -> Option<Placed> {
        let (mut flip, mut turn, mut rescaling) = (Flip::default(), None, None);
        for (position, layer) in self.layers.iter().enumerate() {
            let mut chance = Rng::new(&[self.seed, AUGMENT, key.epoch, key.index, position as u64]);
            match layer {
                Layer::RandomFlip(layer) if turn.is_none() && rescaling.is_none() => {
                    flip = flip.then(layer.choose(&mut chance));
                }
                Layer::Rescaling(layer) if rescaling.is_none() => rescaling = Some(*layer),
                layer if turn.is_none() && rescaling.is_none() => {
                    turn = Some(layer.placement(&mut chance, h, w)?);
                }
                _ => return None,
            }
        }
        // Moves nothing, and changes no bit.
        let Turn { to_x, to_y } = turn.unwrap_or(Turn { to_x: [1.0, 0.0, 0.0], to_y: [0.0, 1.0, 0.0] });
        let flips = [flip.horizontal, flip.vertical].map(|flip| f32::from(u8::from(flip)));
        let mut numbers = [0.0; 8];
        numbers.iter_mut().zip(to_x.into_iter().chain(to_y).chain(flips)).for_each(|(to, v)| *to = v);
        Some(Placed { numbers, rescaling: rescaling.unwrap_or(Rescaling::new(1.0, -0.0)) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::augment::{RandomContrast, RandomFlip, RandomRotation, RandomZoom};

    #[test]
    fn what_one_pass_cannot_do_is_left_to_the_processor() {
        let rescaling = Rescaling::new(2.0, 1.0);
        let placed = |layers: Sequential| layers.placed((8, 8), ImageKey { epoch: 1, index: 2 });
        let flipped = || Sequential::new().add(RandomFlip::horizontal());
        assert!(placed(Sequential::new()).is_some());
        assert!(placed(flipped().add(RandomRotation::new(0.2)).add(rescaling)).is_some());
        assert!(placed(flipped().add(RandomFlip::vertical()).add(RandomZoom::new(0.2))).is_some());
        for layers in [
            flipped().add(RandomContrast::new(0.2)),
            flipped().add(RandomRotation::new(0.2)).add(RandomRotation::new(0.2)),
            flipped().add(RandomRotation::new(0.2)).add(RandomFlip::vertical()),
            flipped().add(rescaling).add(RandomRotation::new(0.2)),
            flipped().add(rescaling).add(rescaling),
        ] {
            assert_eq!(placed(layers.clone()), None, "{layers:?}");
        }
    }
}

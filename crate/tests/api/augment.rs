//! Augmentation seen from outside: what is random depends on its key alone, and the layers do what
//! Keras' layers of the same name do.

use ndarray::{Array3, Array4, Axis};
use transfer::augment::{
    RandomBrightness, RandomContrast, RandomFlip, RandomResizedCrop, RandomRotation, RandomTranslation,
    RandomZoom, Sequential,
};
use transfer::data::{ImageKey, ImageMap};
use transfer::preprocess::{mobilenet_v2::preprocess_input, Rescaling};

fn picture() -> Array3<f32> {
    Array3::from_shape_fn((40, 56, 3), |(y, x, c)| ((y * 13 + x * 7 + c * 80 + (x * y) % 11) % 256) as f32)
}

fn applied(layers: &Sequential, image: &Array3<f32>, epoch: u64, index: u64) -> Array3<f32> {
    let mut image = image.clone();
    let size = image.dim();
    let mut scratch = vec![f32::NAN; 11];
    layers.apply(image.as_slice_mut().unwrap(), size, ImageKey { epoch, index }, &mut scratch);
    image
}

fn tutorial() -> Sequential {
    Sequential::new().add(RandomFlip::horizontal()).add(RandomRotation::new(0.2))
}

#[test]
fn the_same_key_gives_the_same_image_and_another_key_another() {
    let image = picture();
    let layers = tutorial().seed(5);
    let first = applied(&layers, &image, 2, 9);
    assert_eq!(first, applied(&layers.clone(), &image, 2, 9));
    assert_ne!(first, applied(&layers, &image, 3, 9));
    assert_ne!(first, applied(&layers, &image, 2, 10));
    assert_ne!(first, applied(&tutorial().seed(6), &image, 2, 9));
}

#[test]
fn half_of_the_images_are_flipped_and_the_others_untouched() {
    let image = picture();
    let mut mirrored = image.clone();
    mirrored.invert_axis(Axis(1));
    let flip = Sequential::new().add(RandomFlip::horizontal());
    let mut flipped = 0;
    for index in 0..1000 {
        let out = applied(&flip, &image, 0, index);
        assert!(out == image || out == mirrored);
        flipped += usize::from(out == mirrored);
    }
    assert!((440..560).contains(&flipped), "{flipped} of 1000");
}

#[test]
fn two_layers_of_a_kind_choose_separately() {
    let image = picture();
    let twice = Sequential::new().add(RandomFlip::horizontal()).add(RandomFlip::horizontal());
    let same = (0..1000).filter(|&i| applied(&twice, &image, 0, i) == image).count();
    assert!((440..560).contains(&same), "flipped twice or not at all: {same} of 1000");
}

#[test]
fn a_flip_before_a_rotation_is_the_same_as_both_one_after_the_other() {
    let image = picture();
    let separate = Sequential::new()
        .add(RandomFlip::horizontal())
        .add(std::sync::Arc::new(Nothing) as std::sync::Arc<dyn ImageMap>);
    // The rotation keeps its position, 2, and so its angle.
    let second = Sequential::new()
        .add(Rescaling::new(1.0, 0.0))
        .add(Rescaling::new(1.0, 0.0))
        .add(RandomRotation::new(0.2));
    let together = Sequential::new()
        .add(RandomFlip::horizontal())
        .add(Rescaling::new(1.0, 0.0))
        .add(RandomRotation::new(0.2));
    for index in 0..20 {
        let one_by_one = applied(&second, &applied(&separate, &image, 0, index), 0, index);
        assert_eq!(one_by_one, applied(&together, &image, 0, index));
    }
}

struct Nothing;

impl ImageMap for Nothing {
    fn apply(&self, _: &mut [f32], _: (usize, usize, usize), _: ImageKey, _: &mut Vec<f32>) {}
}

#[test]
fn rotated_values_are_mixtures_of_the_images_own() {
    // Reflection brings in nothing from outside: no black corners, no value beyond the range.
    let image = picture().mapv(|v| v / 2.0 + 60.0);
    for index in 0..50 {
        let out = applied(&Sequential::new().add(RandomRotation::new(0.5)), &image, 0, index);
        assert!(out.iter().all(|v| (59.99..187.6).contains(v)));
    }
}

#[test]
fn nine_views_of_one_image_all_differ() {
    let views = tutorial().augmented(&picture(), 9).unwrap();
    assert_eq!(views.dim(), (9, 40, 56, 3));
    for i in 0..9 {
        for k in 0..i {
            assert_ne!(views.index_axis(Axis(0), i), views.index_axis(Axis(0), k));
        }
    }
    assert_eq!(views.index_axis(Axis(0), 4), applied(&tutorial(), &picture(), 4, 0));
    assert!(tutorial().augmented(&Array3::zeros((0, 3, 3)), 1).is_err());
}

#[test]
fn rescaling_inside_and_preprocessing_outside_agree() {
    let image = picture();
    let layers = tutorial().add(Rescaling::new(1.0 / 127.5, -1.0));
    let inside = applied(&layers, &image, 1, 1);
    let batch: Array4<f32> = applied(&tutorial(), &image, 1, 1).insert_axis(Axis(0));
    let outside = preprocess_input(batch);
    assert!(inside.iter().zip(&outside).all(|(a, b)| (a - b).abs() < 1e-6));
}

/// Layers whose range leaves no choice, against tf_keras' with the same: `augment/reference.json`, made by
/// `augment/make_reference.py`.
#[test]
fn the_layers_give_keras_numbers() {
    let file: serde_json::Value = serde_json::from_str(include_str!("augment/reference.json")).unwrap();
    let cases = file["cases"].as_array().unwrap();
    assert_eq!(cases.len(), 20);
    for case in cases {
        let numbers = |key: &str| -> Vec<f32> { serde_json::from_value(case[key].clone()).unwrap() };
        let (h, w): (usize, usize) = serde_json::from_value(case["size"].clone()).unwrap();
        let image = Array3::from_shape_fn((h, w, 3), |(y, x, c)| {
            ((y * 13 + x * 7 + c * 80 + (x * y) % 11) % 256) as f32
        });
        let factors = numbers("factors");
        let (first, last) = (factors[0], factors[factors.len() - 1]);
        let layers = match case["layer"].as_str().unwrap() {
            "zoom" => Sequential::new()
                .add(RandomZoom { height_factor: (first, first), width_factor: Some((last, last)) }),
            "translation" => Sequential::new()
                .add(RandomTranslation { height_factor: (first, first), width_factor: (last, last) }),
            "contrast" => Sequential::new()
                .add(RandomContrast { factor: (1.0 - first, first - 1.0), ..RandomContrast::new(0.0) }),
            "brightness" => Sequential::new()
                .add(RandomBrightness { factor: (first, first), ..RandomBrightness::new(0.0) }),
            other => panic!("{other}"),
        };
        let ours = applied(&layers, &image, 0, 0);
        for (i, (ours, keras)) in ours.iter().zip(numbers("values")).enumerate() {
            // Kept in thousandths, and computed in f32 by both.
            assert!((ours - keras).abs() < 0.02, "{layers:?} at {i}: {ours}, Keras {keras}");
        }
    }
}

#[test]
fn all_kinds_of_layers_depend_on_their_key_alone_and_on_their_own_draw() {
    let image = picture();
    let layers = || {
        Sequential::new()
            .add(RandomFlip::horizontal())
            .add(RandomZoom::new(0.2))
            .add(RandomTranslation::new(0.1, 0.1))
            .add(RandomResizedCrop::new().scale(0.5, 1.0))
            .add(RandomContrast::new(0.3))
            .add(RandomBrightness::new(0.2))
    };
    let first = applied(&layers().seed(3), &image, 4, 5);
    assert_eq!(first, applied(&layers().seed(3), &image, 4, 5));
    assert!(first.iter().all(|v| (0.0..=255.0).contains(v)));
    for other in [
        applied(&layers().seed(4), &image, 4, 5),
        applied(&layers().seed(3), &image, 5, 5),
        applied(&layers().seed(3), &image, 4, 6),
    ] {
        assert_ne!(first, other);
    }
    // Each by itself changes the image, and a factor of nothing changes nothing.
    for layers in [
        Sequential::new().add(RandomZoom::new(0.2)),
        Sequential::new().add(RandomTranslation::new(0.1, 0.1)),
        Sequential::new().add(RandomResizedCrop::new()),
        Sequential::new().add(RandomContrast::new(0.3)),
        Sequential::new().add(RandomBrightness::new(0.2)),
    ] {
        assert_ne!(applied(&layers, &image, 0, 0), image, "{layers:?}");
    }
    let nothing = Sequential::new()
        .add(RandomZoom::new(0.0))
        .add(RandomTranslation::new(0.0, 0.0))
        .add(RandomBrightness::new(0.0));
    assert_eq!(applied(&nothing, &image, 0, 0), image);
    // Values are moved away from the mean and back, so only rounding is left.
    let out = applied(&Sequential::new().add(RandomContrast::new(0.0)), &image, 0, 0);
    assert!(out.iter().zip(&image).all(|(a, b)| (a - b).abs() < 1e-4));
}

//! The figures of what went wrong, as a caller gets them: pictures that decode and show what their
//! numbers say, captions that parse, and errors for anything that can't be drawn.

use image::RgbImage;
use ndarray::{array, s, Array2, Array3, Array4};
use transfer::explain::{confusion_matrix, roc_curve};
use transfer::plot::{
    confusion_matrix_figure, feature_map, grad_cam_figure, roc_figure, top_losses, FeatureMap, Figure,
};
use transfer::Result;

const BLUE: [u8; 3] = [0, 114, 178];
const ORANGE: [u8; 3] = [230, 120, 0];
const RED: [u8; 3] = [200, 30, 45];

fn texts(list: &[&str]) -> Vec<String> {
    list.iter().map(|s| s.to_string()).collect()
}

fn numbered(n: usize) -> Vec<String> {
    (0..n).map(|i| format!("a class with number {i}")).collect()
}

fn decoded(figure: &Figure) -> RgbImage {
    let picture = image::load_from_memory(figure.png()).unwrap().to_rgb8();
    assert_eq!(picture.dimensions(), (figure.width(), figure.height()));
    assert!((400..=1600).contains(&figure.width()) && (300..=1600).contains(&figure.height()), "{figure:?}");
    picture
}

fn count(picture: &RgbImage, color: [u8; 3]) -> usize {
    picture.pixels().filter(|p| p.0 == color).count()
}

/// Pixels of about that colour: what is mixed is rounded somewhere.
fn about(picture: &RgbImage, color: [u8; 3]) -> usize {
    picture.pixels().filter(|p| p.0.iter().zip(color).all(|(a, b)| a.abs_diff(b) <= 3)).count()
}

fn says(result: Result<Figure>, what: &str) {
    let text = result.unwrap_err().to_string();
    assert!(text.contains(what), "{text}");
}

#[test]
fn a_cell_is_as_dark_as_the_root_of_its_part_of_the_row() {
    let names = texts(&["cats", "dogs"]);
    // All cats right, a quarter of the dogs wrong: half as dark.
    let figure = confusion_matrix_figure(&array![[7, 0], [25, 75]], &names).unwrap();
    let picture = decoded(&figure);
    let cell = 209 * 209;
    let full = count(&picture, BLUE);
    assert!((cell - 4000..cell + 2000).contains(&full), "{full}");
    assert!(about(&picture, [127, 184, 216]) > cell - 4000);
    assert_eq!(
        figure.caption(),
        "confusion matrix: 2 classes, 107 images, 25 wrong, accuracy 0.7664; most often dogs taken for cats (25)"
    );
}

#[test]
fn matrices_of_any_number_of_classes_can_be_drawn() {
    for n in [1, 2, 5, 10, 11, 40, 300, 1000] {
        let figure = confusion_matrix_figure(&Array2::eye(n), &numbered(n)).unwrap();
        let picture = decoded(&figure);
        assert!(count(&picture, BLUE) >= n, "{n}");
        assert!(figure.caption().ends_with("0 wrong, accuracy 1.0000"), "{}", figure.caption());
    }
    let nothing = confusion_matrix(&[], &[], &numbered(3)).unwrap().figure().unwrap();
    assert_eq!(nothing.caption(), "confusion matrix: 3 classes, 0 images, 0 wrong");
    says(confusion_matrix_figure(&Array2::zeros((2, 3)), &numbered(2)), "shape (2, 3)");
    says(confusion_matrix_figure(&Array2::zeros((3, 3)), &numbered(2)), "each of 2 class names");
    says(confusion_matrix_figure(&Array2::zeros((0, 0)), &[]), "Received: 0");
    says(confusion_matrix_figure(&Array2::zeros((1001, 1001)), &numbered(1001)), "1 to 1000");
}

#[test]
fn a_perfect_curve_fills_its_square_and_one_of_chance_half_of_it() {
    let shaded = |figure: &Figure| about(&decoded(figure), [224, 238, 246]) as f64;
    let perfect = roc_curve(&[0, 0, 1, 1], &[0.1, 0.2, 0.3, 0.4]).unwrap().figure().unwrap();
    assert!(perfect.caption().ends_with("AUC 1.0000"), "{}", perfect.caption());
    let chance = roc_curve(&[0, 1], &[0.5, 0.5]).unwrap().figure().unwrap();
    assert!(chance.caption().ends_with("AUC 0.5000"), "{}", chance.caption());
    let ratio = shaded(&chance) / shaded(&perfect);
    assert!((0.45..0.52).contains(&ratio), "{ratio}");
    assert!(count(&decoded(&perfect), BLUE) > 2 * 600 * 3);
}

#[test]
fn curves_that_are_none_are_refused() {
    says(roc_curve(&[1, 1], &[0.1, 0.2]).unwrap().figure(), "one of the two classes has no image");
    says(roc_figure(&[0.0, 1.0], &[0.0], 0.5), "1 true, 2 false");
    says(roc_figure(&[0.0], &[0.0], 0.5), "at least two");
    says(roc_figure(&[0.0, 1.5], &[0.0, 1.0], 0.5), "1.5 for point 1");
    says(roc_figure(&[0.0, 1.0], &[0.0, 1.0], f64::NAN), "finite area");
}

#[test]
fn top_losses_frame_what_is_wrong_and_say_how_wrong() {
    let images = Array4::from_elem((12, 32, 32, 3), 128.0);
    let actual = vec!["cat".to_owned(); 12];
    let mut predicted = actual.clone();
    predicted[0] = "dog".into();
    let losses: Vec<f64> = (0..12).map(|i| 4.0 - 0.3 * i as f64).collect();
    let figure = top_losses(&images, &predicted, &actual, &losses, &[0.7; 12]).unwrap();
    assert_eq!(figure.caption(), "top losses: 9 images, 1 wrong, losses from 4.00 to 1.60");
    let red = count(&decoded(&figure), RED);
    assert!((4 * 4 * 320..4 * 4 * 340 + 2000).contains(&red), "{red}");
    let one = images.slice(s![..1, .., .., ..]).to_owned();
    let only = |losses: &[f64], p: &[f32]| top_losses(&one, &predicted[..1], &actual[..1], losses, p);
    assert!(only(&[1.0], &[0.5]).is_ok());
    says(only(&[], &[0.5]), "Received 0 losses");
    says(only(&[1.0], &[]), "Received 0 probabilities");
    says(only(&[f64::NAN], &[0.5]), "NaN for image 0");
    says(only(&[1.0], &[1.5]), "1.5 for image 0");
    says(top_losses(&Array4::zeros((0, 8, 8, 3)), &[], &[], &[], &[]), "at least one image");
}

#[test]
fn heat_maps_lie_over_grey_photographs() {
    let images = Array4::from_shape_fn((10, 80, 80, 3), |(_, _, _, c)| [250.0, 40.0, 40.0][c]);
    let mut heat = Array3::zeros((10, 80, 80));
    heat.slice_mut(s![.., 20..60, 20..60]).fill(3.0);
    let figure = grad_cam_figure(&images, &heat, &vec!["cat".to_owned(); 10]).unwrap();
    assert_eq!(
        figure.caption(),
        "Grad-CAM: 8 of 10 images; the hotter half of the scale covers 25 % of an image"
    );
    let picture = decoded(&figure);
    // The photographs themselves, and three quarters of the others in grey.
    assert!(count(&picture, [250, 40, 40]) >= 8 * 250 * 250);
    let grey = |p: &image::Rgb<u8>| p.0[0] == p.0[1] && p.0[1] == p.0[2] && (60..120).contains(&p.0[0]);
    let share = picture.pixels().filter(|p| grey(p)).count() as f64 / (8.0 * 256.0 * 256.0);
    assert!((0.65..0.78).contains(&share), "{share}");

    let cold = grad_cam_figure(&images, &Array3::zeros((10, 80, 80)), &[]).unwrap();
    assert!(cold.caption().contains("covers 0 %"), "{}", cold.caption());
    says(grad_cam_figure(&images, &Array3::zeros((10, 80, 79)), &[]), "(10, 80, 80)");
    says(grad_cam_figure(&images, &heat, &texts(&["one"])), "Received 1 titles");
    says(grad_cam_figure(&images, &(&heat - 1.0), &[]), "0 or more. Received -1");
    says(grad_cam_figure(&images, &heat.mapv(|_| f32::NAN), &[]), "NaN");
    says(grad_cam_figure(&Array4::zeros((0, 8, 8, 3)), &Array3::zeros((0, 8, 8)), &[]), "at least one image");
}

fn two_clusters() -> FeatureMap {
    let points = Array2::from_shape_fn((40, 2), |(i, axis)| {
        (i % 2) as f64 * 10.0 + ((i * 7 + axis * 3) % 11) as f64 / 4.0
    });
    FeatureMap {
        points,
        labels: (0..40).map(|i| i % 2).collect(),
        class_names: texts(&["cats", "dogs"]),
        ..Default::default()
    }
}

#[test]
fn a_feature_map_shows_points_in_their_colours_and_thumbnails_that_hide_no_other() {
    let mut map = two_clusters();
    let figure = feature_map(&map).unwrap();
    assert_eq!(figure.caption(), "feature map: 40 points of 2 classes (cats 20, dogs 20), 0 thumbnails");
    let plain = decoded(&figure);
    // The legend's squares and the dots, which are three quarters opaque.
    assert!(count(&plain, BLUE) >= 14 * 14 && count(&plain, ORANGE) >= 14 * 14);
    let dots = about(&plain, [64, 149, 197]);
    assert!(dots > 100, "{dots}");

    map.thumbnails = vec![0, 1, 2, 3];
    map.images = Array4::from_elem((4, 32, 32, 3), 60.0);
    map.explained_variance_ratio = vec![0.5, 0.25];
    // The third stands where the first is.
    map.points[(2, 0)] = map.points[(0, 0)];
    map.points[(2, 1)] = map.points[(0, 1)];
    map.points[(3, 0)] = 5.0;
    let figure = feature_map(&map).unwrap();
    assert!(figure.caption().ends_with("3 thumbnails, 75 % of the variance"), "{}", figure.caption());
    let thumbnails = count(&decoded(&figure), [60, 60, 60]);
    assert_eq!(thumbnails, 3 * 32 * 32);
}

#[test]
fn feature_maps_of_odd_points_are_drawn_or_refused() {
    let one = FeatureMap {
        points: array![[3.0, 3.0]],
        labels: vec![0],
        class_names: texts(&["only"]),
        ..Default::default()
    };
    assert!(feature_map(&one).unwrap().caption().starts_with("feature map: 1 point of 1 class (only 1)"));
    let many = FeatureMap { class_names: numbered(400), ..two_clusters() };
    decoded(&feature_map(&many).unwrap());
    let broken = |change: fn(&mut FeatureMap)| {
        let mut map = two_clusters();
        change(&mut map);
        feature_map(&map)
    };
    says(feature_map(&FeatureMap::default()), "at least one");
    says(broken(|m| m.points = Array2::zeros((40, 3))), "(40, 3)");
    says(broken(|m| m.labels.truncate(39)), "40 points, 39 labels");
    says(broken(|m| m.labels[3] = 2), "label 2");
    says(broken(|m| m.points[(1, 1)] = f64::NAN), "NaN for point 1");
    says(broken(|m| m.thumbnails = vec![1]), "1 thumbnails, 0 images");
    let beyond = |m: &mut FeatureMap| {
        m.thumbnails = vec![40];
        m.images = Array4::zeros((1, 8, 8, 3));
    };
    says(broken(beyond), "0 to 39. Received 40");
}

//! Figures as a caller gets them: PNGs that decode and show something, captions whose numbers
//! parse, and errors instead of panics for anything that can't be drawn.

use std::process::Command;

use base64::engine::general_purpose::STANDARD;
use base64::Engine;
use image::RgbImage;
use ndarray::Array4;
use transfer::plot::{
    augmentation_grid, image_grid, image_grid_with, learning_curves, prediction_grid, Figure, GridOptions,
    LearningCurves,
};
use transfer::{Error, Result};

use crate::test_name;

fn images(n: usize, h: usize, w: usize) -> Array4<f32> {
    Array4::from_shape_fn((n, h, w, 3), |(i, y, x, c)| ((x * (c + 1) + y * 2 + i * 40) % 256) as f32)
}

fn texts(list: &[&str]) -> Vec<String> {
    list.iter().map(|s| s.to_string()).collect()
}

fn history(epochs: usize, fine_tune_start: Option<usize>) -> LearningCurves {
    let list = |from: f64, to: f64| {
        (0..epochs).map(|e| to + (from - to) * 0.7f64.powi(e as i32)).collect::<Vec<f64>>()
    };
    LearningCurves {
        accuracy: list(0.7, 0.98),
        val_accuracy: list(0.8, 0.97),
        loss: list(0.6, 0.05),
        val_loss: list(0.5, 0.06),
        fine_tune_start,
    }
}

/// Decodes the picture and checks that it is one.
fn decoded(figure: &Figure) -> RgbImage {
    let picture =
        image::load_from_memory_with_format(figure.png(), image::ImageFormat::Png).unwrap().to_rgb8();
    assert_eq!(picture.dimensions(), (figure.width(), figure.height()));
    assert!((400..=1600).contains(&figure.width()), "{figure:?}");
    assert!((100..=1600).contains(&figure.height()), "{figure:?}");
    let values = picture.as_raw();
    let mean = values.iter().map(|&v| f64::from(v)).sum::<f64>() / values.len() as f64;
    let variance = values.iter().map(|&v| (f64::from(v) - mean).powi(2)).sum::<f64>() / values.len() as f64;
    assert!(variance > 100.0, "blank: variance {variance} of {figure:?}");
    picture
}

/// The number after `key` in a caption.
fn number(caption: &str, key: &str) -> f64 {
    let (_, rest) = caption.split_once(key).unwrap_or_else(|| panic!("no {key:?} in {caption:?}"));
    let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
    rest[..end].parse().unwrap_or_else(|_| panic!("no number after {key:?} in {caption:?}"))
}

fn count(picture: &RgbImage, near: [u8; 3]) -> usize {
    picture.pixels().filter(|p| p.0.iter().zip(near).all(|(a, b)| a.abs_diff(b) <= 12)).count()
}

const RED: [u8; 3] = [200, 30, 45];
const BLUE: [u8; 3] = [0, 114, 178];
const ORANGE: [u8; 3] = [230, 120, 0];
const GREEN: [u8; 3] = [0, 138, 101];

#[test]
fn image_grid_shows_the_first_nine_with_their_own_colours() {
    let mut batch = Array4::<f32>::zeros((12, 40, 40, 3));
    for (i, mut image) in batch.outer_iter_mut().enumerate() {
        image.fill(20.0 * i as f32);
    }
    let titles = texts(&["cat"; 12]);
    let figure = image_grid(&batch, &titles).unwrap();
    assert_eq!(figure.caption(), "image grid: 9 of 12 images, 40 x 40 pixels");
    let picture = decoded(&figure);
    for i in 0..9u8 {
        assert!(count(&picture, [20 * i; 3]) >= 320 * 320, "image {i} is missing");
    }
}

#[test]
fn an_image_keeps_its_pixels_when_it_is_enlarged_by_a_whole_factor() {
    let mut batch = Array4::<f32>::from_elem((1, 2, 2, 3), 0.0);
    batch[(0, 0, 0, 0)] = 255.0;
    batch[(0, 0, 1, 1)] = 255.0;
    batch[(0, 1, 0, 2)] = 255.0;
    let picture = decoded(&image_grid(&batch, &[]).unwrap());
    let exactly = |color: [u8; 3]| picture.pixels().filter(|p| p.0 == color).count();
    assert_eq!(exactly([255, 0, 0]), 160 * 160);
    assert_eq!(exactly([0, 255, 0]), 160 * 160);
    assert_eq!(exactly([0, 0, 255]), 160 * 160);
    assert_eq!(exactly([0, 0, 0]), 160 * 160);
}

#[test]
fn a_grid_can_have_fewer_images_than_places_and_any_shape() {
    for (n, h, w) in [(1, 160, 160), (4, 100, 200), (2, 300, 60), (9, 32, 32), (3, 1, 1), (2, 2000, 1)] {
        let figure = image_grid(&images(n, h, w), &vec!["a title".to_owned(); n]).unwrap();
        assert_eq!(number(figure.caption(), "image grid: "), n as f64);
        image::load_from_memory(figure.png()).unwrap();
    }
    let strip = GridOptions { rows: 1, columns: 5, side: 160 };
    let figure = image_grid_with(&images(8, 160, 160), &[], &strip).unwrap();
    assert_eq!(number(figure.caption(), "image grid: "), 5.0);
    assert!(decoded(&figure).height() < 300);
}

#[test]
fn a_long_title_stays_inside_the_figure() {
    let batch = images(3, 32, 32);
    let long = "a title that is far too long to stand over one image of three in a row".to_owned();
    let picture = decoded(&image_grid(&batch, &vec![long; 3]).unwrap());
    let white = |x: u32| (0..picture.height()).all(|y| picture.get_pixel(x, y).0 == [255; 3]);
    assert!((0..12).all(white) && (picture.width() - 12..picture.width()).all(white));
}

#[test]
fn augmentation_grid_says_how_far_the_views_are_apart() {
    let figure = augmentation_grid(&images(9, 64, 64)).unwrap();
    assert_eq!(number(figure.caption(), "augmentation: "), 9.0);
    assert!(number(figure.caption(), "mean difference ") > 10.0, "{}", figure.caption());
    decoded(&figure);
    let same = augmentation_grid(&Array4::from_elem((9, 64, 64, 3), 10.0)).unwrap();
    assert_eq!(number(same.caption(), "mean difference "), 0.0);
    assert!(!augmentation_grid(&images(1, 8, 8)).unwrap().caption().contains("difference"));
}

#[test]
fn wrong_predictions_are_counted_and_framed_in_red() {
    let batch = Array4::from_elem((12, 32, 32, 3), 128.0);
    let actual = texts(&["cat"; 12]);
    let mut predicted = actual.clone();
    let confidence = [0.9; 12];
    let all_right = prediction_grid(&batch, &predicted, &actual, Some(&confidence)).unwrap();
    assert_eq!(all_right.caption(), "predictions: 9 shown, 0 wrong; whole batch: 12 images, 0 wrong");
    assert_eq!(count(&decoded(&all_right), RED), 0);
    predicted[4] = "dog".into();
    predicted[11] = "dog".into();
    let figure = prediction_grid(&batch, &predicted, &actual, Some(&confidence)).unwrap();
    assert_eq!(figure.caption(), "predictions: 9 shown, 1 wrong; whole batch: 12 images, 2 wrong");
    assert!(count(&decoded(&figure), RED) > 4 * 320 * 5);
}

#[test]
fn learning_curves_show_both_series_and_the_line_only_after_fine_tuning() {
    let first = learning_curves(&history(10, None)).unwrap();
    let second = learning_curves(&history(20, Some(10))).unwrap();
    for figure in [&first, &second] {
        let picture = decoded(figure);
        assert!(count(&picture, BLUE) > 1000 && count(&picture, ORANGE) > 1000);
        assert!(figure.png().len() < 120_000, "{figure:?}");
    }
    assert_eq!(count(&decoded(&first), GREEN), 0);
    assert!(count(&decoded(&second), GREEN) > 500);
}

#[test]
fn learning_curves_captions_parse() {
    let curves = history(20, Some(10));
    let figure = learning_curves(&curves).unwrap();
    let caption = figure.caption();
    assert_eq!(number(caption, "learning curves: "), 20.0);
    for (key, list) in [
        (", accuracy ", &curves.accuracy),
        (", val_accuracy ", &curves.val_accuracy),
        (", loss ", &curves.loss),
        (", val_loss ", &curves.val_loss),
    ] {
        assert!((number(caption, key) - list.last().unwrap()).abs() < 1e-4, "{key}");
    }
    assert_eq!(number(caption, "; fine-tuning starts after epoch "), 10.0);
}

#[test]
fn any_number_of_epochs_and_any_finite_value_can_be_drawn() {
    for epochs in [1, 2, 41, 500] {
        decoded(&learning_curves(&history(epochs, Some(epochs))).unwrap());
    }
    let losses = [0.0, 1e-9, 1.0, 12.7, 1e11, -3.0, -0.0];
    let accuracies = [0.0, 0.5, 0.8, 1.0, 0.0, 1.0, 1.0];
    for (i, (loss, accuracy)) in losses.into_iter().zip(accuracies).enumerate() {
        let n = 1 + 3 * (i % 2);
        let curves =
            LearningCurves { accuracy: vec![accuracy; n], loss: vec![loss; n], ..Default::default() };
        decoded(&learning_curves(&curves).unwrap());
    }
}

#[test]
fn nothing_is_cut_off_where_values_lie_outside_the_tutorials_range() {
    let mut curves = history(20, Some(10));
    curves.accuracy[0] = 0.31;
    curves.loss[0] = 4.2;
    let picture = decoded(&learning_curves(&curves).unwrap());
    let blue = |y: u32| (0..picture.width()).filter(|&x| picture.get_pixel(x, y).0 == BLUE).count();
    // The plots' upper and lower borders are the only grey lines of that length.
    let grey =
        |y: u32| (0..picture.width()).filter(|&x| picture.get_pixel(x, y).0 == [173, 181, 189]).count();
    let borders: Vec<u32> = (0..picture.height()).filter(|&y| grey(y) > 900).collect();
    let [_, accuracy_bottom, loss_top, _] = borders[..] else { panic!("borders at {borders:?}") };
    // Outside the plots is only the legend's line, which is 40 pixels wide and 3 high.
    assert_eq!((accuracy_bottom - 3..loss_top + 4).map(blue).sum::<usize>(), 40 * 3);
    // The first epoch's markers are whole discs near the borders.
    assert!((accuracy_bottom - 40..accuracy_bottom).any(|y| blue(y) >= 9));
    assert!((loss_top..loss_top + 60).any(|y| blue(y) >= 9));
}

fn shape_error(result: Result<Figure>, says: &str) {
    match result {
        Err(Error::Shape(text)) => assert!(text.contains(says), "{text}"),
        other => panic!("expected a shape error that says {says:?}, got {other:?}"),
    }
}

fn plot_error(result: Result<Figure>, says: &str) {
    match result {
        Err(Error::Plot(text)) => assert!(text.contains(says), "{text}"),
        other => panic!("expected a plot error that says {says:?}, got {other:?}"),
    }
}

#[test]
fn wrong_shapes_and_counts_are_errors() {
    shape_error(image_grid(&images(0, 8, 8), &[]), "at least one image");
    shape_error(image_grid(&images(2, 0, 8), &[]), "(2, 0, 8, 3)");
    shape_error(image_grid(&Array4::zeros((2, 8, 8, 1)), &[]), "(n, h, w, 3)");
    shape_error(image_grid(&images(2, 8, 8), &texts(&["cat"])), "each of the 2 images. Received 1 titles");
    shape_error(augmentation_grid(&images(0, 8, 8)), "augmentation_grid");
    let (batch, two, one) = (images(2, 8, 8), texts(&["a", "b"]), texts(&["a"]));
    shape_error(prediction_grid(&batch, &one, &two, None), "Received 1 predicted classes");
    shape_error(prediction_grid(&batch, &two, &one, None), "Received 1 actual classes");
    shape_error(prediction_grid(&batch, &two, &two, Some(&[0.5])), "Received 1 confidences");
}

#[test]
fn unusable_values_and_options_are_errors() {
    let mut batch = images(2, 8, 8);
    plot_error(image_grid(&(&batch / 127.5 - 1.0), &[]), "before preprocess_input");
    batch[(1, 3, 3, 0)] = f32::NAN;
    plot_error(image_grid(&batch, &[]), "NaN in image 1");
    let (batch, two) = (images(2, 8, 8), texts(&["a", "b"]));
    plot_error(prediction_grid(&batch, &two, &two, Some(&[0.5, 3.2])), "3.2 for image 1");
    plot_error(prediction_grid(&batch, &two, &two, Some(&[f32::NAN, 0.2])), "NaN for image 0");
    for (rows, columns, side) in
        [(0, 3, 320), (3, 0, 320), (3, 3, 0), (usize::MAX, usize::MAX, 320), (3, 3, 5000)]
    {
        plot_error(image_grid_with(&batch, &[], &GridOptions { rows, columns, side }), "1 to 32 rows");
    }
    let many = images(40, 8, 8);
    let options = GridOptions { rows: 32, columns: 32, side: 1024 };
    plot_error(image_grid_with(&many, &[], &options), "too large");
}

#[test]
fn unusable_histories_are_errors() {
    let broken = |change: fn(&mut LearningCurves)| {
        let mut curves = history(5, None);
        change(&mut curves);
        learning_curves(&curves)
    };
    plot_error(learning_curves(&LearningCurves::default()), "at least one epoch");
    plot_error(broken(|c| c.loss.truncate(3)), "accuracy 5, val_accuracy 5, loss 3, val_loss 5");
    plot_error(broken(|c| c.val_loss.clear()), "val_loss 0");
    plot_error(broken(|c| c.loss[2] = f64::NAN), "NaN in loss for epoch 3");
    plot_error(broken(|c| c.val_loss[4] = f64::INFINITY), "inf in val_loss for epoch 5");
    plot_error(broken(|c| c.accuracy[0] = 93.0), "93 in accuracy for epoch 1");
    plot_error(broken(|c| c.fine_tune_start = Some(6)), "1 to 5. Received 6");
    plot_error(broken(|c| c.fine_tune_start = Some(0)), "1 to 5. Received 0");
}

#[test]
fn the_same_input_gives_the_same_bytes() {
    let curves = history(20, Some(10));
    assert_eq!(learning_curves(&curves).unwrap(), learning_curves(&curves).unwrap());
}

#[test]
fn save_writes_the_png_whole_and_only_as_png() {
    let figure = learning_curves(&history(3, None)).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("new/curves.PNG");
    figure.save(&path).unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), figure.png());
    assert_eq!(std::fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
    let error = figure.save(folder.path().join("curves.jpg")).unwrap_err().to_string();
    assert!(error.contains("ends in .png"), "{error}");
    // A folder stands where the file should go.
    let error = figure.save(folder.path().join("new")).unwrap_err().to_string();
    assert!(error.contains("a folder"), "{error}");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}

/// Run by the test below, in a process whose output it reads.
#[test]
#[ignore = "run by evcxr_display_prints_two_content_blocks"]
fn prints_a_figure() {
    println!();
    learning_curves(&history(2, None)).unwrap().evcxr_display();
}

#[test]
fn evcxr_display_prints_two_content_blocks() {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", &test_name(module_path!(), "prints_a_figure"), "--ignored", "--nocapture"])
        .output()
        .unwrap();
    let printed = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<&str> = printed.lines().collect();
    let start = lines.iter().position(|l| *l == "EVCXR_BEGIN_CONTENT image/png").expect("a PNG block");
    let figure = learning_curves(&history(2, None)).unwrap();
    assert_eq!(STANDARD.decode(lines[start + 1]).unwrap(), figure.png());
    let rest = ["EVCXR_END_CONTENT", "EVCXR_BEGIN_CONTENT text/plain", figure.caption(), "EVCXR_END_CONTENT"];
    assert_eq!(lines[start + 2..start + 6], rest);
}

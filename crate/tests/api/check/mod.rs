//! `check_photographs`: what it finds among drawn scenes and real photographs, the split that keeps groups together,
//! and the table of changes.

mod fixes;
mod groups;
mod photographs;
mod table;

use std::path::Path;

use image::imageops::{crop_imm, flip_horizontal, resize, FilterType};
use image::{Rgb, RgbImage};
use transfer::check::{DuplicateKind, Oddity};
use transfer::prelude::*;
use transfer::random::Rng;

/// A scene of coloured discs on a ground that changes from corner to corner.
pub fn scene(key: u64) -> RgbImage {
    let mut rng = Rng::new(&[key, 7]);
    let mut within = |from: f32, to: f32| from + (to - from) * rng.uniform();
    let corners: [[f32; 3]; 2] = std::array::from_fn(|_| std::array::from_fn(|_| within(0.0, 255.0)));
    let discs: Vec<([f32; 3], [f32; 3])> = (0..25)
        .map(|_| {
            let colour = std::array::from_fn(|_| within(0.0, 255.0));
            ([within(0.0, 200.0), within(0.0, 150.0), within(6.0, 30.0)], colour)
        })
        .collect();
    RgbImage::from_fn(200, 150, |x, y| {
        let (x, y) = (x as f32, y as f32);
        let along = (x + y) / 350.0;
        let mut colour = [0, 1, 2].map(|c| corners[0][c] + (corners[1][c] - corners[0][c]) * along);
        for ([cx, cy, radius], of_disc) in &discs {
            if (x - cx).powi(2) + (y - cy).powi(2) < radius * radius {
                colour = *of_disc;
            }
        }
        Rgb(colour.map(|v| v as u8))
    })
}

/// Writes a picture, and makes the folder that it lies in.
pub fn save(image: &RgbImage, path: &Path) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    image.save(path).unwrap();
}

/// Two classes of twelve scenes each.
pub fn folder() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for i in 0..12 {
        save(&scene(i), &dir.path().join(format!("hills/{i:02}.png")));
        save(&scene(100 + i), &dir.path().join(format!("lakes/{i:02}.png")));
    }
    dir
}

/// The report of a folder.
pub fn check(dir: &Path) -> CheckReport {
    check_photographs(dir, CheckOptions::default()).unwrap()
}

/// The files of each group below the folder, and the group's kind.
fn groups(report: &CheckReport, dir: &Path) -> Vec<(Vec<String>, DuplicateKind)> {
    let name = |path: &Path| path.strip_prefix(dir).unwrap().to_str().unwrap().to_owned();
    report
        .duplicates
        .iter()
        .map(|group| (group.files.iter().map(|file| name(&file.path)).collect(), group.kind))
        .collect()
}

#[test]
fn duplicates_of_each_kind_are_found_and_other_scenes_are_none() {
    let dir = folder();
    let at = |name: &str| dir.path().join(name);
    assert!(check(dir.path()).duplicates.is_empty());
    std::fs::copy(at("hills/00.png"), at("hills/copy.png")).unwrap();
    save(&resize(&scene(1), 120, 90, FilterType::Triangle), &at("hills/smaller.jpg"));
    save(&flip_horizontal(&scene(2)), &at("hills/turned.png"));
    save(&crop_imm(&scene(103), 8, 3, 186, 140).to_image(), &at("lakes/cropped.jpg"));
    let frame = |x, y, brighter: u8| {
        let mut frame = crop_imm(&scene(104), x, y, 180, 135).to_image();
        frame.pixels_mut().for_each(|p| p.0.iter_mut().for_each(|v| *v = v.saturating_add(brighter)));
        frame
    };
    save(&frame(2, 3, 0), &at("lakes/frame 1.jpg"));
    save(&frame(14, 9, 15), &at("lakes/frame 2.jpg"));
    let report = check(dir.path());
    let expected: [(&[&str], DuplicateKind); 5] = [
        (&["hills/00.png", "hills/copy.png"], DuplicateKind::Copy),
        (&["hills/01.png", "hills/smaller.jpg"], DuplicateKind::Resaved),
        (&["hills/02.png", "hills/turned.png"], DuplicateKind::Mirrored),
        (&["lakes/03.png", "lakes/cropped.jpg"], DuplicateKind::Shifted),
        (&["lakes/04.png", "lakes/frame 1.jpg", "lakes/frame 2.jpg"], DuplicateKind::Shifted),
    ];
    let expected: Vec<_> = expected
        .map(|(files, kind)| (files.iter().map(ToString::to_string).collect::<Vec<_>>(), kind))
        .into();
    assert_eq!(groups(&report, dir.path()), expected);
    assert_eq!(report.leaks(), 0, "a folder without sets has no leaks");
    let text = report.to_string();
    assert!(text.contains("duplicates: 5 groups, 11 photographs"), "{text}");
    assert!(text.contains("copies (similarity 1.00): hills/00.png hills/copy.png"), "{text}");
    assert!(report.duplicates_figure().unwrap().caption().contains("10 of 10 images"));

    // The same with another number of threads.
    transfer::threads::set_threads(1);
    assert_eq!(check(dir.path()), report);
    transfer::threads::set_threads(2);
}

#[test]
fn duplicates_across_sets_are_leaks() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: String| dir.path().join(name);
    for i in 0..4 {
        for (class, first) in [("hills", 0), ("lakes", 100)] {
            save(&scene(first + i), &at(format!("train/{class}/{i}.png")));
            save(&scene(first + 10 + i), &at(format!("val/{class}/{i}.png")));
            save(&scene(first + 20 + i), &at(format!("test/{class}/{i}.png")));
        }
    }
    assert_eq!(check(dir.path()).leaks(), 0);
    save(&flip_horizontal(&scene(2)), &at("val/hills/a.png".into()));
    save(&scene(2), &at("test/hills/b.png".into()));
    save(&scene(112), &at("test/lakes/c.png".into()));
    let report = check(dir.path());
    assert_eq!(report.duplicates.len(), 2);
    assert_eq!(report.leaks(), 2, "a duplicate of validation in test is no leak of the training set");
    assert!(report.to_string().contains("WARNING: 2 photographs of validation or test"), "{report}");
    assert!(report.summary().contains("2 of them outside of the training set"), "{}", report.summary());
    let names: Vec<&str> = report.sets.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["train", "validation", "test"]);
    // Another folder to validate with, outside.
    let other = tempfile::tempdir().unwrap();
    for class in ["hills", "lakes"] {
        save(&scene(3), &other.path().join(format!("{class}/x.png")));
    }
    let options = CheckOptions::default().validation(other.path());
    let report = check_photographs(dir.path(), options).unwrap();
    assert_eq!(report.leaks(), 3);
    assert!(report.duplicates.iter().any(|group| group.has_several_classes()));
}

#[test]
fn odd_pixels_and_files_that_cannot_be_decoded_are_named_with_reasons() {
    let dir = folder();
    let at = |name: &str| dir.path().join(name);
    save(&RgbImage::from_pixel(90, 80, Rgb([10, 200, 30])), &at("hills/flat a.png"));
    save(&RgbImage::from_pixel(100, 80, Rgb([10, 200, 30])), &at("hills/flat b.png"));
    save(&resize(&scene(50), 40, 30, FilterType::Triangle), &at("hills/tiny.png"));
    save(&resize(&scene(0), 40, 30, FilterType::Triangle), &at("hills/tiny of 0.png"));
    save(&crop_imm(&scene(51), 0, 0, 200, 65).to_image(), &at("lakes/wide.png"));
    let grey = image::DynamicImage::from(scene(52)).grayscale().into_rgb8();
    save(&grey, &at("lakes/grey.png"));
    std::fs::write(at("lakes/broken.jpg"), b"\xff\xd8\xff\xe0 and no more").unwrap();
    std::fs::write(at("hills/empty.png"), "").unwrap();
    let report = check(dir.path());
    let odd: Vec<(&str, Oddity)> = report
        .odd
        .iter()
        .map(|odd| (odd.file.path.file_name().unwrap().to_str().unwrap(), odd.oddity))
        .collect();
    let expected = [
        ("flat a.png", Oddity::SingleColour),
        ("flat b.png", Oddity::SingleColour),
        ("tiny of 0.png", Oddity::Tiny),
        ("tiny.png", Oddity::Tiny),
        ("grey.png", Oddity::Grey),
        ("wide.png", Oddity::Elongated),
    ];
    assert_eq!(odd, expected);
    assert!(
        report.duplicates.is_empty(),
        "flat and tiny photographs are duplicates only if their bytes are the same"
    );
    let unreadable: Vec<String> = report.unreadable.iter().map(ToString::to_string).collect();
    assert_eq!(unreadable.len(), 2, "{unreadable:?}");
    assert!(unreadable[0].ends_with("empty.png is empty (0 bytes)"), "{unreadable:?}");
    assert_eq!((report.photographs(), report.sizes.height[0], report.sizes.width[2]), (30, 30, 200));
    let text = report.to_string();
    assert!(text.contains("unreadable files: 2") && text.contains("tiny: 2"), "{text}");
}

#[test]
fn a_folder_of_one_class_and_of_few_photographs_is_checked_too() {
    let dir = tempfile::tempdir().unwrap();
    save(&scene(1), &dir.path().join("only/a.png"));
    let report = check(dir.path());
    assert_eq!((report.photographs(), report.suspects.len()), (1, 0));
    save(&scene(1), &dir.path().join("only/b.png"));
    assert_eq!(check(dir.path()).duplicates.len(), 1);
    assert!(
        check(dir.path()).groups().is_none(),
        "a group of all photographs of a class cannot be kept together"
    );
    let nothing = tempfile::tempdir().unwrap();
    assert!(check_photographs(nothing.path(), CheckOptions::default()).is_err());
    assert!(check_photographs(nothing.path().join("gone"), CheckOptions::default()).is_err());
}

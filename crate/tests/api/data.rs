//! Data sets from folders: which images, in which order, with which pixels, and what happens to
//! files that are no images. The folders are made here; the photographs are read only where
//! `TRANSFER_GOLDEN_DIR` and `TRANSFER_DATA_DIR` say where they are.

use base64::Engine;
use image::{DynamicImage, ImageFormat, RgbImage};
use ndarray::Array3;
use safetensors::SafeTensors;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use tempfile::TempDir;
use transfer::data::*;
use transfer_kernels::testing::folder_or_skip;

use crate::listen::listen;

const COLOUR: [u8; 3] = [200, 40, 90];
/// Bytes that the cache takes for one image of 6x6: two for each number, and eight numbers to spare.
const KEPT: usize = (6 * 6 * 3 + 8) * 2;

/// A folder of plain images; image i has the colour (i, label, 7), so that it can be told.
fn folder(classes: &[(&str, usize)]) -> TempDir {
    let dir = TempDir::new().unwrap();
    let mut i = 0;
    for (label, &(name, n)) in classes.iter().enumerate() {
        std::fs::create_dir(dir.path().join(name)).unwrap();
        for k in 0..n {
            let image = RgbImage::from_pixel(5, 4, image::Rgb([i, label as u8, 7]));
            image.save(dir.path().join(name).join(format!("{k:03}.png"))).unwrap();
            i += 1;
        }
    }
    dir
}

fn options() -> ImageDatasetOptions {
    ImageDatasetOptions::default().batch_size(4).image_size(6, 6).seed(3)
}

fn open(dir: &TempDir, options: ImageDatasetOptions) -> Dataset {
    image_dataset_from_directory(dir.path(), options).unwrap()
}

/// The images of an epoch in order, each checked against its label and its colour.
fn epoch(dataset: &Dataset, epoch: u64) -> Vec<usize> {
    let mut all = Vec::new();
    for batch in dataset.batches(epoch).unwrap() {
        let batch = batch.unwrap();
        for (k, &index) in batch.indices.iter().enumerate() {
            let image = batch.image(k).unwrap();
            let pixel = [index as f32, batch.labels[k] as f32, 7.0];
            assert!(image.exact_chunks((1, 1, 3)).into_iter().all(|p| p.iter().eq(pixel.iter())));
            assert_eq!(batch.labels[k], dataset.labels()[index]);
        }
        all.extend(&batch.indices);
    }
    all
}

fn golden(bytes: &[u8], key: &str) -> Vec<f32> {
    let tensors = SafeTensors::deserialize(bytes).unwrap();
    let data = tensors.tensor(key).unwrap().data().to_vec();
    data.chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect()
}

#[test]
fn resize_equals_tensorflow_on_the_synthetic_images() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/keras_golden_synthetic.safetensors");
    let bytes = std::fs::read(file).unwrap();
    let pixel = |(y, x, c): (usize, usize, usize)| ((y * y * 3 + x * 7 + c * 50 + (y * x) % 17) % 256) as u8;
    for (h, w) in [(123, 211), (37, 53)] {
        let image = Array3::from_shape_fn((h, w, 3), pixel);
        let ours = resize(image.view(), (160, 160)).unwrap();
        let wanted = golden(&bytes, &format!("resize_{h}x{w}_to_160"));
        assert_eq!(wanted.len(), 40 * 40 * 3);
        for (i, &wanted) in wanted.iter().enumerate() {
            let at = [i / 120 * 4, i / 3 % 40 * 4, i % 3];
            assert!((ours[at] - wanted).abs() <= 1e-3, "{h}x{w} at {at:?}: {} for {wanted}", ours[at]);
        }
    }
}

#[test]
fn decoding_and_resizing_photographs_stays_close_to_tensorflow() {
    let what = "TensorFlow's pixels and the photographs that they are of are not at hand";
    let golden_dir = folder_or_skip("TRANSFER_GOLDEN_DIR", "TRANSFER_REQUIRE_GOLDEN", what);
    let data = folder_or_skip("TRANSFER_DATA_DIR", "TRANSFER_REQUIRE_DATA", what);
    let (Some(golden_dir), Some(data)) = (golden_dir, data) else { return };
    let bytes = std::fs::read(golden_dir.join("keras_golden.safetensors")).unwrap();
    let (_, header) = SafeTensors::read_metadata(&bytes).unwrap();
    let names: Vec<String> = serde_json::from_str(&header.metadata().as_ref().unwrap()["files"]).unwrap();
    let wanted = golden(&bytes, "resized");
    assert_eq!((names.len(), wanted.len()), (32, 32 * 160 * 160 * 3));
    let photographs = Photographs::at(Path::new(&data));
    let (mut sum, mut most) = (0.0, 0.0f32);
    for (name, wanted) in names.iter().zip(wanted.chunks_exact(160 * 160 * 3)) {
        let ours = load_img(photographs.path(name), (160, 160)).unwrap();
        for (a, b) in ours.iter().zip(wanted) {
            sum += f64::from((a - b).abs());
            most = most.max((a - b).abs());
        }
    }
    let mean = sum / wanted.len() as f64;
    println!("mean difference {mean:.3}, largest {most:.3} of 255");
    assert!(mean <= 1.5 && most <= 6.0, "mean {mean}, largest {most}");
}

/// The photographs as a folder, or files taken from the archive as they are needed.
enum Photographs {
    Folder(PathBuf),
    Archive(TempDir, Mutex<zip::ZipArchive<std::fs::File>>),
}

impl Photographs {
    fn at(data: &Path) -> Self {
        let folder = data.join("cats_and_dogs_filtered");
        if folder.is_dir() {
            return Self::Folder(folder);
        }
        let file = std::fs::File::open(data.join("cats_and_dogs_filtered.zip")).unwrap();
        Self::Archive(TempDir::new().unwrap(), Mutex::new(zip::ZipArchive::new(file).unwrap()))
    }

    fn path(&self, name: &str) -> PathBuf {
        match self {
            Self::Folder(folder) => folder.join(name),
            Self::Archive(dir, archive) => {
                let mut archive = archive.lock().unwrap();
                let mut from = archive.by_name(&format!("cats_and_dogs_filtered/{name}")).unwrap();
                let to = dir.path().join(name.replace('/', "_"));
                std::io::copy(&mut from, &mut std::fs::File::create(&to).unwrap()).unwrap();
                to
            }
        }
    }
}

#[test]
fn classes_are_the_sorted_folders_and_files_come_sorted() {
    let dir = folder(&[("ant", 3), ("bee", 2), ("cat", 0)]);
    std::fs::create_dir_all(dir.path().join("bee/nested")).unwrap();
    std::fs::copy(dir.path().join("bee/000.png"), dir.path().join("bee/nested/0.png")).unwrap();
    std::fs::create_dir(dir.path().join(".cache")).unwrap();
    std::fs::write(dir.path().join("ant/.DS_Store"), "x").unwrap();
    std::fs::write(dir.path().join("readme.txt"), "x").unwrap();
    let dataset = open(&dir, options().shuffle(false));
    assert_eq!(dataset.class_names(), ["ant", "bee", "cat"]);
    assert_eq!(dataset.labels(), [0, 0, 0, 1, 1, 1]);
    assert!(dataset.file_paths()[3].ends_with("bee/000.png"));
    assert!(dataset.file_paths()[5].ends_with("bee/nested/0.png"));
    let one_by_one: Vec<PathBuf> = (0..).map_while(|i| dataset.file_path(i)).collect();
    assert_eq!(one_by_one, dataset.file_paths());
    assert!(dataset.skipped().is_empty());
    assert_eq!(dataset.to_string(), "Found 6 files belonging to 3 classes.");
    assert_eq!(
        dataset.skip(1).to_string(),
        "Found 6 files belonging to 3 classes.\nUsing 2 of them, 1 batch."
    );
    let turned = open(&dir, options().class_names(&["bee", "ant"]).shuffle(false));
    assert_eq!(turned.class_names(), ["bee", "ant"]);
    assert_eq!(turned.labels(), [0, 0, 0, 1, 1, 1]);
}

#[test]
fn a_batch_has_the_images_their_labels_and_their_places() {
    let dir = folder(&[("a", 5), ("b", 5)]);
    let dataset = open(&dir, options().shuffle(false));
    assert_eq!((dataset.len(), dataset.cardinality(), dataset.batch_size()), (10, 3, 4));
    assert_eq!(epoch(&dataset, 0), (0..10).collect::<Vec<_>>());
    let sizes: Vec<usize> = dataset.batches(0).unwrap().map(|b| b.unwrap().len()).collect();
    assert_eq!(sizes, [4, 4, 2]);
    let first = dataset.first_batch().unwrap();
    assert_eq!(first.images.dim(), (4, 6, 6, 3));
    assert_eq!(first.indices, [0, 1, 2, 3]);
    assert!(first.image(4).is_err());
    assert_eq!(first.clone().into_images(), first.images);
}

#[test]
fn a_shuffled_epoch_has_every_image_once_in_an_order_of_its_own() {
    let dir = folder(&[("a", 20), ("b", 17)]);
    let dataset = open(&dir, options());
    let orders: Vec<Vec<usize>> = (0..3).map(|e| epoch(&dataset, e)).collect();
    for (i, order) in orders.iter().enumerate() {
        assert_eq!(order.iter().copied().collect::<BTreeSet<_>>(), (0..37).collect());
        assert_eq!(*order, epoch(&dataset.clone(), i as u64), "asked again");
        assert_eq!(*order, epoch(&open(&dir, options()), i as u64), "opened again");
    }
    assert_ne!(orders[0], orders[1]);
    assert_ne!(orders[1], orders[2]);
    assert_eq!(orders[0], dataset.indices());
    assert_ne!(orders[0], epoch(&open(&dir, options().seed(4)), 0));
    let steady = open(&dir, options().reshuffle_each_iteration(false));
    assert_eq!(epoch(&steady, 0), epoch(&steady, 5));
}

#[test]
fn neither_threads_nor_prefetching_change_a_batch() {
    let dir = folder(&[("a", 30), ("b", 30)]);
    let map: Arc<dyn ImageMap> = Arc::new(
        transfer::augment::Sequential::new()
            .add(transfer::augment::RandomFlip::horizontal())
            .add(transfer::augment::RandomRotation::new(0.2)),
    );
    let all = |dataset: &Dataset| -> Vec<(Vec<f32>, Vec<usize>)> {
        let batches = dataset.batches_with(1, map.clone()).unwrap();
        batches.map(|b| b.unwrap()).map(|b| (b.images.iter().copied().collect(), b.indices.clone())).collect()
    };
    let dataset = open(&dir, options());
    transfer::threads::set_threads(1);
    let one = all(&dataset.prefetch(0));
    transfer::threads::set_threads(4);
    for prefetch in [0, 1, 2, 50, AUTOTUNE] {
        assert_eq!(one, all(&dataset.prefetch(prefetch)), "prefetch({prefetch})");
    }
}

#[test]
fn take_and_skip_never_share_an_image_in_any_epoch() {
    let dir = folder(&[("a", 20), ("b", 18)]);
    let dataset = open(&dir, options());
    let (test, validation) = (dataset.take(3), dataset.skip(3));
    assert_eq!((test.cardinality(), validation.cardinality()), (3, 7));
    assert_eq!((test.len(), validation.len()), (12, 26));
    let set = |d: &Dataset, e| epoch(d, e).into_iter().collect::<BTreeSet<_>>();
    for e in 0..3 {
        assert_eq!(set(&test, e), set(&test, 0));
        assert_eq!(set(&validation, e), set(&validation, 0));
        assert!(set(&test, e).is_disjoint(&set(&validation, e)));
    }
    assert_eq!(set(&test, 0).len() + set(&validation, 0).len(), 38);
    assert_eq!(epoch(&validation.skip(2).take(1), 0), dataset.indices()[20..24]);
    assert_eq!(dataset.take(1).first_batch().unwrap().indices, dataset.first_batch().unwrap().indices);
    assert_eq!((dataset.take(99).len(), dataset.take(usize::MAX).len(), dataset.skip(99).len()), (38, 38, 0));
    assert_eq!(epoch(&dataset.skip(99), 0), [0; 0]);
    assert!(dataset.skip(99).first_batch().unwrap_err().to_string().contains("empty"));
}

#[test]
fn a_validation_split_divides_the_files_without_overlap() {
    let dir = folder(&[("a", 10), ("b", 11)]);
    let part = |subset| open(&dir, options().validation_split(0.2, subset));
    let (training, validation) = (part(Subset::Training), part(Subset::Validation));
    assert_eq!((training.len(), validation.len()), (17, 4));
    let all: BTreeSet<&PathBuf> = training.file_paths().iter().chain(validation.file_paths()).collect();
    assert_eq!(all.len(), 21);
    assert_eq!(training.to_string(), "Found 21 files belonging to 2 classes.\nUsing 17 of them, 5 batches.");
}

#[test]
fn the_cache_changes_no_value_by_more_than_half_its_step_and_no_epoch_at_all() {
    let dir = folder(&[("a", 0), ("b", 0)]);
    for i in 0..9u32 {
        let noise = RgbImage::from_fn(31, 17, |x, y| {
            image::Rgb([0, 5, 9].map(|k| ((x * 37 + y * 101 + i * 13 + k) % 256) as u8))
        });
        noise.save(dir.path().join(format!("a/{i}.png"))).unwrap();
    }
    let values = |d: &Dataset, e| -> Vec<f32> {
        let batches = d.batches(e).unwrap();
        batches.flat_map(|b| b.unwrap().images.iter().copied().collect::<Vec<_>>()).collect()
    };
    let steady = options().reshuffle_each_iteration(false);
    let dataset = open(&dir, steady.clone());
    let cached = dataset.cache();
    let (plain, first, second) = (values(&dataset, 0), values(&cached, 0), values(&cached, 1));
    assert_eq!(first, second);
    assert!(plain.iter().zip(&first).all(|(a, b)| (a - b).abs() <= 1.0 / 512.0 + 1e-5));
    assert_ne!(plain, first, "the images should have values between the steps");
    assert_eq!(cached.cache_bytes(), 9 * KEPT);
    // Files are not read any more.
    std::fs::remove_dir_all(dir.path().join("a")).unwrap();
    assert_eq!(values(&cached.take(1), 2), first[..4 * 6 * 6 * 3]);
    assert_eq!(values(&dataset.skip(1).cache(), 2), first[4 * 6 * 6 * 3..]);
}

#[test]
fn a_full_cache_decodes_the_rest_again_to_the_same_values() {
    let dir = folder(&[("a", 9)]);
    let limit = 2 * KEPT + 5;
    let cached = open(&dir, options().cache_limit_bytes(limit)).cache();
    let order = epoch(&cached, 0);
    assert_eq!(order, epoch(&cached, 0));
    assert_eq!(cached.cache_bytes(), 2 * KEPT);
}

#[test]
fn every_format_is_read_by_its_content_whatever_its_name() {
    let dir = TempDir::new().unwrap();
    let rgb = DynamicImage::ImageRgb8(RgbImage::from_pixel(16, 8, image::Rgb(COLOUR)));
    let transparent = |pixel: &mut image::Rgba<u8>| pixel.0[3] = 10;
    let mut rgba = rgb.to_rgba8();
    rgba.pixels_mut().for_each(transparent);
    let wide = image::ImageBuffer::from_pixel(16, 8, image::Rgb(COLOUR.map(|v| u16::from(v) << 8 | 0xEE)));
    let decoded = |text: &str| base64::engine::general_purpose::STANDARD.decode(text).unwrap();
    let encoded = |image: &DynamicImage, format| {
        let mut bytes = std::io::Cursor::new(Vec::new());
        image.write_to(&mut bytes, format).unwrap();
        bytes.into_inner()
    };
    let files = [
        ("jpeg", encoded(&rgb, ImageFormat::Jpeg)),
        ("progressive jpeg", decoded(PROGRESSIVE_JPEG)),
        ("cmyk jpeg", decoded(CMYK_JPEG)),
        ("png", encoded(&rgb, ImageFormat::Png)),
        ("png with alpha", encoded(&rgba.into(), ImageFormat::Png)),
        ("png of 16 bits", encoded(&DynamicImage::ImageRgb16(wide), ImageFormat::Png)),
        ("png with palette", decoded(PALETTE_PNG)),
        ("bmp", encoded(&rgb, ImageFormat::Bmp)),
        ("gif", encoded(&rgb, ImageFormat::Gif)),
        ("webp", encoded(&rgb, ImageFormat::WebP)),
        ("lossy webp", decoded(LOSSY_WEBP)),
        ("tiff", encoded(&rgb, ImageFormat::Tiff)),
    ];
    for (name, bytes) in files {
        let path = dir.path().join(format!("{name}.txt"));
        std::fs::write(&path, bytes).unwrap();
        let image = load_img(&path, (4, 4)).unwrap();
        for (i, &value) in image.iter().enumerate() {
            assert!((value - f32::from(COLOUR[i % 3])).abs() < 6.0, "{name}: {value} in channel {}", i % 3);
        }
    }
    let grey = DynamicImage::ImageLuma8(image::GrayImage::from_pixel(3, 3, image::Luma([77])));
    std::fs::write(dir.path().join("grey"), encoded(&grey, ImageFormat::Png)).unwrap();
    assert!(load_img(dir.path().join("grey"), (2, 2)).unwrap().iter().all(|&v| v == 77.0));
}

/// One noisy image in each format, so that every part of the file matters.
fn noisy_files() -> Vec<(&'static str, Vec<u8>)> {
    let noise = RgbImage::from_fn(48, 40, |x, y| {
        image::Rgb([1, 2, 3].map(|k: u32| ((x * x * 31 + y * 57 * k + x * y) % 251) as u8))
    });
    let formats = [
        ("jpeg", ImageFormat::Jpeg),
        ("png", ImageFormat::Png),
        ("bmp", ImageFormat::Bmp),
        ("gif", ImageFormat::Gif),
        ("webp", ImageFormat::WebP),
        ("tiff", ImageFormat::Tiff),
    ];
    formats
        .map(|(name, format)| {
            let mut bytes = std::io::Cursor::new(Vec::new());
            noise.write_to(&mut bytes, format).unwrap();
            (name, bytes.into_inner())
        })
        .into()
}

#[test]
fn a_file_that_was_cut_off_is_refused_in_every_format() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("cut");
    for (name, bytes) in noisy_files() {
        std::fs::write(&path, &bytes).unwrap();
        load_img(&path, (8, 8)).unwrap();
        for part in [5, 30, 60, 90] {
            std::fs::write(&path, &bytes[..bytes.len() * part / 100]).unwrap();
            assert!(load_img(&path, (8, 8)).is_err(), "{name} with {part} % of its bytes");
        }
    }
}

#[test]
fn damaged_bytes_never_bring_the_program_down() {
    let dir = TempDir::new().unwrap();
    std::fs::create_dir(dir.path().join("a")).unwrap();
    let mut rng = transfer::random::Rng::new(&[11]);
    let mut n = 0;
    for (name, bytes) in noisy_files() {
        for _ in 0..60 {
            let mut damaged = bytes.clone();
            for _ in 0..=rng.below(6) {
                // Half of the damage goes where the format and the sizes stand.
                let within = if rng.below(2) == 0 { 64 } else { usize::MAX };
                let at = rng.below(damaged.len().min(within));
                damaged[at] = rng.below(256) as u8;
            }
            std::fs::write(dir.path().join(format!("a/{name}{n}")), damaged).unwrap();
            n += 1;
        }
    }
    let dataset = open(&dir, options().batch_size(32).max_left_out(1.0));
    let mut images = 0;
    for batch in dataset.batches(0).unwrap() {
        let batch = batch.unwrap();
        assert!(batch.images.iter().all(|v| (0.0..=255.0).contains(v)));
        images += batch.len();
    }
    // Damage to the first bytes makes some of them files that are no images, which are passed over.
    assert!(dataset.skipped().len() > 50 && images > 20, "{} and {images}", dataset.skipped().len());
    assert!(images + dataset.skipped().len() <= n && images + dataset.skipped().len() > n - n / 5);
}

#[test]
fn only_the_first_frame_of_a_gif_counts() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("two.gif");
    let mut encoder = image::codecs::gif::GifEncoder::new(std::fs::File::create(&path).unwrap());
    for colour in [COLOUR, [0, 255, 0]] {
        let [r, g, b] = colour;
        let frame = image::RgbaImage::from_pixel(8, 8, image::Rgba([r, g, b, 255]));
        encoder.encode_frame(image::Frame::new(frame)).unwrap();
    }
    drop(encoder);
    let image = load_img(&path, (2, 2)).unwrap();
    assert!(image.iter().enumerate().all(|(i, v)| (v - f32::from(COLOUR[i % 3])).abs() < 6.0), "{image}");
}

#[test]
fn a_photograph_is_turned_as_its_exif_orientation_says() {
    let dir = TempDir::new().unwrap();
    // White on the left, black on the right.
    let image = RgbImage::from_fn(64, 32, |x, _| image::Rgb([if x < 32 { 255 } else { 0 }; 3]));
    let mut bytes = std::io::Cursor::new(Vec::new());
    image.write_to(&mut bytes, ImageFormat::Jpeg).unwrap();
    let mut bytes = bytes.into_inner();
    // One entry, tag 0x0112 (orientation), a single 16-bit number: 6, "turn right to see it".
    let exif = b"Exif\0\0MM\0\x2A\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0";
    let mut segment = vec![0xFF, 0xE1, 0, exif.len() as u8 + 2];
    segment.extend(exif);
    bytes.splice(2..2, segment);
    let path = dir.path().join("turned.jpg");
    std::fs::write(&path, bytes).unwrap();
    let image = load_img(&path, (64, 32)).unwrap();
    for x in [1, 15, 30] {
        assert!(image[[3, x, 0]] > 250.0 && image[[60, x, 0]] < 5.0, "white belongs on top");
    }
}

/// Writes files that are no readable images into `class` and returns how many.
fn spoil(class: &Path) -> usize {
    let whole = std::fs::read(class.join("000.png")).unwrap();
    let mut jpeg = std::io::Cursor::new(Vec::new());
    RgbImage::new(64, 64).write_to(&mut jpeg, ImageFormat::Jpeg).unwrap();
    let jpeg = jpeg.into_inner();
    let mut bomb = std::io::Cursor::new(Vec::new());
    RgbImage::new(2, 2).write_to(&mut bomb, ImageFormat::Bmp).unwrap();
    let mut bomb = bomb.into_inner();
    bomb[18..22].copy_from_slice(&60_000u32.to_le_bytes());
    let mut broken = whole.clone();
    let half = broken.len() / 2;
    broken[half..].fill(0xA5);
    let files: [(&str, &[u8]); 7] = [
        ("bad_bomb.bmp", &bomb),
        ("bad_broken.png", &broken),
        ("bad_cut.jpg", &jpeg[..jpeg.len() - 30]),
        ("bad_cut.png", &whole[..whole.len() - 25]),
        ("bad_empty.png", b""),
        ("bad_text.jpg", b"this is no image"),
        ("bad_tiff.jpg", b"II*\0\x08\0\0\0 and so on"),
    ];
    for (name, bytes) in files {
        std::fs::write(class.join(name), bytes).unwrap();
    }
    files.len()
}

#[test]
fn unreadable_files_are_left_out_listed_and_told_and_labels_stay_aligned() {
    let said = listen();
    let dir = folder(&[("a", 6), ("b", 6)]);
    let bad = spoil(&dir.path().join("a"));
    std::fs::write(dir.path().join("a/notes.txt"), "no image, and not called like one").unwrap();
    let dataset = open(&dir, options().max_left_out(0.6));
    let early = dataset.skipped().len();
    assert!(early >= 4, "found when opening: {:?}", dataset.skipped());
    let images = |e| -> BTreeSet<PathBuf> {
        let batches = dataset.batches(e).unwrap();
        let mut all = BTreeSet::new();
        for batch in batches {
            let batch = batch.unwrap();
            assert_eq!((batch.len(), batch.images.shape()[0]), (batch.indices.len(), batch.indices.len()));
            for (k, &i) in batch.indices.iter().enumerate() {
                let path = &dataset.file_paths()[i];
                let label = path.parent().unwrap().ends_with("b") as u32;
                assert_eq!((batch.labels[k], batch.images[[k, 2, 2, 1]]), (label, label as f32));
                all.insert(path.clone());
            }
        }
        all
    };
    assert_eq!(images(0).len(), 12);
    assert_eq!(images(1), images(0));
    let skipped = dataset.skipped();
    assert_eq!(skipped.len(), bad, "{skipped:?}");
    for (file, reason) in
        skipped.iter().zip(["60000", "png", "cut off", "png", "empty", "does not look", "tiff"])
    {
        assert!(file.reason.contains(reason), "{file}");
    }
    let told = said.lines();
    let ours: Vec<&str> = told.lines().filter(|line| line.contains(dir.path().to_str().unwrap())).collect();
    assert_eq!(ours.len(), 2, "once when opened, once after the first pass: {told}");
    assert!(told.contains("Passed over 1 file that is no image: a/notes.txt."), "{told}");
    assert!(ours[0].starts_with(&format!("Left out {early} damaged files: ")), "{}", ours[0]);
    assert!(ours[0].contains("bad_bomb.bmp"));
}

#[test]
fn with_fail_an_unreadable_file_is_an_error_that_names_it() {
    let dir = folder(&[("a", 11)]);
    let whole = std::fs::read(dir.path().join("a/000.png")).unwrap();
    std::fs::write(dir.path().join("a/zz.png"), &whole[..whole.len() - 25]).unwrap();
    let dataset = open(&dir, options().on_bad_image(OnBadImage::Fail));
    let errors: Vec<String> =
        dataset.batches(0).unwrap().filter_map(|b| b.err()).map(|e| e.to_string()).collect();
    assert_eq!(errors.len(), 1);
    assert!(errors[0].contains("zz.png") && errors[0].contains("OnBadImage::Skip"), "{errors:?}");
    std::fs::write(dir.path().join("a/zz.png"), "").unwrap();
    let error =
        image_dataset_from_directory(dir.path(), options().on_bad_image(OnBadImage::Fail)).unwrap_err();
    assert!(error.to_string().contains("zz.png is empty"), "{error}");
}

#[test]
fn a_data_set_without_one_image_that_decodes_is_an_error() {
    let dir = folder(&[("a", 1)]);
    let whole = std::fs::read(dir.path().join("a/000.png")).unwrap();
    let error = || {
        let opened = image_dataset_from_directory(dir.path(), options().max_left_out(1.0));
        opened.unwrap_err().to_string()
    };
    // A small class is decoded when it is opened.
    std::fs::write(dir.path().join("a/000.png"), &whole[..whole.len() - 25]).unwrap();
    assert!(error().contains("found none") && error().contains("damaged png"), "{}", error());
    std::fs::write(dir.path().join("a/000.png"), "").unwrap();
    assert!(error().contains("found none") && error().contains("000.png is empty"), "{}", error());
}

#[test]
fn wrong_folders_and_options_are_errors_that_say_what_to_do() {
    let dir = folder(&[("a", 1)]);
    let error = |path: &Path, options| image_dataset_from_directory(path, options).unwrap_err().to_string();
    for (options, says) in [
        (options().batch_size(0), "batch_size"),
        (options().image_size(0, 5), "image_size"),
        (options().image_size(20_000, 20_000), "smaller batch_size"),
        (options().batch_size(usize::MAX), "smaller batch_size"),
        (options().max_left_out(1.5), "max_left_out"),
        (options().max_left_out(f32::NAN), "max_left_out"),
        (options().validation_split(1.0, Subset::Training), "between 0 and 1"),
        (options().validation_split(f32::NAN, Subset::Training), "between 0 and 1"),
        (options().validation_split(0.5, Subset::Validation), "leaves no image"),
        (ImageDatasetOptions { subset: Some(Subset::Training), ..options() }, "together"),
        (options().class_names(&["a", "x"]), "\"x\""),
        (options().class_names(&["a", "a"]), "repeat"),
    ] {
        let error = error(dir.path(), options);
        assert!(error.contains(says), "{error}");
    }
    assert!(error(&dir.path().join("missing"), options()).contains("missing"));
    assert!(error(&dir.path().join("a"), options()).contains("one sub-folder for each class"));
}

#[test]
fn dropping_a_pass_midway_stops_its_threads() {
    let dir = folder(&[("a", 60), ("b", 60)]);
    for prefetch in [0, 1, 3] {
        let dataset = open(&dir, options()).prefetch(prefetch);
        for taken in [0, 1, 5, 29, 30] {
            let mut batches = dataset.batches(taken as u64).unwrap();
            let kept: Vec<Batch> = batches.by_ref().take(taken).map(|b| b.unwrap()).collect();
            drop(batches);
            assert_eq!(kept.len(), taken);
        }
    }
}

#[test]
fn a_batch_may_outlive_its_data_set() {
    let dir = folder(&[("a", 8)]);
    let batches: Vec<Batch> =
        open(&dir, options().shuffle(false)).batches(0).unwrap().map(|b| b.unwrap()).collect();
    assert_eq!((batches[0].images[[3, 0, 0, 0]], batches[1].images[[3, 0, 0, 0]]), (3.0, 7.0));
}

struct Panics;

impl ImageMap for Panics {
    fn apply(&self, _: &mut [f32], _: (usize, usize, usize), key: ImageKey, _: &mut Vec<f32>) {
        assert!(key.index != 7, "seven is too much");
    }
}

#[test]
fn a_panic_in_an_image_map_comes_out_as_an_error() {
    let dir = folder(&[("a", 12)]);
    let dataset = open(&dir, options().shuffle(false));
    for prefetch in [0, 2] {
        let batches = dataset.prefetch(prefetch).batches_with(0, Arc::new(Panics)).unwrap();
        let results: Vec<_> = batches.collect();
        assert_eq!(results.len(), 2, "one whole batch, then the error");
        let error = results[1].as_ref().unwrap_err().to_string();
        assert!(error.contains("seven is too much"), "{error}");
    }
}

// Each 16x8, of one colour, made for this test.
const PROGRESSIVE_JPEG: &str = "/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDAAMCAgMCAgMDAwMEAwMEBQgFBQQEBQoHBwYIDAoMDAsKCwsNDhIQDQ4RDgsLEBYQERMUFRUVDA8XGBYUGBIUFRT/2wBDAQMEBAUEBQkFBQkUDQsNFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBT/wgARCAAIABADASIAAhEBAxEB/8QAFQABAQAAAAAAAAAAAAAAAAAAAAb/xAAVAQEBAAAAAAAAAAAAAAAAAAACB//aAAwDAQACEAMQAAABkQLL/8QAFBABAAAAAAAAAAAAAAAAAAAAEP/aAAgBAQABBQI//8QAFBEBAAAAAAAAAAAAAAAAAAAAAP/aAAgBAwEBPwF//8QAFBEBAAAAAAAAAAAAAAAAAAAAAP/aAAgBAgEBPwF//8QAFBABAAAAAAAAAAAAAAAAAAAAEP/aAAgBAQAGPwI//8QAFBABAAAAAAAAAAAAAAAAAAAAEP/aAAgBAQABPyE//9oADAMBAAIAAwAAABD/AP/EABQRAQAAAAAAAAAAAAAAAAAAAAD/2gAIAQMBAT8Qf//EABQRAQAAAAAAAAAAAAAAAAAAAAD/2gAIAQIBAT8Qf//EABQQAQAAAAAAAAAAAAAAAAAAABD/2gAIAQEAAT8QP//Z";
const CMYK_JPEG: &str = "/9j/7gAOQWRvYmUAZAAAAAAA/9sAQwADAgIDAgIDAwMDBAMDBAUIBQUEBAUKBwcGCAwKDAwLCgsLDQ4SEA0OEQ4LCxAWEBETFBUVFQwPFxgWFBgSFBUU/8AAFAgACAAQBEMRAE0RAFkRAEsRAP/EAB8AAAEFAQEBAQEBAAAAAAAAAAABAgMEBQYHCAkKC//EALUQAAIBAwMCBAMFBQQEAAABfQECAwAEEQUSITFBBhNRYQcicRQygZGhCCNCscEVUtHwJDNicoIJChYXGBkaJSYnKCkqNDU2Nzg5OkNERUZHSElKU1RVVldYWVpjZGVmZ2hpanN0dXZ3eHl6g4SFhoeIiYqSk5SVlpeYmZqio6Slpqeoqaqys7S1tre4ubrCw8TFxsfIycrS09TV1tfY2drh4uPk5ebn6Onq8fLz9PX29/j5+v/aAA4EQwBNAFkASwAAPwD7Ar4Urxqv1Toooor/2Q==";
const PALETTE_PNG: &str = "iVBORw0KGgoAAAANSUhEUgAAABAAAAAIAQMAAADKuO3UAAAAA1BMVEXIKFruJexiAAAAC0lEQVR4nGNgwA4AABgAAdV/xOwAAAAASUVORK5CYII=";
const LOSSY_WEBP: &str =
    "UklGRjYAAABXRUJQVlA4ICoAAABwAQCdASoQAAgAAMASJaACdAF1AAD+9YiVr//ZK3/+zy//+yVv+x5AAAA=";

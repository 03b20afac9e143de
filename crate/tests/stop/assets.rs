//! Downloads, hashes, extraction and waiting for another process, asked to end.
//!
//! Each of these would go on for a minute or for ever; `LONG` only tells that from an end that was asked for.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use transfer::assets::{extract_zip, GetFile};
use transfer::progress::{request_stop, resume};
use transfer::{Error, Result};

use super::TURN;

const LONG: Duration = Duration::from_secs(30);

/// Starts `work`, asks for an end a moment later, and expects that it is heard.
fn interrupted<T: std::fmt::Debug>(what: &str, work: impl FnOnce() -> Result<T>) {
    resume();
    let started = Instant::now();
    let asking = std::thread::spawn(|| {
        std::thread::sleep(Duration::from_millis(300));
        request_stop();
    });
    let outcome = work();
    asking.join().unwrap();
    resume();
    assert!(matches!(outcome, Err(Error::Interrupted(_))), "{what}: {outcome:?}");
    assert!(started.elapsed() < LONG, "{what}: {:?}", started.elapsed());
}

/// Answers the first request with a part of the body, and then holds the connection; the second one with the rest.
/// Gives its address and, at the end, the second request.
fn half_silent(body: &'static [u8], part: usize) -> (String, std::thread::JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}/photos.bin", listener.local_addr().unwrap());
    let serving = std::thread::spawn(move || {
        let (mut first, _) = listener.accept().unwrap();
        head_of(&first);
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nETag: \"v1\"\r\n\r\n", body.len());
        first.write_all(&[head.as_bytes(), &body[..part]].concat()).unwrap();
        let (mut second, _) = listener.accept().unwrap();
        let asked = head_of(&second);
        let range = format!("Content-Range: bytes {part}-{}/{}", body.len() - 1, body.len());
        let head = format!(
            "HTTP/1.1 206 Partial Content\r\n{range}\r\nContent-Length: {}\r\n\r\n",
            body.len() - part
        );
        second.write_all(&[head.as_bytes(), &body[part..]].concat()).unwrap();
        asked
    });
    (address, serving)
}

fn head_of(stream: &TcpStream) -> String {
    let lines = BufReader::new(stream).lines().map_while(|line| line.ok());
    lines.take_while(|line| !line.is_empty()).map(|line| line.to_lowercase() + "\n").collect()
}

fn patient(origin: &str, folder: &Path) -> GetFile {
    let minute = Duration::from_secs(60);
    GetFile {
        cache_dir: Some(folder.to_owned()),
        read_timeout: minute,
        connect_timeout: minute,
        pause: minute,
        ..GetFile::new(origin)
    }
}

#[test]
fn downloads_hashes_extraction_and_waiting_end_when_they_are_asked_to() {
    let _turn = TURN.lock().unwrap_or_else(|e| e.into_inner());
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();

    // In the middle of a body; the next call goes on from there.
    let (address, serving) = half_silent(b"first half, second half", 12);
    interrupted("a server that falls silent", || patient(&address, here).run());
    assert!(!here.join("photos.bin").exists());
    let path: PathBuf = patient(&address, here).run().unwrap();
    assert_eq!(std::fs::read(path).unwrap(), b"first half, second half");
    assert!(serving.join().unwrap().contains("range: bytes=12-"));

    // Before there is an answer.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}/silent.bin", silent.local_addr().unwrap());
    interrupted("a server that says nothing", || patient(&address, here).run());

    // Between two tries.
    let closed =
        format!("http://{}/closed.bin", TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap());
    interrupted("a pause before the next try", || patient(&closed, here).run());

    // While another process prepares the file.
    let lock = std::fs::File::create(here.join(".locked.bin.lock")).unwrap();
    lock.lock().unwrap();
    interrupted("a lock that somebody holds", || patient("http://127.0.0.1:9/locked.bin", here).run());

    // It takes no room on the disk, and minutes to read.
    let endless = here.join("endless");
    std::fs::File::create(&endless).unwrap().set_len(1 << 38).unwrap();
    interrupted("a file of 256 GB", || transfer::assets::sha256_file(&endless));
    std::fs::remove_file(&endless).unwrap();

    let archive = here.join("a.zip");
    std::fs::write(&archive, one_file_zip()).unwrap();
    request_stop();
    let stopped = extract_zip(&archive, here.join("extracted"));
    resume();
    assert!(matches!(stopped, Err(Error::Interrupted(_))), "{stopped:?}");
    assert!(!here.join("extracted").exists());
    extract_zip(&archive, here.join("extracted")).unwrap();
    assert!(here.join("extracted/a").is_file());
}

/// An archive of one empty file called `a`.
fn one_file_zip() -> Vec<u8> {
    let about = [&[20, 0][..], &[0; 20], &[1, 0, 0, 0]].concat();
    let local = [b"PK\x03\x04", &about[..], b"a"].concat();
    let central = [b"PK\x01\x02\x14\x03", &about[..], &[0; 14], b"a"].concat();
    let end = [
        b"PK\x05\x06\0\0\0\0\x01\0\x01\0",
        &(central.len() as u32).to_le_bytes()[..],
        &(local.len() as u32).to_le_bytes(),
        &[0, 0],
    ];
    [local, central, end.concat()].concat()
}

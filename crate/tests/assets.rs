//! Downloads from a server on this machine, and archives that must not be extracted.

use std::io::{BufRead, BufReader, Cursor, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tempfile::TempDir;
use transfer::assets::{extract_zip, sha256_file, GetFile, MAX_ENTRIES};
use transfer::{Error, Result};
use zip::{write::SimpleFileOptions, CompressionMethod, ZipWriter};

/// Answers each request with the bytes that `answer(number of the request, its head)` gives, then
/// closes the connection.
struct Server {
    address: String,
    heads: Arc<Mutex<Vec<String>>>,
}

impl Server {
    fn start(answer: impl Fn(usize, &str) -> Vec<u8> + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let heads = Arc::new(Mutex::new(Vec::new()));
        let seen = heads.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let head = read_head(&stream);
                let number = {
                    let mut seen = seen.lock().unwrap();
                    seen.push(head.clone());
                    seen.len() - 1
                };
                let _ = stream.write_all(&answer(number, &head));
            }
        });
        Server { address, heads }
    }

    fn heads(&self) -> Vec<String> {
        self.heads.lock().unwrap().clone()
    }
}

fn read_head(stream: &TcpStream) -> String {
    let lines = BufReader::new(stream).lines().map_while(|line| line.ok());
    lines.take_while(|line| !line.is_empty()).map(|line| line.to_lowercase() + "\n").collect()
}

fn response(status: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    [format!("HTTP/1.1 {status}\r\n{headers}Connection: close\r\n\r\n").as_bytes(), body].concat()
}

fn whole(body: &[u8]) -> Vec<u8> {
    response("200 OK", &format!("Content-Length: {}\r\nETag: \"v1\"\r\n", body.len()), body)
}

fn body() -> Vec<u8> {
    (0..100_000u32).flat_map(|i| i.to_le_bytes()).collect()
}

fn sha256(bytes: &[u8]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bytes");
    std::fs::write(&path, bytes).unwrap();
    sha256_file(path).unwrap()
}

fn get(server: &Server, folder: &TempDir, hash: Option<&[u8]>) -> Result<PathBuf> {
    GetFile {
        file_hash: hash.map(sha256),
        cache_dir: Some(folder.path().to_owned()),
        pause: Duration::from_millis(5),
        ..GetFile::new(format!("{}/files/photos.bin?key=1", server.address))
    }
    .run()
}

/// What a folder holds, without the lock files, which mean nothing.
fn left_in(folder: &Path) -> Vec<String> {
    let names = std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
    names.filter(|name| !name.ends_with(".lock")).collect()
}

#[test]
fn a_file_is_fetched_once_and_then_found() {
    let (server, folder) = (Server::start(|_, _| whole(&body())), tempfile::tempdir().unwrap());
    let path = get(&server, &folder, Some(&body())).unwrap();
    assert_eq!(path, folder.path().join("photos.bin"));
    assert_eq!(std::fs::read(&path).unwrap(), body());
    get(&server, &folder, Some(&body())).unwrap();
    get(&server, &folder, None).unwrap();
    assert_eq!(server.heads().len(), 1);
    assert_eq!(left_in(folder.path()), ["photos.bin"]);
}

#[test]
fn four_at_a_time_download_it_once() {
    let (server, folder) = (Server::start(|_, _| whole(&body())), tempfile::tempdir().unwrap());
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| get(&server, &folder, Some(&body())).unwrap());
        }
    });
    assert_eq!(server.heads().len(), 1);
}

#[test]
fn a_broken_download_goes_on_where_it_stopped() {
    let half = body().len() / 2;
    let server = Server::start(move |n, _| match n {
        0 => whole(&body())[..half].to_vec(),
        _ => {
            let (all, start) = (body().len(), half - (whole(&body()).len() - body().len()));
            let range = format!("Content-Range: bytes {start}-{}/{all}\r\n", all - 1);
            let length = format!("Content-Length: {}\r\nETag: \"v1\"\r\n", all - start);
            response("206 Partial Content", &(range + &length), &body()[start..])
        }
    });
    let folder = tempfile::tempdir().unwrap();
    let path = get(&server, &folder, Some(&body())).unwrap();
    assert_eq!(std::fs::read(path).unwrap(), body());
    let heads = server.heads();
    assert!(!heads[0].contains("range:"), "{}", heads[0]);
    assert!(heads[1].contains("\nrange: bytes=") && heads[1].contains("if-range: \"v1\""), "{}", heads[1]);
    assert_eq!(left_in(folder.path()), ["photos.bin"]);
}

#[test]
fn what_a_killed_process_left_is_continued_and_bytes_of_unknown_origin_are_not() {
    let continued = |note: &str| {
        let server = Server::start(|_, head| match head.contains("range: bytes=1000-") {
            true => {
                let all = body().len();
                let headers = format!("Content-Range: bytes 1000-{}/{all}\r\n", all - 1);
                let headers = headers + &format!("Content-Length: {}\r\nETag: \"v1\"\r\n", all - 1000);
                response("206 Partial Content", &headers, &body()[1000..])
            }
            false => whole(&body()),
        });
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(".photos.bin.partial"), &body()[..1000]).unwrap();
        let note = note.replace("URL", &format!("{}/files/photos.bin?key=1", server.address));
        std::fs::write(folder.path().join(".photos.bin.partial-note"), note).unwrap();
        let path = get(&server, &folder, Some(&body())).unwrap();
        assert_eq!(std::fs::read(path).unwrap(), body());
        assert_eq!(left_in(folder.path()), ["photos.bin"]);
        server.heads()[0].contains("range: bytes=1000-")
    };
    assert!(continued(r#"{"url":"URL","validator":"\"v1\"","total":400000}"#));
    assert!(!continued(r#"{"url":"http://elsewhere/","validator":"\"v1\"","total":400000}"#));
    assert!(!continued(r#"{"url":"URL","validator":null,"total":400000}"#));
    assert!(!continued("{"));
}

#[test]
fn a_server_that_sends_everything_again_is_understood() {
    let server = Server::start(|n, _| match n {
        0 => whole(&body())[..50_000].to_vec(),
        _ => whole(&body()),
    });
    let folder = tempfile::tempdir().unwrap();
    let path = get(&server, &folder, Some(&body())).unwrap();
    assert_eq!(std::fs::read(path).unwrap(), body());
    assert!(server.heads()[1].contains("range: bytes="));
}

#[test]
fn parts_of_two_versions_are_not_joined() {
    let server = Server::start(|n, _| match n {
        0 => whole(&[7; 400_000])[..50_000].to_vec(),
        1 => {
            let headers = "Content-Range: bytes 3-399999/400000\r\nContent-Length: 399997\r\n";
            response("206 Partial Content", headers, &body()[3..])
        }
        _ => whole(&body()),
    });
    let folder = tempfile::tempdir().unwrap();
    let path = get(&server, &folder, Some(&body())).unwrap();
    assert_eq!(std::fs::read(path).unwrap(), body());
    assert!(!server.heads()[2].contains("range:"));
}

#[test]
fn a_body_that_stays_short_is_an_error_that_says_how_much_came() {
    let short = |_: usize, _: &str| response("200 OK", "Content-Length: 400000\r\n", &body()[..1000]);
    let (server, folder) = (Server::start(short), tempfile::tempdir().unwrap());
    let error = get(&server, &folder, None).unwrap_err();
    assert!(matches!(error, Error::Download(_)), "{error}");
    let text = error.to_string();
    assert!(text.contains("1000 of 400000") && text.contains("5 tries"), "{text}");
    assert_eq!(left_in(folder.path()), [""; 0]);
}

#[test]
fn bytes_beyond_the_stated_length_are_not_taken_and_too_long_a_file_is_refused() {
    let longer = |_: usize, _: &str| response("200 OK", "Content-Length: 1000\r\n", &body()[..2000]);
    let (server, folder) = (Server::start(longer), tempfile::tempdir().unwrap());
    let path = get(&server, &folder, Some(&body()[..1000])).unwrap();
    assert_eq!(std::fs::metadata(path).unwrap().len(), 1000);

    for headers in ["Content-Length: 400000\r\n", ""] {
        let endless = move |_: usize, _: &str| response("200 OK", headers, &body());
        let (server, folder) = (Server::start(endless), tempfile::tempdir().unwrap());
        let file = GetFile { max_bytes: 10_000, ..GetFile::new(format!("{}/a.bin", server.address)) };
        let error = GetFile { cache_dir: Some(folder.path().into()), ..file }.run().unwrap_err().to_string();
        assert!(error.contains("at most 10000"), "{error}");
        assert_eq!(left_in(folder.path()), [""; 0]);
    }
}

#[test]
fn a_wrong_hash_is_an_error_that_names_both_and_keeps_nothing() {
    let (server, folder) = (Server::start(|_, _| whole(b"something else")), tempfile::tempdir().unwrap());
    let error = get(&server, &folder, Some(&body())).unwrap_err();
    assert!(matches!(error, Error::Checksum(_)), "{error}");
    let text = error.to_string();
    assert!(text.contains(&sha256(&body())) && text.contains(&sha256(b"something else")), "{text}");
    assert_eq!(left_in(folder.path()), [""; 0]);
}

#[test]
fn a_file_that_is_there_with_another_hash_is_fetched_again() {
    let (server, folder) = (Server::start(|_, _| whole(&body())), tempfile::tempdir().unwrap());
    std::fs::write(folder.path().join("photos.bin"), "damaged").unwrap();
    let path = get(&server, &folder, Some(&body())).unwrap();
    assert_eq!(std::fs::read(path).unwrap(), body());
}

#[test]
fn not_found_is_final_and_an_overloaded_server_is_asked_again() {
    let server = Server::start(|_, _| response("404 Not Found", "Content-Length: 4\r\n", b"page"));
    let folder = tempfile::tempdir().unwrap();
    let error = get(&server, &folder, None).unwrap_err().to_string();
    assert!(error.contains("404 Not Found"), "{error}");
    assert_eq!(server.heads().len(), 1);
    assert_eq!(left_in(folder.path()), [""; 0]);

    let busy = |n: usize, _: &str| match n {
        0 => response("503 Service Unavailable", "Retry-After: 0\r\nContent-Length: 0\r\n", b""),
        1 => response("429 Too Many Requests", "Content-Length: 0\r\n", b""),
        2 => Vec::new(),
        _ => whole(&body()),
    };
    let (server, folder) = (Server::start(busy), tempfile::tempdir().unwrap());
    get(&server, &folder, Some(&body())).unwrap();
    assert_eq!(server.heads().len(), 4);
}

#[test]
fn redirects_are_followed_but_not_in_circles() {
    let server = Server::start(|_, head| match head.starts_with("get /files/") {
        true => response("302 Found", "Location: /moved\r\nContent-Length: 0\r\n", b""),
        false => whole(&body()),
    });
    let folder = tempfile::tempdir().unwrap();
    let path = get(&server, &folder, Some(&body())).unwrap();
    assert!(path.ends_with("photos.bin"));

    let circle = |_: usize, _: &str| response("302 Found", "Location: /files/\r\nContent-Length: 0\r\n", b"");
    let (server, folder) = (Server::start(circle), tempfile::tempdir().unwrap());
    let error = get(&server, &folder, None).unwrap_err().to_string();
    assert!(error.contains("redirect"), "{error}");
}

#[test]
fn an_unreachable_host_is_found_out_within_seconds() {
    // The port was free a moment ago, so nothing listens there.
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let folder = tempfile::tempdir().unwrap();
    let started = Instant::now();
    for address in [format!("http://127.0.0.1:{port}/a.bin"), "https://host.invalid/a.bin".into()] {
        let file = GetFile { cache_dir: Some(folder.path().into()), ..GetFile::new(&address) };
        let error = file.run().unwrap_err().to_string();
        assert!(error.contains(&address) && error.contains("HTTPS_PROXY"), "{error}");
    }
    assert!(started.elapsed() < Duration::from_secs(15), "{:?}", started.elapsed());
    assert_eq!(left_in(folder.path()), [""; 0]);
}

#[test]
fn a_server_that_falls_silent_is_given_up() {
    let silent = |_: usize, _: &str| {
        std::thread::sleep(Duration::from_millis(600));
        Vec::new()
    };
    let (server, folder) = (Server::start(silent), tempfile::tempdir().unwrap());
    let file =
        GetFile { read_timeout: Duration::from_millis(100), retries: 1, ..GetFile::new(&server.address) };
    let file = GetFile { fname: Some("a".into()), cache_dir: Some(folder.path().into()), ..file };
    let error = GetFile { pause: Duration::ZERO, ..file }.run().unwrap_err().to_string();
    assert!(error.contains("timeout") && error.contains("2 tries"), "{error}");
}

#[test]
fn unusable_addresses_names_and_hashes_are_refused_before_anything_happens() {
    let folder = tempfile::tempdir().unwrap();
    let run = |origin: &str, fname: Option<&str>, hash: Option<&str>| {
        let (fname, file_hash) = (fname.map(String::from), hash.map(String::from));
        GetFile { fname, file_hash, cache_dir: Some(folder.path().into()), ..GetFile::new(origin) }.run()
    };
    for (origin, fname) in [
        ("ftp://host/a", None),
        ("/etc/passwd", None),
        ("https://host", None),
        ("https://host/", None),
        ("https://host/..", None),
        ("https://host/a", Some("../a")),
        ("https://host/a", Some("/tmp/a")),
        ("https://host/a", Some("b\\a")),
        ("https://host/a", Some("")),
    ] {
        assert!(matches!(run(origin, fname, None), Err(Error::Invalid(_))), "{origin} {fname:?}");
    }
    assert!(matches!(run("https://host/a", None, Some("abc")), Err(Error::Invalid(_))));
    assert_eq!(left_in(folder.path()), [""; 0]);
}

// ---- archives ----

/// A zip archive of stored files, written byte by byte, so that it can hold what no tool would write.
#[derive(Default)]
struct Zip {
    local: Vec<u8>,
    central: Vec<u8>,
    count: u16,
}

struct Entry<'a> {
    name: &'a [u8],
    data: &'a [u8],
    mode: u32,
    flags: u16,
    crc: Option<u32>,
    stated: Option<u32>,
}

fn file<'a>(name: &'a str, data: &'a [u8]) -> Entry<'a> {
    Entry { name: name.as_bytes(), data, mode: 0o100_644, flags: 0, crc: None, stated: None }
}

fn crc32(data: &[u8]) -> u32 {
    !data.iter().fold(!0u32, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |c, _| if c & 1 == 1 { (c >> 1) ^ 0xEDB8_8320 } else { c >> 1 })
    })
}

impl Zip {
    fn with(mut self, entry: Entry) -> Self {
        let (start, compressed) = (self.local.len() as u32, entry.data.len() as u32);
        let (crc, size) = (entry.crc.unwrap_or(crc32(entry.data)), entry.stated.unwrap_or(compressed));
        let mut common = vec![20, 0];
        common.extend(entry.flags.to_le_bytes());
        common.extend([0; 6]);
        for n in [crc, compressed, size] {
            common.extend(n.to_le_bytes());
        }
        common.extend((entry.name.len() as u16).to_le_bytes());
        common.extend([0, 0]);
        self.local.extend([&b"PK\x03\x04"[..], &common, entry.name, entry.data].concat());
        self.central.extend([&b"PK\x01\x02\x14\x03"[..], &common, &[0; 6]].concat());
        self.central.extend((entry.mode << 16).to_le_bytes());
        self.central.extend(start.to_le_bytes());
        self.central.extend(entry.name);
        self.count += 1;
        self
    }

    fn bytes(self) -> Vec<u8> {
        let mut end = b"PK\x05\x06\0\0\0\0".to_vec();
        end.extend(self.count.to_le_bytes());
        end.extend(self.count.to_le_bytes());
        end.extend((self.central.len() as u32).to_le_bytes());
        end.extend((self.local.len() as u32).to_le_bytes());
        end.extend([0, 0]);
        [self.local, self.central, end].concat()
    }
}

/// Extracts in a fresh folder; an error must leave it as it was.
fn extract(bytes: &[u8]) -> Result<Vec<String>> {
    let folder = tempfile::tempdir().unwrap();
    let (zip, target) = (folder.path().join("a.zip"), folder.path().join("inner/target"));
    std::fs::write(&zip, bytes).unwrap();
    let result = extract_zip(&zip, &target);
    if result.is_err() {
        assert!(!target.exists());
        assert_eq!(left_in(&folder.path().join("inner")), [""; 0], "something was left behind");
        assert_eq!(left_in(folder.path()).len(), 2, "something was written outside");
    }
    result.map(|()| {
        let mut names = left_in(&target);
        names.sort();
        names
    })
}

#[test]
fn an_ordinary_archive_is_extracted() {
    let folder = |name| Entry { mode: 0o040_755, ..file(name, b"") };
    let zip = Zip::default()
        .with(folder("photos/"))
        .with(file("photos/cats/1.jpg", b"cat"))
        .with(folder("photos/empty/"))
        .with(file("./readme.txt", b"read me"))
        .with(Entry { mode: 0, ..file("no mode", b"") })
        .with(file("__MACOSX/photos/._1.jpg", b"fork"))
        .with(Entry { flags: 1 << 11, ..file("gr\u{fc}n.txt", b"green") });
    let names = extract(&zip.bytes()).unwrap();
    assert_eq!(names, ["__MACOSX", "gr\u{fc}n.txt", "no mode", "photos", "readme.txt"]);
}

#[test]
fn an_archive_with_one_hostile_entry_is_refused_whole() {
    let good = || Zip::default().with(file("good.txt", b"good"));
    let link = |name, to| Entry { mode: 0o120_777, ..file(name, to) };
    let cases: Vec<(&str, Zip, &str)> = vec![
        ("parent", good().with(file("../evil", b"x")), "leads out"),
        ("parent inside", good().with(file("a/b/../../../evil", b"x")), "leads out"),
        ("parent that stays inside", good().with(file("a/../evil", b"x")), "leads out"),
        ("absolute", good().with(file("/tmp/evil", b"x")), "absolute"),
        ("drive", good().with(file("C:/evil", b"x")), "not allowed"),
        ("backslash", good().with(file("..\\evil", b"x")), "not allowed"),
        ("nul", good().with(file("evil\0.txt", b"x")), "not allowed"),
        ("line break", good().with(file("evil\n.txt", b"x")), "not allowed"),
        ("nameless", good().with(file("", b"x")), "names nothing"),
        ("dot", good().with(file("./", b"")), "names nothing"),
        ("link", good().with(link("evil", b"/etc/passwd")), "link"),
        ("file through a link", good().with(link("d", b"/tmp")).with(file("d/evil", b"x")), "link"),
        ("pipe", good().with(Entry { mode: 0o010_644, ..file("pipe", b"") }), "device"),
        ("twice", good().with(file("good.txt", b"bad")), "twice"),
        ("twice in disguise", good().with(file("./good.txt", b"bad")), "twice"),
        ("file and folder", good().with(file("good.txt/evil", b"x")), "both a file and a folder"),
        ("deep", good().with(file(&"a/".repeat(40), b"")), "too many folders"),
        ("encrypted", good().with(Entry { flags: 1, ..file("secret", b"123456789abcdef") }), "encrypted"),
        ("wrong checksum", good().with(Entry { crc: Some(1), ..file("a", b"x") }), "`a`"),
        ("longer than stated", good().with(Entry { stated: Some(1), ..file("a", b"xyz") }), "`a`"),
        ("shorter than stated", good().with(Entry { stated: Some(9), ..file("a", b"xyz") }), "`a`"),
        ("huge", good().with(Entry { stated: Some(u32::MAX - 1), ..file("a", b"x") }), "grow"),
    ];
    for (case, zip, expected) in cases {
        let error = extract(&zip.bytes()).expect_err(case);
        assert!(matches!(error, Error::Archive(_)), "{case}: {error}");
        let text = error.to_string();
        assert!(text.contains(expected) && text.contains("a.zip"), "{case}: {text}");
    }
}

#[test]
fn too_many_entries_too_strong_compression_and_overlaps_are_refused() {
    let write = |add: &dyn Fn(&mut ZipWriter<Cursor<Vec<u8>>>)| {
        let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
        add(&mut zip);
        zip.finish().unwrap().into_inner()
    };
    let options = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
    let many = write(&|zip| (0..=MAX_ENTRIES).for_each(|i| zip.start_file(format!("{i}"), options).unwrap()));
    let error = extract(&many).unwrap_err().to_string();
    assert!(error.contains("100001 entries"), "{error}");

    let deflate = options.compression_method(CompressionMethod::Deflated).compression_level(Some(1));
    let bomb = write(&|zip| {
        zip.start_file("zeros", deflate).unwrap();
        (0..80).for_each(|_| zip.write_all(&[0; 1 << 20]).unwrap());
    });
    assert!(bomb.len() < 800_000);
    let error = extract(&bomb).unwrap_err().to_string();
    assert!(error.contains("grow from"), "{error}");

    let mut overlap = Zip::default().with(file("a", b"0123456789"));
    let start = overlap.central.len() - 5;
    let again = overlap.central.clone();
    overlap.central.extend(again);
    let last = overlap.central.len() - 1;
    overlap.central[last] = b'b';
    assert_eq!(&overlap.central[start..start + 4], [0; 4]);
    overlap.count = 2;
    let error = extract(&overlap.bytes()).unwrap_err();
    assert!(matches!(error, Error::Archive(_)), "{error}");
}

#[test]
fn every_truncation_and_every_flipped_byte_is_an_error_or_harmless() {
    let whole = Zip::default().with(file("a/1.txt", b"one")).with(file("a/2.txt", b"two")).bytes();
    for length in 0..whole.len() {
        assert!(extract(&whole[..length]).is_err(), "{length} bytes");
    }
    for position in 0..whole.len() {
        let mut damaged = whole.clone();
        damaged[position] ^= 0xFF;
        let _ = extract(&damaged);
    }
}

#[test]
fn a_folder_that_exists_is_not_extracted_into() {
    let folder = tempfile::tempdir().unwrap();
    let zip = folder.path().join("a.zip");
    std::fs::write(&zip, Zip::default().with(file("a", b"x")).bytes()).unwrap();
    assert!(matches!(extract_zip(&zip, folder.path()), Err(Error::Io { .. })));
    assert_eq!(left_in(folder.path()), ["a.zip"]);
}

#[test]
fn get_file_extracts_an_archive_and_extracts_a_newer_one_again() {
    let zip = |text: &'static [u8]| Zip::default().with(file("photos/1.txt", text)).bytes();
    let server = Server::start(move |n, _| whole(&zip(if n == 0 { b"old" } else { b"new" })));
    let folder = tempfile::tempdir().unwrap();
    let run = |text: &'static [u8]| {
        let origin = format!("{}/photos.zip", server.address);
        let file = GetFile { file_hash: Some(sha256(&zip(text))), extract: true, ..GetFile::new(origin) };
        GetFile { cache_dir: Some(folder.path().into()), ..file }.run()
    };
    for text in [&b"old"[..], b"old", b"new"] {
        let extracted = run(text).unwrap();
        assert_eq!(extracted, folder.path().join("photos_extracted"));
        assert_eq!(std::fs::read(extracted.join("photos/1.txt")).unwrap(), text);
    }
    assert_eq!(server.heads().len(), 2);
    let mut rest = Vec::new();
    std::fs::File::open(folder.path().join("photos.zip")).unwrap().read_to_end(&mut rest).unwrap();
    assert_eq!(rest, zip(b"new"));
}

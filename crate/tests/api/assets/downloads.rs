//! `get_file` against a server that answers well, badly, or not at all.

use super::support::{file, left_in, read_head, response, sha256, whole, Server, Zip};
use std::io::Write;
use std::net::TcpListener;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use transfer::assets::GetFile;
use transfer::{Error, Result};

fn body() -> Vec<u8> {
    (0..100_000u32).flat_map(|i| i.to_le_bytes()).collect()
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
fn a_body_longer_than_stated_is_an_error_wherever_the_surplus_ends() {
    for surplus in [1, 1000, 300_000] {
        let longer = move |_: usize, _: &str| {
            response("200 OK", "Content-Length: 1000\r\nETag: \"v1\"\r\n", &body()[..1000 + surplus])
        };
        let (server, folder) = (Server::start(longer), tempfile::tempdir().unwrap());
        let error = get(&server, &folder, Some(&body()[..1000])).unwrap_err().to_string();
        assert!(error.contains("more bytes than it stated") && error.contains("5 tries"), "{error}");
        assert_eq!(left_in(folder.path()), [""; 0]);
    }
}

#[test]
fn a_surplus_that_comes_late_or_once_is_noticed_and_the_next_try_is_whole() {
    let server = Server::start_with(|n, _, stream| {
        let _ = stream.write_all(&whole(&body()));
        if n == 0 {
            std::thread::sleep(Duration::from_millis(20));
            let _ = stream.write_all(b"and more");
        }
    });
    let folder = tempfile::tempdir().unwrap();
    get(&server, &folder, Some(&body())).unwrap();
    assert_eq!(server.heads().len(), 2);
    assert!(!server.heads()[1].contains("range:"), "bytes of unknown worth are not continued");
}

#[test]
fn a_server_that_keeps_the_connection_open_is_no_error() {
    let server = Server::start_with(|_, _, stream| {
        let _ = stream.write_all(&whole(&body()));
        std::thread::sleep(Duration::from_millis(900));
    });
    let folder = tempfile::tempdir().unwrap();
    get(&server, &folder, Some(&body())).unwrap();
}

#[test]
fn a_file_longer_than_allowed_is_refused_whether_or_not_its_length_is_stated() {
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
fn a_size_known_beforehand_is_held_against_the_stated_and_the_received_one() {
    for (headers, tries) in [("Content-Length: 400000\r\n", 1), ("", 2)] {
        let server = Server::start(move |_, _| response("200 OK", headers, &body()));
        let folder = tempfile::tempdir().unwrap();
        let run = |size: u64| {
            let file = GetFile {
                retries: 1,
                pause: Duration::ZERO,
                file_size: Some(size),
                ..GetFile::new(&server.address)
            };
            GetFile { fname: Some("a".into()), cache_dir: Some(folder.path().into()), ..file }.run()
        };
        let error = run(399_999).unwrap_err().to_string();
        assert!(error.contains("has 400000 bytes, where 399999 are expected"), "{error}");
        assert_eq!((server.heads().len(), left_in(folder.path()).len()), (tries, 0));
        run(400_000).unwrap();
        // A file of another size that is there is not taken for the wanted one.
        std::fs::write(folder.path().join("a"), "short").unwrap();
        assert_eq!(std::fs::metadata(run(400_000).unwrap()).unwrap().len(), 400_000);
    }
}

#[test]
fn a_part_of_another_version_is_not_joined_even_by_a_server_that_ignores_if_range() {
    let server = Server::start(move |n, head| match n {
        0 => whole(&[7; 400_000])[..50_000].to_vec(),
        _ => {
            let start: Option<usize> =
                head.split("range: bytes=").nth(1).and_then(|r| r.split('-').next()?.parse().ok());
            let Some(start) = start else { return whole(&body()) };
            let range = format!("Content-Range: bytes {start}-399999/400000\r\nETag: \"v2\"\r\n");
            let range = range + &format!("Content-Length: {}\r\n", 400_000 - start);
            response("206 Partial Content", &range, &body()[start..])
        }
    });
    let folder = tempfile::tempdir().unwrap();
    // Without a hash only this keeps the two apart.
    let path = get(&server, &folder, None).unwrap();
    assert_eq!(std::fs::read(path).unwrap(), body());
}

#[test]
fn a_proxy_is_taken_from_the_environment_except_for_the_hosts_that_it_names() {
    const TEST: &str =
        "assets::downloads::a_proxy_is_taken_from_the_environment_except_for_the_hosts_that_it_names";
    if let Some(folder) = std::env::var_os("TRANSFER_TEST_PROXY_FOLDER") {
        let address = std::env::var("TRANSFER_TEST_PROXY_ADDRESS").unwrap();
        let file = GetFile { retries: 0, ..GetFile::new(address) };
        GetFile { cache_dir: Some(folder.into()), ..file }.run().unwrap();
        return;
    }
    // Variables belong to a process, so the download happens in one of its own.
    let fetch = |address: &str, proxy: &str, none: &str| {
        let folder = tempfile::tempdir().unwrap();
        let mut child = std::process::Command::new(std::env::current_exe().unwrap());
        child.args(["--exact", TEST]).env("TRANSFER_TEST_PROXY_FOLDER", folder.path());
        for name in ["ALL_PROXY", "all_proxy", "HTTPS_PROXY", "https_proxy", "http_proxy", "no_proxy"] {
            child.env_remove(name);
        }
        child.env("TRANSFER_TEST_PROXY_ADDRESS", address).env("HTTP_PROXY", proxy).env("NO_PROXY", none);
        let output = child.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
        std::fs::read(folder.path().join("a.bin")).unwrap()
    };
    // It is asked for a tunnel, says yes, and then plays the host.
    let proxy = Server::start_with(|_, head, stream| {
        if head.starts_with("connect host.invalid:80") {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n");
            read_head(stream);
        }
        let _ = stream.write_all(&whole(b"through the proxy"));
    });
    let direct = Server::start(|_, _| whole(b"direct"));
    let address = format!("{}/a.bin", direct.address);
    assert_eq!(fetch("http://host.invalid/a.bin", &proxy.address, ""), b"through the proxy");
    assert_eq!(proxy.heads().len(), 1);
    assert_eq!(fetch(&address, &proxy.address, "127.0.0.1"), b"direct");
    assert_eq!((proxy.heads().len(), direct.heads().len()), (1, 1));
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
    // What was there may be somebody's own file of the same name.
    assert_eq!(std::fs::read(folder.path().join("photos.bin.replaced-1")).unwrap(), b"damaged");
}

#[test]
fn a_folder_that_has_the_name_of_the_extracted_one_is_kept_when_another_archive_comes() {
    let archive = || Zip::default().with(file("new.txt", b"new")).bytes();
    let (server, folder) = (Server::start(move |_, _| whole(&archive())), tempfile::tempdir().unwrap());
    let extracted = folder.path().join("photos_extracted");
    std::fs::create_dir(&extracted).unwrap();
    std::fs::write(extracted.join("mine.txt"), "mine").unwrap();
    let get = GetFile {
        cache_dir: Some(folder.path().into()),
        extract: true,
        ..GetFile::new(format!("{}/photos.zip", server.address))
    };
    assert_eq!(std::fs::read(get.run().unwrap().join("new.txt")).unwrap(), b"new");
    let aside = folder.path().join("photos_extracted.replaced-1/mine.txt");
    assert_eq!(std::fs::read(aside).unwrap(), b"mine");
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
fn a_server_that_only_drips_is_given_up() {
    let server = Server::start_with(|_, _, stream| {
        let _ = stream.write_all(&whole(&body())[..100]);
        for _ in 0..200 {
            std::thread::sleep(Duration::from_millis(10));
            if stream.write_all(b"x").is_err() {
                return;
            }
        }
    });
    let folder = tempfile::tempdir().unwrap();
    let file =
        GetFile { read_timeout: Duration::from_millis(500), retries: 1, ..GetFile::new(&server.address) };
    let file = GetFile { fname: Some("a".into()), cache_dir: Some(folder.path().into()), ..file };
    let error = GetFile { pause: Duration::ZERO, ..file }.run().unwrap_err().to_string();
    assert!(error.contains("standstill") && error.contains("2 tries"), "{error}");
    assert_eq!(left_in(folder.path()), [""; 0]);
}

#[test]
fn what_came_instead_of_an_archive_is_not_kept_and_the_next_run_asks_again() {
    let server = Server::start(|n, _| match n {
        0 => whole(b"<title>Please log in</title>"),
        _ => whole(&Zip::default().with(file("1.txt", b"one")).bytes()),
    });
    let folder = tempfile::tempdir().unwrap();
    let run = || {
        let origin = format!("{}/photos.zip", server.address);
        GetFile { extract: true, cache_dir: Some(folder.path().into()), ..GetFile::new(origin) }.run()
    };
    assert!(matches!(run(), Err(Error::Archive(_))));
    assert_eq!(left_in(folder.path()), [""; 0]);
    assert_eq!(left_in(&run().unwrap()), ["1.txt"]);
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
    assert_eq!(std::fs::read(folder.path().join("photos.zip")).unwrap(), zip(b"new"));
}

//! Requests that want to break the server. After each, it still answers.

use std::net::Shutdown;
use std::time::Duration;

use super::client::Server;
use super::{png, served};

/// That the server still works.
fn works(server: &Server) {
    let answer = server.predict(&png(0, 1));
    assert_eq!(answer.status, 200, "{answer:?}");
}

#[test]
fn what_is_no_photograph_is_refused_with_its_reason() {
    let (_dir, server) = served(&[]);
    let mut cut = png(0, 2);
    cut.truncate(cut.len() / 2);
    for (bytes, reason) in [
        (&b"hello"[..], "does not look like an image"),
        (&cut, "damaged png"),
        (&b"\xff\xd8\xff\xe0\0\x10JFIF"[..], "jpeg"),
        (&[0; 4096], "does not look like an image"),
    ] {
        let answer = server.predict(bytes);
        assert_eq!(answer.status, 422, "{answer:?}");
        assert!(answer.error().contains(reason), "{}", answer.error());
    }
    for kind in [
        "text/html",
        "multipart/form-data; boundary=x",
        "application/json",
        "application/x-www-form-urlencoded",
    ] {
        let answer = server.ask("POST", "/predict", &format!("Content-Type: {kind}\r\n"), &png(0, 1));
        assert_eq!(answer.status, 415, "{kind}");
    }
    assert_eq!(server.ask("POST", "/predict", "", b"").status, 400);
    assert_eq!(server.ask("POST", "/predict?x=1", "", &png(0, 1)).status, 400);
    for method in ["PUT", "DELETE", "GET", "TRACE", "PATCH"] {
        assert_eq!(server.ask(method, "/predict", "", b"").status, 405, "{method}");
    }
    works(&server);
}

#[test]
fn no_path_leads_to_a_file() {
    let (dir, server) = served(&[]);
    for path in [
        "/m.safetensors",
        "/../m.safetensors",
        "/%2e%2e/%2e%2e/etc/passwd",
        "/..%2fm.safetensors",
        "//etc/passwd",
        "/page/../m.safetensors",
        "/page.js/../../m.safetensors",
        "/\\..\\m.safetensors",
        "/page.js%00",
        "/index.html",
        &format!("/{}", "a/".repeat(2000)),
        dir.path().join("m.safetensors").to_str().unwrap(),
        "http://evil.example/",
    ] {
        let answer = server.ask("GET", path, "", b"");
        assert!([400, 404].contains(&answer.status), "{path}");
        let text = String::from_utf8_lossy(&answer.body).into_owned() + &answer.head;
        assert!(!text.contains(dir.path().to_str().unwrap()), "{text}");
    }
    let answer = server.ask("POST", "/model", "", b"x");
    assert_eq!(answer.status, 405);
    works(&server);
}

#[test]
fn heads_that_are_too_long_or_make_no_sense_are_refused() {
    let (_dir, server) = served(&[]);
    let many = "X-A: b\r\n".repeat(10_000);
    let long = format!("X-A: {}\r\n", "b".repeat(1 << 20));
    for (headers, status) in [(&many, 431), (&long, 431)] {
        assert_eq!(server.ask("GET", "/", headers, b"").status, status);
    }
    let wrong = [
        ("\r\n\r\n\r\n", None),
        ("GET / HTTP/9.9\r\nHost: localhost\r\n\r\n", Some(400)),
        ("GET /\r\n\r\n", Some(400)),
        ("\x16\x03\x01\x02\0\x01\0\x01\x7c\x03\x03\r\n\r\n", Some(400)),
        ("POST /predict HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", Some(411)),
        ("POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello", Some(400)),
        ("POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5, 6\r\n\r\nhello", Some(400)),
        ("POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: 999999999999\r\n\r\n", Some(413)),
        ("POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: 999999999999999999999\r\n\r\n", Some(400)),
        ("POST /predict HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello", Some(421)),
    ];
    for (text, status) in wrong {
        let mut client = server.connect();
        client.send(text.as_bytes());
        let _ = client.stream.shutdown(Shutdown::Write);
        assert_eq!(client.answer().map(|answer| answer.status), status, "{text:?}");
    }
    // What stands behind a refused request is not taken for another one.
    let mut client = server.connect();
    let inner = "GET /model HTTP/1.1\r\nHost: localhost\r\n\r\n";
    client.send(
        format!("POST /x HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n{inner}", inner.len())
            .as_bytes(),
    );
    assert_eq!(client.answer().unwrap().status, 404);
    assert!(client.answer().is_none());
    works(&server);
}

#[test]
fn two_requests_in_a_row_are_answered_in_their_order() {
    let (_dir, server) = served(&[]);
    let mut client = server.connect();
    let photo = png(1, 4);
    let mut both =
        format!("POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n", photo.len())
            .into_bytes();
    both.extend(&photo);
    both.extend(b"GET /model HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    client.send(&both);
    assert!(client.answer().unwrap().json()["probabilities"].is_array());
    assert!(client.answer().unwrap().json()["classes"].is_array());
    assert!(client.answer().is_none());
}

#[test]
fn who_is_slow_or_goes_away_keeps_nobody_waiting() {
    let (_dir, server) = served(&[]);
    let photo = png(1, 4);
    let head =
        format!("POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n", photo.len());
    let mut slow = Vec::new();
    for i in 0..150 {
        let mut client = server.connect();
        match i % 3 {
            0 => client.send(b"POST /pre"),
            1 => client.send(head.as_bytes()),
            _ => client.send(&[head.as_bytes(), &photo[..photo.len() / 2]].concat()),
        }
        slow.push(client);
    }
    works(&server);
    // A byte from time to time is no reason to wait for ever: the headers' time is over after 10 s, the body's
    // after 5 s.
    let mut first = slow.swap_remove(0);
    first.stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let mut other = first.stream.try_clone().unwrap();
    let drip = std::thread::spawn(move || {
        use std::io::Write;
        while other.write_all(b"x").is_ok() {
            std::thread::sleep(Duration::from_millis(200));
        }
    });
    assert!(first.answer().is_none_or(|answer| answer.status == 408));
    drop(first);
    let mut body = slow.swap_remove(0);
    assert!(body.answer().is_none_or(|answer| answer.status == 408));
    drop(slow);
    works(&server);
    drip.join().unwrap();
}

#[test]
fn more_connections_than_there_may_be_are_told_to_come_back() {
    let (_dir, server) = served(&[]);
    let mut open: Vec<_> = (0..256).map(|_| server.connect()).collect();
    // Each has its thread when it has been answered.
    for client in open.iter_mut() {
        assert_eq!(client.ask("GET", "/model", "", b"").status, 200);
    }
    let mut one_more = server.connect();
    let answer = one_more.answer().unwrap();
    assert_eq!(answer.status, 503);
    assert!(answer.head.contains("Retry-After"));
    drop(open);
    let start = std::time::Instant::now();
    loop {
        let mut client = server.connect();
        client.send(b"GET /model HTTP/1.1\r\nHost: localhost\r\n\r\n");
        // While there are too many, the answer may be lost with the connection.
        if client.answer().is_some_and(|answer| answer.status == 200) {
            break;
        }
        assert!(start.elapsed() < Duration::from_secs(60));
    }
    works(&server);
}

/// A small png file that is `side` pixels high and wide, of one grey.
fn bomb(side: u32) -> Vec<u8> {
    let mut bytes = std::io::Cursor::new(Vec::new());
    image::GrayImage::new(side, side).write_to(&mut bytes, image::ImageFormat::Png).unwrap();
    bytes.into_inner()
}

#[test]
fn bombs_and_uploads_past_the_memory_are_bounded() {
    let (_dir, server) = served(&[]);
    let bomb = bomb(8000);
    assert!(bomb.len() < 400_000, "{}", bomb.len());
    let answer = server.predict(&bomb);
    assert_eq!(answer.status, 422);
    assert!(answer.error().contains("the limit is 192"), "{}", answer.error());
    // 40 bodies of 31 MiB of what begins like an image: five times the memory for bodies.
    let mut large = bomb.clone();
    large.resize(31 << 20, 0);
    let large = std::sync::Arc::new(large);
    let workers: Vec<_> = (0..40)
        .map(|_| {
            let (mut client, large) = (server.connect(), large.clone());
            std::thread::spawn(move || client.ask("POST", "/predict", "", &large).status)
        })
        .collect();
    for worker in workers {
        assert!([422, 503].contains(&worker.join().unwrap()));
    }
    works(&server);
    #[cfg(target_os = "linux")]
    assert!(server.peak_bytes() < 900 << 20, "{} MiB", server.peak_bytes() >> 20);
}

//! `transfer serve`: the page and the API, and what hostile clients get.

use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::Value;
use transfer::prelude::*;

use crate::common;

pub mod client;
mod hostile;
mod neighbours;

use client::Server;

fn png(class: usize, key: u64) -> Vec<u8> {
    let mut bytes = std::io::Cursor::new(Vec::new());
    common::shape(class, key, 48).write_to(&mut bytes, image::ImageFormat::Png).unwrap();
    bytes.into_inner()
}

/// A folder with a model, and its server.
fn served(arguments: &[&str]) -> (tempfile::TempDir, Server) {
    let dir = tempfile::tempdir().unwrap();
    let model = dir.path().join("m.safetensors");
    common::untrained_model(&model);
    let server = Server::start(&model, arguments);
    (dir, server)
}

/// The probabilities of an answer, in the order of the model's classes.
fn probabilities(answer: &Value) -> Vec<f32> {
    let all = answer["probabilities"].as_array().unwrap();
    let of =
        |name: &str| all.iter().find(|one| one["class"] == name).unwrap()["probability"].as_f64().unwrap();
    common::SHAPES.iter().map(|name| of(name) as f32).collect()
}

#[test]
fn the_api_says_what_the_library_says() {
    let (dir, server) = served(&[]);
    let model = Model::load(dir.path().join("m.safetensors")).unwrap();
    let mut client = server.connect();
    for class in 0..3 {
        let (bytes, file) = (png(class, 7), dir.path().join("photo"));
        std::fs::write(&file, &bytes).unwrap();
        let expected = model.predict_file(&file).unwrap();
        let answer = client.ask("POST", "/predict?heat_map=1", "Content-Type: image/png\r\n", &bytes);
        assert_eq!(answer.status, 200, "{answer:?}");
        let said = answer.json();
        assert_eq!(said["class"], expected.class_name);
        assert_eq!(probabilities(&said), expected.probabilities);
        assert_eq!((&said["unknown"], &said["reason"]), (&Value::Bool(false), &Value::Null));
        let image = model.image_of_bytes("photo", bytes, 1 << 30).unwrap();
        let (h, w, c) = image.dim();
        let batch = Array4::from_shape_vec((1, h, w, c), image.iter().copied().collect()).unwrap();
        let cells = model.grad_cams_of(&batch, &[expected.label]).unwrap().cells;
        let theirs: Vec<f32> = serde_json::from_value(said["heat_map"]["cells"].clone()).unwrap();
        assert_eq!(theirs, cells.iter().copied().collect::<Vec<f32>>());
    }
    let about = client.ask("GET", "/model", "", b"").json();
    assert_eq!(about["classes"], serde_json::json!(common::SHAPES));
    assert_eq!((&about["name"], &about["number"]), (&"m.safetensors".into(), &0.into()));
    // Each path of the description is answered.
    let description = client.ask("GET", "/openapi.json", "", b"").json();
    assert_eq!(description["info"]["version"], env!("CARGO_PKG_VERSION"));
    for (path, methods) in description["paths"].as_object().unwrap() {
        for method in methods.as_object().unwrap().keys() {
            let answer = client.ask(&method.to_uppercase(), path, "", &png(0, 1));
            assert_eq!(answer.status, 200, "{method} {path}");
            client = server.connect();
        }
    }
}

#[test]
fn the_page_comes_whole_with_headers_that_keep_others_out() {
    let (dir, server) = served(&[]);
    let mut client = server.connect();
    for (path, kind) in [("/", "text/html"), ("/page.js", "text/javascript"), ("/page.css", "text/css")] {
        let answer = client.ask("GET", path, "", b"");
        assert_eq!(answer.status, 200);
        for header in [
            &format!("Content-Type: {kind}"),
            "default-src 'none'",
            "frame-ancestors 'none'",
            "X-Content-Type-Options: nosniff",
            "Cache-Control: no-store",
        ] {
            assert!(answer.head.contains(header), "{header} in {}", answer.head);
        }
        // Nothing is loaded from elsewhere.
        let text = String::from_utf8(answer.body).unwrap();
        assert!(!text.contains("://") && !text.contains("//cdn"), "{path}");
    }
    assert_eq!(client.ask("GET", "/nothing", "", b"").status, 404);
    drop(dir);
}

#[test]
fn other_hosts_and_origins_are_refused_and_an_allowed_origin_is_answered() {
    let (_dir, server) = served(&["--allow-origin", "https://example.org"]);
    let photo = png(1, 1);
    let with = |headers: &str| server.ask("POST", "/predict", headers, &photo);
    for host in ["evil.example", "localhost.evil.example:80", "192.168.0.1", "a b"] {
        let answer = with(&format!("Host: {host}\r\n"));
        assert_eq!(answer.status, 421, "{host}");
    }
    assert_eq!(with("Host: localhost\r\n").status, 200);
    for origin in ["http://evil.example", "null", "https://example.org.evil.example"] {
        let answer = with(&format!("Origin: {origin}\r\n"));
        assert_eq!(answer.status, 403, "{origin}");
        assert!(!answer.head.contains("Access-Control"), "{}", answer.head);
    }
    let own = with(&format!("Origin: http://127.0.0.1:{}\r\n", server.port));
    assert_eq!(own.status, 200);
    let allowed = with("Origin: https://example.org\r\n");
    assert_eq!(allowed.status, 200);
    assert!(
        allowed.head.contains("Access-Control-Allow-Origin: https://example.org\r\n"),
        "{}",
        allowed.head
    );
    let asked = server.ask("OPTIONS", "/predict", "Origin: https://example.org\r\n", b"");
    assert_eq!(asked.status, 204);
    assert!(asked.head.contains("Access-Control-Allow-Headers: Content-Type"), "{}", asked.head);
    assert_eq!(server.ask("OPTIONS", "/predict", "Origin: null\r\n", b"").status, 403);
}

/// Asks until the answer is as wanted.
fn until(what: &str, mut wanted: impl FnMut() -> bool) {
    let start = Instant::now();
    while !wanted() {
        assert!(start.elapsed() < Duration::from_secs(120), "{what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn a_model_is_replaced_while_it_answers_and_a_broken_or_removed_file_changes_nothing() {
    let (dir, mut server) = served(&[]);
    let file = dir.path().join("m.safetensors");
    let number = |server: &Server| server.ask("GET", "/model", "", b"").json()["number"].as_u64().unwrap();
    let problem = |server: &Server| server.ask("GET", "/model", "", b"").json()["problem"].clone();
    let first = probabilities(&server.predict(&png(0, 3)).json());
    let whole = std::fs::read(&file).unwrap();
    // Half of a file.
    std::fs::write(&file, &whole[..whole.len() / 2]).unwrap();
    until("a broken file is noticed", || problem(&server) != Value::Null);
    assert!(!problem(&server).as_str().unwrap().contains(dir.path().to_str().unwrap()));
    assert_eq!(probabilities(&server.predict(&png(0, 3)).json()), first);
    std::fs::remove_file(&file).unwrap();
    assert_eq!(probabilities(&server.predict(&png(0, 3)).json()), first);
    assert_eq!(number(&server), 0);
    // Another model, under requests.
    let old = dir.path().join("old.safetensors");
    std::fs::write(&old, &whole).unwrap();
    let mut other = Model::load(&old).unwrap();
    other.set_test_time_flip(true);
    let next = dir.path().join("next.safetensors");
    other.save(&next).unwrap();
    std::fs::rename(&next, &file).unwrap();
    until("the new model answers", || {
        let answer = server.predict(&png(0, 3));
        assert_eq!(answer.status, 200);
        answer.json()["model"] == 1
    });
    let expected = other.predict_bytes("photo", png(0, 3)).unwrap();
    let now = probabilities(&server.predict(&png(0, 3)).json());
    assert_eq!(now, expected.probabilities);
    assert_ne!(now, first);
    assert_eq!(problem(&server), Value::Null);
    assert!(server.is_running());
}

#[test]
fn two_hundred_clients_at_a_time_are_all_answered() {
    let (_dir, server) = served(&[]);
    let photo = png(2, 5);
    let expected = probabilities(&server.predict(&photo).json());
    let workers: Vec<_> = (0..200)
        .map(|_| {
            let (mut client, photo, expected) = (server.connect(), photo.clone(), expected.clone());
            std::thread::spawn(move || {
                for _ in 0..3 {
                    let answer = client.ask("POST", "/predict", "", &photo);
                    assert_eq!(answer.status, 200);
                    assert_eq!(probabilities(&answer.json()), expected);
                }
            })
        })
        .collect();
    workers.into_iter().for_each(|worker| worker.join().unwrap());
}

#[test]
fn what_cannot_be_served_is_said_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let model = dir.path().join("m.safetensors");
    let run = |arguments: &[&str]| {
        let mut command = common::transfer();
        let output =
            command.current_dir(dir.path()).arg("serve").args(arguments).stdin(Stdio::null()).output();
        let output = output.unwrap();
        (common::code(&output), common::stderr(&output))
    };
    let (code, text) = run(&["m.safetensors", "--port", "0"]);
    assert_eq!(code, 1);
    assert!(text.contains("m.safetensors"), "{text}");
    common::untrained_model(&model);
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let (code, text) = run(&["m.safetensors", "--port", &port]);
    assert_eq!(code, 1);
    assert!(text.contains("cannot listen") && text.contains("--port 0"), "{text}");
    assert_eq!(run(&["m.safetensors", "--allow-origin", "example.org"]).0, 2);
    assert_eq!(run(&["m.safetensors", "--host", "example.org"]).0, 2);
    assert!(Path::new(&model).exists());
}

//! A server of the real program, and a client that can be told to be hostile.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::common;

/// Runs until it is dropped.
pub struct Server {
    child: Child,
    pub port: u16,
}

impl Server {
    /// `transfer serve MODEL --port 0`, with further arguments.
    pub fn start(model: &Path, arguments: &[&str]) -> Self {
        Self::start_with(model, arguments, Stdio::null())
    }

    /// The same, with warnings and errors to `says`.
    pub fn start_with(model: &Path, arguments: &[&str], says: impl Into<Stdio>) -> Self {
        let mut command = common::transfer();
        command
            .arg("--quiet")
            .arg("serve")
            .arg(model)
            .args(["--port", "0", "--device", "cpu"])
            .args(arguments);
        let mut child = command.stdout(Stdio::piped()).stderr(says).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let port = line.trim_end().trim_end_matches('/').rsplit(':').next().unwrap();
        let port = port.parse().unwrap_or_else(|_| panic!("the server said {line:?}"));
        Server { child, port }
    }

    pub fn connect(&self) -> Client {
        let stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(120))).unwrap();
        Client { stream, port: self.port }
    }

    /// One request on a connection of its own.
    pub fn ask(&self, method: &str, path: &str, headers: &str, body: &[u8]) -> Answer {
        self.connect().ask(method, path, headers, body)
    }

    pub fn predict(&self, bytes: &[u8]) -> Answer {
        self.ask("POST", "/predict", "Content-Type: image/png\r\n", bytes)
    }

    /// The most memory that it has had, in bytes.
    #[cfg(target_os = "linux")]
    pub fn peak_bytes(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() << 10
    }

    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub struct Client {
    pub stream: TcpStream,
    port: u16,
}

#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("{e}: {self:?}"))
    }

    /// The message of an error.
    pub fn error(&self) -> String {
        self.json()["error"].as_str().unwrap_or_else(|| panic!("{self:?}")).to_owned()
    }
}

impl Client {
    pub fn send(&mut self, bytes: &[u8]) {
        // The server may refuse before it has read all.
        let _ = self.stream.write_all(bytes);
    }

    pub fn ask(&mut self, method: &str, path: &str, headers: &str, body: &[u8]) -> Answer {
        let host = format!("Host: 127.0.0.1:{}\r\n", self.port);
        let host = if headers.to_lowercase().contains("host:") { "" } else { &host };
        let head =
            format!("{method} {path} HTTP/1.1\r\n{host}Content-Length: {}\r\n{headers}\r\n", body.len());
        self.send(&[head.as_bytes(), body].concat());
        self.answer().unwrap_or_else(|| panic!("{method} {path} had no answer"))
    }

    /// The next answer; `None` where the connection ends before it is whole.
    pub fn answer(&mut self) -> Option<Answer> {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            if self.stream.read(&mut byte).ok()? == 0 {
                return None;
            }
            head.push(byte[0]);
        }
        let head = String::from_utf8(head).unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: "));
        let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
        self.stream.read_exact(&mut body).ok()?;
        Some(Answer { status, head, body })
    }
}

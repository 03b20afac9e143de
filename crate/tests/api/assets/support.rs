//! A server on this machine, and zip archives written byte by byte.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};
use transfer::assets::sha256_file;

/// Answers each request with the bytes that `answer(number of the request, its head)` gives, then
/// closes the connection.
pub struct Server {
    pub address: String,
    heads: Arc<Mutex<Vec<String>>>,
}

impl Server {
    pub fn start(answer: impl Fn(usize, &str) -> Vec<u8> + Send + 'static) -> Self {
        Self::start_with(move |number, head, stream| {
            let _ = stream.write_all(&answer(number, head));
        })
    }

    /// The same for an answer whose timing matters.
    pub fn start_with(answer: impl Fn(usize, &str, &mut TcpStream) + Send + 'static) -> Self {
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
                answer(number, &head, &mut stream);
            }
        });
        Server { address, heads }
    }

    pub fn heads(&self) -> Vec<String> {
        self.heads.lock().unwrap().clone()
    }
}

pub fn read_head(stream: &TcpStream) -> String {
    let lines = BufReader::new(stream).lines().map_while(|line| line.ok());
    lines.take_while(|line| !line.is_empty()).map(|line| line.to_lowercase() + "\n").collect()
}

pub fn response(status: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    [format!("HTTP/1.1 {status}\r\n{headers}Connection: close\r\n\r\n").as_bytes(), body].concat()
}

pub fn whole(body: &[u8]) -> Vec<u8> {
    response("200 OK", &format!("Content-Length: {}\r\nETag: \"v1\"\r\n", body.len()), body)
}

pub fn sha256(bytes: &[u8]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bytes");
    std::fs::write(&path, bytes).unwrap();
    sha256_file(path).unwrap()
}

/// What a folder holds, without the lock files, which mean nothing.
pub fn left_in(folder: &Path) -> Vec<String> {
    let names = std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
    names.filter(|name| !name.ends_with(".lock")).collect()
}

/// A zip archive of stored files, written byte by byte, so that it can hold what no tool would write.
#[derive(Default)]
pub struct Zip {
    pub local: Vec<u8>,
    pub central: Vec<u8>,
    pub count: u16,
}

pub struct Entry<'a> {
    pub name: &'a [u8],
    pub data: &'a [u8],
    pub mode: u32,
    pub flags: u16,
    pub crc: Option<u32>,
    pub stated: Option<u32>,
    /// 0 stored, 8 deflated; the data is written as it is.
    pub method: u16,
    /// Extra fields, in both headers.
    pub extra: &'a [u8],
}

pub fn file<'a>(name: &'a str, data: &'a [u8]) -> Entry<'a> {
    Entry {
        name: name.as_bytes(),
        data,
        mode: 0o100_644,
        flags: 0,
        crc: None,
        stated: None,
        method: 0,
        extra: b"",
    }
}

pub fn crc32(data: &[u8]) -> u32 {
    !data.iter().fold(!0u32, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |c, _| if c & 1 == 1 { (c >> 1) ^ 0xEDB8_8320 } else { c >> 1 })
    })
}

impl Zip {
    pub fn with(mut self, entry: Entry) -> Self {
        let (start, compressed) = (self.local.len() as u32, entry.data.len() as u32);
        let (crc, size) = (entry.crc.unwrap_or(crc32(entry.data)), entry.stated.unwrap_or(compressed));
        let mut common = vec![20, 0];
        common.extend(entry.flags.to_le_bytes());
        common.extend(entry.method.to_le_bytes());
        common.extend([0; 4]);
        for n in [crc, compressed, size] {
            common.extend(n.to_le_bytes());
        }
        common.extend((entry.name.len() as u16).to_le_bytes());
        common.extend((entry.extra.len() as u16).to_le_bytes());
        self.local.extend([&b"PK\x03\x04"[..], &common, entry.name, entry.extra, entry.data].concat());
        self.central.extend([&b"PK\x01\x02\x14\x03"[..], &common, &[0; 6]].concat());
        self.central.extend((entry.mode << 16).to_le_bytes());
        self.central.extend(start.to_le_bytes());
        self.central.extend([entry.name, entry.extra].concat());
        self.count += 1;
        self
    }

    pub fn bytes(self) -> Vec<u8> {
        let mut end = b"PK\x05\x06\0\0\0\0".to_vec();
        end.extend(self.count.to_le_bytes());
        end.extend(self.count.to_le_bytes());
        end.extend((self.central.len() as u32).to_le_bytes());
        end.extend((self.local.len() as u32).to_le_bytes());
        end.extend([0, 0]);
        [self.local, self.central, end].concat()
    }
}

//! A server on this machine that answers as it is told, and a client that believes it.

use crate::Fallible;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Arc;
use std::time::Duration;

/// What is asked for.
#[derive(Clone)]
pub struct Request {
    /// How many requests came before.
    pub number: usize,
    /// From which byte on.
    pub start: Option<usize>,
    /// The version that `start` is about.
    pub if_range: Option<String>,
}

/// Each connection is answered on a thread of its own, and closed.
pub struct Server {
    /// `http://127.0.0.1:…`
    pub address: String,
}

impl Server {
    pub fn start(answer: impl Fn(&Request, &mut TcpStream) + Send + Sync + 'static) -> Fallible<Self> {
        let listener =
            TcpListener::bind("127.0.0.1:0").map_err(|e| format!("cannot serve on loopback: {e}"))?;
        let address = listener.local_addr().map_err(|e| e.to_string())?;
        let (seen, answer) = (Arc::new(AtomicUsize::new(0)), Arc::new(answer));
        std::thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                let (seen, answer) = (seen.clone(), answer.clone());
                std::thread::spawn(move || {
                    let Some(mut request) = read_request(&stream) else { return };
                    request.number = seen.fetch_add(1, Ordering::SeqCst);
                    answer(&request, &mut stream);
                });
            }
        });
        Ok(Server { address: format!("http://{address}") })
    }
}

fn read_request(stream: &TcpStream) -> Option<Request> {
    let mut lines = BufReader::new(stream).lines().map_while(|line| line.ok());
    lines.next()?;
    let mut request = Request { number: 0, start: None, if_range: None };
    for line in lines.take_while(|line| !line.is_empty()) {
        let Some((name, value)) = line.split_once(':') else { continue };
        match name.to_ascii_lowercase().as_str() {
            "range" => request.start = value.trim().strip_prefix("bytes=")?.strip_suffix('-')?.parse().ok(),
            "if-range" => request.if_range = Some(value.trim().to_owned()),
            _ => {}
        }
    }
    Some(request)
}

/// An honest answer, from which lies can be made.
#[derive(Clone)]
pub struct Answer<'a> {
    body: &'a [u8],
    version: &'a str,
    knows_range: bool,
    knows_if_range: bool,
    stated: Option<usize>,
    end: Option<usize>,
    pause: Duration,
}

impl<'a> Answer<'a> {
    pub fn of(body: &'a [u8]) -> Self {
        Answer {
            body,
            version: "\"v1\"",
            knows_range: true,
            knows_if_range: true,
            stated: None,
            end: None,
            pause: Duration::ZERO,
        }
    }

    /// A short pause after each 64 KiB.
    pub fn slowly(self) -> Self {
        Answer { pause: Duration::from_millis(1), ..self }
    }

    /// The file's entity tag.
    pub fn version(self, version: &'a str) -> Self {
        Answer { version, ..self }
    }

    /// All of the file, whatever part is asked for.
    pub fn whole(self) -> Self {
        Answer { knows_range: false, ..self }
    }

    /// A part of the file as it is now, whatever version it is asked of.
    pub fn without_if_range(self) -> Self {
        Answer { knows_if_range: false, ..self }
    }

    /// Ends before this byte of the file, without a word.
    pub fn until(self, end: usize) -> Self {
        Answer { end: Some(end), ..self }
    }

    /// States this length, whatever is sent.
    pub fn stating(self, length: usize) -> Self {
        Answer { stated: Some(length), ..self }
    }

    pub fn give(&self, request: &Request, stream: &mut TcpStream) {
        let same =
            !self.knows_if_range || request.if_range.as_deref().is_none_or(|version| version == self.version);
        let start = request.start.filter(|_| self.knows_range && same);
        if start.is_some_and(|start| start >= self.body.len()) {
            return status(stream, "416 Range Not Satisfiable", "");
        }
        let (all, from) = (self.body.len(), start.unwrap_or(0));
        let (status, range) = match start {
            Some(from) => {
                ("206 Partial Content", format!("Content-Range: bytes {from}-{}/{all}\r\n", all - 1))
            }
            None => ("200 OK", String::new()),
        };
        let length = self.stated.unwrap_or(all - from);
        let head = format!(
            "HTTP/1.1 {status}\r\n{range}Content-Length: {length}\r\nETag: {}\r\nConnection: close\r\n\r\n",
            self.version
        );
        let end = self.end.unwrap_or(all).clamp(from, all);
        if stream.write_all(head.as_bytes()).is_err() {
            return;
        }
        for part in self.body[from..end].chunks(1 << 16) {
            if stream.write_all(part).is_err() {
                return;
            }
            if !self.pause.is_zero() {
                std::thread::sleep(self.pause);
            }
        }
    }
}

/// Closes the connection so that the other side sees it reset.
pub fn reset(stream: &TcpStream) {
    let at_once = libc::linger { l_onoff: 1, l_linger: 0 };
    let length = size_of::<libc::linger>() as libc::socklen_t;
    let value = std::ptr::from_ref(&at_once).cast();
    // SAFETY: the socket is open, and the value is as long as is said.
    unsafe { libc::setsockopt(stream.as_raw_fd(), libc::SOL_SOCKET, libc::SO_LINGER, value, length) };
}

/// An answer without a file.
pub fn status(stream: &mut TcpStream, status: &str, headers: &str) {
    let head = format!("HTTP/1.1 {status}\r\n{headers}Content-Length: 0\r\nConnection: close\r\n\r\n");
    let _ = stream.write_all(head.as_bytes());
}

/// What a client gets that asks once and believes everything, the length too: what did not come stays
/// empty. With `resume` it asks once more for what is missing, and appends it.
pub fn naive(address: &str, expected: usize, resume: bool) -> Vec<u8> {
    let (mut bytes, stated) = ask(address, None);
    if resume && bytes.len() < expected {
        bytes.extend(ask(address, Some(bytes.len())).0);
    } else if let Some(stated) = stated {
        bytes.resize(stated, 0);
    }
    bytes
}

/// The body, and the length that was stated.
fn ask(address: &str, from: Option<usize>) -> (Vec<u8>, Option<usize>) {
    let host = address.trim_start_matches("http://");
    let Ok(mut stream) = TcpStream::connect(host) else { return (Vec::new(), None) };
    let _ = stream.set_read_timeout(Some(Duration::from_millis(500)));
    let range = from.map(|from| format!("Range: bytes={from}-\r\n")).unwrap_or_default();
    let _ = stream.write_all(format!("GET /photos.bin HTTP/1.1\r\nHost: {host}\r\n{range}\r\n").as_bytes());
    let (mut bytes, mut buffer) = (Vec::new(), vec![0; 1 << 16]);
    while let Ok(n @ 1..) = stream.read(&mut buffer) {
        bytes.extend(&buffer[..n]);
    }
    let end = bytes.windows(4).position(|end| end == b"\r\n\r\n").map_or(bytes.len(), |at| at + 4);
    let mut body = bytes.split_off(end);
    let head = String::from_utf8_lossy(&bytes);
    let stated = head.lines().find_map(|line| line.strip_prefix("Content-Length: ")?.parse().ok());
    body.truncate(stated.unwrap_or(usize::MAX));
    (body, stated)
}

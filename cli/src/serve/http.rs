//! Requests and answers of HTTP/1.1 on one connection, with limits on sizes and times.
//!
//! `httparse` reads lines and headers. A body has a `Content-Length`; chunked ones are refused, so that its size is
//! known before it is received.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use super::limits::{self, Part, Share};

/// The line and the headers of a request.
#[derive(Debug)]
pub struct Request {
    pub method: String,
    /// Path and query, as they were sent.
    pub target: String,
    headers: Vec<(String, String)>,
    pub length: usize,
    /// Whether the connection stays open for another request.
    keep_alive: bool,
    expects_continue: bool,
}

impl Request {
    /// The value of a header; `None` where there is none.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| &**value)
    }

    /// The path, and the query behind the `?`.
    pub fn path_and_query(&self) -> (&str, &str) {
        self.target.split_once('?').unwrap_or((&self.target, ""))
    }
}

/// An answer.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub content_type: &'static str,
    pub body: Vec<u8>,
    pub headers: Vec<(&'static str, String)>,
    /// Whether the connection is closed behind it.
    pub close: bool,
}

impl Answer {
    pub fn new(status: u16, content_type: &'static str, body: impl Into<Vec<u8>>) -> Self {
        Answer { status, content_type, body: body.into(), headers: Vec::new(), close: false }
    }

    pub fn json(status: u16, value: &serde_json::Value) -> Self {
        Self::new(status, "application/json", value.to_string())
    }

    /// An error, in words that say what was expected.
    pub fn error(status: u16, message: impl Into<String>) -> Self {
        let message: String = message.into();
        Self::json(status, &serde_json::json!({ "error": message }))
    }

    pub fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// Closes the connection behind it: what follows on it is not known.
    pub fn closing(self) -> Self {
        Answer { close: true, ..self }
    }
}

/// Why there is no request.
#[derive(Debug)]
pub enum NoRequest {
    /// The client has gone, or sent nothing for too long.
    Gone,
    /// It sent something wrong, which has this answer.
    Refused(Answer),
}

/// A connection to a client.
pub struct Connection {
    stream: TcpStream,
    /// Received and not used yet.
    rest: Vec<u8>,
}

impl Connection {
    pub fn new(stream: TcpStream) -> std::io::Result<Self> {
        stream.set_nodelay(true)?;
        stream.set_write_timeout(Some(limits::ANSWER_TIME))?;
        Ok(Connection { stream, rest: Vec::new() })
    }

    /// The next request, up to the end of its headers.
    pub fn request(&mut self) -> Result<Request, NoRequest> {
        let mut deadline = match self.rest.is_empty() {
            true => Instant::now() + limits::IDLE_TIME,
            false => Instant::now() + limits::HEAD_TIME,
        };
        loop {
            if !self.rest.is_empty() {
                if let Some((request, used)) = parse(&self.rest).map_err(NoRequest::Refused)? {
                    self.rest.drain(..used);
                    return Ok(request);
                }
            }
            if self.rest.len() >= limits::HEAD_BYTES {
                return Err(NoRequest::Refused(too_large_head()));
            }
            let begun = !self.rest.is_empty();
            let mut buffer = [0; 4096];
            match self.receive(&mut buffer, deadline) {
                Ok(0) => return Err(NoRequest::Gone),
                Ok(n) => self.rest.extend(&buffer[..n]),
                Err(e) if is_timeout(&e) && begun => {
                    return Err(NoRequest::Refused(Answer::error(
                        408,
                        format!("expected the headers within {} s", limits::HEAD_TIME.as_secs()),
                    )))
                }
                Err(_) => return Err(NoRequest::Gone),
            }
            if !begun {
                deadline = Instant::now() + limits::HEAD_TIME;
            }
        }
    }

    /// The body of a request, and its part of the memory for bodies.
    pub fn body<'a>(
        &mut self,
        request: &Request,
        memory: &'a Share,
    ) -> Result<(Vec<u8>, Part<'a>), NoRequest> {
        let length = request.length;
        let busy = || {
            NoRequest::Refused(
                Answer::error(503, "too many photographs at a time: try again").header("Retry-After", "2"),
            )
        };
        // All of it or nothing: parts that wait for each other's rest would wait for ever.
        let part = memory.take(length, limits::WAIT_TIME).ok_or_else(busy)?;
        let mut body: Vec<u8> = Vec::new();
        body.try_reserve_exact(length).map_err(|_| busy())?;
        if request.expects_continue && self.rest.is_empty() {
            self.stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").map_err(|_| NoRequest::Gone)?;
        }
        let ready = self.rest.len().min(length);
        body.extend(self.rest.drain(..ready));
        let start = Instant::now();
        let mut buffer = [0; 64 << 10];
        while body.len() < length {
            // Who sends nothing gives its room back soon; who sends steadily has time.
            let deadline = start + limits::BODY_TIME + limits::time_for(body.len());
            let room = buffer.len().min(length - body.len());
            match self.receive(&mut buffer[..room], deadline) {
                Ok(0) => return Err(NoRequest::Gone),
                Ok(n) => body.extend_from_slice(&buffer[..n]),
                Err(e) if is_timeout(&e) => {
                    return Err(NoRequest::Refused(Answer::error(
                        408,
                        format!(
                            "expected {length} bytes, and at least {} KiB a second. Received: {} in {:.0} s",
                            limits::BODY_RATE >> 10,
                            body.len(),
                            start.elapsed().as_secs_f64()
                        ),
                    )))
                }
                Err(_) => return Err(NoRequest::Gone),
            }
        }
        Ok((body, part))
    }

    fn receive(&mut self, buffer: &mut [u8], deadline: Instant) -> std::io::Result<usize> {
        loop {
            let left = deadline.checked_duration_since(Instant::now()).ok_or(ErrorKind::TimedOut)?;
            self.stream.set_read_timeout(Some(left.max(Duration::from_millis(1))))?;
            match self.stream.read(buffer) {
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                done => return done,
            }
        }
    }

    /// Sends an answer; whether the connection stays open.
    pub fn answer(&mut self, request: Option<&Request>, answer: &Answer) -> bool {
        let head_only = request.is_some_and(|request| request.method == "HEAD");
        let keep = !answer.close && request.is_some_and(|request| request.keep_alive);
        let mut head = format!(
            "HTTP/1.1 {} {}\r\nContent-Type: {}\r\nContent-Length: {}\r\nConnection: {}\r\n",
            answer.status,
            reason(answer.status),
            answer.content_type,
            answer.body.len(),
            if keep { "keep-alive" } else { "close" }
        );
        for (name, value) in FIXED.iter().map(|(name, value)| (*name, *value)) {
            head += &format!("{name}: {value}\r\n");
        }
        for (name, value) in &answer.headers {
            head += &format!("{name}: {value}\r\n");
        }
        head += "\r\n";
        let mut bytes = head.into_bytes();
        if !head_only {
            bytes.extend(&answer.body);
        }
        let sent = self.stream.write_all(&bytes).is_ok();
        if !keep && sent {
            self.finish();
        }
        keep && sent
    }

    /// Closes so that the client gets the answer: a connection with unread bytes would be reset.
    fn finish(&mut self) {
        const MOST: usize = 1 << 20;
        let _ = self.stream.shutdown(std::net::Shutdown::Write);
        let deadline = Instant::now() + Duration::from_millis(500);
        let (mut buffer, mut seen) = ([0; 16 << 10], 0);
        while seen < MOST {
            match self.receive(&mut buffer, deadline) {
                Ok(n) if n > 0 => seen += n,
                _ => break,
            }
        }
    }
}

/// Headers of every answer: nothing is kept, guessed, framed, or loaded from elsewhere.
const FIXED: [(&str, &str); 7] = [
    ("Cache-Control", "no-store"),
    ("X-Content-Type-Options", "nosniff"),
    ("X-Frame-Options", "DENY"),
    ("Referrer-Policy", "no-referrer"),
    ("Cross-Origin-Opener-Policy", "same-origin"),
    ("Permissions-Policy", "camera=(self), microphone=(), geolocation=()"),
    (
        "Content-Security-Policy",
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; media-src 'self' blob:; \
         connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
];

fn is_timeout(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}

fn too_large_head() -> Answer {
    Answer::error(
        431,
        format!(
            "expected at most {} bytes and {} headers before the body",
            limits::HEAD_BYTES,
            limits::HEADERS
        ),
    )
}

/// A request and the length of its head; `None` where more has to come.
pub fn parse(bytes: &[u8]) -> Result<Option<(Request, usize)>, Answer> {
    let mut headers = [httparse::EMPTY_HEADER; limits::HEADERS];
    let mut parsed = httparse::Request::new(&mut headers);
    let used = match parsed.parse(&bytes[..bytes.len().min(limits::HEAD_BYTES)]) {
        Ok(httparse::Status::Complete(used)) => used,
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(httparse::Error::TooManyHeaders) => return Err(too_large_head()),
        Err(e) => return Err(Answer::error(400, format!("expected a request of HTTP/1.1. Received: {e}"))),
    };
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    let headers: Vec<(String, String)> =
        parsed.headers.iter().map(|header| (header.name.to_owned(), text(header.value))).collect();
    let all = |name: &str| -> Vec<&str> {
        headers.iter().filter(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, v)| &**v).collect()
    };
    // Two of these could be read in two ways.
    for name in ["host", "content-length", "content-type", "origin"] {
        if all(name).len() > 1 {
            return Err(Answer::error(400, format!("expected one header {name}. Received: several")));
        }
    }
    if !all("transfer-encoding").is_empty() {
        return Err(Answer::error(411, "expected a Content-Length and no Transfer-Encoding"));
    }
    let length = match all("content-length").first() {
        None => 0,
        Some(text) if !text.is_empty() && text.len() < 19 && text.bytes().all(|b| b.is_ascii_digit()) => {
            text.parse().unwrap_or(usize::MAX)
        }
        Some(_) => return Err(Answer::error(400, "expected a Content-Length of digits")),
    };
    let connection = all("connection").join(",").to_ascii_lowercase();
    let minor = parsed.version.unwrap_or(0);
    let request = Request {
        method: parsed.method.unwrap_or_default().to_owned(),
        target: parsed.path.unwrap_or_default().to_owned(),
        length,
        keep_alive: minor == 1 && !connection.split(',').any(|word| word.trim() == "close"),
        expects_continue: all("expect").iter().any(|value| value.eq_ignore_ascii_case("100-continue")),
        headers,
    };
    Ok(Some((request, used)))
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        204 => "No Content",
        400 => "Bad Request",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        411 => "Length Required",
        413 => "Content Too Large",
        415 => "Unsupported Media Type",
        421 => "Misdirected Request",
        422 => "Unprocessable Content",
        431 => "Request Header Fields Too Large",
        503 => "Service Unavailable",
        _ => "Internal Server Error",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(text: &str) -> Option<u16> {
        match parse(text.as_bytes()) {
            Ok(Some(_)) => Some(200),
            Ok(None) => None,
            Err(answer) => Some(answer.status),
        }
    }

    #[test]
    fn a_request_is_read_whole_or_refused() {
        let text = "POST /predict?top=2 HTTP/1.1\r\nhost: localhost:1\r\nContent-Length: 12\r\nExpect: 100-continue\r\n\r\nbody";
        let (request, used) = parse(text.as_bytes()).unwrap().unwrap();
        assert_eq!((request.path_and_query(), request.length), (("/predict", "top=2"), 12));
        assert_eq!((request.header("Host"), request.header("x")), (Some("localhost:1"), None));
        assert!(request.keep_alive && request.expects_continue);
        assert_eq!(&text[used..], "body");
        for end in 1..used {
            assert_eq!(status(&text[..end]), None, "{end}");
        }
        for (wrong, expected) in [
            ("GARBAGE\r\n\r\n", 400),
            ("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
            ("POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", 400),
            ("POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n", 400),
            ("POST / HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n", 400),
            ("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", 411),
            ("GET / HTTP/1.1\r\na b: c\r\n\r\n", 400),
            ("GET /\0 HTTP/1.1\r\n\r\n", 400),
        ] {
            assert_eq!(status(wrong), Some(expected), "{wrong:?}");
        }
        let many = format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(limits::HEADERS + 1));
        assert_eq!(status(&many), Some(431));
    }
}

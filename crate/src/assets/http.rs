//! One download: tries, pauses, and continues where a broken connection stopped.
//!
//! The bytes go into a file that its name tells from a whole one; hashing and renaming it is the
//! caller's. A small note beside it, with what the server said about the version, lets a later
//! process continue where this one was killed.

use super::download::Download;
use super::exchange::{self, Exchange, Failure, Message};
use super::files::write_whole;
use super::surplus::Surplus;
use crate::{progress::say, Error, Result};
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::Write;
use std::time::{Duration, Instant};
use ureq::config::AutoHeaderValue;
use ureq::http::{HeaderMap, StatusCode};
use ureq::unversioned::resolver::DefaultResolver;
use ureq::unversioned::transport::{Connector, DefaultConnector};

/// What must come in the time that one read may take.
const LEAST_BYTES: u64 = 1024;

/// What is known about the bytes in the partial file.
#[derive(Default, Serialize, Deserialize)]
struct Known {
    url: String,
    /// A strong entity tag or a date. Without one, parts of two versions could be joined.
    validator: Option<String>,
    total: Option<u64>,
}

impl Download<'_> {
    /// Fetches all of it. Gives whether the bytes came in more than one part.
    pub fn run(&self) -> Result<bool> {
        let mut known = self.known();
        let (mut failures, mut parts, mut best) = (0, 0, self.have());
        loop {
            parts += u32::from(self.have() > 0);
            let started = Instant::now();
            let failure = match self.attempt(&mut known) {
                Ok(()) => {
                    let _ = std::fs::remove_file(self.note());
                    return Ok(parts > 0);
                }
                Err(failure) => failure,
            };
            // Another megabyte is progress, and progress deserves patience.
            if self.have() >= best + (1 << 20) {
                (failures, best) = (0, self.have());
            }
            failures += 1;
            let (what, wait, allowed) = match failure {
                Failure::Local(e) => return Err(e),
                Failure::Final(what) => (what, None, 0),
                Failure::Passing(what, wait) => (what, wait, self.retries),
                Failure::Unreachable(what) if best > 0 => (what, None, self.retries),
                Failure::Unreachable(what) => {
                    (what, None, u32::from(started.elapsed() < Duration::from_secs(2)).min(self.retries))
                }
            };
            if failures > allowed {
                let tries = if failures > 1 { format!(" ({failures} tries)") } else { String::new() };
                return Err(Error::Download(format!("cannot download {}: {what}{tries}", self.url)));
            }
            let growing = self.pause.saturating_mul(1 << (failures - 1).min(6));
            let pause = wait.unwrap_or(growing).min(Duration::from_secs(60));
            say(format!(
                "{}: {what}; trying again in {:.1} s ({failures} of {allowed})",
                self.name,
                pause.as_secs_f32()
            ));
            exchange::pause(pause)?;
        }
    }

    fn agent(&self, surplus: &Surplus) -> ureq::Agent {
        // The proxy of the environment is ureq's default.
        let config = ureq::Agent::config_builder()
            // What began protected must not go on unprotected after a redirect.
            .https_only(self.url.starts_with("https:"))
            .http_status_as_error(false)
            .timeout_resolve(Some(self.connect_timeout))
            .timeout_connect(Some(self.connect_timeout))
            .timeout_recv_response(Some(self.read_timeout))
            .timeout_per_read(Some(self.read_timeout))
            .max_idle_connections(0)
            // Lengths, ranges and hashes are about the file as it is.
            .accept_encoding(AutoHeaderValue::Provided("identity".to_string().into()))
            .user_agent(AutoHeaderValue::Provided(
                concat!("transfer/", env!("CARGO_PKG_VERSION")).to_string().into(),
            ))
            .build();
        let connector = DefaultConnector::new().chain(surplus.clone());
        ureq::Agent::with_parts(config, connector, DefaultResolver::default())
    }

    fn have(&self) -> u64 {
        self.partial.metadata().map_or(0, |about| about.len())
    }

    /// What an earlier process noted. Bytes without a note of this very address are thrown away.
    fn known(&self) -> Known {
        let note = std::fs::read(self.note()).ok();
        let known: Option<Known> = note.and_then(|note| serde_json::from_slice(&note).ok());
        match known {
            Some(known) if known.url == self.url && known.validator.is_some() => known,
            _ => {
                self.discard();
                Known::default()
            }
        }
    }

    fn attempt(&self, known: &mut Known) -> Result<(), Failure> {
        let have = if known.validator.is_some() { self.have() } else { 0 };
        if have > 0 && known.total == Some(have) {
            // Its process may have been killed before it came to this.
            let synced = File::options().append(true).open(self.partial).and_then(|file| file.sync_all());
            return synced.map_err(|e| Failure::Local(Error::io("cannot write", self.partial, e)));
        }
        let range = known.validator.clone().filter(|_| have > 0).map(|validator| (have, validator));
        let surplus = Surplus::default();
        let exchange = Exchange::start(self.agent(&surplus), surplus, self.url, range)?;
        let Message::Head(status, headers) = exchange.next()? else {
            return Err(Failure::Passing("the answer has no head".into(), None));
        };
        let start = match status {
            StatusCode::OK => 0,
            StatusCode::PARTIAL_CONTENT if have > 0 => {
                let (start, total) = content_range(&headers).unwrap_or((u64::MAX, None));
                if start != have || (known.total.is_some() && total != known.total) {
                    *known = Known::default();
                    return Err(Failure::Passing("the server sent another part than asked for".into(), None));
                }
                if known.validator.as_deref().is_some_and(|was| differs(was, &headers)) {
                    *known = Known::default();
                    return Err(Failure::Passing("the file on the server has changed".into(), None));
                }
                have
            }
            StatusCode::RANGE_NOT_SATISFIABLE if have > 0 => {
                *known = Known::default();
                return Err(Failure::Passing("the file on the server has changed".into(), None));
            }
            _ => return Err(refused(status, &headers)),
        };
        if header(&headers, "content-encoding").is_some_and(|coding| coding != "identity") {
            return Err(Failure::Final("the server sends it compressed, which was not asked for".into()));
        }
        let length: Option<u64> = header(&headers, "content-length").and_then(|n| n.trim().parse().ok());
        let total = length.map(|length| start.saturating_add(length)).or(known.total.filter(|_| start > 0));
        if start > 0 && known.total.is_some() && total != known.total {
            *known = Known::default();
            return Err(Failure::Passing("the server states another length than before".into(), None));
        }
        if total.is_some_and(|total| total > self.max_bytes) {
            return Err(Failure::Final(too_large(total.unwrap_or(0), self.max_bytes)));
        }
        if let (Some(total), Some(size)) = (total, self.size)
            && total != size
        {
            return Err(Failure::Final(wrong_size(total, size)));
        }
        // A part need not repeat what the first answer said.
        let kept = known.validator.take().filter(|_| start > 0);
        *known = Known { url: self.url.into(), validator: validator(&headers).or(kept), total };
        let surplus = self.receive(&exchange, start, known)?;
        if surplus && known.total.is_some() {
            // Which bytes are the file's is anybody's guess.
            *known = Known::default();
            return Err(Failure::Passing("the server sent more bytes than it stated".into(), None));
        }
        Ok(())
    }

    /// Writes the body to the partial file. Gives whether the server sent more than it stated.
    fn receive(&self, exchange: &Exchange, start: u64, known: &Known) -> Result<bool, Failure> {
        let local = |e| Failure::Local(Error::io("cannot write", self.partial, e));
        let mut file = File::options().create(true).append(true).open(self.partial).map_err(local)?;
        file.set_len(start).map_err(local)?;
        if known.validator.is_some() {
            let note = serde_json::to_vec(known).unwrap_or_default();
            write_whole(&self.note(), |out| out.write_all(&note)).map_err(Failure::Local)?;
        }
        let mut progress = Progress::new(self.name, start, known.total);
        let mut have = start;
        let mut pace = (Instant::now(), have);
        let surplus = loop {
            let bytes = match exchange.next()? {
                Message::Bytes(bytes) => bytes,
                Message::End(surplus) => break surplus,
                Message::Broken(what) => {
                    let of = known.total.map_or(String::new(), |total| format!(" of {total}"));
                    return Err(Failure::Passing(
                        format!("it broke off after {have}{of} bytes: {what}"),
                        None,
                    ));
                }
                Message::Head(..) | Message::Failed(_) => {
                    return Err(Failure::Passing("the answer has two heads".into(), None))
                }
            };
            have += bytes.len() as u64;
            if have > self.max_bytes {
                return Err(Failure::Final(too_large(have, self.max_bytes)));
            }
            file.write_all(&bytes).map_err(local)?;
            progress.at(have);
            // Single bytes now and then would keep the connection, and its user, waiting for ever.
            if pace.0.elapsed() >= self.read_timeout {
                if have - pace.1 < LEAST_BYTES {
                    return Err(Failure::Passing(
                        format!("it came to a standstill after {have} bytes"),
                        None,
                    ));
                }
                pace = (Instant::now(), have);
            }
        };
        match known.total {
            Some(total) if have < total => {
                Err(Failure::Passing(format!("it broke off after {have} of {total} bytes"), None))
            }
            Some(total) if have > total => {
                Err(Failure::Final(format!("the server sent {have} bytes, where it stated {total}")))
            }
            None if self.size.is_some_and(|size| have != size) => {
                Err(Failure::Passing(wrong_size(have, self.size.unwrap_or(0)), None))
            }
            _ => file.sync_all().map(|()| surplus).map_err(local),
        }
    }
}

/// A line at the start of a long download, every tenth of it or every few seconds, and at its end.
struct Progress<'a> {
    name: &'a str,
    total: Option<u64>,
    started: Instant,
    last: (Instant, u64),
}

impl<'a> Progress<'a> {
    fn new(name: &'a str, start: u64, total: Option<u64>) -> Self {
        let size = total.map_or("of unknown size".into(), megabytes);
        match start {
            0 => say(format!("Downloading {name} ({size})")),
            _ => say(format!("Downloading {name} ({size}) from {} on", megabytes(start))),
        }
        Progress { name, total, started: Instant::now(), last: (Instant::now(), start) }
    }

    fn at(&mut self, have: u64) {
        let tenth = |bytes| self.total.map_or(0, |total| bytes * 10 / total.max(1));
        let seconds = self.last.0.elapsed().as_secs_f32();
        let whole = self.total == Some(have);
        if whole || seconds >= 5.0 || (seconds >= 1.0 && tenth(have) > tenth(self.last.1)) {
            self.last = (Instant::now(), have);
            let of = self.total.map_or(String::new(), |total| {
                format!(" of {} ({} %)", megabytes(total), have * 100 / total.max(1))
            });
            say(format!(
                "  {}: {}{of}, {:.0} s",
                self.name,
                megabytes(have),
                self.started.elapsed().as_secs_f32()
            ));
        }
    }
}

fn megabytes(bytes: u64) -> String {
    format!("{:.1} MB", bytes as f64 / 1e6)
}

fn too_large(bytes: u64, limit: u64) -> String {
    format!("it has {bytes} bytes or more, where at most {limit} are expected")
}

fn wrong_size(bytes: u64, size: u64) -> String {
    format!("it has {bytes} bytes, where {size} are expected")
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

fn validator(headers: &HeaderMap) -> Option<String> {
    let strong = header(headers, "etag").filter(|tag| tag.starts_with('"'));
    strong.or_else(|| header(headers, "last-modified")).map(String::from)
}

/// Whether an answer is about another version: a server that knows Range but not If-Range would join
/// parts of two.
fn differs(was: &str, headers: &HeaderMap) -> bool {
    let name = if was.starts_with('"') { "etag" } else { "last-modified" };
    header(headers, name).is_some_and(|now| now != was)
}

/// First byte and total of `bytes 100-199/200`, where the total may be `*`.
fn content_range(headers: &HeaderMap) -> Option<(u64, Option<u64>)> {
    let (range, total) = header(headers, "content-range")?.strip_prefix("bytes ")?.split_once('/')?;
    Some((range.split_once('-')?.0.trim().parse().ok()?, total.trim().parse().ok()))
}

fn refused(status: StatusCode, headers: &HeaderMap) -> Failure {
    let what = format!("the server answered {status}");
    let wait = header(headers, "retry-after").and_then(|s| s.trim().parse().ok()).map(Duration::from_secs);
    match status.as_u16() {
        408 | 429 | 500..=599 => Failure::Passing(what, wait),
        _ => Failure::Final(what),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn a_redirect_away_from_https_is_refused_for_good() {
        let agent = |url| {
            let (partial, second) = (Path::new("partial"), Duration::from_secs(1));
            let (pause, connect_timeout, read_timeout) = (second, second, second);
            let (name, retries, max_bytes, size) = ("a", 0, 1, None);
            Download { url, name, partial, retries, pause, connect_timeout, read_timeout, max_bytes, size }
                .agent(&Surplus::default())
        };
        assert!(agent("https://host/a").config().https_only());
        assert!(!agent("http://host/a").config().https_only());
        // What the client says to each hop of such a download that is not https.
        let error = agent("https://host/a").get("http://host/a").call().unwrap_err();
        assert!(matches!(exchange::classify(error), Failure::Final(what) if what.contains("unprotected")));
    }

    #[test]
    fn ranges_and_validators_are_read_only_where_they_can_be_relied_on() {
        let headers = |name: &'static str, value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(name, value.parse().unwrap());
            headers
        };
        assert_eq!(content_range(&headers("content-range", "bytes 5-9/10")), Some((5, Some(10))));
        assert_eq!(content_range(&headers("content-range", "bytes 5-9/*")), Some((5, None)));
        for odd in ["bytes */10", "bytes 5", "items 5-9/10", "bytes x-9/10"] {
            assert_eq!(content_range(&headers("content-range", odd)), None, "{odd}");
        }
        assert_eq!(validator(&headers("etag", "\"v1\"")).as_deref(), Some("\"v1\""));
        assert_eq!(validator(&headers("etag", "W/\"v1\"")), None);
        assert!(validator(&headers("last-modified", "Tue, 01 Jan 2030 00:00:00 GMT")).is_some());
    }
}

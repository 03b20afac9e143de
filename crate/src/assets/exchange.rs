//! One request and its answer, on a thread of its own.
//!
//! Resolving a name, connecting and waiting for bytes block for as long as their time limits allow. Here they block a
//! thread that touches no file, so that whoever waits for the answer notices within a moment that somebody asked for an
//! end, and leaves the thread to its limits.

use super::surplus::Surplus;
use crate::progress::check_stop;
use crate::Error;
use std::io::Read;
use std::sync::mpsc::{sync_channel, Receiver, RecvTimeoutError, SyncSender};
use std::time::Duration;
use ureq::http::{HeaderMap, StatusCode};

/// How often somebody who waits looks whether to stop.
const MOMENT: Duration = Duration::from_millis(50);
/// Parts of the body that may wait to be taken.
const WAITING: usize = 4;

/// Why a download did not work this time.
pub(super) enum Failure {
    /// No answer at all: asking again soon is of no use.
    Unreachable(String),
    /// It may work the next time, perhaps after the time that the server asks for.
    Passing(String, Option<Duration>),
    /// It will not work the next time either.
    Final(String),
    Local(Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Failure::Local(error)
    }
}

/// What comes of a request, in this order: a head, parts of the body, the end.
pub(super) enum Message {
    Head(StatusCode, HeaderMap),
    Bytes(Vec<u8>),
    /// The body is complete as far as the connection says; whether more came than was stated.
    End(bool),
    /// The body breaks off.
    Broken(String),
    Failed(Failure),
}

/// An answer that arrives.
pub(super) struct Exchange(Receiver<Message>);

impl Exchange {
    /// Asks for `url`, from the byte `range.0` on if it still is the version `range.1`.
    pub fn start(
        agent: ureq::Agent,
        surplus: Surplus,
        url: &str,
        range: Option<(u64, String)>,
    ) -> Result<Self, Failure> {
        let (sender, receiver) = sync_channel(WAITING);
        let url = url.to_owned();
        let work = move || talk(&agent, &surplus, &url, range, &sender);
        let thread = std::thread::Builder::new().name("transfer-download".into()).spawn(work);
        thread.map_err(|e| Failure::Final(format!("no thread could be started for it: {e}")))?;
        Ok(Exchange(receiver))
    }

    /// What comes next; an error where somebody asked for an end meanwhile.
    pub fn next(&self) -> Result<Message, Failure> {
        loop {
            check_stop("A download")?;
            match self.0.recv_timeout(MOMENT) {
                Ok(Message::Failed(failure)) => return Err(failure),
                Ok(message) => return Ok(message),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(Failure::Passing("the connection ended unexpectedly".into(), None))
                }
            }
        }
    }
}

fn talk(
    agent: &ureq::Agent,
    surplus: &Surplus,
    url: &str,
    range: Option<(u64, String)>,
    messages: &SyncSender<Message>,
) {
    let mut request = agent.get(url).header("Connection", "close");
    if let Some((start, validator)) = range {
        request = request.header("Range", format!("bytes={start}-")).header("If-Range", validator);
    }
    let response = match request.call() {
        Ok(response) => response,
        Err(error) => {
            let _ = messages.send(Message::Failed(classify(error)));
            return;
        }
    };
    surplus.reset();
    // Nobody takes a message any more: nothing is left to do, here as below.
    if messages.send(Message::Head(response.status(), response.headers().clone())).is_err() {
        return;
    }
    let mut body = response.into_body().into_reader();
    loop {
        let mut buffer = vec![0; 1 << 16];
        let message = match body.read(&mut buffer) {
            Ok(0) => break,
            Ok(n) => {
                buffer.truncate(n);
                Message::Bytes(buffer)
            }
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(e) => Message::Broken(e.to_string()),
        };
        let last = matches!(message, Message::Broken(_));
        if messages.send(message).is_err() || last {
            return;
        }
    }
    // The connection is looked at once more when it is closed.
    drop(body);
    let _ = messages.send(Message::End(surplus.seen()));
}

/// Waits before another try, and notices where somebody asks for an end.
pub(super) fn pause(time: Duration) -> Result<(), Error> {
    let started = std::time::Instant::now();
    loop {
        check_stop("A download")?;
        match time.checked_sub(started.elapsed()) {
            Some(left) if !left.is_zero() => std::thread::sleep(left.min(MOMENT)),
            _ => return Ok(()),
        }
    }
}

pub(super) fn classify(error: ureq::Error) -> Failure {
    use std::io::ErrorKind::*;
    use ureq::{Error as E, Timeout};
    let what = error.to_string();
    match error {
        E::HostNotFound => Failure::Unreachable("the host's name cannot be resolved".into()),
        E::Timeout(Timeout::Resolve | Timeout::Connect) => {
            Failure::Unreachable("the host does not answer in time".into())
        }
        E::ConnectionFailed | E::ConnectProxyFailed(_) => Failure::Unreachable(what),
        E::RequireHttpsOnly(_) => Failure::Final("it redirects from https to an unprotected address".into()),
        E::Timeout(_) | E::Protocol(_) => Failure::Passing(what, None),
        E::Io(e) => match e.kind() {
            ConnectionRefused => Failure::Unreachable("the host refuses the connection".into()),
            NetworkUnreachable | HostUnreachable | AddrNotAvailable | NetworkDown => {
                Failure::Unreachable(what)
            }
            // The standard library has no kind for a name that does not resolve.
            _ if what.contains("lookup address") => {
                Failure::Unreachable("the host's name cannot be resolved".into())
            }
            // This is how a certificate that does not fit shows.
            InvalidData | InvalidInput => Failure::Final(what),
            _ => Failure::Passing(what, None),
        },
        _ => Failure::Final(what),
    }
}

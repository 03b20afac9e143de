//! A server that breaks off, lies, changes its mind or falls silent. Where the file can be had in the
//! end it is had, with the right hash; where it cannot, there is an error and nothing is left.

use super::Scenario;
use crate::jobs::{download_from, noise};
use crate::outcome::Outcome;
use crate::sandbox::Sandbox;
use crate::server::{naive, reset, status, Answer, Request, Server};
use crate::Fallible;
use std::io::Write;
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;
use transfer::random::Rng;

const BYTES: usize = 3_000_000;
const TRIES: usize = 10;

/// What the server has, and where in it this try's fault strikes.
struct Scene {
    body: Vec<u8>,
    older: Vec<u8>,
    at: usize,
}

type Behave = fn(&Scene, &Request, &mut TcpStream);

struct Fault {
    name: &'static str,
    behave: Behave,
    /// How many requests are answered like that, before honesty.
    lies: usize,
    /// The fault shows only to a client that asks for the rest of a file.
    resumed: bool,
    /// What the error must say; `None` where the file must be had in the end.
    error: Option<&'static str>,
}

/// The first `lies` requests are answered so, the others honestly.
fn first(lies: usize, name: &'static str, behave: Behave) -> Fault {
    Fault { name, behave, lies, resumed: false, error: None }
}

fn always(name: &'static str, behave: Behave) -> Fault {
    first(usize::MAX, name, behave)
}

impl Fault {
    fn resumed(self) -> Self {
        Fault { resumed: true, ..self }
    }

    fn fails_with(self, words: &'static str) -> Self {
        Fault { error: Some(words), ..self }
    }
}

fn faults() -> Vec<Fault> {
    let unavailable: Behave = |_, _, out| status(out, "503 Service Unavailable", "");
    vec![
        first(1, "breaks off", |s, r, out| s.all().until(s.at).give(r, out)),
        always("breaks off each time", |s, r, out| s.all().until(s.further(r)).give(r, out)),
        always("breaks off each time, knows no parts", |s, r, out| s.all().whole().until(s.at).give(r, out))
            .fails_with("broke off"),
        first(2, "breaks off before the first byte", |_, _, _| {}),
        first(1, "falls silent in the middle", |s, r, out| {
            s.all().until(s.at).give(r, out);
            std::thread::sleep(Duration::from_secs(1));
        }),
        always("never answers", |_, _, _| std::thread::sleep(Duration::from_secs(1))).fails_with("timeout"),
        first(1, "resets the connection", |s, r, out| {
            s.all().until(s.at).give(r, out);
            reset(out);
        }),
        first(1, "states too much", |s, r, out| s.all().stating(BYTES + s.at).give(r, out)),
        first(1, "states too little", |s, r, out| s.all().stating(s.at).give(r, out)),
        always("states too little each time", |s, r, out| s.all().stating(s.at).give(r, out))
            .fails_with("more bytes"),
        always("answers 200 to a Range", |s, r, out| match r.number {
            0 => s.all().until(s.at).give(r, out),
            _ => s.all().whole().give(r, out),
        })
        .resumed(),
        first(2, "sends another part than asked for", |s, r, out| match r.number {
            0 => s.all().until(s.at).give(r, out),
            _ => s.all().give(&Request { start: r.start.map(|n| n + 3), if_range: None, ..r.clone() }, out),
        })
        .resumed(),
        always("changes the file between the parts", |s, r, out| match r.number {
            0 => s.old().until(s.at).give(r, out),
            _ => s.all().version("\"v2\"").give(r, out),
        })
        .resumed(),
        always("changes the file, knows no If-Range", |s, r, out| match r.number {
            0 => s.old().until(s.at).give(r, out),
            _ => s.all().version("\"v2\"").without_if_range().give(r, out),
        })
        .resumed(),
        first(1, "changes the file and does not tell", |s, r, out| s.old().until(s.at).give(r, out))
            .resumed(),
        first(3, "answers 429, 500, 503, then the file", |_, r, out| {
            let answers = ["429 Too Many Requests", "500 Internal Server Error", "503 Service Unavailable"];
            status(out, answers[r.number % 3], "Retry-After: 0\r\n");
        }),
        always("answers 503 for ever", unavailable).fails_with("503"),
        always("answers 404", |_, _, out| status(out, "404 Not Found", "")).fails_with("404"),
        first(1, "redirects", |_, _, out| status(out, "302 Found", "Location: /there\r\n")),
        always("redirects in a circle", |_, _, out| status(out, "302 Found", "Location: /photos.bin\r\n"))
            .fails_with("redirect"),
        first(2, "talks no HTTP", |s, _, out| drop(out.write_all(&s.body[..4000]))),
        always("has another file", |s, r, out| s.old().give(r, out)).fails_with("SHA-256"),
    ]
}

impl Scene {
    fn all(&self) -> Answer<'_> {
        Answer::of(&self.body)
    }

    fn old(&self) -> Answer<'_> {
        Answer::of(&self.older)
    }

    /// A quarter of the file or a little more beyond where a request starts.
    fn further(&self, request: &Request) -> usize {
        request.start.unwrap_or(0) + BYTES / 4 + self.at / 8
    }
}

pub fn scenarios() -> Vec<Scenario> {
    let scenario =
        |fault: Fault| Scenario::new(format!("server: {}", fault.name), move |sandbox| run(sandbox, &fault));
    faults().into_iter().map(scenario).collect()
}

fn run(sandbox: &Sandbox, fault: &Fault) -> Fallible<Outcome> {
    let (mut fooled, mut failures) = (0, Vec::new());
    for attempt in 0..TRIES {
        let at = 1 + Rng::new(&[fault.name.len() as u64, attempt as u64]).below(BYTES - 2);
        let scene = Arc::new(Scene { body: noise(1, BYTES), older: noise(2, BYTES), at });
        let (behave, lies) = (fault.behave, fault.lies);
        let serve = || {
            let scene = scene.clone();
            Server::start(move |request, stream| match request.number < lies {
                true => behave(&scene, request, stream),
                false => scene.all().give(request, stream),
            })
        };
        fooled += usize::from(naive(&serve()?.address, BYTES, fault.resumed) != scene.body);
        let job = download_from(sandbox, serve()?, &scene.body)?;
        let folder = sandbox.fresh()?;
        let ended = sandbox.run(&job.words(&folder))?;
        let result = match fault.error {
            None => ended.well().and_then(|()| job.is_done(&folder)),
            Some(words) => ended.badly(words).and_then(|()| job.is_clean(&folder)),
        };
        failures.extend(result.err().map(|what| format!("try {attempt}, at byte {at}: {what}")));
        let _ = std::fs::remove_dir_all(&folder);
    }
    if fooled < TRIES {
        return Err(format!("a client that believes everything was fooled only {fooled} times of {TRIES}"));
    }
    let ended = if fault.error.is_some() { "; ours ends with an error, nothing is left" } else { "" };
    let control = format!("a client that believes everything got another file{ended}");
    Ok(Outcome::Done { tries: TRIES, control, failures })
}

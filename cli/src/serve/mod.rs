//! `transfer serve`: a page to try a model on, and an HTTP API.
//!
//! One thread for each connection reads requests and decodes photographs, and one thread computes. Memory is bounded
//! by what [`limits`] says, whatever is sent.
//!
//! | file | what it holds |
//! |---|---|
//! | `limits.rs` | sizes, times and numbers |
//! | `http.rs` | requests and answers on one connection |
//! | `checks.rs` | what is refused before a body is received |
//! | `guard.rs` | `Host` and `Origin`: who may ask |
//! | `routes.rs` | which request gets which answer |
//! | `answers.rs`, `openapi.json` | the JSON of the API, and its description |
//! | `predictor.rs` | the model, and the thread that computes |
//! | `kept.rs` | photographs of the training that lie beside the model |
//! | `watch.rs` | a file that is replaced |
//! | `browser.rs` | opening the page |
//! | `page/` | the page: HTML, CSS, JavaScript |

mod answers;
mod browser;
mod checks;
mod guard;
mod http;
mod kept;
mod limits;
mod predictor;
mod routes;
mod watch;

use std::io::Write;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use transfer::prelude::*;
use transfer::Show;

use crate::serve_args::Serve;
use crate::{neighbours, screen, stop, Failure};
use guard::Guard;
use http::{Answer, Connection};
use limits::Share;
use predictor::Predictor;
use routes::Server;
use watch::Watch;

/// Stack of each thread, in bytes.
const STACK: usize = 2 << 20;
/// How often the model file and signals are looked at.
const LOOK: Duration = Duration::from_millis(500);

pub fn serve(arguments: &Serve) -> crate::Result<()> {
    let device = arguments.computing.open_and_say()?;
    let mut watch = Watch::new(&arguments.model);
    let mut watch_kept = Watch::new(&neighbours::of_model(&arguments.model));
    let model = load(arguments, &device)?;
    let kept = kept::of(arguments, &model);
    let listener = TcpListener::bind(SocketAddr::new(arguments.host, arguments.port)).map_err(|e| {
        Failure::Error(format!(
            "cannot listen on {}:{}: {e}. Name another port, or 0 for a free one: --port 0",
            arguments.host, arguments.port
        ))
    })?;
    let address = listener.local_addr().map_err(|e| Failure::Error(format!("cannot listen: {e}")))?;
    let server = Arc::new(Server {
        guard: Guard { host: arguments.host, allowed: arguments.allow_origin.clone() },
        predictor: Predictor::new(model, kept),
        name: arguments.model.file_name().unwrap_or_default().to_string_lossy().into_owned(),
        problem: Mutex::default(),
        memory: Share::new(limits::BODIES_BYTES),
    });
    let failed = |e| Failure::Error(format!("cannot start a thread: {e}"));
    let computing = server.clone();
    start("transfer-serve", move || computing.predictor.compute()).map_err(failed)?;
    let accepting = server.clone();
    start("transfer-accept", move || accept(&listener, &accepting)).map_err(failed)?;
    say_where(arguments, address, server.predictor.loaded().kept().is_some())?;
    loop {
        std::thread::sleep(LOOK);
        stop::check("The server")?;
        // Both are asked, so that both take note of what is there.
        let (model, photographs) = (watch.has_changed(), watch_kept.has_changed());
        if model {
            reload(arguments, &device, &server);
        } else if photographs {
            kept::again(arguments, &server.predictor.loaded());
        }
    }
}

fn load(arguments: &Serve, device: &Device) -> transfer::Result<Model> {
    let mut model = arguments.features.load(&arguments.model, device)?;
    model.set_feature_cache_bytes(0);
    Ok(model)
}

/// Takes the file that has replaced the model's, where it is one.
fn reload(arguments: &Serve, device: &Device, server: &Server) {
    let problem = match load(arguments, device) {
        Ok(model) => {
            let kept = kept::of(arguments, &model);
            server.predictor.replace(model, kept);
            screen::note("The model was replaced; the new one answers from now on.");
            None
        }
        Err(e) => {
            screen::say(&format!("error: {e}. The earlier model goes on answering."));
            // Without the path, which is nobody's business who reaches the page.
            Some("the model file was changed and cannot be read; the earlier model answers".to_owned())
        }
    };
    *limits::lock(&server.problem) = problem;
}

fn say_where(arguments: &Serve, address: SocketAddr, shows_photographs: bool) -> crate::Result<()> {
    let reached = match address.ip().is_unspecified() {
        true => SocketAddr::new([127, 0, 0, 1].into(), address.port()),
        false => address,
    };
    let url = format!("http://{reached}/");
    if !address.ip().is_loopback() {
        screen::say(
            "warning: other computers can reach this server. It has no password, and the connection is not encrypted.",
        );
        if shows_photographs {
            screen::say(
                "warning: they can see thumbnails of photographs of the training. --no-neighbours shows none.",
            );
        }
    }
    let mut out = std::io::stdout().lock();
    writeln!(out, "Serving {} at {url}", arguments.model.shown())?;
    out.flush()?;
    drop(out);
    screen::note("Ctrl-C ends the server.");
    if arguments.open && !browser::open(&url) {
        screen::note("No browser was found. Open the address above in one.");
    }
    Ok(())
}

fn start(name: &str, work: impl FnOnce() + Send + 'static) -> std::io::Result<()> {
    std::thread::Builder::new().name(name.to_owned()).stack_size(STACK).spawn(work).map(drop)
}

/// Gives each connection a thread, without end.
fn accept(listener: &TcpListener, server: &Arc<Server>) {
    let open = Arc::new(AtomicUsize::new(0));
    loop {
        let Ok((stream, _)) = listener.accept() else {
            // Too many open files, mostly: some will be closed.
            std::thread::sleep(Duration::from_millis(50));
            continue;
        };
        let counted = Counted::new(&open);
        if open.load(Ordering::SeqCst) > limits::CONNECTIONS {
            refuse(stream);
            continue;
        }
        let server = server.clone();
        let work = move || {
            let _counted = counted;
            if let Ok(connection) = Connection::new(stream) {
                server.serve(connection);
            }
        };
        // Where the system starts no thread, the connection is closed with what the closure held.
        let _ = start("transfer-client", work);
    }
}

/// Counts a connection as long as it is there.
struct Counted(Arc<AtomicUsize>);

impl Counted {
    fn new(open: &Arc<AtomicUsize>) -> Self {
        open.fetch_add(1, Ordering::SeqCst);
        Counted(open.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Says that there are too many connections, without waiting for whoever it is.
fn refuse(mut stream: TcpStream) {
    let answer = Answer::error(503, "too many connections: try again");
    let text = format!(
        "HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\
         Retry-After: 2\r\nConnection: close\r\n\r\n",
        answer.body.len()
    );
    let _ = stream.set_nonblocking(true);
    let _ = stream.write_all(&[text.as_bytes(), &answer.body].concat());
}

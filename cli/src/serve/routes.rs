//! Which request gets which answer.

use std::sync::Mutex;

use super::answers;
use super::checks::{check_body, Asked};
use super::guard::Guard;
use super::http::{Answer, Connection, NoRequest, Request};
use super::limits::{lock, Share};
use super::predictor::{Predictor, Unpredicted};

const PAGE: &str = include_str!("page/index.html");
const SCRIPT: &str = include_str!("page/page.js");
const STYLE: &str = include_str!("page/page.css");
const OPENAPI: &str = include_str!("openapi.json");

/// What all connections share.
pub struct Server {
    pub guard: Guard,
    pub predictor: Predictor,
    /// The file's name, without its folder.
    pub name: String,
    /// Why a file that replaced the model's is not used.
    pub problem: Mutex<Option<String>>,
    /// For the bytes of photographs.
    pub memory: Share,
}

impl Server {
    /// Answers the requests of a connection until it ends.
    pub fn serve(&self, mut connection: Connection) {
        loop {
            let request = match connection.request() {
                Ok(request) => request,
                Err(NoRequest::Gone) => return,
                Err(NoRequest::Refused(answer)) => {
                    connection.answer(None, &answer.closing());
                    return;
                }
            };
            let Some(answer) = self.answer(&mut connection, &request) else { return };
            if !connection.answer(Some(&request), &answer) {
                return;
            }
        }
    }

    /// The answer to a request; `None` where the client has gone.
    fn answer(&self, connection: &mut Connection, request: &Request) -> Option<Answer> {
        // Its body stays unread, so what follows on the connection is not known.
        let unread = |answer: Answer| if request.length > 0 { answer.closing() } else { answer };
        let origin = match self.guard.check(request) {
            Ok(origin) => origin,
            Err(answer) => return Some(unread(answer)),
        };
        let (path, query) = request.path_and_query();
        let answer = match (request.method.as_str(), path) {
            ("POST", "/predict") => match self.predict(connection, request, query) {
                Ok(answer) => answer,
                Err(NoRequest::Gone) => return None,
                Err(NoRequest::Refused(answer)) => answer.closing(),
            },
            ("OPTIONS", "/predict" | "/model" | "/openapi.json") if origin.is_some() => unread(
                Answer::new(204, "text/plain", "")
                    .header("Access-Control-Allow-Methods", "GET, POST")
                    .header("Access-Control-Allow-Headers", "Content-Type")
                    .header("Access-Control-Max-Age", "600"),
            ),
            ("GET" | "HEAD", path) => unread(self.page(path)),
            (_, "/predict") => unread(Answer::error(405, "expected POST").header("Allow", "POST")),
            (_, path) if self.page(path).status == 200 => {
                unread(Answer::error(405, "expected GET").header("Allow", "GET, HEAD"))
            }
            _ => unread(not_found()),
        };
        Some(match origin {
            Some(origin) => answer.header("Access-Control-Allow-Origin", origin).header("Vary", "Origin"),
            None => answer.header("Cross-Origin-Resource-Policy", "same-origin"),
        })
    }

    /// What is fetched. Nothing is read from disk, so that no path leads to a file.
    fn page(&self, path: &str) -> Answer {
        match path {
            "/" => Answer::new(200, "text/html; charset=utf-8", PAGE),
            "/page.js" => Answer::new(200, "text/javascript; charset=utf-8", SCRIPT),
            "/page.css" => Answer::new(200, "text/css; charset=utf-8", STYLE),
            "/openapi.json" => Answer::new(
                200,
                "application/json",
                OPENAPI.replace("\"VERSION\"", concat!("\"", env!("CARGO_PKG_VERSION"), "\"")),
            ),
            "/model" => {
                let problem = lock(&self.problem).clone();
                Answer::json(200, &answers::model(&self.predictor.loaded(), &self.name, problem.as_deref()))
            }
            "/predict" => {
                Answer::error(405, "expected POST, with the bytes of an image file").header("Allow", "POST")
            }
            "/favicon.ico" => Answer::new(204, "image/x-icon", ""),
            _ => not_found(),
        }
    }

    fn predict(
        &self,
        connection: &mut Connection,
        request: &Request,
        query: &str,
    ) -> Result<Answer, NoRequest> {
        let asked = Asked::parse(query).map_err(NoRequest::Refused)?;
        check_body(request).map_err(NoRequest::Refused)?;
        let (bytes, memory) = connection.body(request, &self.memory)?;
        let (loaded, said) = self.predictor.predict(bytes, memory, asked);
        let said = said.and_then(|said| {
            answers::prediction(&loaded, &said, asked).map_err(|e| Unpredicted::Failed(e.to_string()))
        });
        Ok(match said {
            Ok(value) => Answer::json(200, &value),
            Err(Unpredicted::Photograph(why)) => Answer::error(422, why),
            Err(Unpredicted::Busy) => {
                Answer::error(503, "too many photographs at a time: try again").header("Retry-After", "2")
            }
            Err(Unpredicted::Failed(why)) => {
                crate::screen::say(&format!("error: a request failed: {why}"));
                Answer::error(500, "the model could not compute; the program's output says why")
            }
        })
    }
}

fn not_found() -> Answer {
    Answer::error(404, "expected /, /predict, /model or /openapi.json")
}

//! What is refused by a request's line and headers alone, before its body is received.

use super::http::{Answer, Request};
use super::limits;

/// Refuses a body by what is said of it, before it is received.
pub fn check_body(request: &Request) -> Result<(), Answer> {
    match request.length {
        0 => return Err(Answer::error(400, "expected the bytes of an image file and their Content-Length")),
        n if n > limits::BODY_BYTES => {
            let limit = limits::BODY_BYTES >> 20;
            return Err(Answer::error(413, format!("expected at most {limit} MiB. Received: {n} bytes")));
        }
        _ => {}
    }
    let kind = request.header("content-type").unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    match kind.is_empty() || kind.starts_with("image/") || kind == "application/octet-stream" {
        true => Ok(()),
        false => Err(Answer::error(
            415,
            "expected the bytes of one image file, as they are, with Content-Type image/jpeg or the like, or \
             application/octet-stream",
        )),
    }
}

/// `heat_map=1` or `heat_map=0`; nothing else is known.
pub fn asks_for_heat_map(query: &str) -> Result<bool, Answer> {
    match query {
        "" | "heat_map=0" | "heat_map=false" => Ok(false),
        "heat_map=1" | "heat_map=true" => Ok(true),
        _ => Err(Answer::error(400, "expected no query but heat_map=1")),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::serve::guard::Guard;
    use crate::serve::http::parse;

    /// The status that a request has before its photograph is looked at; nothing where more of it has to come.
    fn status(bytes: &[u8]) -> Option<u16> {
        let guard = Guard { host: [127, 0, 0, 1].into(), allowed: Vec::new() };
        let checked = |request: &Request| {
            guard.check(request)?;
            asks_for_heat_map(request.path_and_query().1)?;
            check_body(request)
        };
        match parse(bytes) {
            Err(answer) => Some(answer.status),
            Ok(None) => None,
            Ok(Some((request, _))) => Some(checked(&request).map_or_else(|answer| answer.status, |()| 200)),
        }
    }

    #[test]
    fn each_request_of_the_fuzzers_corpus_has_its_answer() {
        let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fuzz/corpus/upload");
        let mut found: Vec<(String, Option<u16>)> = corpus
            .read_dir()
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .map(|path| {
                let name = path.file_name().unwrap().to_string_lossy().into_owned();
                (name, status(&std::fs::read(&path).unwrap()))
            })
            .collect();
        found.sort();
        let found: Vec<(&str, Option<u16>)> = found.iter().map(|(name, status)| (&**name, *status)).collect();
        assert_eq!(
            found,
            [
                ("chunked", Some(411)),
                ("damaged", Some(200)),
                ("foreign_host", Some(421)),
                ("foreign_page", Some(403)),
                ("half", Some(200)),
                ("head_only", None),
                ("heat_map", Some(200)),
                ("huge", Some(413)),
                ("jpeg", Some(200)),
                ("many_headers", Some(431)),
                ("no_body", Some(400)),
                ("odd_query", Some(400)),
                ("plain", Some(200)),
                ("text", Some(415)),
                ("two_lengths", Some(400)),
            ]
        );
    }
}

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

/// What is asked for besides the classes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Asked {
    pub heat_map: bool,
    /// How many of the most similar photographs of the training; `None` where they were not asked for.
    pub neighbours: Option<usize>,
}

impl Asked {
    /// `heat_map=1` and `neighbours=5`, each at most once; nothing else is known.
    pub fn parse(query: &str) -> Result<Self, Answer> {
        let refused = || {
            let most = limits::NEIGHBOURS;
            Answer::error(
                400,
                format!("expected no query but heat_map=1 and neighbours=N, N from 0 to {most}"),
            )
        };
        let (mut heat_map, mut neighbours) = (None, None);
        for part in query.split('&').filter(|_| !query.is_empty()) {
            match part.split_once('=') {
                Some(("heat_map", "0" | "false")) if heat_map.is_none() => heat_map = Some(false),
                Some(("heat_map", "1" | "true")) if heat_map.is_none() => heat_map = Some(true),
                Some(("neighbours", n)) if neighbours.is_none() => {
                    let digits = !n.is_empty() && n.len() < 4 && n.bytes().all(|byte| byte.is_ascii_digit());
                    let n: Option<usize> = if digits { n.parse().ok() } else { None };
                    neighbours = Some(n.filter(|&n| n <= limits::NEIGHBOURS).ok_or_else(refused)?);
                }
                _ => return Err(refused()),
            }
        }
        Ok(Asked { heat_map: heat_map.unwrap_or(false), neighbours: neighbours.filter(|&n| n > 0) })
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
            Asked::parse(request.path_and_query().1)?;
            check_body(request)
        };
        match parse(bytes) {
            Err(answer) => Some(answer.status),
            Ok(None) => None,
            Ok(Some((request, _))) => Some(checked(&request).map_or_else(|answer| answer.status, |()| 200)),
        }
    }

    #[test]
    fn what_is_asked_for_is_understood_or_refused() {
        let asked = |query: &str| {
            let asked = Asked::parse(query).map_err(|answer| answer.status)?;
            Ok::<_, u16>((asked.heat_map, asked.neighbours))
        };
        for (query, expected) in [
            ("", (false, None)),
            ("heat_map=0", (false, None)),
            ("heat_map=true", (true, None)),
            ("neighbours=5", (false, Some(5))),
            ("neighbours=0", (false, None)),
            ("neighbours=010", (false, Some(10))),
            ("heat_map=1&neighbours=5", (true, Some(5))),
            ("neighbours=10&heat_map=false", (false, Some(10))),
        ] {
            assert_eq!(asked(query), Ok(expected), "{query}");
        }
        for wrong in [
            "heat_map",
            "heat_map=2",
            "heat_map=1&heat_map=1",
            "heat_map=1&",
            "&",
            "neighbours=",
            "neighbours=-1",
            "neighbours=+1",
            "neighbours=11",
            "neighbours=18446744073709551621",
            "neighbours=5&neighbours=5",
            "top=3",
        ] {
            assert_eq!(asked(wrong), Err(400), "{wrong}");
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
                ("many_neighbours", Some(400)),
                ("neighbours", Some(200)),
                ("no_body", Some(400)),
                ("odd_query", Some(400)),
                ("plain", Some(200)),
                ("text", Some(415)),
                ("two_lengths", Some(400)),
            ]
        );
    }
}

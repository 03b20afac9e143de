//! What somebody sends to `transfer serve`: a request, who may send it, and the image file in its body.

// The files of the program; it is no library. What they have beside the readers is not used here.
#![allow(dead_code)]

#[path = "../../cli/src/serve/checks.rs"]
mod checks;
#[path = "../../cli/src/serve/guard.rs"]
mod guard;
#[path = "../../cli/src/serve/http.rs"]
mod http;
#[path = "../../cli/src/serve/limits.rs"]
mod limits;

use guard::Guard;
use http::parse;

/// Reads a request as the server does.
///
/// # Panics
/// Where a reader breaks a promise.
pub fn upload(bytes: &[u8]) {
    let whole = parse(bytes);
    // In whatever parts it arrives, it is the same request.
    for end in [bytes.len() / 3, bytes.len() / 2, bytes.len().saturating_sub(1)] {
        match (parse(&bytes[..end]), &whole) {
            (Ok(None), _) | (Err(_), Err(_)) => {}
            (Ok(Some((part, used))), Ok(Some((all, of_all)))) => {
                assert_eq!((used, part.length, &part.target), (*of_all, all.length, &all.target));
            }
            (part, _) => panic!("{end} bytes are {part:?}, and all of them are {whole:?}"),
        }
    }
    let Ok(Some((request, used))) = whole else { return };
    assert!(used <= bytes.len().min(limits::HEAD_BYTES));
    let guard = Guard { host: [127, 0, 0, 1].into(), allowed: Vec::new() };
    let (_, query) = request.path_and_query();
    let allowed = guard.check(&request).is_ok() && checks::Asked::parse(query).is_ok();
    if !allowed || checks::check_body(&request).is_err() {
        return;
    }
    let host = request.header("host").unwrap_or_default().to_ascii_lowercase();
    assert!(["localhost", "127.", "[::1]", "::1"].iter().any(|name| host.starts_with(name)), "{host:?}");
    assert!((1..=limits::BODY_BYTES).contains(&request.length));
    let body = &bytes[used..];
    transfer::fuzzing::upload(body[..body.len().min(request.length)].to_vec());
}

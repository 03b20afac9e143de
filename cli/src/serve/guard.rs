//! Who may ask: the names that this server is reached by, and the pages whose scripts may use it.

use std::net::IpAddr;

use super::http::{Answer, Request};

/// What a request is checked against.
#[derive(Debug)]
pub struct Guard {
    /// The address that the server listens on.
    pub host: IpAddr,
    /// Origins of other pages that may use the API; `*` for all.
    pub allowed: Vec<String>,
}

impl Guard {
    /// Refuses a request for another name than this server's, and one of a script of another page. Returns the origin
    /// of another page whose script may read the answer.
    pub fn check(&self, request: &Request) -> Result<Option<String>, Answer> {
        let host = request.header("host").unwrap_or_default().to_ascii_lowercase();
        if !self.is_our_name(&host) {
            // A name that an attacker's page leads to this address would make that page look like ours.
            return Err(Answer::error(
                421,
                "expected a Host that is this server's address, such as 127.0.0.1 or localhost. Use the address that \
                 `transfer serve` printed",
            ));
        }
        let Some(origin) = request.header("origin").map(str::to_ascii_lowercase) else { return Ok(None) };
        if origin == format!("http://{host}") {
            return Ok(None);
        }
        if self.allowed.iter().any(|allowed| allowed == "*" || *allowed == origin) {
            return Ok(Some(origin));
        }
        Err(Answer::error(
            403,
            "expected a request of this server's own page, or of no page. To let another page use this API, start \
             `transfer serve` with --allow-origin and the page's origin",
        ))
    }

    /// Whether a `Host` names this server: `localhost`, or the number of an address that it listens on.
    fn is_our_name(&self, host: &str) -> bool {
        let name = match host.rsplit_once(':') {
            Some((name, port)) if !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit()) => name,
            Some((_, _)) if !host.ends_with(']') => return false,
            _ => host,
        };
        if name == "localhost" {
            return self.host.is_loopback() || self.host.is_unspecified();
        }
        let number = name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(name);
        match number.parse::<IpAddr>() {
            // Which of its addresses leads here only the system knows; what counts is that it is none that a name
            // server gave.
            Ok(_) if self.host.is_unspecified() => true,
            Ok(address) if self.host.is_loopback() => address.is_loopback(),
            Ok(address) => address == self.host,
            Err(_) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::http::parse;
    use super::*;

    fn checked(guard: &Guard, headers: &str) -> Result<Option<String>, u16> {
        let text = format!("GET / HTTP/1.1\r\n{headers}\r\n");
        let (request, _) = parse(text.as_bytes()).unwrap().unwrap();
        guard.check(&request).map_err(|answer| answer.status)
    }

    #[test]
    fn only_this_servers_names_are_answered() {
        let ours = Guard { host: "127.0.0.1".parse().unwrap(), allowed: Vec::new() };
        for good in ["127.0.0.1:8000", "localhost:8000", "LOCALHOST", "[::1]:8000", "[::1]", "127.0.0.2"] {
            assert_eq!(checked(&ours, &format!("Host: {good}\r\n")), Ok(None), "{good}");
        }
        for wrong in [
            "evil.example",
            "evil.example:8000",
            "localhost.evil.example",
            "192.168.1.5",
            "",
            "a:b:c",
            "localhost:",
        ] {
            assert_eq!(checked(&ours, &format!("Host: {wrong}\r\n")), Err(421), "{wrong}");
        }
        assert_eq!(checked(&ours, ""), Err(421));
        let all = Guard { host: "0.0.0.0".parse().unwrap(), allowed: Vec::new() };
        assert_eq!(checked(&all, "Host: 192.168.1.5:8000\r\n"), Ok(None));
        assert_eq!(checked(&all, "Host: evil.example:8000\r\n"), Err(421));
        let one = Guard { host: "192.168.1.5".parse().unwrap(), allowed: Vec::new() };
        assert_eq!(checked(&one, "Host: 192.168.1.5\r\n"), Ok(None));
        assert_eq!(checked(&one, "Host: localhost\r\n"), Err(421));
    }

    #[test]
    fn other_pages_are_refused_unless_they_were_allowed() {
        let mut guard = Guard { host: "127.0.0.1".parse().unwrap(), allowed: Vec::new() };
        let from = |guard: &Guard, origin: &str| {
            checked(guard, &format!("Host: localhost:1\r\nOrigin: {origin}\r\n"))
        };
        assert_eq!(from(&guard, "http://localhost:1"), Ok(None));
        for other in ["http://localhost:2", "https://localhost:1", "http://evil.example", "null"] {
            assert_eq!(from(&guard, other), Err(403), "{other}");
        }
        guard.allowed = vec!["https://example.org".into()];
        assert_eq!(from(&guard, "https://example.org"), Ok(Some("https://example.org".into())));
        assert_eq!(from(&guard, "null"), Err(403));
        guard.allowed = vec!["*".into()];
        assert_eq!(from(&guard, "http://evil.example"), Ok(Some("http://evil.example".into())));
    }
}

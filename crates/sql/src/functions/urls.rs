//! URLs: escaping, and the parts of one, as Java's `URLEncoder`, `URLDecoder` and `URI` have them.

use super::patterns::{BAD_REGEX, regex, too_long};
use super::{Arguments, Function, Param, build};
use crate::eval::RowErrors;
use crate::regex::Matcher;
use arrow_array::ArrayRef;

const PARSE: Function =
    Function { params: &[Param::OnlyString, Param::OnlyString, Param::OnlyString], required: 2, ..Function::BLANK };

pub(super) const FUNCTIONS: &[Function] = &[
    Function {
        name: "url_encode",
        usage: "url_encode(text)",
        about: "The text as a value of an HTML form: a space is `+`, and what a URL may not hold is `%XX` for each byte of UTF-8.",
        example: "url_encode('https://spark.apache.org')",
        kernel: |a| {
            let input = a.columns[0].texts();
            build::texts(a.rows, |row| Some(encoded(input.get(row)?)))
        },
        ..Function::BLANK
    },
    Function {
        name: "url_decode",
        usage: "url_decode(text)",
        about: "What `url_encode` has written, read back; a bad escape fails the row.",
        example: "url_decode('https%3A%2F%2Fspark.apache.org')",
        kernel: |a| {
            let input = a.columns[0].texts();
            build::texts(a.rows, |row| {
                let text = input.get(row)?;
                let decoded = decoded(text);
                if decoded.is_none() {
                    let message = || format!("'{text}' has a bad escape; use try_url_decode to get NULL");
                    a.errors.record(row, "CANNOT_DECODE_URL", message);
                }
                decoded
            })
        },
        ..Function::BLANK
    },
    Function {
        name: "try_url_decode",
        usage: "try_url_decode(text)",
        about: "What `url_encode` has written, read back; NULL where an escape is bad.",
        example: "try_url_decode('%zz')",
        kernel: |a| {
            let input = a.columns[0].texts();
            build::texts(a.rows, |row| decoded(input.get(row)?))
        },
        ..Function::BLANK
    },
    Function {
        name: "parse_url",
        usage: "parse_url(url, part[, key])",
        about: "A part of a URL: HOST, PATH, QUERY, REF, PROTOCOL, FILE, AUTHORITY or USERINFO; of QUERY, with a key, its first value. NULL where the URL has no such part; what is no URL fails the row.",
        example: "parse_url('http://spark.apache.org/path?query=1', 'QUERY', 'query')",
        kernel: |a| parsed(a, true),
        ..PARSE
    },
    Function {
        name: "try_parse_url",
        usage: "try_parse_url(url, part[, key])",
        about: "As `parse_url`, but NULL for what is no URL.",
        example: "try_parse_url('inva lid://spark.apache.org', 'HOST')",
        kernel: |a| parsed(a, false),
        ..PARSE
    },
];

fn encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b' ' => out.push('+'),
            b'.' | b'-' | b'*' | b'_' => out.push(char::from(byte)),
            byte if byte.is_ascii_alphanumeric() => out.push(char::from(byte)),
            byte => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

fn decoded(text: &str) -> Option<String> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        match byte {
            b'+' => out.push(b' '),
            b'%' => {
                let mut digit = || char::from(rest.next()?).to_digit(16);
                out.push(u8::try_from(digit()? * 16 + digit()?).expect("two digits"));
            }
            byte => out.push(byte),
        }
    }
    Some(String::from_utf8_lossy(&out).into_owned())
}

fn parsed(arguments: &mut Arguments, fails: bool) -> ArrayRef {
    let columns = arguments.columns;
    let (urls, parts, keys) = (columns[0].texts(), columns[1].texts(), columns.get(2).map(|keys| keys.texts()));
    let mut values = Values::default();
    build::texts(arguments.rows, |row| {
        let (text, part) = (urls.get(row)?, parts.get(row)?);
        let key = match &keys {
            Some(keys) => Some(keys.get(row)?),
            None => None,
        };
        // Spark decides this before it reads the URL.
        if key.is_some() && part != "QUERY" {
            return None;
        }
        let Some(url) = Url::parse(text) else {
            if fails {
                let message = || format!("'{text}' is no URL; use try_parse_url to get NULL");
                arguments.errors.record(row, "INVALID_URL", message);
            }
            return None;
        };
        match key {
            None => url.part(part),
            Some(key) => values.of(key, url.query?, row, arguments.errors),
        }
    })
}

/// Values in queries. A key is part of a pattern, as in Spark: `(&|^)KEY=([^&]*)`, of which the second group is the value.
#[derive(Default)]
struct Values {
    last: Option<(String, Result<Matcher, String>)>,
}

impl Values {
    fn of(&mut self, key: &str, query: &str, row: usize, errors: &mut RowErrors) -> Option<String> {
        if self.last.as_ref().is_none_or(|(known, _)| known != key) {
            let pattern = format!("(&|^){key}=([^&]*)");
            self.last = Some((key.to_string(), regex(&pattern).map(|regex| regex.matcher())));
        }
        let matcher = match &mut self.last.as_mut()?.1 {
            Ok(matcher) => matcher,
            Err(message) => {
                errors.record(row, BAD_REGEX, || message.clone());
                return None;
            }
        };
        let is_there = matcher.find(query).map_err(|error| too_long(errors, row, error)).ok()?;
        let (start, end) = matcher.span(2).filter(|_| is_there)?;
        Some(query[start..end].to_owned())
    }
}

/// The parts of a URL as they stand in it, escapes and all.
struct Url<'a> {
    scheme: Option<&'a str>,
    authority: Option<&'a str>,
    /// `None` of an opaque one: `mailto:a@b`.
    path: Option<&'a str>,
    query: Option<&'a str>,
    fragment: Option<&'a str>,
    user: Option<&'a str>,
    host: Option<&'a str>,
}

impl<'a> Url<'a> {
    fn parse(text: &'a str) -> Option<Url<'a>> {
        let (rest, fragment) = match text.split_once('#') {
            Some((rest, fragment)) => (rest, Some(fragment)),
            None => (text, None),
        };
        let colon = rest.find([':', '/', '?']).filter(|at| rest[*at..].starts_with(':'));
        let (scheme, rest) = match colon {
            Some(at) => (Some(&rest[..at]), &rest[at + 1..]),
            None => (None, rest),
        };
        let good_scheme = |scheme: &str| {
            scheme.starts_with(|c: char| c.is_ascii_alphabetic())
                && scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c))
        };
        if !scheme.is_none_or(good_scheme) || !allowed(fragment.unwrap_or_default(), "[]") {
            return None;
        }
        let nothing = Url { scheme, fragment, authority: None, path: None, query: None, user: None, host: None };
        if scheme.is_some() && !rest.starts_with('/') {
            return (!rest.is_empty() && allowed(rest, "[]")).then_some(nothing);
        }
        let (hierarchy, query) = match rest.split_once('?') {
            Some((hierarchy, query)) => (hierarchy, Some(query)),
            None => (rest, None),
        };
        let (authority, path) = match hierarchy.strip_prefix("//") {
            Some(rest) => {
                let end = rest.find('/').unwrap_or(rest.len());
                (Some(&rest[..end]).filter(|authority| !authority.is_empty()), &rest[end..])
            }
            None => (None, hierarchy),
        };
        if !allowed(path, "") || path.contains(['[', ']']) || !allowed(query.unwrap_or_default(), "[]") {
            return None;
        }
        if hierarchy.starts_with("//") && authority.is_none() && path.is_empty() {
            return None;
        }
        let (user, host) = server(authority.unwrap_or_default())?;
        Some(Url { authority, path: Some(path), query, user, host, ..nothing })
    }

    fn part(&self, part: &str) -> Option<String> {
        let part = match part {
            "HOST" => self.host,
            "PATH" => self.path,
            "QUERY" => self.query,
            "REF" => self.fragment,
            "PROTOCOL" => self.scheme,
            "AUTHORITY" => self.authority,
            "USERINFO" => self.user,
            "FILE" => {
                let path = self.path?;
                return Some(self.query.map_or(path.into(), |query| format!("{path}?{query}")));
            }
            _ => None,
        };
        part.map(str::to_owned)
    }
}

/// User and host of an authority; neither where it is one of names that only a registry knows. `None` where it is bad.
fn server(authority: &str) -> Option<(Option<&str>, Option<&str>)> {
    if !allowed(authority, "[]") {
        return None;
    }
    let (user, address) = match authority.rsplit_once('@') {
        Some((user, address)) => (Some(user), address),
        None => (None, authority),
    };
    let (host, port) = match address.strip_prefix('[') {
        Some(rest) => {
            let (inner, port) = rest.split_once(']')?;
            let _: core::net::Ipv6Addr = inner.parse().ok()?;
            (&address[..inner.len() + 2], port.strip_prefix(':').unwrap_or(port))
        }
        None => address.split_once(':').unwrap_or((address, "")),
    };
    let good_port = port.bytes().all(|byte| byte.is_ascii_digit());
    Some(if good_port && is_host(host) { (user, Some(host)) } else { (None, None) })
}

/// Names of letters, digits and hyphens with dots between them, the last of which begins with a letter; or an address.
fn is_host(host: &str) -> bool {
    if host.starts_with('[') || host.parse::<core::net::Ipv4Addr>().is_ok() {
        return true;
    }
    let labels: Vec<&str> = host.strip_suffix('.').unwrap_or(host).split('.').collect();
    let good = |label: &&str| {
        !label.is_empty()
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
    };
    labels.iter().all(good) && labels.last().is_some_and(|last| last.starts_with(|c: char| c.is_ascii_alphabetic()))
}

/// Whether a URL may hold these characters: those of RFC 2396, whole escapes, and what is beyond ASCII and no space.
fn allowed(text: &str, more: &str) -> bool {
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        let good = match c {
            '%' => {
                let mut digit = || rest.next().is_some_and(|c| c.is_ascii_hexdigit());
                digit() && digit()
            }
            c if c.is_ascii_alphanumeric() => true,
            c if c.is_ascii() => "-_.!~*'();/?:@&=+$,".contains(c) || more.contains(c),
            c => !c.is_whitespace() && !c.is_control(),
        };
        if !good {
            return false;
        }
    }
    true
}

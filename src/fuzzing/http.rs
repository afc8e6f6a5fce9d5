//! Properties of the HTTP codec: what is read does not depend on how it was cut, what is accepted
//! means the same to httparse and to ourselves when it is written again.

use std::str;

use crate::codec::http::{
    self, BodyLength, ChunkDecoder, Fault, HEADERS_MAX, Head, Limits, Slots, is_worth_parsing,
};

/// Those of the defaults.
pub const LIMITS: Limits = Limits {
    head_bytes_max: 16 * 1024,
    headers_max: HEADERS_MAX,
};

/// All that a head says, to be compared.
#[derive(Clone, Debug, PartialEq)]
struct Said {
    method: String,
    target: String,
    path: String,
    query: String,
    minor: u8,
    body: BodyLength,
    keep_alive: bool,
    expects_continue: bool,
    upgrade: bool,
    headers: Vec<(String, Vec<u8>)>,
}

/// A head and its length, nothing yet, or a fault.
type Outcome = Result<Option<(Said, usize)>, Fault>;

/// Bytes that may begin with a request head.
pub fn head(data: &[u8]) {
    let whole = read(data, LIMITS);
    for step in [1, 7, 64] {
        match trickle(data, step) {
            // A fault in the middle of a line is found at its end, which has not come.
            Ok(None) => assert!(!matches!(whole, Ok(Some(_))), "a head is found late"),
            decided => assert_eq!(decided, whole, "by {step}"),
        }
    }
    if let Ok(Some((said, len))) = whole {
        is_limited(data, &said, len);
        httparse_agrees(data, &said, len);
        is_the_same_written_again(&said);
        is_decoded(&said);
    }
}

fn read(data: &[u8], limits: Limits) -> Outcome {
    let mut slots = Slots::new();
    let head = http::parse(data, &mut slots, limits)?;
    Ok(head.map(|head| (said(&head), head.len)))
}

fn said(head: &Head<'_, '_>) -> Said {
    let headers = head.headers();
    Said {
        method: head.method.to_owned(),
        target: head.target.to_owned(),
        path: head.path.to_owned(),
        query: head.query.to_owned(),
        minor: head.minor,
        body: head.body,
        keep_alive: head.keep_alive,
        expects_continue: head.expects_continue,
        upgrade: head.upgrade,
        headers: headers
            .map(|(name, value)| (name.to_owned(), value.to_vec()))
            .collect(),
    }
}

/// Reads as a connection does whose bytes come `step` at a time.
fn trickle(data: &[u8], step: usize) -> Outcome {
    let (mut len, mut seen) = (0, 0);
    while len < data.len() {
        len = data.len().min(len + step);
        if !is_worth_parsing(&data[..len], seen, LIMITS) {
            continue;
        }
        match read(&data[..len], LIMITS) {
            Ok(None) => seen = len,
            decided => return decided,
        }
    }
    Ok(None)
}

/// A head just within its limits is read, and is refused by one less.
fn is_limited(data: &[u8], said: &Said, len: usize) {
    let exact = Limits {
        head_bytes_max: len,
        headers_max: said.headers.len(),
    };
    assert_eq!(read(data, exact), Ok(Some((said.clone(), len))));
    let shorter = Limits {
        head_bytes_max: len - 1,
        ..LIMITS
    };
    assert_eq!(read(data, shorter), Err(Fault::HeadTooLong));
    if let Some(headers_max) = said.headers.len().checked_sub(1) {
        let fewer = Limits {
            headers_max,
            ..LIMITS
        };
        assert_eq!(read(data, fewer), Err(Fault::TooManyHeaders));
    }
}

/// What we accept is what httparse reads, and ends where a naive reader finds its end.
fn httparse_agrees(data: &[u8], said: &Said, len: usize) {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut request = httparse::Request::new(&mut headers);
    assert_eq!(request.parse(data), Ok(httparse::Status::Complete(len)));
    assert_eq!(request.method, Some(&*said.method));
    assert_eq!(request.path, Some(&*said.target));
    assert_eq!(request.version, Some(said.minor));
    let headers = request.headers.iter();
    let headers: Vec<_> = headers
        .map(|header| (header.name.to_owned(), header.value.to_vec()))
        .collect();
    assert_eq!(headers, said.headers);
    let text = data.iter().position(|byte| !b"\r\n".contains(byte));
    let start = text.expect("a head has a first line");
    let end = data[start..]
        .windows(4)
        .position(|four| four == b"\r\n\r\n");
    assert_eq!(end.map(|at| start + at + 4), Some(len));
}

fn is_the_same_written_again(said: &Said) {
    let Said {
        method,
        target,
        minor,
        ..
    } = said;
    let mut text = format!("{method} {target} HTTP/1.{minor}\r\n").into_bytes();
    for (name, value) in &said.headers {
        text.extend_from_slice(name.as_bytes());
        text.extend_from_slice(b": ");
        text.extend_from_slice(value);
        text.extend_from_slice(b"\r\n");
    }
    text.extend_from_slice(b"\r\n");
    let len = text.len();
    // It may have grown: a space behind each colon.
    if len <= LIMITS.head_bytes_max {
        assert_eq!(read(&text, LIMITS), Ok(Some((said.clone(), len))));
    }
}

fn is_decoded(said: &Said) {
    let pairs: Vec<_> = http::query_pairs(&said.query).collect();
    for (name, _) in &pairs {
        let first = pairs.iter().find(|(other, _)| other == name);
        let value = first.map(|(_, value)| value.clone());
        assert_eq!(http::query_get(&said.query, name), value);
    }
    if let Some(path) = http::percent_decode(&said.path) {
        assert!(!path.contains('\0'), "{path:?}");
        let escapes = said.path.bytes().filter(|&byte| byte == b'%').count();
        assert_eq!(path.len() + 2 * escapes, said.path.len());
    }
}

/// A chunked body, its limit in front: the same however it is cut, and what a naive reader reads.
pub fn chunks(data: &[u8]) {
    let [limit, data @ ..] = data else { return };
    let limit = u64::from(*limit) * 8;
    let whole = decode(data, data.len(), limit);
    for step in [1, 2, 3, 17] {
        assert_eq!(decode(data, step, limit), whole, "by {step}");
    }
    if let Ok((body, Some(end))) = &whole {
        assert_eq!(naive(&data[..*end]).as_ref(), Some(body));
        assert!(body.len() as u64 <= limit);
    }
}

/// The body, and where it ended if it has, as a connection reads it.
fn decode(data: &[u8], step: usize, limit: u64) -> Result<(Vec<u8>, Option<usize>), Fault> {
    let mut decoder = ChunkDecoder::new();
    let (mut tail, mut from, mut given) = (Vec::new(), 0, 0);
    while given < data.len() {
        let until = data.len().min(given + step);
        tail.extend_from_slice(&data[given..until]);
        given = until;
        let step = decoder.decode(&mut tail[from..], limit)?;
        assert!(step.done || step.consumed == tail.len() - from);
        tail.drain(from + step.decoded..from + step.consumed);
        from += step.decoded;
        if step.done {
            let end = given - (tail.len() - from);
            tail.truncate(from);
            return Ok((tail, Some(end)));
        }
    }
    Ok((tail, None))
}

/// Exactly one chunked body.
fn naive(mut data: &[u8]) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    // Every turn takes a line at least.
    loop {
        let line = take_line(&mut data)?;
        let digits = line.split(|byte| b"; \t".contains(byte)).next()?;
        let size = usize::from_str_radix(str::from_utf8(digits).ok()?, 16).ok()?;
        if size == 0 {
            break;
        }
        body.extend_from_slice(data.get(..size)?);
        data = data[size..].strip_prefix(b"\r\n")?;
    }
    while !take_line(&mut data)?.is_empty() {}
    data.is_empty().then_some(body)
}

fn take_line<'a>(data: &mut &'a [u8]) -> Option<&'a [u8]> {
    let end = data.windows(2).position(|two| two == b"\r\n")?;
    let line = &data[..end];
    *data = &data[end + 2..];
    Some(line)
}

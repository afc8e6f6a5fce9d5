//! HTTP/1.1 as a server meets it: request heads, chunked bodies, response heads.
//!
//! Not here: connections, deadlines, what a path means, and bodies of a known length (the caller
//! counts those itself). Nothing is kept between calls but the few bytes of a [`ChunkDecoder`].
//!
//! What always holds: a head parses to the same value, or to a fault, however its bytes were split;
//! two readers can never disagree where a request ends, because every shape that would let them is
//! a fault (RFC 9112 §11.2); and no value that we write can start another header line.

use std::borrow::Cow;
use std::fmt;
use std::mem::MaybeUninit;
use std::str;

use httparse::{Header, Request, Status};

/// The most header lines a head can have, whatever [`Limits`] says. (Go and hyper: 100)
pub const HEADERS_MAX: usize = 100;

/// Says that the body may come. A client that sent `Expect: 100-continue` waits for it.
pub const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// What one request head may cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Largest head, with its blank line. Beyond it: 431 and close. (node 16 KiB, nginx 8 KiB)
    pub head_bytes_max: usize,
    /// Most header lines, at most [`HEADERS_MAX`]. Beyond it: 431 and close.
    pub headers_max: usize,
}

/// Why a request cannot be answered as it was meant. Whatever the variant: answer with
/// [`Fault::status`], then close, because the end of a faulty request is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The head does not end within [`Limits::head_bytes_max`].
    HeadTooLong,
    /// The head has more lines than [`Limits::headers_max`].
    TooManyHeaders,
    /// The first line is not `method SP target SP version`.
    BadRequestLine,
    /// The target is in no form that the method allows. RFC 9112 §3.2.
    BadTarget,
    /// Neither HTTP/1.0 nor HTTP/1.1; the preface of HTTP/2 lands here.
    BadVersion,
    /// A header line with a bad name or value, or folded over several lines. RFC 9112 §5.
    BadHeader,
    /// A line that ends with LF alone: some proxies see one line where others see two.
    BareLineFeed,
    /// No `Host` in HTTP/1.1, several of them, or one that names no host. RFC 9112 §3.2.
    BadHost,
    /// A `Content-Length` that is no number, too large a number, or several numbers.
    BadContentLength,
    /// Both `Content-Length` and `Transfer-Encoding`: the classic smuggled request.
    TwoLengths,
    /// `Transfer-Encoding` in HTTP/1.0, or `chunked` that is repeated or not the last coding.
    BadTransferEncoding,
    /// A transfer coding other than `chunked`.
    UnknownTransferCoding,
    /// A chunk without a size or without its line ends. RFC 9112 §7.1.
    BadChunk,
    /// Chunk extensions and trailers beyond [`CHUNK_EXTRAS_BYTES_MAX`].
    ChunkExtrasTooLong,
    /// A chunked body larger than the caller takes.
    BodyTooLong,
}

impl Fault {
    /// The status to answer with.
    pub fn status(self) -> u16 {
        match self {
            Fault::HeadTooLong | Fault::TooManyHeaders => 431,
            Fault::BadVersion => 505,
            Fault::UnknownTransferCoding => 501,
            Fault::BodyTooLong => 413,
            _ => 400,
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Fault::HeadTooLong => "the request head is too long",
            Fault::TooManyHeaders => "too many request headers",
            Fault::BadRequestLine => "malformed request line",
            Fault::BadTarget => "malformed request target",
            Fault::BadVersion => "unsupported HTTP version",
            Fault::BadHeader => "malformed header line",
            Fault::BareLineFeed => "a header line ends without CR",
            Fault::BadHost => "missing, repeated or malformed Host header",
            Fault::BadContentLength => "malformed Content-Length header",
            Fault::TwoLengths => "both Content-Length and Transfer-Encoding",
            Fault::BadTransferEncoding => "malformed Transfer-Encoding header",
            Fault::UnknownTransferCoding => "unsupported transfer coding",
            Fault::BadChunk => "malformed chunk",
            Fault::ChunkExtrasTooLong => "chunk extensions or trailers are too long",
            Fault::BodyTooLong => "the request body is too long",
        })
    }
}

impl std::error::Error for Fault {}

// ------------------------------------------------------------------------------- request heads

/// Room for the header lines of one head, on the caller's stack. Making it writes nothing.
pub struct Slots<'b>([MaybeUninit<Header<'b>>; HEADERS_MAX]);

impl Slots<'_> {
    /// Makes room for [`HEADERS_MAX`] lines.
    pub fn new() -> Self {
        Slots([const { MaybeUninit::uninit() }; HEADERS_MAX])
    }
}

impl Default for Slots<'_> {
    fn default() -> Self {
        Slots::new()
    }
}

/// How many bytes follow a head and belong to its request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyLength {
    /// None. (Also `Content-Length: 0`.)
    None,
    /// As many as `Content-Length` says; never zero, and not yet compared with any limit.
    Exactly(u64),
    /// As many as a [`ChunkDecoder`] takes.
    Chunked,
}

/// A request head, borrowed from the bytes it was parsed from.
#[derive(Clone, Copy, Debug)]
pub struct Head<'h, 'b> {
    /// The method, as sent: methods are case-sensitive.
    pub method: &'b str,
    /// The whole target, as sent.
    pub target: &'b str,
    /// The path in the target, still percent-encoded. It begins with `/`, or is `*` for an OPTIONS
    /// about the server itself.
    pub path: &'b str,
    /// What follows the `?` in the target, still percent-encoded; empty if there is none.
    pub query: &'b str,
    /// The minor version: 1 for HTTP/1.1, 0 for HTTP/1.0.
    pub minor: u8,
    /// Bytes of the head, with its blank line and the empty lines skipped before it.
    pub len: usize,
    /// What follows the head.
    pub body: BodyLength,
    /// The connection may serve another request after this one. RFC 9112 §9.3.
    pub keep_alive: bool,
    /// A body follows, and the client waits for [`CONTINUE`] before it sends it. RFC 9110 §10.1.1.
    pub expects_continue: bool,
    /// The client asks to speak WebSocket from here on. RFC 6455 §4.2.1, items 3 and 4.
    pub upgrade: bool,
    headers: &'h [Header<'b>],
}

impl<'h, 'b> Head<'h, 'b> {
    /// The first value of header `name`, whatever the case of the name.
    pub fn header(&self, name: &str) -> Option<&'b [u8]> {
        self.headers
            .iter()
            .find(|header| is(header, name))
            .map(|header| header.value)
    }

    /// The first value of header `name`, if it is UTF-8.
    pub fn header_str(&self, name: &str) -> Option<&'b str> {
        self.header(name)
            .and_then(|value| str::from_utf8(value).ok())
    }

    /// All header lines in their order, names as sent.
    pub fn headers(&self) -> impl Iterator<Item = (&'b str, &'b [u8])> + use<'h, 'b> {
        self.headers
            .iter()
            .map(|header| (header.name, header.value))
    }

    /// The elements of all lists that header `name` carries, in their order. Elements that are
    /// empty or not UTF-8 are skipped.
    pub fn tokens<'n>(&self, name: &'n str) -> impl Iterator<Item = &'b str> + use<'h, 'b, 'n> {
        self.headers
            .iter()
            .filter(move |header| is(header, name))
            .flat_map(|header| elements(header.value))
            .filter_map(|element| str::from_utf8(element).ok())
    }
}

/// Parses the request head at the front of `bytes`; `None` means that more bytes are needed.
///
/// Empty lines before the head are skipped and counted (RFC 9112 §2.2). A head that outgrows its
/// limits is a fault even before its end has arrived, so the caller keeps at most
/// [`Limits::head_bytes_max`] bytes of an unfinished one.
pub fn parse<'h, 'b>(
    bytes: &'b [u8],
    slots: &'h mut Slots<'b>,
    limits: Limits,
) -> Result<Option<Head<'h, 'b>>, Fault> {
    let within = &bytes[..bytes.len().min(limits.head_bytes_max)];
    let slots = &mut slots.0[..limits.headers_max.min(HEADERS_MAX)];
    let mut request = Request::new(&mut []);
    let len = match request.parse_with_uninit_headers(within, slots) {
        Ok(Status::Complete(len)) => len,
        Ok(Status::Partial) if within.len() == limits.head_bytes_max => {
            return Err(Fault::HeadTooLong);
        }
        Ok(Status::Partial) => return Ok(None),
        Err(error) => return Err(fault_of(error, within)),
    };
    if has_bare_line_feed(&within[..len]) {
        return Err(Fault::BareLineFeed);
    }

    let (Some(method), Some(target), Some(minor)) = (request.method, request.path, request.version)
    else {
        unreachable!("httparse fills the request line before it reports a complete head");
    };
    let headers: &'h [Header<'b>] = request.headers;
    let (path, query) = split_target(method, target)?;
    let facts = Facts::gather(headers)?;
    // Several are a fault in any version, none only where the version requires one. RFC 9112 §3.2.
    if facts.host_lines > 1 || (minor == 1 && facts.host_lines == 0) {
        return Err(Fault::BadHost);
    }
    let body = facts.body_length(headers, minor)?;
    Ok(Some(Head {
        method,
        target,
        path,
        query,
        minor,
        len,
        body,
        keep_alive: !facts.says_close && (minor == 1 || facts.says_keep_alive),
        expects_continue: facts.says_continue && minor == 1 && body != BodyLength::None,
        // An Upgrade header in HTTP/1.0 must be ignored. RFC 9110 §7.8.
        upgrade: facts.says_upgrade && facts.names_websocket && minor == 1,
        headers,
    }))
}

/// Whether [`parse`] is worth its time on `bytes`, having said `None` about the first `seen` of
/// them: a line has ended since, or the limit is reached. Asking first keeps a head that trickles
/// in byte by byte from costing its square. A fault in the middle of a line is then found at the
/// line's end.
pub fn is_worth_parsing(bytes: &[u8], seen: usize, limits: Limits) -> bool {
    seen == 0 || bytes.len() >= limits.head_bytes_max || bytes[seen..].contains(&b'\n')
}

/// What the header lines say about framing and about the connection.
#[derive(Default)]
struct Facts {
    host_lines: usize,
    encoding_lines: usize,
    content_length: Option<u64>,
    says_close: bool,
    says_keep_alive: bool,
    says_upgrade: bool,
    says_continue: bool,
    names_websocket: bool,
}

impl Facts {
    /// One pass over the lines, of which there are at most [`HEADERS_MAX`].
    fn gather(headers: &[Header<'_>]) -> Result<Facts, Fault> {
        let mut facts = Facts::default();
        for header in headers {
            // The length of a name tells the ones that matter apart.
            match header.name.len() {
                4 if is(header, "host") => {
                    facts.host_lines += 1;
                    if !header.value.iter().all(|&byte| is_host_byte(byte)) {
                        return Err(Fault::BadHost);
                    }
                }
                6 if is(header, "expect") => {
                    facts.says_continue |= header.value.eq_ignore_ascii_case(b"100-continue");
                }
                7 if is(header, "upgrade") => {
                    facts.names_websocket |= has_element(header.value, b"websocket");
                }
                10 if is(header, "connection") => {
                    facts.says_close |= has_element(header.value, b"close");
                    facts.says_keep_alive |= has_element(header.value, b"keep-alive");
                    facts.says_upgrade |= has_element(header.value, b"upgrade");
                }
                14 if is(header, "content-length") => {
                    let length = decimal(header.value).ok_or(Fault::BadContentLength)?;
                    // The same number again may pass: RFC 9110 §8.6.
                    if facts.content_length.is_some_and(|other| other != length) {
                        return Err(Fault::BadContentLength);
                    }
                    facts.content_length = Some(length);
                }
                17 if is(header, "transfer-encoding") => facts.encoding_lines += 1,
                _ => {}
            }
        }
        Ok(facts)
    }

    /// RFC 9112 §6.3, of which we refuse every repair that it allows.
    fn body_length(&self, headers: &[Header<'_>], minor: u8) -> Result<BodyLength, Fault> {
        match (self.encoding_lines, self.content_length) {
            (0, None | Some(0)) => return Ok(BodyLength::None),
            (0, Some(length)) => return Ok(BodyLength::Exactly(length)),
            (_, Some(_)) => return Err(Fault::TwoLengths),
            (_, None) if minor == 0 => return Err(Fault::BadTransferEncoding),
            (_, None) => {}
        }
        let mut codings = headers
            .iter()
            .filter(|header| is(header, "transfer-encoding"))
            .flat_map(|header| header.value.split(|&byte| byte == b','))
            .map(|coding| coding.trim_ascii().eq_ignore_ascii_case(b"chunked"));
        match (codings.next(), codings.next()) {
            (Some(true), None) => Ok(BodyLength::Chunked),
            (Some(true), Some(_)) => Err(Fault::BadTransferEncoding),
            // Another coding first: `chunked` may still end the list, and only end it.
            (_, mut next) => {
                while let Some(is_chunked) = next {
                    next = codings.next();
                    if is_chunked && next.is_some() {
                        return Err(Fault::BadTransferEncoding);
                    }
                }
                Err(Fault::UnknownTransferCoding)
            }
        }
    }
}

/// Splits a target into path and query. RFC 9112 §3.2: origin-form, absolute-form, or `*`.
fn split_target<'b>(method: &str, target: &'b str) -> Result<(&'b str, &'b str), Fault> {
    // A fragment never travels; a proxy that cuts at `#` would see another path.
    if target.contains('#') {
        return Err(Fault::BadTarget);
    }
    if target == "*" && method == "OPTIONS" {
        return Ok((target, ""));
    }
    let from_path = match target.split_once("://") {
        _ if target.starts_with('/') => target,
        Some((scheme, rest)) if is_scheme(scheme) => {
            let authority_len = rest.find(['/', '?']).unwrap_or(rest.len());
            if authority_len == 0 {
                return Err(Fault::BadTarget);
            }
            &rest[authority_len..]
        }
        // Also the authority-form of CONNECT: we are no proxy.
        _ => return Err(Fault::BadTarget),
    };
    let (path, query) = from_path.split_once('?').unwrap_or((from_path, ""));
    Ok((if path.is_empty() { "/" } else { path }, query))
}

fn fault_of(error: httparse::Error, bytes: &[u8]) -> Fault {
    use httparse::Error;
    match error {
        Error::TooManyHeaders => Fault::TooManyHeaders,
        Error::HeaderName | Error::HeaderValue => Fault::BadHeader,
        Error::Version if names_http(bytes) => Fault::BadVersion,
        _ => Fault::BadRequestLine,
    }
}

/// Whether the third word of the first line speaks of HTTP at all; else the line is garbage, and a
/// 505 would blame the wrong thing.
fn names_http(bytes: &[u8]) -> bool {
    let version = bytes
        .trim_ascii_start()
        .splitn(3, |&byte| byte == b' ')
        .nth(2);
    version.is_some_and(|version| version.starts_with(b"HTTP/"))
}

/// httparse takes LF alone as the end of a line, but no CR without LF: so equal counts mean pairs.
fn has_bare_line_feed(head: &[u8]) -> bool {
    let count = |wanted: u8| head.iter().filter(|&&byte| byte == wanted).count();
    count(b'\r') != count(b'\n')
}

fn is(header: &Header<'_>, name: &str) -> bool {
    header.name.eq_ignore_ascii_case(name)
}

/// The elements of one comma-separated list, without the empty ones. RFC 9110 §5.6.1.
pub fn elements(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value
        .split(|&byte| byte == b',')
        .map(<[u8]>::trim_ascii)
        .filter(|element| !element.is_empty())
}

fn has_element(value: &[u8], wanted: &[u8]) -> bool {
    elements(value).any(|element| element.eq_ignore_ascii_case(wanted))
}

/// A number of digits and nothing else: no sign, no space, no list.
fn decimal(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0u64, |number, &digit| {
        let digit = digit.is_ascii_digit().then(|| u64::from(digit - b'0'))?;
        number.checked_mul(10)?.checked_add(digit)
    })
}

/// `uri-host [ ":" port ]` by its alphabet: RFC 3986 §3.2.2. An empty Host is legal.
fn is_host_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:[]%".contains(&byte)
}

/// RFC 3986 §3.1. Any scheme will do: proxies also send `ws://`.
fn is_scheme(scheme: &str) -> bool {
    scheme.starts_with(|first: char| first.is_ascii_alphabetic())
        && scheme
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
}

// --------------------------------------------------------------------------- queries and paths

/// The pairs of a query in their order: percent-decoded, `+` read as space, bad UTF-8 replaced.
/// An escape that is none stays as it is. Allocates only for names and values that have escapes.
pub fn query_pairs(query: &str) -> impl Iterator<Item = (Cow<'_, str>, Cow<'_, str>)> {
    raw_pairs(query).map(|(name, value)| (query_decode(name), query_decode(value)))
}

/// The value of the first pair of `query` that is called `name`.
pub fn query_get<'q>(query: &'q str, name: &str) -> Option<Cow<'q, str>> {
    raw_pairs(query)
        .find(|&(raw, _)| raw == name || (has_escape(raw) && query_decode(raw) == name))
        .map(|(_, value)| query_decode(value))
}

/// Decodes the escapes of a path; `None` for an escape that is none, for NUL, and for bad UTF-8.
/// A `+` is a plus here. Allocates only if there is an escape.
pub fn percent_decode(path: &str) -> Option<Cow<'_, str>> {
    if path.contains('\0') {
        return None;
    }
    let Some(first) = path.find('%') else {
        return Some(Cow::Borrowed(path));
    };
    let mut decoded = path.as_bytes()[..first].to_vec();
    let mut rest = &path.as_bytes()[first..];
    while let Some((&byte, after)) = rest.split_first() {
        if byte != b'%' {
            decoded.push(byte);
            rest = after;
            continue;
        }
        let byte = hex_pair(after).filter(|&byte| byte != 0)?;
        decoded.push(byte);
        rest = &after[2..];
    }
    String::from_utf8(decoded).ok().map(Cow::Owned)
}

fn raw_pairs(query: &str) -> impl Iterator<Item = (&str, &str)> {
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    pairs.map(|pair| pair.split_once('=').unwrap_or((pair, "")))
}

fn has_escape(text: &str) -> bool {
    text.bytes().any(|byte| byte == b'%' || byte == b'+')
}

fn query_decode(text: &str) -> Cow<'_, str> {
    if !has_escape(text) {
        return Cow::Borrowed(text);
    }
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        match (byte, hex_pair(after)) {
            (b'+', _) => decoded.push(b' '),
            (b'%', Some(escaped)) => {
                decoded.push(escaped);
                rest = &after[2..];
            }
            _ => decoded.push(byte),
        }
    }
    let lossy =
        |error: std::string::FromUtf8Error| String::from_utf8_lossy(error.as_bytes()).into_owned();
    Cow::Owned(String::from_utf8(decoded).unwrap_or_else(lossy))
}

/// The byte that the two hexadecimal digits at the front of `text` spell.
fn hex_pair(text: &[u8]) -> Option<u8> {
    let digit = |at: usize| char::from(*text.get(at)?).to_digit(16);
    u8::try_from(digit(0)? * 16 + digit(1)?).ok()
}

// ------------------------------------------------------------------------------- chunked bodies

/// Chunk extensions and trailers that one body may have in all. Nobody reads them, so all they can
/// do is cost time. Beyond it: 400 and close. (node 16 KiB of extensions)
pub const CHUNK_EXTRAS_BYTES_MAX: usize = 8 * 1024;

/// Most hexadecimal digits of a chunk's size, zeros in front included.
const SIZE_DIGITS_MAX: u8 = 16;

/// Takes the chunks off a body (RFC 9112 §7.1), in place and in any portions.
///
/// It fits a buffer that holds `[head][decoded so far][not yet decoded]`:
///
/// ```text
/// let step = decoder.decode(&mut tail[from..], body_bytes_max)?;
/// tail.drain(from + step.decoded..from + step.consumed);
/// from += step.decoded;                      // when done, what follows `from` is the next request
/// ```
///
/// All bytes given are consumed unless the body ends before them, so the drain moves nothing but a
/// pipelined request. After a fault the decoder is of no further use.
#[derive(Clone, Debug)]
pub struct ChunkDecoder {
    state: ChunkState,
    digits: u8,
    extras_bytes: u16,
    /// The size read so far, then the data of this chunk still to come.
    left: u64,
    body_bytes: u64,
}

const _: () = assert!(
    size_of::<ChunkDecoder>() <= 24,
    "one lives in each connection with a body"
);
const _: () = assert!(CHUNK_EXTRAS_BYTES_MAX < u16::MAX as usize);

/// What one call of [`ChunkDecoder::decode`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chunked {
    /// Bytes of the body, now at the buffer's front.
    pub decoded: usize,
    /// Bytes of the buffer that were used up; at least `decoded`.
    pub consumed: usize,
    /// The body has ended; what follows the consumed bytes is not part of it.
    pub done: bool,
}

//      ┌──────────────────────── DataLf ◀── DataCr ◀── Data
//      ▼                                                ▲
//  SizeStart ──▶ Size ──▶ (Blank) ──▶ (Extension) ──▶ SizeLf ──▶ TrailerStart ──▶ EndLf ──▶ Done
//                                                                 ▲      ▼
//                                                          TrailerLf ◀── Trailer
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ChunkState {
    SizeStart,
    Size,
    Blank,
    Extension,
    SizeLf,
    Data,
    DataCr,
    DataLf,
    TrailerStart,
    Trailer,
    TrailerLf,
    EndLf,
    Done,
}

impl ChunkDecoder {
    /// Stands before the first chunk of a body.
    pub fn new() -> Self {
        let state = ChunkState::SizeStart;
        ChunkDecoder {
            state,
            digits: 0,
            extras_bytes: 0,
            left: 0,
            body_bytes: 0,
        }
    }

    /// Decodes the next portion of the body and moves its data to the front of `buf`.
    ///
    /// A chunk that would make the body longer than `body_bytes_max` is refused by its size line,
    /// before any of its data arrives.
    pub fn decode(&mut self, buf: &mut [u8], body_bytes_max: u64) -> Result<Chunked, Fault> {
        let (mut decoded, mut consumed) = (0, 0);
        while consumed < buf.len() && self.state != ChunkState::Done {
            if self.state != ChunkState::Data {
                self.step(buf[consumed], body_bytes_max)?;
                consumed += 1;
                continue;
            }
            let here = buf.len() - consumed;
            let run = usize::try_from(self.left).map_or(here, |left| left.min(here));
            buf.copy_within(consumed..consumed + run, decoded);
            decoded += run;
            consumed += run;
            self.left -= run as u64;
            if self.left == 0 {
                self.state = ChunkState::DataCr;
            }
        }
        Ok(Chunked {
            decoded,
            consumed,
            done: self.state == ChunkState::Done,
        })
    }

    /// One byte outside the data. LF alone ends no line here, unlike in some servers: a size line
    /// that two readers end at different places is a smuggled request.
    fn step(&mut self, byte: u8, body_bytes_max: u64) -> Result<(), Fault> {
        use ChunkState::*;
        self.state = match (self.state, byte) {
            (SizeStart | Size, b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') => {
                self.digit(byte, body_bytes_max)?;
                Size
            }
            // Blanks may stand before an extension, not in place of one. RFC 9112 §7.1.1.
            (Size | Blank, b' ' | b'\t') => self.extra(Blank)?,
            (Size | Blank, b';') => self.extra(Extension)?,
            (Size | Extension, b'\r') => SizeLf,
            (Extension, byte) if is_text(byte) => self.extra(Extension)?,
            (SizeLf, b'\n') if self.left == 0 => TrailerStart,
            (SizeLf, b'\n') => {
                self.digits = 0;
                self.body_bytes += self.left;
                Data
            }
            (DataCr, b'\r') => DataLf,
            (DataLf, b'\n') => SizeStart,
            (TrailerStart, b'\r') => EndLf,
            (EndLf, b'\n') => Done,
            (TrailerStart | Trailer, byte) if is_text(byte) => self.extra(Trailer)?,
            (Trailer, b'\r') => TrailerLf,
            (TrailerLf, b'\n') => TrailerStart,
            _ => return Err(Fault::BadChunk),
        };
        Ok(())
    }

    fn digit(&mut self, byte: u8, body_bytes_max: u64) -> Result<(), Fault> {
        self.digits += 1;
        if self.digits > SIZE_DIGITS_MAX {
            return Err(Fault::BadChunk);
        }
        let digit = char::from(byte)
            .to_digit(16)
            .expect("only digits reach this");
        // Sixteen digits fill a u64 and never more.
        self.left = self.left << 4 | u64::from(digit);
        if self.left > body_bytes_max.saturating_sub(self.body_bytes) {
            return Err(Fault::BodyTooLong);
        }
        Ok(())
    }

    fn extra(&mut self, next: ChunkState) -> Result<ChunkState, Fault> {
        self.extras_bytes += 1;
        if usize::from(self.extras_bytes) > CHUNK_EXTRAS_BYTES_MAX {
            return Err(Fault::ChunkExtrasTooLong);
        }
        Ok(next)
    }
}

impl Default for ChunkDecoder {
    fn default() -> Self {
        ChunkDecoder::new()
    }
}

/// What a header value may contain. RFC 9110 §5.5.
fn is_text(byte: u8) -> bool {
    byte == b'\t' || (byte >= b' ' && byte != 0x7f)
}

// ------------------------------------------------------------------------------ response heads

/// Writes a response head, up to and with its blank line.
///
/// `minor` is the request's version and `keep_alive` our decision about the connection. Framing
/// belongs to this function: `Content-Length`, `Transfer-Encoding` and, but for a 101, `Connection`
/// among `headers` are left out. So is a header whose name is no token; CR, LF and NUL in a value
/// become spaces (RFC 9110 §5.5), so no value can begin another line.
///
/// Statuses 1xx, 204 and 304 have no body and get no length. Any other response without
/// `content_length` ends with its connection, so it must not be `keep_alive`. The answer to a HEAD
/// carries the length of the body that is not sent. There is no `Date`: we are told no wall time,
/// and a server without a clock must not send one (RFC 9110 §6.6.1).
pub fn put_head<'a>(
    out: &mut Vec<u8>,
    status: u16,
    minor: u8,
    keep_alive: bool,
    content_length: Option<usize>,
    headers: impl IntoIterator<Item = (&'a str, &'a str)>,
) {
    // A status line has three digits, whatever a handler asked for.
    let status = if (100..=999).contains(&status) {
        status
    } else {
        500
    };
    let has_body = !matches!(status, 100..=199 | 204 | 304);
    debug_assert!(
        !has_body || content_length.is_some() || !keep_alive,
        "a body of unknown length ends with its connection"
    );
    out.extend_from_slice(b"HTTP/1.1 ");
    put_decimal(out, usize::from(status));
    out.push(b' ');
    out.extend_from_slice(reason(status).as_bytes());
    out.extend_from_slice(b"\r\n");
    for (name, value) in headers {
        if is_token(name) && !is_framing(name, status) {
            out.extend_from_slice(name.as_bytes());
            out.extend_from_slice(b": ");
            put_value(out, value);
            out.extend_from_slice(b"\r\n");
        }
    }
    if let Some(length) = content_length.filter(|_| has_body) {
        out.extend_from_slice(b"Content-Length: ");
        put_decimal(out, length);
        out.extend_from_slice(b"\r\n");
    }
    // An interim response, 101 included, decides nothing about the connection.
    match (status, keep_alive, minor) {
        (100..=199, _, _) | (_, true, 1..) => {}
        (_, true, 0) => out.extend_from_slice(b"Connection: keep-alive\r\n"),
        (_, false, _) => out.extend_from_slice(b"Connection: close\r\n"),
    }
    out.extend_from_slice(b"\r\n");
}

/// The phrase that goes with a status. RFC 9110 §15. Empty for one that we do not know.
pub fn reason(status: u16) -> &'static str {
    match status {
        100 => "Continue",
        101 => "Switching Protocols",
        200 => "OK",
        201 => "Created",
        202 => "Accepted",
        204 => "No Content",
        205 => "Reset Content",
        206 => "Partial Content",
        301 => "Moved Permanently",
        302 => "Found",
        303 => "See Other",
        304 => "Not Modified",
        307 => "Temporary Redirect",
        308 => "Permanent Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        406 => "Not Acceptable",
        408 => "Request Timeout",
        409 => "Conflict",
        410 => "Gone",
        411 => "Length Required",
        412 => "Precondition Failed",
        413 => "Content Too Large",
        414 => "URI Too Long",
        415 => "Unsupported Media Type",
        417 => "Expectation Failed",
        422 => "Unprocessable Content",
        426 => "Upgrade Required",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        505 => "HTTP Version Not Supported",
        _ => "",
    }
}

fn is_framing(name: &str, status: u16) -> bool {
    name.eq_ignore_ascii_case("content-length")
        || name.eq_ignore_ascii_case("transfer-encoding")
        || (status != 101 && name.eq_ignore_ascii_case("connection"))
}

/// Whether `name` can be that of a header. RFC 9110 §5.6.2.
pub fn is_token(name: &str) -> bool {
    let is_token_byte =
        |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !name.is_empty() && name.bytes().all(is_token_byte)
}

fn put_value(out: &mut Vec<u8>, value: &str) {
    let from = out.len();
    out.extend_from_slice(value.as_bytes());
    for byte in &mut out[from..] {
        if matches!(*byte, b'\r' | b'\n' | b'\0') {
            *byte = b' ';
        }
    }
}

/// The digits of `number`, without the machinery of `fmt`: every response passes here twice.
fn put_decimal(out: &mut Vec<u8>, mut number: usize) {
    let mut digits = [0; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            return out.extend_from_slice(&digits[at..]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits {
        head_bytes_max: 1024,
        headers_max: 16,
    };

    /// Parses `bytes` whole, hands the head to `look`, and holds every shorter prefix to `None` or
    /// a fault: a head never parses to two different things.
    fn parsed<T>(bytes: &[u8], look: impl Fn(&Head<'_, '_>) -> T) -> T {
        for end in 0..bytes.len() {
            let mut slots = Slots::new();
            if let Ok(Some(head)) = parse(&bytes[..end], &mut slots, LIMITS) {
                assert!(head.len <= end && bytes[head.len - 4..].starts_with(b"\r\n\r\n"));
            }
        }
        let mut slots = Slots::new();
        match parse(bytes, &mut slots, LIMITS) {
            Ok(Some(head)) => look(&head),
            other => panic!(
                "{:?} is not a head: {:?}",
                bytes.escape_ascii(),
                other.err()
            ),
        }
    }

    fn fault(bytes: impl AsRef<[u8]>) -> Option<Fault> {
        parse(bytes.as_ref(), &mut Slots::new(), LIMITS).err()
    }

    /// A GET of version 1.1 with a Host and these lines.
    fn get(lines: &str) -> Vec<u8> {
        format!("GET / HTTP/1.1\r\nHost: a\r\n{lines}\r\n").into_bytes()
    }

    #[test]
    fn a_browsers_polling_request_is_understood() {
        let bytes =
            b"\r\nGET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: localhost:3000\r\n\
            Accept: */*\r\nX-Forwarded-For: 1.1.1.1, 2.2.2.2 ,\r\nx-forwarded-for:3.3.3.3\r\n\
            Cookie: \xff\r\n\r\nrest";
        parsed(bytes, |head| {
            assert_eq!((head.method, head.minor), ("GET", 1));
            assert_eq!(head.target, "/socket.io/?EIO=4&transport=polling");
            assert_eq!(
                (head.path, head.query),
                ("/socket.io/", "EIO=4&transport=polling")
            );
            assert_eq!(head.len, bytes.len() - 4);
            assert_eq!(head.body, BodyLength::None);
            assert!(head.keep_alive && !head.expects_continue && !head.upgrade);
            assert_eq!(head.header("HOST"), Some(&b"localhost:3000"[..]));
            assert_eq!(head.header_str("accept"), Some("*/*"));
            assert_eq!(
                (head.header_str("cookie"), head.header("none")),
                (None, None)
            );
            let hops: Vec<_> = head.tokens("X-Forwarded-For").collect();
            assert_eq!(hops, ["1.1.1.1", "2.2.2.2", "3.3.3.3"]);
            assert_eq!(head.headers().count(), 5);
            assert_eq!(
                head.headers().next(),
                Some(("Host", &b"localhost:3000"[..]))
            );
        });
    }

    #[test]
    fn path_and_query_are_found_in_every_form_of_target() {
        let check = |method: &str, target: &str, wanted: Option<(&str, &str)>| {
            let bytes = format!("{method} {target} HTTP/1.1\r\nHost: a\r\n\r\n").into_bytes();
            match wanted {
                Some(wanted) => {
                    parsed(&bytes, |head| {
                        assert_eq!((head.path, head.query), wanted, "{target}")
                    });
                }
                None => assert_eq!(fault(&bytes), Some(Fault::BadTarget), "{target}"),
            }
        };
        check("GET", "/", Some(("/", "")));
        check("GET", "/a/b?c=d?e", Some(("/a/b", "c=d?e")));
        check("GET", "/?", Some(("/", "")));
        check("GET", "//a", Some(("//a", "")));
        check("GET", "/a?b=http://c", Some(("/a", "b=http://c")));
        check("GET", "http://host:80/a?b", Some(("/a", "b")));
        check("GET", "HTTP://host", Some(("/", "")));
        check("GET", "ws://host?b", Some(("/", "b")));
        check("OPTIONS", "*", Some(("*", "")));
        check("GET", "*", None);
        check("GET", "a", None);
        check("GET", "?a", None);
        check("GET", "http:///a", None);
        check("GET", "1http://a/", None);
        check("GET", "://a/", None);
        check("GET", "/a#b", None);
        check("CONNECT", "host:443", None);
    }

    #[test]
    fn the_version_and_connection_decide_about_keep_alive() {
        let check = |minor: u8, connection: &str, wanted: bool| {
            let head = format!("GET / HTTP/1.{minor}\r\nHost: a\r\n{connection}\r\n");
            parsed(head.as_bytes(), |head| {
                assert_eq!(head.keep_alive, wanted, "{connection:?}")
            });
        };
        check(1, "", true);
        check(1, "Connection: close\r\n", false);
        check(1, "connection: Upgrade, CLOSE\r\n", false);
        check(1, "Connection: keep-alive\r\nConnection: close\r\n", false);
        check(1, "Connection: closed\r\n", true);
        check(0, "", false);
        check(0, "Connection: Keep-Alive\r\n", true);
        check(0, "Connection: keep-alive, close\r\n", false);
    }

    #[test]
    fn an_upgrade_needs_both_headers_and_version_1_1() {
        let check = |head: &[u8], wanted| parsed(head, |head| assert_eq!(head.upgrade, wanted));
        check(
            &get("Connection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n"),
            true,
        );
        check(
            &get("Upgrade: h2c, websocket\r\nConnection: upgrade\r\n"),
            true,
        );
        check(&get("Upgrade: websocket\r\n"), false);
        check(&get("Connection: Upgrade\r\nUpgrade: h2c\r\n"), false);
        check(
            b"GET / HTTP/1.0\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
            false,
        );
    }

    #[test]
    fn a_client_waits_for_100_only_with_a_body_in_1_1() {
        let check = |head: &[u8], wanted: bool| {
            parsed(head, |head| assert_eq!(head.expects_continue, wanted));
        };
        check(&get("Expect: 100-Continue\r\nContent-Length: 1\r\n"), true);
        check(&get("Expect: 100-continue\r\n"), false);
        check(
            b"GET / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n",
            false,
        );
    }

    #[test]
    fn a_body_has_one_length_or_none() {
        let check = |lines: &str, wanted: Result<BodyLength, Fault>| match wanted {
            Ok(body) => parsed(&get(lines), |head| assert_eq!(head.body, body, "{lines}")),
            Err(wanted) => assert_eq!(fault(get(lines)), Some(wanted), "{lines}"),
        };
        check("", Ok(BodyLength::None));
        check("Content-Length: 0\r\n", Ok(BodyLength::None));
        check("content-length: 0042 \r\n", Ok(BodyLength::Exactly(42)));
        check(
            "Content-Length: 18446744073709551615\r\n",
            Ok(BodyLength::Exactly(u64::MAX)),
        );
        check(
            "Content-Length: 7\r\nContent-Length: 7\r\n",
            Ok(BodyLength::Exactly(7)),
        );
        check("Transfer-Encoding: Chunked\r\n", Ok(BodyLength::Chunked));

        let bad = |lines| check(lines, Err(Fault::BadContentLength));
        bad("Content-Length: 7\r\nContent-Length: 8\r\n");
        bad("Content-Length: 0\r\nContent-Length: 8\r\n");
        bad("Content-Length: 7, 7\r\n");
        bad("Content-Length: 18446744073709551616\r\n");
        bad("Content-Length: +7\r\n");
        bad("Content-Length: -7\r\n");
        bad("Content-Length: 0x7\r\n");
        bad("Content-Length: 7 7\r\n");
        bad("Content-Length:\r\n");

        check(
            "Transfer-Encoding: chunked\r\nContent-Length: 7\r\n",
            Err(Fault::TwoLengths),
        );
        check(
            "Content-Length: 0\r\nTransfer-Encoding: x\r\n",
            Err(Fault::TwoLengths),
        );

        let bad = |lines| check(lines, Err(Fault::BadTransferEncoding));
        bad("Transfer-Encoding: chunked, chunked\r\n");
        bad("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n");
        bad("Transfer-Encoding: chunked, gzip\r\n");
        bad("Transfer-Encoding: gzip, chunked, gzip\r\n");
        bad("Transfer-Encoding: chunked,\r\n");

        let unknown = |lines| check(lines, Err(Fault::UnknownTransferCoding));
        unknown("Transfer-Encoding: gzip, chunked\r\n");
        unknown("Transfer-Encoding: gzip\r\n");
        unknown("Transfer-Encoding: chunked;q=1\r\n");
        unknown("Transfer-Encoding: xchunked\r\n");
        unknown("Transfer-Encoding: \"chunked\"\r\n");
        unknown("Transfer-Encoding:\r\n");
    }

    #[test]
    fn heads_that_two_readers_could_read_differently_are_refused() {
        let check = |head: &str, wanted: Fault| assert_eq!(fault(head), Some(wanted), "{head:?}");
        check(
            "GET / HTTP/1.1\r\nHost: a\r\nA: b\r\n c\r\n\r\n",
            Fault::BadHeader,
        );
        check("GET / HTTP/1.1\r\n Host: a\r\n\r\n", Fault::BadHeader);
        check("GET / HTTP/1.1\r\nHost : a\r\n\r\n", Fault::BadHeader);
        check("GET / HTTP/1.1\r\nHost: a\r\n: b\r\n\r\n", Fault::BadHeader);
        check(
            "GET / HTTP/1.1\r\nHost: a\r\nB(: c\r\n\r\n",
            Fault::BadHeader,
        );
        check("GET / HTTP/1.1\r\nHost: a\r\nB\r\n\r\n", Fault::BadHeader);
        check(
            "GET / HTTP/1.1\r\nHost: a\r\nB: c\0d\r\n\r\n",
            Fault::BadHeader,
        );
        check(
            "GET / HTTP/1.1\r\nHost: a\r\nB: c\rd\r\n\r\n",
            Fault::BadHeader,
        );
        check(
            "GET / HTTP/1.1\r\nHost: a\nB: c\r\n\r\n",
            Fault::BareLineFeed,
        );
        check("GET / HTTP/1.1\nHost: a\r\n\r\n", Fault::BareLineFeed);
        check("\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", Fault::BareLineFeed);
        check(
            "GET / HTTP/1.1\r\nHost: a\r\n\nB: c\r\n\r\n",
            Fault::BareLineFeed,
        );
        check("GET / HTTP/1.1\r\n\r\n", Fault::BadHost);
        check(
            "GET / HTTP/1.1\r\nHost: a\r\nhost: a\r\n\r\n",
            Fault::BadHost,
        );
        check(
            "GET / HTTP/1.0\r\nHost: a\r\nhost: a\r\n\r\n",
            Fault::BadHost,
        );
        check("GET / HTTP/1.1\r\nHost: a b\r\n\r\n", Fault::BadHost);
        check("GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", Fault::BadHost);
        check("GET / HTTP/1.1\r\nHost: user@a\r\n\r\n", Fault::BadHost);
        check(
            "GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n",
            Fault::BadTransferEncoding,
        );
        check("GET /\0 HTTP/1.1\r\nHost: a\r\n\r\n", Fault::BadRequestLine);
        check("GET  / HTTP/1.1\r\nHost: a\r\n\r\n", Fault::BadRequestLine);
        check("GET / x HTTP/1.1\r\nHost: a\r\n\r\n", Fault::BadRequestLine);
        check("GET / HTTP/1.10\r\nHost: a\r\n\r\n", Fault::BadRequestLine);
        check("GET /\r\n\r\n", Fault::BadRequestLine);
        check("\x16\x03\x01\x02", Fault::BadRequestLine);
        check("GET / HTTP/1.2\r\nHost: a\r\n\r\n", Fault::BadVersion);
        check("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", Fault::BadVersion);
        assert_eq!(
            fault(b"GET /\xff HTTP/1.1\r\nHost: a\r\n\r\n"),
            Some(Fault::BadRequestLine)
        );
    }

    #[test]
    fn an_empty_or_missing_host_passes_where_the_rfc_lets_it() {
        for head in ["GET / HTTP/1.1\r\nHost:\r\n\r\n", "GET / HTTP/1.0\r\n\r\n"] {
            assert_eq!(fault(head), None);
            parsed(head.as_bytes(), |head| assert_eq!(head.path, "/"));
        }
        parsed(b"GET / HTTP/1.1\r\nHost: [::1]:80\r\n\r\n", |head| {
            assert_eq!(head.header_str("host"), Some("[::1]:80"));
        });
    }

    #[test]
    fn a_head_at_its_limit_passes_and_one_beyond_is_refused_before_it_ends() {
        let bytes = get("");
        let limits = |head_bytes_max| Limits {
            head_bytes_max,
            headers_max: 1,
        };
        let at = |bytes: &[u8], max| {
            parse(bytes, &mut Slots::new(), limits(max)).map(|head| head.map(|head| head.len))
        };
        assert_eq!(at(&bytes, bytes.len()), Ok(Some(bytes.len())));
        assert_eq!(at(&bytes, bytes.len() - 1), Err(Fault::HeadTooLong));
        assert_eq!(at(&bytes[..10], 11), Ok(None));
        assert_eq!(at(&bytes[..10], 10), Err(Fault::HeadTooLong));
        assert_eq!(at(&b"\r\n".repeat(9), 18), Err(Fault::HeadTooLong));
        // A body behind the head does not count.
        let with_body = [&bytes[..], &[b'x'; 5000]].concat();
        assert_eq!(at(&with_body, bytes.len()), Ok(Some(bytes.len())));
    }

    #[test]
    fn more_headers_than_allowed_are_refused() {
        assert_eq!(fault(get(&"A: b\r\n".repeat(15))), None);
        assert_eq!(
            fault(get(&"A: b\r\n".repeat(16))),
            Some(Fault::TooManyHeaders)
        );
        let many = get(&"A: b\r\n".repeat(HEADERS_MAX));
        let unlimited = Limits {
            head_bytes_max: usize::MAX,
            headers_max: usize::MAX,
        };
        let refused = parse(&many, &mut Slots::new(), unlimited).err();
        assert_eq!(refused, Some(Fault::TooManyHeaders));
    }

    #[test]
    fn every_fault_has_its_status_and_its_sentence() {
        let statuses = [
            (Fault::HeadTooLong, 431),
            (Fault::TooManyHeaders, 431),
            (Fault::BadVersion, 505),
            (Fault::UnknownTransferCoding, 501),
            (Fault::BodyTooLong, 413),
            (Fault::TwoLengths, 400),
            (Fault::BadChunk, 400),
        ];
        for (fault, status) in statuses {
            assert_eq!(fault.status(), status);
            assert!(!fault.to_string().is_empty() && !reason(status).is_empty());
        }
    }

    #[test]
    fn a_head_that_trickles_in_is_parsed_when_its_end_arrives() {
        let bytes = get("A: b\r\n");
        for step in 1..bytes.len() {
            let (mut seen, mut parses) = (0, 0);
            let head_len = loop {
                let end = (seen + step).min(bytes.len());
                if is_worth_parsing(&bytes[..end], seen, LIMITS) {
                    parses += 1;
                    let mut slots = Slots::new();
                    if let Some(head) = parse(&bytes[..end], &mut slots, LIMITS).unwrap() {
                        break head.len;
                    }
                }
                assert!(
                    end < bytes.len(),
                    "the end went by unseen in steps of {step}"
                );
                seen = end;
            };
            assert_eq!(head_len, bytes.len());
            assert!(parses <= 5, "once at first, then once a line: {parses}");
        }
        assert!(
            is_worth_parsing(&[b'x'; 1024], 1023, LIMITS),
            "a limit is worth a fault"
        );
    }

    #[test]
    fn queries_are_decoded() {
        let check = |query: &str, wanted: &[(&str, &str)]| {
            let pairs: Vec<_> = query_pairs(query).collect();
            let pairs: Vec<_> = pairs
                .iter()
                .map(|(name, value)| (&**name, &**value))
                .collect();
            assert_eq!(pairs, wanted, "{query}");
        };
        check("", &[]);
        check("a=b&c=d", &[("a", "b"), ("c", "d")]);
        check("&&a&=b&c==", &[("a", ""), ("", "b"), ("c", "=")]);
        check("a+b=%20c%2B+d", &[("a b", " c+ d")]);
        check("a=%zz%4", &[("a", "%zz%4")]);
        check("a=%ff%C3%A4", &[("a", "\u{fffd}ä")]);
        check("ä=%e4", &[("ä", "\u{fffd}")]);
        assert!(matches!(
            query_get("sid=abc", "sid"),
            Some(Cow::Borrowed("abc"))
        ));
        assert_eq!(query_get("a=1&%61=2", "a").as_deref(), Some("1"));
        assert_eq!(query_get("%61=2&a=1", "a").as_deref(), Some("2"));
        assert_eq!(query_get("b=+", "b").as_deref(), Some(" "));
        assert_eq!(query_get("b=1", "c"), None);
    }

    #[test]
    fn paths_are_decoded_or_refused() {
        let check = |path: &str, wanted: Option<&str>| {
            assert_eq!(percent_decode(path).as_deref(), wanted, "{path:?}");
        };
        check("/a+b", Some("/a+b"));
        check("/a%20b/%C3%A4ä", Some("/a b/ää"));
        check("/%2e%2E/", Some("/../"));
        check("%25%32%35", Some("%25"));
        check("/%", None);
        check("/%4", None);
        check("/%g0", None);
        check("/%+1", None);
        check("/%ff", None);
        check("/%00", None);
        check("/\0", None);
        assert!(matches!(
            percent_decode("/plain"),
            Some(Cow::Borrowed("/plain"))
        ));
    }

    /// A body, and the bytes behind it.
    type Unchunked = (Vec<u8>, Vec<u8>);

    /// Feeds `wire` in the portions that `cut` asks for, as a connection would, and returns the
    /// body and the bytes behind it.
    fn unchunk(
        wire: &[u8],
        max: u64,
        mut cut: impl FnMut() -> usize,
    ) -> Result<Option<Unchunked>, Fault> {
        let (mut tail, mut from, mut decoder) = (b"HEAD".to_vec(), 4, ChunkDecoder::new());
        let mut rest = wire;
        while !rest.is_empty() {
            let (portion, after) = rest.split_at(cut().clamp(1, rest.len()));
            rest = after;
            tail.extend_from_slice(portion);
            let step = decoder.decode(&mut tail[from..], max)?;
            assert!(step.decoded <= step.consumed);
            tail.drain(from + step.decoded..from + step.consumed);
            from += step.decoded;
            assert!(tail.starts_with(b"HEAD") && from as u64 - 4 <= max);
            if step.done {
                let again = decoder.decode(&mut tail[from..], max);
                assert_eq!(
                    again,
                    Ok(Chunked {
                        decoded: 0,
                        consumed: 0,
                        done: true
                    })
                );
                let behind = [&tail[from..], rest].concat();
                return Ok(Some((tail[4..from].to_vec(), behind)));
            }
            assert_eq!(tail.len(), from, "nothing undecoded is left behind");
        }
        Ok(None)
    }

    #[test]
    fn a_chunked_body_is_the_same_however_it_is_split() {
        let check = |wire: &[u8], wanted: Result<Option<(&str, &str)>, Fault>| {
            let wanted = wanted.map(|whole| whole.map(|(body, rest)| (body.into(), rest.into())));
            for portion in 1..=wire.len() {
                let got = unchunk(wire, 20, || portion);
                assert_eq!(got, wanted, "{:?} in {portion}s", wire.escape_ascii());
            }
        };
        check(b"0\r\n\r\n", Ok(Some(("", ""))));
        check(
            b"5\r\nhello\r\n0\r\n\r\nGET /",
            Ok(Some(("hello", "GET /"))),
        );
        check(
            b"1\r\na\r\n002\r\nbc\r\nA\r\n0123456789\r\n0\r\n\r\n",
            Ok(Some(("abc0123456789", ""))),
        );
        check(
            b"2;a=\"b;c\"\r\nhi\r\n1 \t;x\r\n!\r\n00;y\r\n\r\n",
            Ok(Some(("hi!", ""))),
        );
        check(
            b"1\r\na\r\n0\r\nTrailer: x\r\nB: c\r\n\r\n5",
            Ok(Some(("a", "5"))),
        );
        check(
            b"14\r\n01234567890123456789\r\n0\r\n\r\n",
            Ok(Some(("01234567890123456789", ""))),
        );
        check(b"5\r\nhel", Ok(None));
        check(b"0\r\n\r", Ok(None));
        check(b"15\r\n", Err(Fault::BodyTooLong));
        check(b"A\r\n0123456789\r\nB\r\n", Err(Fault::BodyTooLong));
        check(b"ffffffffffffffff\r\n", Err(Fault::BodyTooLong));
        let bad: [&[u8]; 16] = [
            b"\r\n",
            b"g\r\n",
            b"-1\r\n",
            b" 1\r\n",
            b"0x1\r\n",
            b";a\r\n",
            b"1 \r\n",
            b"1 1\r\n",
            b"1\n",
            b"1;a\nb\r\n",
            b"1;\0\r\n",
            b"1\r\nab",
            b"1\r\na\n",
            b"00000000000000001\r\n",
            b"0\r\n\n",
            b"0\r\nA: b\n\r\n",
        ];
        for wire in bad {
            check(wire, Err(Fault::BadChunk));
        }
    }

    #[test]
    fn extensions_and_trailers_are_bounded_together() {
        let wire = |extension: usize, trailer: usize| {
            format!(
                "0;{}\r\n{}\r\n\r\n",
                "e".repeat(extension),
                "t".repeat(trailer)
            )
            .into_bytes()
        };
        let most = CHUNK_EXTRAS_BYTES_MAX - 1;
        assert!(unchunk(&wire(most - 9, 9), 0, || 1000).unwrap().is_some());
        assert_eq!(
            unchunk(&wire(most - 9, 10), 0, || 1),
            Err(Fault::ChunkExtrasTooLong)
        );
        assert_eq!(
            unchunk(&wire(1, 100_000), 0, || 999),
            Err(Fault::ChunkExtrasTooLong)
        );
    }

    #[test]
    fn any_size_of_body_may_be_allowed() {
        let (mut decoder, mut wire) = (ChunkDecoder::new(), *b"ffffffffffffffff\r\nab");
        let step = decoder.decode(&mut wire, u64::MAX).unwrap();
        assert_eq!(
            step,
            Chunked {
                decoded: 2,
                consumed: 20,
                done: false
            }
        );
        assert_eq!(&wire[..2], b"ab");
    }

    /// xorshift64: the tests own their randomness.
    fn random(state: &mut u64) -> usize {
        *state ^= *state << 13;
        *state ^= *state >> 7;
        *state ^= *state << 17;
        (*state >> 16) as usize
    }

    /// Bytes strung together from `words`, with a random byte here and there.
    fn babble(state: &mut u64, words: &[&[u8]]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for _ in 0..random(state) % 24 {
            match random(state) % 8 {
                0 => bytes.push(random(state) as u8),
                _ => bytes.extend_from_slice(words[random(state) % words.len()]),
            }
        }
        bytes
    }

    #[test]
    fn no_bytes_make_the_head_parser_panic_or_change_its_mind() {
        let words: [&[u8]; 16] = [
            b"GET ",
            b"/",
            b"http://a/?b ",
            b" ",
            b"HTTP/1.1\r\n",
            b"HTTP/1.0\r\n",
            b"Host: a\r\n",
            b"\r\n",
            b"\n",
            b"Content-Length: ",
            b"1",
            b"Transfer-Encoding: chunked\r\n",
            b"GET / HTTP/1.1\r\nHost: a\r\n",
            b"Connection: ",
            b"close,",
            b"\r\n\r\n",
        ];
        let (state, mut heads) = (&mut 1, 0);
        for _ in 0..20_000 {
            let bytes = babble(state, &words);
            let mut slots = Slots::new();
            let whole = parse(&bytes, &mut slots, LIMITS);
            let cut = random(state) % (bytes.len() + 1);
            let mut part_slots = Slots::new();
            let part = parse(&bytes[..cut], &mut part_slots, LIMITS);
            match (&whole, &part) {
                (Ok(Some(whole)), Ok(Some(part))) => {
                    assert_eq!(format!("{whole:?}"), format!("{part:?}"));
                }
                (_, Ok(None)) => {}
                (Err(whole), Err(part)) => assert_eq!(whole, part),
                _ => panic!("{:?} cut at {cut}", bytes.escape_ascii()),
            }
            heads += usize::from(matches!(whole, Ok(Some(_))));
        }
        assert!(heads > 100, "the babble hardly ever makes sense: {heads}");
    }

    #[test]
    fn no_bytes_make_the_chunk_decoder_panic_or_depend_on_the_split() {
        let words: [&[u8]; 8] = [
            b"1\r\na\r\n",
            b"3\r\nabc\r\n",
            b"0\r\n\r\n",
            b"\r\n",
            b";x",
            b"0",
            b"2\r\n",
            b"0\r\nT: u\r\n",
        ];
        let (state, mut bodies) = (&mut 2, 0);
        for _ in 0..20_000 {
            let wire = babble(state, &words);
            let whole = unchunk(&wire, 12, || usize::MAX);
            let split = unchunk(&wire, 12, || random(state) % 5);
            assert_eq!(whole, split, "{:?}", wire.escape_ascii());
            bodies += usize::from(matches!(whole, Ok(Some(_))));
        }
        assert!(bodies > 100, "the babble hardly ever makes sense: {bodies}");
    }

    #[test]
    fn no_text_makes_the_decoders_panic() {
        let words: [&[u8]; 8] = [b"%", b"%41", b"%f", b"+", b"&", b"=", b"\xc3\xa4", b"a"];
        let state = &mut 3;
        for _ in 0..20_000 {
            let text = String::from_utf8_lossy(&babble(state, &words)).into_owned();
            if let Some(path) = percent_decode(&text) {
                assert!(path.len() <= text.len());
            }
            if let Some((name, value)) = query_pairs(&text).next() {
                assert_eq!(query_get(&text, &name), Some(value));
            }
        }
    }

    fn head(status: u16, minor: u8, keep_alive: bool, headers: &[(&str, &str)]) -> String {
        let mut out = Vec::new();
        put_head(
            &mut out,
            status,
            minor,
            keep_alive,
            Some(12),
            headers.iter().copied(),
        );
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn response_heads_say_how_they_end() {
        let check = |status, minor, keep_alive, wanted: &str| {
            assert_eq!(
                head(status, minor, keep_alive, &[]),
                wanted.replace('\n', "\r\n")
            );
        };
        check(200, 1, true, "HTTP/1.1 200 OK\nContent-Length: 12\n\n");
        check(
            200,
            0,
            true,
            "HTTP/1.1 200 OK\nContent-Length: 12\nConnection: keep-alive\n\n",
        );
        check(
            431,
            1,
            false,
            "HTTP/1.1 431 Request Header Fields Too Large\n\
            Content-Length: 12\nConnection: close\n\n",
        );
        check(204, 1, true, "HTTP/1.1 204 No Content\n\n");
        check(
            304,
            0,
            false,
            "HTTP/1.1 304 Not Modified\nConnection: close\n\n",
        );
        check(101, 1, false, "HTTP/1.1 101 Switching Protocols\n\n");
        check(599, 1, true, "HTTP/1.1 599 \nContent-Length: 12\n\n");
        check(
            7,
            1,
            true,
            "HTTP/1.1 500 Internal Server Error\nContent-Length: 12\n\n",
        );
        let mut out = b"before".to_vec();
        put_head(&mut out, 200, 1, false, None, []);
        assert_eq!(out, b"beforeHTTP/1.1 200 OK\r\nConnection: close\r\n\r\n");
        assert!(CONTINUE.starts_with(b"HTTP/1.1 100 Continue\r\n\r\n"));
    }

    #[test]
    fn no_header_can_split_a_response_or_change_its_framing() {
        let headers = [
            ("Set-Cookie", "a=b\r\n\r\n<script>\0"),
            ("Bad\r\nName", "x"),
            ("Bad:", "x"),
            ("", "x"),
            ("content-LENGTH", "99"),
            ("Transfer-Encoding", "chunked"),
            ("Connection", "Upgrade"),
            ("X-Ä", "x"),
            ("X-Umlaut", "ä"),
        ];
        let lines = "Set-Cookie: a=b    <script> \r\nX-Umlaut: ä\r\nContent-Length: 12\r\n\r\n";
        assert_eq!(
            head(200, 1, true, &headers),
            format!("HTTP/1.1 200 OK\r\n{lines}")
        );
        let switching = head(101, 1, true, &headers[6..7]);
        assert_eq!(
            switching,
            "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n\r\n"
        );
    }

    #[test]
    fn numbers_have_all_their_digits() {
        for number in [0, 9, 10, 304, 1_000_000, usize::MAX] {
            let mut out = Vec::new();
            put_decimal(&mut out, number);
            assert_eq!(out, number.to_string().into_bytes());
        }
    }
}

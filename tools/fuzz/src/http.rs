//! HTTP as a server answers it: one body, and a stream of pipelined requests. The same bytes get
//! the same answers, however they are cut.

use std::time::Duration;

use emio::{Config, Crank, Io, Request, Response, fuzzing};

use crate::{
    app::Guide,
    input::Input,
    wire::{self, Written},
    world::World,
};

/// What the application was asked.
#[derive(Clone, Debug, PartialEq)]
pub struct Heard {
    method: String,
    target: String,
    headers: Vec<(String, Vec<u8>)>,
    body: Vec<u8>,
}

fn answer(app: &mut Guide, _: Io<'_, Guide>, request: Request<'_>) -> Response {
    let headers = request.headers().into_iter();
    app.heard.push(Heard {
        method: request.method.to_owned(),
        target: format!("{}?{}", request.path, request.query),
        headers: headers
            .map(|(name, value)| (name.to_owned(), value.to_vec()))
            .collect(),
        body: request.body.to_vec(),
    });
    let status = request.query_value("status").and_then(|it| it.parse().ok());
    let echo = [b"=", request.body].concat();
    let echo = Response::bytes("text/plain", echo).with_status(status.unwrap_or(200));
    match request.query_value("header") {
        Some(value) => echo.header("X-Echo", value.into_owned()),
        None => echo,
    }
}

fn world() -> World {
    let config = Config {
        max_payload: 1_000,
        head_bytes_max: 2_000,
        // Its files are hashed when a server is made.
        serve_client: false,
        ..Config::default()
    };
    World::new(Guide::default(), config, |crank: &mut Crank<Guide>| {
        crank.on_request(answer);
    })
}

/// Sends `bytes` to a server, `step` at a time; what it was asked and what it wrote.
fn converse(bytes: &[u8], step: usize) -> (Vec<Heard>, Vec<u8>) {
    let mut world = world();
    let wire = world.connect().expect("nobody else is there");
    for piece in bytes.chunks(step.max(1)) {
        world.send(wire, piece);
        world.settle();
    }
    let received = std::mem::take(&mut world.wire(wire).received);
    world.finish();
    (std::mem::take(&mut world.crank.app().heard), received)
}

/// A body, of a known length or in chunks: the application gets it whole and once. The first bytes
/// tell how it is framed and cut.
pub fn http_body(data: &[u8]) {
    let mut input = Input::new(data);
    let (kind, step) = (input.byte(), 1 + input.below(64));
    if kind & 3 == 0 {
        return fuzzing::http::chunks(input.rest());
    }
    let mut framed = Vec::new();
    let mut body = Vec::new();
    if kind & 3 == 1 {
        while !input.is_empty() {
            put_chunk(&mut framed, &mut body, &mut input);
        }
        framed.extend_from_slice(b"0\r\n");
        let trailer = if kind & 4 == 0 { "" } else { "X-Last: 1\r\n" };
        framed.extend_from_slice(trailer.as_bytes());
        framed.extend_from_slice(b"\r\n");
    } else {
        body.extend_from_slice(input.rest());
        framed.extend_from_slice(&body);
    }
    let length = match kind & 3 {
        1 => "Transfer-Encoding: chunked\r\n".to_owned(),
        _ => format!("Content-Length: {}\r\n", body.len()),
    };
    let expects = if kind & 8 == 0 {
        ""
    } else {
        "Expect: 100-continue\r\n"
    };
    let mut bytes = wire::request("POST", "/here", &(length + expects));
    bytes.extend_from_slice(&framed);
    bytes.extend_from_slice(&wire::request("GET", "/next", ""));
    let (heard, received) = converse(&bytes, step);
    let Written { answers, rest, .. } = wire::read(&received);
    let answers = answers.into_iter().filter(|answer| answer.status != 100);
    let answers: Vec<_> = answers.collect();
    assert_eq!(rest, 0);
    if body.len() > 1_000 {
        assert_eq!((heard.len(), answers.len(), answers[0].status), (0, 1, 413));
        return;
    }
    assert_eq!(heard.len(), 2);
    assert_eq!(heard[0].body, body);
    assert_eq!(heard[1].target, "/next?");
    assert_eq!(answers[0].body, [b"=", &*body].concat());
    assert_eq!(answers[1].body, b"=");
}

/// One chunk, with an extension now and then.
fn put_chunk(framed: &mut Vec<u8>, body: &mut Vec<u8>, input: &mut Input<'_>) {
    let extension = input.byte();
    let data = input.piece();
    if data.is_empty() {
        return;
    }
    let (zeros, name) = match extension % 8 {
        0 => ("000", ""),
        1 => ("", ";a=\"b\""),
        2 => ("0", " \t; x"),
        _ => ("", ""),
    };
    framed.extend_from_slice(format!("{zeros}{:x}{name}\r\n", data.len()).as_bytes());
    framed.extend_from_slice(data);
    framed.extend_from_slice(b"\r\n");
    body.extend_from_slice(data);
}

/// Any bytes on one connection, the size of the cuts in front.
pub fn http_connection(data: &[u8]) {
    let [step, bytes @ ..] = data else { return };
    let whole = converse(bytes, bytes.len());
    let Written { answers, rest, .. } = wire::read(&whole.1);
    let answered = answers.iter().filter(|answer| answer.status >= 200).count();
    // The answer to a HEAD looks like a part of one, if it is the last.
    assert!(
        answered + rest.min(1) >= whole.0.len(),
        "a request without its answer"
    );
    let cut = converse(bytes, 1 + usize::from(*step) % 32);
    wire::read(&cut.1);
    is_beginning(&cut, &whole);
    // What is idle is closed in time.
    let mut world = world();
    let wire = world.connect().expect("nobody else is there");
    world.send(wire, bytes);
    world.advance(Duration::from_secs(300));
    assert_eq!(world.crank.stats().connections, 0);
}

/// What was heard and written with the bytes cut is what was with all of them there, but that less
/// may have been waited for: a line is refused at its end, and a refusal does not wait for the
/// body of its request but ends the connection.
fn is_beginning(cut: &(Vec<Heard>, Vec<u8>), whole: &(Vec<Heard>, Vec<u8>)) {
    let (heard, written) = (comparable(&cut.1), comparable(&whole.1));
    assert!(whole.0.starts_with(&cut.0), "{:?}", cut.0);
    assert!(
        written.starts_with(&heard),
        "{}",
        String::from_utf8_lossy(&heard)
    );
    let mut rest = &written[heard.len()..];
    if rest.is_empty() && cut.0.len() == whole.0.len() {
        return;
    }
    let is_ended = cut.1.windows(CLOSE.len()).any(|window| window == CLOSE);
    let refusal = wire::take_answer(&mut rest);
    let is_refused = refusal.is_some_and(|answer| answer.status >= 400 && rest.is_empty());
    assert!(
        is_ended || is_refused,
        "{}",
        String::from_utf8_lossy(&whole.1)
    );
}

/// What does not depend on how much has arrived. Who has sent its body is not asked to go on.
fn comparable(received: &[u8]) -> Vec<u8> {
    let (mut kept, mut rest) = (Vec::new(), received);
    while let Some((byte, behind)) = rest.split_first() {
        let timely = [CONTINUE, CLOSE, KEEP_ALIVE];
        if let Some(behind) = timely.iter().find_map(|it| rest.strip_prefix(*it)) {
            rest = behind;
            continue;
        }
        kept.push(*byte);
        rest = behind;
    }
    kept
}

const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";
const CLOSE: &[u8] = b"Connection: close\r\n";
const KEEP_ALIVE: &[u8] = b"Connection: keep-alive\r\n";

//! Streams: what the npm package `socket.io-stream` says on the wire, and what it is answered.

#![cfg(feature = "stream")]

#[path = "common/sio.rs"]
mod sio;

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
    time::Duration,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use emio::{
    AckError, Args, Bytes, Cause, Config, Crank, Overflow, Peer, Problem, Socket,
    stream::{self, Error, Flow, Limits, Next, Read, Stream},
};
use serde::Deserialize;
use serde_json::{Value, json};
use sio::*;

/// The system's allocator, which counts the bytes of each thread: tests run side by side.
struct Counting;

thread_local! {
    static HELD: Cell<i64> = const { Cell::new(0) };
    static PEAK: Cell<i64> = const { Cell::new(0) };
}

fn count(bytes: i64) {
    let held = HELD.get() + bytes;
    HELD.set(held);
    PEAK.set(PEAK.get().max(held));
}

// SAFETY: every call is passed on to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as i64);
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        count(-(layout.size() as i64));
        // SAFETY: the caller's promise is passed on.
        unsafe { System.dealloc(block, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Notes what a reader is called with; says `Hold` to a chunk that is `hold`.
fn noting(tag: &str) -> impl FnMut(&mut Log, Socket<'_, Log>, Read) -> Flow + Send + 'static {
    let tag = tag.to_owned();
    move |log, _, read| {
        log.note(match &read {
            Read::Chunk(chunk) => format!("{tag} {}", String::from_utf8_lossy(chunk)),
            Read::End => format!("{tag} end"),
            Read::Failed(error) => format!("{tag} failed: {error}"),
        });
        match read {
            Read::Chunk(chunk) if *chunk == *b"hold" => Flow::Hold,
            _ => Flow::Next,
        }
    }
}

/// Writes these words; `later` is `Next::Later` and `fail` an error.
fn words(words: &'static str) -> impl FnMut(&mut Log, Socket<'_, Log>) -> Next + Send + 'static {
    let mut words = words.split(' ');
    move |log, _| match words.next() {
        Some("later") => {
            log.note("later");
            Next::Later
        }
        Some("fail") => Next::Fail("no more".to_owned()),
        Some(word) => Next::Chunk(word.as_bytes().into()),
        None => Next::End,
    }
}

fn done(tag: &str) -> impl FnOnce(&mut Log, Socket<'_, Log>, Result<(), Error>) + Send + 'static {
    let tag = tag.to_owned();
    move |log, _, end| log.note(format!("{tag} {end:?}"))
}

/// `up` reads a stream, `down` writes `a b`, `both` does both; `resume`, `ready`, `end` and `fail`
/// are ordinary events about the stream of this id.
fn streamer(io: &mut Crank<Log>) {
    io.on_stream("up", |_, socket, (file,): (Stream,)| {
        file.read(&socket, noting("up"));
    });
    io.on_stream(
        "down",
        |_, socket, (file, text): (Stream, Option<String>)| {
            let text: &'static str = text.unwrap_or("a b".to_owned()).leak();
            file.write(&socket, words(text), done("down"));
        },
    );
    io.on_stream("both", |_, socket, (file,): (Stream,)| {
        file.read(&socket, noting("up"));
        file.write(&socket, words("a"), done("down"));
    });
    io.on_stream("nothing", |_, _, (): ()| ());
    io.on("resume", |_, socket, (file,): (Stream,)| {
        file.resume(&socket)
    });
    io.on("ready", |_, socket, (file,): (Stream,)| file.ready(&socket));
    io.on("end", |_, socket, (file,): (Stream,)| file.end(&socket));
    io.on("fail", |_, socket, (file,): (Stream,)| {
        file.fail(&socket, "enough")
    });
    io.on("read", |_, socket, (file,): (Stream,)| {
        file.read(&socket, noting("read"))
    });
    io.on_error(|log: &mut Log, problem: &Problem| match &problem.cause {
        Cause::Arguments(_) => log.note("bad arguments"),
        cause => log.note(format!("{cause:?}")),
    });
    reasons(io);
}

fn placed(id: &str) -> String {
    format!("{{\"$stream\":\"{id}\"}}")
}

impl Party {
    fn announce(&mut self, guest: &Guest, event: &str, id: &str) {
        let stream = placed(id);
        self.say(guest, &format!("2[\"$stream\",\"{event}\",{stream}]"));
    }

    /// Asks for something about a stream with an ordinary event.
    fn ask_about(&mut self, guest: &Guest, event: &str, id: &str) {
        self.say(guest, &format!("2[\"{event}\",{}]", placed(id)));
    }

    /// A binary chunk whose acknowledgement is 7.
    fn chunk(&mut self, guest: &Guest, id: &str, data: &[u8]) {
        let head = format!(
            "51-7[\"$stream-write\",\"{id}\",{{\"_placeholder\":true,\"num\":0}},\"buffer\"]"
        );
        self.say_all(guest, &[T(&head), B(data)]);
    }
}

fn credit(id: &str) -> String {
    format!("42[\"$stream-read\",\"{id}\",65536]")
}

fn written(ack: u32, id: &str, data: &str) -> [String; 2] {
    let place = "{\"_placeholder\":true,\"num\":0}";
    [
        format!("451-{ack}[\"$stream-write\",\"{id}\",{place},\"buffer\"]"),
        format!("b{}", STANDARD.encode(data)),
    ]
}

fn ended(id: &str) -> String {
    format!("42[\"$stream-end\",\"{id}\"]")
}

fn failed(id: &str, message: &str) -> String {
    format!("42[\"$stream-error\",\"{id}\",\"{message}\"]")
}

impl Party {
    #[track_caller]
    fn hears_all(&mut self, guest: &Guest, packets: &[String]) {
        let packets: Vec<&str> = packets.iter().map(|packet| &**packet).collect();
        self.hears(guest, &packets);
    }
}

const TAKEN: &str = "437[]";

// ---- from a client -------------------------------------------------------------------------------

#[test]
fn a_client_sends_chunk_by_chunk_and_each_is_a_credit() {
    for via in BOTH {
        let mut party = Party::new(streamer);
        let (guest, _) = party.enter(via);
        party.announce(&guest, "up", "s");
        party.hears_all(&guest, &[credit("s")]);
        for word in ["one", "two"] {
            party.chunk(&guest, "s", word.as_bytes());
            party.hears_all(&guest, &[TAKEN.to_owned(), credit("s")]);
        }
        party.say(&guest, "2[\"$stream-end\",\"s\"]");
        // The end of one direction ends the other.
        party.hears_all(&guest, &[ended("s")]);
        party.noted(&["up one", "up two", "up end"]);
        party.chunk(&guest, "s", b"late");
        party.hears(&guest, &["437[\"invalid stream id: s\"]"]);
    }
}

#[test]
fn a_program_that_holds_back_gets_nothing_until_it_resumes() {
    let mut party = Party::new(streamer);
    let (guest, _) = party.enter(Via::WebSocket);
    party.announce(&guest, "up", "s");
    party.hears_all(&guest, &[credit("s")]);
    party.chunk(&guest, "s", b"hold");
    party.hears(&guest, &[TAKEN]);
    // However long it takes.
    party.advance(1);
    party.ask_about(&guest, "resume", "s");
    party.hears_all(&guest, &[credit("s")]);
    // A second time is no second credit.
    party.ask_about(&guest, "resume", "s");
    party.hears(&guest, &[]);
    party.chunk(&guest, "s", b"hold");
    party.say(&guest, "2[\"$stream-end\",\"s\"]");
    party.noted(&["up hold", "up hold"]);
    // The end waits behind what is held.
    party.hears(&guest, &[TAKEN]);
    party.ask_about(&guest, "resume", "s");
    party.hears_all(&guest, &[ended("s")]);
    party.noted(&["up end"]);
}

#[test]
fn a_program_resumes_from_elsewhere() {
    let mut party = Party::new(|io| {
        io.on_stream("up", |_, socket, (file,): (Stream,)| {
            let (id, held) = (socket.id(), file.clone());
            file.read(&socket, move |log: &mut Log, socket, read| {
                if let Read::Chunk(_) = read {
                    log.note("chunk");
                    let file = held.clone();
                    socket.io().set_timeout(ms(100), move |_, io| {
                        let socket = io.socket(id).expect("it is still there");
                        file.resume(&socket);
                    });
                }
                Flow::Hold
            });
        });
    });
    let (guest, _) = party.enter(Via::WebSocket);
    party.announce(&guest, "up", "s");
    for _ in 0..3 {
        party.hears_all(&guest, &[credit("s")]);
        party.chunk(&guest, "s", b"x");
        party.hears(&guest, &[TAKEN]);
        party.advance(99);
        party.hears(&guest, &[]);
        party.advance(1);
    }
    party.noted(&["chunk", "chunk", "chunk"]);
}

#[test]
fn a_chunk_without_a_credit_ends_its_stream_and_is_not_kept() {
    let mut party = Party::new(streamer);
    let (guest, _) = party.enter(Via::WebSocket);
    party.announce(&guest, "up", "s");
    party.announce(&guest, "nothing", "unread");
    party.hears_all(&guest, &[credit("s")]);
    party.chunk(&guest, "s", b"hold");
    party.hears(&guest, &[TAKEN]);
    for id in ["s", "unread"] {
        party.chunk(&guest, id, b"more");
        let no_credit = "437[\"chunk without a credit\"]".to_owned();
        party.hears_all(&guest, &[failed(id, "chunk without a credit"), no_credit]);
    }
    party.noted(&["up hold", "up failed: chunk without a credit"]);
}

#[test]
fn a_chunk_that_is_too_large_ends_its_stream_but_not_the_connection() {
    let limits = Limits {
        chunk_bytes_max: 10,
        ..Limits::default()
    };
    let mut party = Party::new(move |io| {
        streamer(io);
        io.of("/").stream_limits(limits);
    });
    let (guest, _) = party.enter(Via::WebSocket);
    for text in [false, true] {
        party.announce(&guest, "up", "s");
        party.hears(&guest, &["42[\"$stream-read\",\"s\",10]"]);
        party.chunk(&guest, "s", b"0123456789");
        party.hears(&guest, &[TAKEN, "42[\"$stream-read\",\"s\",10]"]);
        match text {
            false => party.chunk(&guest, "s", b"0123456789a"),
            true => party.say(
                &guest,
                "27[\"$stream-write\",\"s\",\"0123456789a\",\"utf8\"]",
            ),
        }
        let too_large = "437[\"chunk too large\"]".to_owned();
        party.hears_all(&guest, &[failed("s", "chunk too large"), too_large]);
        party.noted(&["up 0123456789", "up failed: chunk too large"]);
    }
}

#[test]
fn chunks_may_be_base64_or_text() {
    let mut party = Party::new(streamer);
    let (guest, _) = party.enter(Via::WebSocket);
    party.announce(&guest, "up", "s");
    party.hears_all(&guest, &[credit("s")]);
    for args in [
        "\"aGVsbG8=\",\"base64\"",
        "\"grün\",\"utf8\"",
        "\"plain\"",
        "\"\"",
        "null",
        "[104,105]",
    ] {
        party.say(&guest, &format!("27[\"$stream-write\",\"s\",{args}]"));
        party.hears_all(&guest, &[TAKEN.to_owned(), credit("s")]);
    }
    party.noted(&["up hello", "up grün", "up plain", "up hi"]);
    // Without an acknowledgement nobody is answered.
    party.say(&guest, "2[\"$stream-write\",\"s\",\"x\"]");
    party.hears_all(&guest, &[credit("s")]);
    party.noted(&["up x"]);
    for args in [
        "\"a\",\"base64\"",
        "\"!!!!\",\"base64\"",
        "\"a\",\"ucs2\"",
        "{\"an\":\"object\"}",
        "5",
        "true",
    ] {
        party.say(&guest, &format!("27[\"$stream-write\",\"s\",{args}]"));
        let unknown = "chunk in an unknown encoding";
        let answer = format!("437[\"{unknown}\"]");
        party.hears_all(&guest, &[failed("s", unknown), answer]);
        party.noted(&["up failed: chunk in an unknown encoding"]);
        party.announce(&guest, "up", "s");
        party.hears_all(&guest, &[credit("s")]);
    }
    party.leave(&guest);
    party.noted(&["up failed: Connection aborted", "transport close"]);
}

#[test]
fn an_empty_file_ends_before_it_is_read() {
    let mut party = Party::new(streamer);
    let (guest, _) = party.enter(Via::WebSocket);
    let announcement = format!("2[\"$stream\",\"up\",{}]", placed("s"));
    party.say_all(&guest, &[T(&announcement), T("2[\"$stream-end\",\"s\"]")]);
    party.hears_all(&guest, &[credit("s"), ended("s")]);
    party.noted(&["up end"]);
    // Also when the program comes to it later.
    party.announce(&guest, "nothing", "s");
    party.say(&guest, "2[\"$stream-end\",\"s\"]");
    party.hears(&guest, &[]);
    party.ask_about(&guest, "read", "s");
    party.hears_all(&guest, &[ended("s")]);
    party.noted(&["read end"]);
}

#[test]
fn an_error_of_the_client_is_told_and_not_answered() {
    let mut party = Party::new(streamer);
    let (guest, _) = party.enter(Via::WebSocket);
    party.announce(&guest, "both", "s");
    party.hears_all(&guest, &[credit("s")]);
    party.say(&guest, "2[\"$stream-error\",\"s\",\"disk full\"]");
    party.hears(&guest, &[]);
    party.noted(&["up failed: disk full", "down Err(Remote(\"disk full\"))"]);
    party.ask_about(&guest, "read", "s");
    party.noted(&["read failed: no such stream"]);
}

// ---- to a client ---------------------------------------------------------------------------------

#[test]
fn a_client_is_sent_one_chunk_for_each_credit() {
    for via in BOTH {
        let mut party = Party::new(streamer);
        let (guest, _) = party.enter(via);
        party.announce(&guest, "down", "s");
        party.hears(&guest, &[]);
        party.say(&guest, "2[\"$stream-read\",\"s\",16384]");
        party.hears_all(&guest, &written(0, "s", "a"));
        // Neither an answer without a credit nor a credit without an answer brings the next one.
        party.say(&guest, "30[]");
        party.hears(&guest, &[]);
        party.say(&guest, "2[\"$stream-read\",\"s\",16384]");
        party.hears_all(&guest, &written(1, "s", "b"));
        party.say(&guest, "2[\"$stream-read\",\"s\",16384]");
        party.say(&guest, "2[\"$stream-read\",\"s\",16384]");
        party.hears(&guest, &[]);
        party.say(&guest, "31[]");
        party.hears_all(&guest, &[ended("s")]);
        party.noted(&["down Ok(())"]);
        party.say_all(
            &guest,
            &[
                T("2[\"$stream-read\",\"s\",1]"),
                T("2[\"$stream-end\",\"s\"]"),
            ],
        );
        party.hears(&guest, &[]);
    }
}

#[test]
fn a_credit_may_come_before_anybody_writes() {
    let mut party = Party::new(|io| {
        io.on_stream("nothing", |_, _, (): ()| ());
        io.on("write", |_, socket, (file,): (Stream,)| {
            file.write(&socket, words("a"), done("down"));
        });
    });
    let (guest, _) = party.enter(Via::WebSocket);
    party.announce(&guest, "nothing", "s");
    party.say(&guest, "2[\"$stream-read\",\"s\",16384]");
    party.hears(&guest, &[]);
    party.ask_about(&guest, "write", "s");
    party.hears_all(&guest, &written(0, "s", "a"));
}

#[test]
fn a_writer_without_bytes_is_asked_again_when_it_is_ready() {
    let mut party = Party::new(streamer);
    let (guest, _) = party.enter(Via::WebSocket);
    let announcement = format!("2[\"$stream\",\"down\",{},\"later a fail\"]", placed("s"));
    party.say(&guest, &announcement);
    // Nobody has given a credit.
    party.ask_about(&guest, "ready", "s");
    party.say(&guest, "2[\"$stream-read\",\"s\"]");
    party.noted(&["later"]);
    party.say(&guest, "2[\"$stream-read\",\"s\"]");
    party.hears(&guest, &[]);
    party.ask_about(&guest, "ready", "s");
    party.hears_all(&guest, &written(0, "s", "a"));
    party.say_all(&guest, &[T("2[\"$stream-read\",\"s\"]"), T("30[]")]);
    party.hears_all(&guest, &[failed("s", "no more")]);
    party.noted(&["down Err(Failed(\"no more\"))"]);
}

#[test]
fn a_client_that_refuses_a_chunk_ends_the_stream() {
    for answer in ["[\"invalid stream id: s\"]", "[{\"message\":\"x\"}]"] {
        let mut party = Party::new(streamer);
        let (guest, _) = party.enter(Via::WebSocket);
        party.announce(&guest, "down", "s");
        party.say(&guest, "2[\"$stream-read\",\"s\"]");
        party.hears_all(&guest, &written(0, "s", "a"));
        party.say(&guest, &format!("30{answer}"));
        party.hears(&guest, &[]);
        let lines = party.lines();
        assert!(lines[0].starts_with("down Err(Remote("), "{lines:?}");
    }
}

#[test]
fn a_client_that_ends_a_stream_is_sent_no_more_of_it() {
    let mut party = Party::new(streamer);
    let (guest, _) = party.enter(Via::WebSocket);
    party.announce(&guest, "down", "s");
    party.say(&guest, "2[\"$stream-read\",\"s\"]");
    party.hears_all(&guest, &written(0, "s", "a"));
    party.say(&guest, "2[\"$stream-end\",\"s\"]");
    party.hears_all(&guest, &[ended("s")]);
    party.noted(&["down Err(Closed)"]);
    party.say_all(&guest, &[T("30[]"), T("2[\"$stream-read\",\"s\"]")]);
    party.hears(&guest, &[]);
}

#[test]
fn directions_that_may_be_half_open_end_each_by_itself() {
    let mut party = Party::new(streamer);
    let (guest, _) = party.enter(Via::WebSocket);
    let stream = |id| format!("{{\"$stream\":\"{id}\",\"options\":{{\"allowHalfOpen\":true}}}}");
    for first in ["theirs", "ours"] {
        party.say(&guest, &format!("2[\"$stream\",\"both\",{}]", stream("s")));
        party.hears_all(&guest, &[credit("s")]);
        let mut heard = Vec::new();
        if first == "theirs" {
            party.say(&guest, "2[\"$stream-end\",\"s\"]");
            party.noted(&["up end"]);
        }
        party.say(&guest, "2[\"$stream-read\",\"s\"]");
        heard.extend(party.hear(&guest));
        let ack = if first == "theirs" { 0 } else { 1 };
        assert_eq!(heard, written(ack, "s", "a"));
        party.say_all(
            &guest,
            &[T("2[\"$stream-read\",\"s\"]"), T(&format!("3{ack}[]"))],
        );
        party.hears_all(&guest, &[ended("s")]);
        party.noted(&["down Ok(())"]);
        if first == "ours" {
            party.chunk(&guest, "s", b"x");
            party.hears_all(&guest, &[TAKEN.to_owned(), credit("s")]);
            party.say(&guest, "2[\"$stream-end\",\"s\"]");
            party.hears(&guest, &[]);
            party.noted(&["up x", "up end"]);
        }
    }
}

#[test]
fn the_program_ends_or_fails_a_stream() {
    let mut party = Party::new(streamer);
    let (guest, _) = party.enter(Via::WebSocket);
    for (event, heard, up, down) in [
        ("end", ended("s"), "up end", "down Ok(())"),
        (
            "fail",
            failed("s", "enough"),
            "up failed: enough",
            "down Err(Failed(\"enough\"))",
        ),
    ] {
        party.announce(&guest, "both", "s");
        party.hears_all(&guest, &[credit("s")]);
        party.ask_about(&guest, event, "s");
        party.hears_all(&guest, &[heard]);
        party.noted(&[up, down]);
        // Not again.
        party.ask_about(&guest, event, "s");
        party.hears(&guest, &[]);
    }
}

// ---- announcing ----------------------------------------------------------------------------------

#[derive(Deserialize)]
struct Album {
    name: String,
    pictures: Vec<Stream>,
}

#[test]
fn streams_are_found_at_any_depth() {
    let mut party = Party::new(|io| {
        io.on_stream("album", |_, socket, (album, last): (Album, Stream)| {
            for (n, picture) in album.pictures.iter().enumerate() {
                picture.read(&socket, noting(&format!("{} {n}", album.name)));
            }
            last.read(&socket, noting("last"));
            socket.reply("reading");
        });
    });
    let (guest, _) = party.enter(Via::WebSocket);
    let (a, b, c) = (placed("a"), placed("b"), placed("c"));
    let album = format!("{{\"name\":\"x\",\"pictures\":[{a},{b}]}}");
    party.say(&guest, &format!("25[\"$stream\",\"album\",{album},{c}]"));
    party.hears_all(
        &guest,
        &[
            "435[\"reading\"]".to_owned(),
            credit("a"),
            credit("b"),
            credit("c"),
        ],
    );
    for id in ["b", "c", "a"] {
        party.chunk(&guest, id, id.as_bytes());
        party.hears_all(&guest, &[TAKEN.to_owned(), credit(id)]);
    }
    party.noted(&["x 1 b", "last c", "x 0 a"]);
}

#[test]
fn the_server_opens_streams_in_arguments_and_in_answers() {
    let mut party = Party::new(|io| {
        io.on("give", |_, socket, (): ()| {
            let (one, two) = (Stream::new(&socket), Stream::half_open(&socket));
            one.write(&socket, words("a"), done("one"));
            two.read(&socket, noting("two"));
            stream::emit(&socket, "files", (json!({"n": 1}), [&one], &two));
            socket.reply(Stream::new(&socket));
        });
    });
    let (guest, _) = party.enter(Via::WebSocket);
    party.say(&guest, "20[\"give\"]");
    let id = |n| format!("656d696f-0000-4000-8000-{n:012}");
    let (one, two) = (placed(&id(1)), id(2));
    let two_placed = format!("{{\"$stream\":\"{two}\",\"options\":{{\"allowHalfOpen\":true}}}}");
    party.hears_all(
        &guest,
        &[
            format!("42[\"$stream\",\"files\",{{\"n\":1}},[{one}],{two_placed}]"),
            format!("430[{}]", placed(&id(3))),
            credit(&two),
        ],
    );
    party.say(&guest, &format!("2[\"$stream-read\",\"{}\"]", id(1)));
    party.hears_all(&guest, &written(0, &id(1), "a"));
    party.chunk(&guest, &two, b"b");
    party.hears_all(&guest, &[TAKEN.to_owned(), credit(&two)]);
    party.noted(&["two b"]);
}

#[test]
fn a_client_answers_with_streams() {
    let mut party = Party::new(|io| {
        io.on("ask", |_, socket, (): ()| {
            type Answer = Result<(u8, Stream), AckError>;
            let then = |log: &mut Log, socket: Socket<'_, Log>, answer: Answer| match answer {
                Ok((_, file)) => file.read(&socket, noting("answer")),
                Err(error) => log.note(format!("{error:?}")),
            };
            stream::emit_with_ack(&socket, "files", Bytes::from(b"x"), ms(1_000), then);
        });
        io.on_error(|log: &mut Log, problem: &Problem| log.note(problem.to_string()));
    });
    let (guest, _) = party.enter(Via::WebSocket);
    party.say(&guest, "2[\"ask\"]");
    let place = "{\"_placeholder\":true,\"num\":0}";
    let asked = format!("451-0[\"$stream\",\"files\",{place}]");
    party.hears_all(&guest, &[asked, "beA==".to_owned()]);
    party.say(&guest, &format!("30[1,{}]", placed("s")));
    party.hears_all(&guest, &[credit("s")]);
    party.say(&guest, "2[\"ask\"]");
    party.advance(1_001);
    party.noted(&["Timeout"]);
}

#[test]
fn arguments_that_are_no_json_are_reported_as_those_of_any_event() {
    let mut party = Party::new(|io| {
        io.on("give", |_, socket, (): ()| {
            let bad = std::collections::BTreeMap::from([((1, 2), 3)]);
            stream::emit(&socket, "files", (bad,));
        });
        io.on_error(|log: &mut Log, problem: &Problem| {
            assert!(matches!(problem.cause, Cause::Encode(_)));
            log.note("not sent");
        });
    });
    let (guest, _) = party.enter(Via::WebSocket);
    party.say(&guest, "2[\"give\"]");
    party.hears(&guest, &[]);
    party.noted(&["not sent"]);
}

#[test]
fn an_id_is_not_used_twice_at_once() {
    let mut party = Party::new(streamer);
    let (guest, _) = party.enter(Via::WebSocket);
    party.announce(&guest, "up", "s");
    party.hears_all(&guest, &[credit("s")]);
    party.announce(&guest, "up", "s");
    let message = "Decoded stream already exists: s";
    party.hears_all(&guest, &[failed("s", message)]);
    party.noted(&["up failed: stream already in use"]);
    // The first one goes on, and another client's is another one.
    party.chunk(&guest, "s", b"x");
    party.hears_all(&guest, &[TAKEN.to_owned(), credit("s")]);
    let (other, _) = party.enter(Via::WebSocket);
    party.announce(&other, "up", "s");
    party.hears_all(&other, &[credit("s")]);
    party.chunk(&other, "s", b"y");
    party.noted(&["up x", "up y"]);
}

#[test]
fn an_event_that_is_not_handled_fails_its_streams() {
    let mut party = Party::new(streamer);
    let (guest, _) = party.enter(Via::WebSocket);
    party.announce(&guest, "nobody", "s");
    party.hears_all(&guest, &[failed("s", "nobody listens")]);
    party.noted(&[]);
    party.say(&guest, &format!("2[\"$stream\",\"up\",5,{}]", placed("s")));
    party.hears_all(&guest, &[failed("s", "the event was not handled")]);
    party.noted(&["bad arguments"]);
}

#[test]
fn a_flood_of_ids_is_refused() {
    let limits = Limits {
        streams_per_socket_max: 3,
        streams_max: 5,
        ..Limits::default()
    };
    let mut party = Party::new(move |io| {
        streamer(io);
        io.of("/").stream_limits(limits);
    });
    let (one, _) = party.enter(Via::WebSocket);
    let (two, _) = party.enter(Via::WebSocket);
    for id in ["a", "b", "c"] {
        party.announce(&one, "up", id);
    }
    party.hears_all(&one, &[credit("a"), credit("b"), credit("c")]);
    party.announce(&one, "up", "d");
    party.hears_all(&one, &[failed("d", "too many streams")]);
    party.noted(&["up failed: no such stream"]);
    party.announce(&two, "up", "a");
    party.announce(&two, "up", "b");
    party.hears_all(&two, &[credit("a"), credit("b")]);
    // The process is full.
    party.announce(&two, "up", "c");
    party.hears_all(&two, &[failed("c", "too many streams")]);
    party.noted(&["up failed: no such stream"]);
    // One that ends leaves its place.
    party.say(&one, "2[\"$stream-end\",\"a\"]");
    party.announce(&two, "up", "c");
    party.hears_all(&two, &[credit("c")]);
    // Many in one event are one answer.
    let ids = (0..1_000).map(|n| placed(&n.to_string()));
    let ids: Vec<String> = ids.collect();
    party.say(&one, &format!("2[\"$stream\",\"up\",{}]", ids.join(",")));
    party.hears_all(&one, &[ended("a"), failed("0", "too many streams")]);
    party.noted(&["up end", "bad arguments"]);
}

#[test]
fn hostile_shapes_are_nobodys_end() {
    let mut party = Party::new(streamer);
    let (guest, _) = party.enter(Via::WebSocket);
    let long = "x".repeat(10_000);
    let deep = format!("{}{}{}", "[".repeat(90), placed("deep"), "]".repeat(90));
    let arguments = [
        "",
        ",null",
        ",5",
        ",{}",
        ",[]",
        ",\"up\"",
        ",\"up\",null",
        ",\"up\",{\"$stream\":null}",
        ",\"up\",{\"$stream\":5}",
        ",\"up\",{\"$stream\":{}}",
        ",\"up\",{\"$stream\":\"\"}",
        ",\"up\",{\"$stream\":\"s\",\"options\":5}",
        ",\"up\",{\"$stream\":\"s\",\"options\":{\"highWaterMark\":-1,\"allowHalfOpen\":\"x\"}}",
        ",\"up\",{\"$stream\":\"s\",\"options\":{\"highWaterMark\":1e300}}",
        ",\"s\"",
        ",\"s\",null,null,null,null",
        ",\"s\",{\"$stream\":\"s\"},\"buffer\"",
        ",\"s\",[[]],5",
        ",\"s\",[1,256],\"base64\"",
        ",\"s\",\"\\ud800\",\"utf8\"",
        ",\"unknown\",\"x\",\"base64\"",
        &format!(",\"{long}\",\"{long}\",\"{long}\""),
        &format!(",\"up\",{}", placed(&long)),
        &format!(",\"up\",{deep}"),
    ];
    for event in ["", "-read", "-write", "-end", "-error", "-other"] {
        for args in arguments {
            for id in ["", "9"] {
                party.say(&guest, &format!("2{id}[\"$stream{event}\"{args}]"));
                party.hear(&guest);
            }
        }
        for ack in 0..3 {
            party.say(&guest, &format!("3{ack}[[[]],5]"));
        }
    }
    party.lines();
    // What was said of an unknown stream is answered as the package does.
    party.say(&guest, "27[\"$stream-write\",5,\"x\"]");
    party.hears(&guest, &["437[\"invalid stream id: 5\"]"]);
    party.say(&guest, "27[\"$stream-write\"]");
    party.hears(&guest, &["437[\"invalid stream id: undefined\"]"]);
    party.say(&guest, &format!("27[\"$stream-write\",\"{long}\",\"x\"]"));
    let cut = format!("437[\"invalid stream id: {}\"]", &long[..64]);
    party.hears_all(&guest, &[cut]);
    party.announce(&guest, "up", "fine");
    party.hears_all(&guest, &[credit("fine")]);
}

#[test]
fn the_events_names_are_free_where_a_program_takes_them_itself() {
    let mut party = Party::new(|io| {
        io.on("$stream-read", |log: &mut Log, _, (id,): (String,)| {
            log.note(id)
        });
    });
    let (guest, _) = party.enter(Via::WebSocket);
    party.say(&guest, "2[\"$stream-read\",\"mine\",1]");
    party.noted(&["mine"]);
}

// ---- ends that nobody asked for ------------------------------------------------------------------

#[test]
fn streams_end_with_their_socket() {
    for via in BOTH {
        let mut party = Party::new(|io| {
            streamer(io);
            io.of("/other")
                .on_stream("up", |_, socket, (file,): (Stream,)| {
                    file.read(&socket, noting("other"));
                });
            io.on("leave", |_, socket, (): ()| socket.disconnect(false));
        });
        let (guest, _) = party.enter(via);
        party.join(&guest, "/other");
        let announcement = format!("2/other,[\"$stream\",\"up\",{}]", placed("o"));
        party.say(&guest, &announcement);
        party.announce(&guest, "both", "s");
        party.announce(&guest, "nothing", "t");
        party.say(&guest, "2[\"$stream-read\",\"s\"]");
        party.hear(&guest);
        // One namespace's socket.
        party.say(&guest, "2[\"leave\"]");
        party.noted(&[
            "up failed: Connection aborted",
            "down Err(Aborted)",
            "server namespace disconnect",
        ]);
        party.leave(&guest);
        party.noted(&["other failed: Connection aborted"]);
    }
}

#[test]
fn who_asks_too_late_is_told_so() {
    let mut party = Party::new(|io| {
        io.on_stream("up", |_, socket, (file,): (Stream,)| {
            socket.disconnect(true);
            file.read(&socket, noting("up"));
            file.write(&socket, words("a"), done("down"));
        });
        io.on_disconnect(|log: &mut Log, socket: Socket<'_, Log>, _| {
            log.note("disconnect");
            Stream::new(&socket).read(&socket, noting("never"));
        });
    });
    let (guest, _) = party.enter(Via::WebSocket);
    party.announce(&guest, "up", "s");
    let lines = party.lines();
    let expected = [
        "up failed: Connection aborted",
        "down Err(Aborted)",
        "disconnect",
    ];
    assert_eq!(lines[..3], expected);
}

#[test]
fn what_a_client_owes_has_to_come_in_time() {
    let limits = Limits {
        idle_timeout: ms(1_000),
        ..Limits::default()
    };
    let mut party = Party::new(move |io| {
        streamer(io);
        io.of("/").stream_limits(limits);
    });
    let (guest, _) = party.enter(Via::WebSocket);
    // A chunk for a credit; each chunk gives it the time anew.
    party.announce(&guest, "up", "s");
    party.hears_all(&guest, &[credit("s")]);
    party.advance(999);
    party.chunk(&guest, "s", b"x");
    party.hears_all(&guest, &[TAKEN.to_owned(), credit("s")]);
    party.advance(999);
    party.hears(&guest, &[]);
    party.advance(1);
    party.hears_all(&guest, &[failed("s", "stream timed out")]);
    party.noted(&["up x", "up failed: stream timed out"]);
    // A credit for a writer, then the answer to its chunk.
    for has_credit in [false, true] {
        party.announce(&guest, "down", "s");
        if has_credit {
            party.say(&guest, "2[\"$stream-read\",\"s\"]");
            party.hears_all(&guest, &written(0, "s", "a"));
            // What it does not owe does not count.
            party.advance(500);
            party.say(&guest, "2[\"$stream-read\",\"s\"]");
            party.advance(500);
        } else {
            party.advance(1_000);
        }
        party.hears_all(&guest, &[failed("s", "stream timed out")]);
        party.noted(&["down Err(Idle)"]);
    }
    // Somebody who reads or writes it.
    party.announce(&guest, "nothing", "s");
    party.advance(1_000);
    party.hears_all(&guest, &[failed("s", "stream timed out")]);
    // But the program may take its time.
    party.announce(&guest, "up", "s");
    party.chunk(&guest, "s", b"hold");
    party.hear(&guest);
    party.advance(10_500);
    party.hears(&guest, &[]);
    party.ask_about(&guest, "resume", "s");
    party.hears_all(&guest, &[credit("s")]);
    party.advance(999);
    party.hears(&guest, &[]);
    party.advance(1);
    party.hears_all(&guest, &[failed("s", "stream timed out")]);
}

#[test]
fn a_dropped_credit_ends_by_the_idle_timeout() {
    let config = Config {
        overflow: Overflow::DropNewest,
        backlog_bytes_max: 2_000,
        ..Config::default()
    };
    let mut party = Party::with(config, |io| {
        streamer(io);
        io.on("fill", |_, socket, (): ()| {
            socket.emit("filling", "x".repeat(9_000))
        });
    });
    let (guest, _) = party.enter(Via::WebSocket);
    party.let_write(party.client(&guest), Some(0));
    for _ in 0..3 {
        party.say(&guest, "2[\"fill\"]");
    }
    party.announce(&guest, "up", "s");
    assert!(party.stats().overflow_dropped > 0);
    party.let_write(party.client(&guest), None);
    let heard = party.hear(&guest);
    assert!(!heard.contains(&credit("s")), "it was dropped");
    // Who stays answers pings.
    for _ in 0..6 {
        party.advance(20_000);
        party.send(party.client(&guest), text("3"));
    }
    party.noted(&["up failed: stream timed out"]);
}

/// Held by every reader and every writer: who was given a stream is told its end, once.
struct Told(bool);

impl Told {
    fn tell(&mut self) {
        assert!(!self.0, "told twice");
        self.0 = true;
    }
}

impl Drop for Told {
    fn drop(&mut self) {
        assert!(self.0 || std::thread::panicking(), "not told");
    }
}

fn use_stream(socket: &Peer<'_, Log>, file: &Stream, how: u64) {
    if how & 1 != 0 {
        let (mut told, mut chunks) = (Told(false), how);
        file.read(socket, move |_, _, read| {
            assert!(!told.0, "called after the end");
            chunks += 1;
            match read {
                Read::Chunk(_) if chunks % 3 == 0 => return Flow::Hold,
                Read::Chunk(_) => {}
                Read::End | Read::Failed(_) => told.tell(),
            }
            Flow::Next
        });
    }
    if how & 2 != 0 {
        let (mut told, mut asked) = (Told(false), how);
        let next = move |_: &mut Log, _: Socket<'_, Log>| {
            asked += 1;
            match asked % 7 {
                0 => Next::End,
                1 => Next::Later,
                2 => Next::Fail("no".to_owned()),
                _ => Next::Chunk(b"x".into()),
            }
        };
        file.write(socket, next, move |_, _, _| told.tell());
    }
}

#[test]
fn whatever_is_said_in_whatever_order_each_end_is_told_once() {
    let mut chunks = 0;
    for seed in 1..=60 {
        let mut state = 0x9E37_79B9_7F4A_7C15_u64.wrapping_mul(seed);
        let mut random = move |below: u64| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state % below
        };
        let limits = Limits {
            streams_per_socket_max: 3,
            streams_max: 5,
            chunk_bytes_max: 4,
            idle_timeout: ms(500),
        };
        let mut party = Party::new(move |io| {
            io.on_stream("use", |_, socket, (how, file): (u64, Stream)| {
                use_stream(&socket, &file, how);
            });
            io.on(
                "ask",
                |_, socket, (how, what, file): (u64, u64, Stream)| match what {
                    0 => file.resume(&socket),
                    1 => file.ready(&socket),
                    2 => file.end(&socket),
                    3 => file.fail(&socket, "no"),
                    4 => use_stream(&socket, &Stream::half_open(&socket), how),
                    5 => socket.disconnect(false),
                    _ => use_stream(&socket, &file, how),
                },
            );
            io.of("/").stream_limits(limits);
            io.on_error(|_, _| ());
        });
        let mut guests = [Via::WebSocket, Via::Polling].map(|via| party.enter(via).0);
        // The chunk that was sent last.
        let mut sent = 0_u64;
        for _ in 0..300 {
            let which = random(2) as usize;
            let guest = guests[which].clone();
            let (id, how) = (random(5), random(8));
            let options = match random(2) {
                0 => "{}",
                _ => "{\"allowHalfOpen\":true}",
            };
            let stream = format!("{{\"$stream\":\"{id}\",\"options\":{options}}}");
            // One of the server's, perhaps.
            let id = match random(4) {
                0 => format!("656d696f-0000-4000-8000-{:012x}", random(9)),
                _ => id.to_string(),
            };
            match random(9) {
                0 | 1 => party.say(&guest, &format!("2[\"$stream\",\"use\",{how},{stream}]")),
                2 | 3 => party.say(&guest, &format!("2[\"$stream-read\",\"{id}\"]")),
                4 => {
                    let chunk = "x".repeat(how as usize);
                    let packet = format!("27[\"$stream-write\",\"{id}\",\"{chunk}\"]");
                    party.say(&guest, &packet);
                }
                5 => match random(3) {
                    0 => party.say(&guest, &format!("2[\"$stream-end\",\"{id}\"]")),
                    1 => party.say(&guest, &format!("2[\"$stream-error\",\"{id}\",5]")),
                    _ => party.advance(random(300)),
                },
                6 => {
                    let what = random(30).min(7);
                    party.say(&guest, &format!("2[\"ask\",{how},{what},{stream}]"));
                }
                _ => {
                    let answer = if how == 0 { "\"no\"" } else { "" };
                    party.say(&guest, &format!("3{}[{answer}]", sent));
                }
            }
            let heard = party.hear(&guest);
            for packet in &heard {
                let ack = packet
                    .strip_prefix("451-")
                    .and_then(|rest| rest.split('[').next());
                sent = ack.map_or(sent, |ack| ack.parse().expect("an id"));
                chunks += u32::from(ack.is_some());
            }
            if heard.iter().any(|packet| packet == "41") {
                guests[which] = party.enter(Via::WebSocket).0;
            }
        }
    }
    assert!(chunks > 300, "{chunks} chunks: it went on");
}

// ---- memory --------------------------------------------------------------------------------------

/// Moves 1 GB in chunks of 256 KiB, and says how much more memory was ever held than before.
fn peak_of(event: &str) -> i64 {
    const CHUNK: usize = 256 * 1024;
    const CHUNKS: usize = 4_096;
    let mut party = Party::new(|io| {
        io.on_stream("up", |log: &mut Log, socket, (file,): (Stream,)| {
            let mut bytes = 0;
            log.note("begun");
            file.read(&socket, move |log: &mut Log, _, read| {
                match read {
                    Read::Chunk(chunk) => bytes += chunk.len(),
                    end => log.note(format!("{bytes} {end:?}")),
                }
                Flow::Next
            });
        });
        io.on_stream("down", |log: &mut Log, socket, (file,): (Stream,)| {
            let mut left = CHUNKS;
            log.note("begun");
            let next = move |_: &mut Log, _: Socket<'_, Log>| {
                if left == 0 {
                    return Next::End;
                }
                left -= 1;
                Next::Chunk(vec![7; CHUNK].into())
            };
            file.write(&socket, next, done("down"));
        });
    });
    let (guest, _) = party.enter(Via::WebSocket);
    let client = party.client(&guest);
    party.announce(&guest, event, "s");
    let head = "51-7[\"$stream-write\",\"s\",{\"_placeholder\":true,\"num\":0},\"buffer\"]";
    let packets = [text(&format!("4{head}")), binary(&vec![7; CHUNK])].concat();
    party.received(client).clear();
    party.received(client).reserve(2 * CHUNK);
    party.noted(&["begun"]);
    let before = HELD.get();
    PEAK.set(before);
    for n in 0..CHUNKS {
        match event {
            "up" => party.send(client, &packets),
            _ => {
                let answer = text(&format!("43{}[]", n.saturating_sub(1)));
                party.send(client, answer);
                party.send(client, text("42[\"$stream-read\",\"s\"]"));
                assert!(
                    party.received(client).len() > CHUNK,
                    "a chunk for each credit"
                );
            }
        }
        party.received(client).clear();
    }
    let peak = PEAK.get() - before;
    match event {
        "up" => {
            party.send(client, text("42[\"$stream-end\",\"s\"]"));
            party.noted(&["1073741824 End"]);
        }
        _ => {
            let answer = text(&format!("43{}[]", CHUNKS - 1));
            party.send(client, answer);
            party.send(client, text("42[\"$stream-read\",\"s\"]"));
            party.noted(&["down Ok(())"]);
        }
    }
    peak
}

#[test]
fn a_gigabyte_from_a_client_holds_a_few_chunks() {
    let peak = peak_of("up");
    assert!(peak < 2 * 1024 * 1024, "{peak} bytes");
}

#[test]
fn a_gigabyte_to_a_client_holds_a_few_chunks() {
    let peak = peak_of("down");
    assert!(peak < 2 * 1024 * 1024, "{peak} bytes");
}

#[test]
fn streams_that_are_over_leave_nothing_behind() {
    let mut party = Party::new(streamer);
    let (guest, _) = party.enter(Via::WebSocket);
    let round = |party: &mut Party| {
        for n in 0..50 {
            let id = n.to_string();
            party.announce(&guest, ["up", "down", "both", "nothing"][n % 4], &id);
            match n % 3 {
                0 => party.say(&guest, &format!("2[\"$stream-end\",\"{id}\"]")),
                1 => party.say(&guest, &format!("2[\"$stream-error\",\"{id}\",\"x\"]")),
                _ => party.ask_about(&guest, "fail", &id),
            }
            party.ask_about(&guest, "end", &id);
            party.hear(&guest);
        }
        party.lines();
    };
    round(&mut party);
    let before = HELD.get();
    for _ in 0..20 {
        round(&mut party);
    }
    let left = HELD.get() - before;
    assert!(left < 1_000, "{left} bytes");
}

/// What a program may keep of a stream.
#[test]
fn a_stream_is_a_plain_value() {
    let stream: Stream = serde_json::from_value(json!({"$stream": "s"})).unwrap();
    assert_eq!((stream.id(), stream.is_half_open()), ("s", false));
    let value = json!({"$stream": "s", "options": {"allowHalfOpen": true}});
    let stream: Stream = serde_json::from_value(value.clone()).unwrap();
    assert_eq!(serde_json::to_value(&stream).unwrap(), value);
    assert!(serde_json::from_value::<Stream>(Value::Null).is_err());
    fn is_send<T: Send + Sync + 'static>(_: &T) {}
    is_send(&stream);
    let _: fn(&Stream, &Peer<'_, ()>) = |stream, socket| stream.resume(socket);
    assert_eq!(Limits::default().idle_timeout, Duration::from_secs(120));
}

// ---- what a client may cost ----------------------------------------------------------------------

#[test]
fn a_packet_of_many_values_costs_no_more_than_its_bytes() {
    let many = vec!["{\"\":0}"; 140_000].join(",");
    let stream = placed("s");
    for packet in [
        format!("2[\"$stream\",\"nobody\",{stream},[{many}]]"),
        format!("2[\"$stream\",\"up\",{{\"$stream\":\"s\",\"options\":[{many}]}}]"),
        format!("2[\"resume\",[{many}]]"),
        format!("2[\"$stream-read\",[{many}]]"),
        format!("2[\"$stream-error\",\"s\",[{many}]]"),
    ] {
        let mut party = Party::new(streamer);
        let (guest, _) = party.enter(Via::WebSocket);
        let client = party.client(&guest);
        let packet = text(&format!("4{packet}"));
        party.received(client).clear();
        let before = HELD.get();
        PEAK.set(before);
        party.send(client, &packet);
        let peak = PEAK.get() - before;
        assert!(peak < 4 * 1024 * 1024, "{peak} bytes");
    }
}

#[test]
fn a_writer_that_is_always_ready_does_not_stop_the_loop() {
    let mut party = Party::new(|io| {
        io.on_stream("down", |_, socket, (file,): (Stream,)| {
            let (it, mut asked) = (file.clone(), 0);
            let next = move |_: &mut Log, socket: Socket<'_, Log>| {
                asked += 1;
                assert!(asked < 1_000_000, "the loop does nothing else");
                it.ready(&socket);
                Next::Later
            };
            file.write(&socket, next, done("down"));
        });
    });
    let (guest, _) = party.enter(Via::WebSocket);
    party.announce(&guest, "down", "s");
    party.say(&guest, "2[\"$stream-read\",\"s\"]");
    party.leave(&guest);
    party.noted(&["down Err(Aborted)"]);
}

// ---- events that are not handled -----------------------------------------------------------------

#[test]
fn an_event_that_middleware_refuses_fails_its_streams() {
    let mut party = Party::new(|io| {
        streamer(io);
        io.event_middleware(
            |_, _: Socket<'_, Log>, name: &str, _: Args<'_>| match name {
                "$stream" => Err("no".into()),
                _ => Ok(()),
            },
        );
    });
    let (guest, _) = party.enter(Via::WebSocket);
    party.announce(&guest, "up", "s");
    party.hears_all(&guest, &[failed("s", "the event was refused")]);
}

#[test]
fn an_answer_of_another_shape_fails_its_streams() {
    let mut party = Party::new(|io| {
        io.on("ask", |_, socket, (): ()| {
            let then = |log: &mut Log, _: Socket<'_, Log>, answer: Result<(u8, Stream), _>| {
                log.note(format!("{:?}", answer.map(|_| ())));
            };
            stream::emit_with_ack(&socket, "files", (), ms(1_000), then);
        });
    });
    let (guest, _) = party.enter(Via::WebSocket);
    party.say(&guest, "2[\"ask\"]");
    party.hear(&guest);
    party.say(&guest, &format!("30[\"x\",{}]", placed("s")));
    party.hears_all(&guest, &[failed("s", "the answer was not handled")]);
    party.noted(&["Err(Mismatch)"]);
}

// ---- who comes back ------------------------------------------------------------------------------

fn recovering(prepare: impl FnOnce(&mut Crank<Log>)) -> Party {
    let config = Config {
        recovery: Some(Default::default()),
        ..Config::default()
    };
    Party::with(config, prepare)
}

/// Says CONNECT with this payload; what is heard then, and the secret that was shown.
fn connected(party: &mut Party, payload: &str) -> (Guest, Vec<String>, String) {
    let guest = party.guest(Via::WebSocket);
    party.say(&guest, &format!("0{payload}"));
    let heard = party.hear(&guest);
    let card = heard.last().and_then(|packet| packet.strip_prefix("40"));
    let card: Value = serde_json::from_str(card.expect("it has joined")).unwrap();
    let pid = card["pid"].as_str().expect("a secret").to_owned();
    (guest, heard, pid)
}

#[test]
fn nothing_about_streams_is_said_again_to_who_comes_back() {
    let mut party = recovering(|io| {
        streamer(io);
        io.on("give", |_, socket, (): ()| {
            let file = Stream::new(&socket);
            file.write(&socket, words("a"), done("give"));
            stream::emit(&socket, "file", (&file,));
        });
    });
    let (guest, _, pid) = connected(&mut party, "");
    // None of these reaches it.
    let client = party.client(&guest);
    party.let_write(client, Some(0));
    party.say(&guest, "2[\"give\"]");
    party.announce(&guest, "up", "s");
    party.announce(&guest, "nobody", "t");
    party.reset(client);
    let (_, heard, again) = connected(&mut party, &format!("{{\"pid\":\"{pid}\"}}"));
    assert_eq!((heard.len(), again), (1, pid), "{heard:?}");
}

#[test]
fn a_flood_of_streams_takes_nobodys_events() {
    let mut party = recovering(|io| {
        streamer(io);
        io.on("all", |_, socket, (): ()| socket.io().emit("said", 1));
    });
    let (guest, _, pid) = connected(&mut party, "");
    let (hostile, ..) = connected(&mut party, "");
    let client = party.client(&guest);
    party.let_write(client, Some(0));
    party.say(&hostile, "2[\"all\"]");
    party.reset(client);
    let ids: Vec<String> = (0..60).map(|n| placed(&n.to_string())).collect();
    let packet = format!("2[\"$stream\",\"nobody\",{}]", ids.join(","));
    for _ in 0..1_500 {
        party.say(&hostile, &packet);
        party.hear(&hostile);
    }
    let (_, heard, again) = connected(&mut party, &format!("{{\"pid\":\"{pid}\"}}"));
    assert_eq!((heard.len(), again), (2, pid), "{heard:?}");
}

//! Files of any size, to and from `socket.io-stream` in Node and in browsers: `PORT` or 3000.
//!
//! `upload` (stream, name) answers `[bytes, sha1]`, `slow` does so too but holds each chunk for a
//! moment; `download` (stream, bytes) sends so many; `copy` (stream) sends back what comes;
//! `refuse` (stream) fails. The ordinary event `send` (bytes) is answered by `file` with a stream
//! of the server's, and its acknowledgement by another one.

use std::{collections::HashMap, env, time::Duration};

use emio::{
    Ack, App, Bytes, Server, Socket,
    stream::{self, Flow, Next, Read, Stream},
};
use sha1::{Digest, Sha1};

struct Files;

/// What of each copy has come and not gone: a chunk, or its end.
#[derive(Default)]
struct User {
    copies: HashMap<String, Option<Bytes>>,
}

impl App for Files {
    type Data = User;
}

fn main() -> std::io::Result<()> {
    let port = env::var("PORT").unwrap_or("3000".to_owned());
    let mut io = Server::bind(format!("127.0.0.1:{port}"), Files)?;
    io.on_stream("upload", |_, socket, (file, _name): (Stream, String)| {
        let ack = socket.ack();
        file.read(&socket, digest(ack));
    });
    io.on_stream("slow", slow);
    io.on_stream("download", |_, socket, (file, bytes): (Stream, usize)| {
        file.write(&socket, numbers(bytes), |_, _, _| ());
    });
    io.on_stream("copy", copy);
    io.on_stream("refuse", |_, socket, (file,): (Stream,)| {
        file.fail(&socket, "not today");
    });
    io.on("send", |_, socket, (bytes,): (usize,)| {
        let (one, two) = (Stream::new(&socket), Stream::new(&socket));
        one.write(&socket, numbers(bytes), |_, _, _| ());
        two.write(&socket, numbers(bytes), |_, _, _| ());
        stream::emit(&socket, "file", (&one, bytes));
        socket.reply(&two);
    });
    println!("listening on {}", io.local_addr()?);
    io.run()
}

/// Reads a stream to its end, and answers with its length and its SHA-1.
fn digest(
    ack: Option<Ack>,
) -> impl FnMut(&mut Files, Socket<'_, Files>, Read) -> Flow + Send + 'static {
    let (mut hash, mut bytes, mut ack) = (Sha1::new(), 0, ack);
    move |_, socket, read| {
        let answer = match read {
            Read::Chunk(chunk) => {
                hash.update(&chunk);
                bytes += chunk.len();
                return Flow::Next;
            }
            Read::End => hex(&std::mem::take(&mut hash).finalize()),
            Read::Failed(error) => error.to_string(),
        };
        socket.emit("read", (bytes, &answer));
        if let Some(ack) = ack.take() {
            // The client may have left.
            let _ = ack.reply((bytes, answer));
        }
        Flow::Next
    }
}

/// As `upload`, but the next chunk has to wait: for a disk, if there were one.
fn slow(_: &mut Files, socket: Socket<'_, Files>, (file,): (Stream,)) {
    let (id, mut digest) = (socket.id(), digest(socket.ack()));
    let held = file.clone();
    file.read(&socket, move |files, socket, read| {
        let io = socket.io();
        if digest(files, socket, read) == Flow::Next {
            let file = held.clone();
            io.set_timeout(Duration::from_millis(5), move |_, io| {
                if let Some(socket) = io.socket(id) {
                    file.resume(&socket);
                }
            });
        }
        Flow::Hold
    });
}

/// So many bytes, which count up.
fn numbers(bytes: usize) -> impl FnMut(&mut Files, Socket<'_, Files>) -> Next + Send + 'static {
    let mut sent = 0;
    move |_, _| {
        let chunk: Vec<u8> = (sent..bytes).take(CHUNK_BYTES).map(|n| n as u8).collect();
        sent += chunk.len();
        match chunk.is_empty() {
            true => Next::End,
            false => Next::Chunk(chunk.into()),
        }
    }
}

/// Both directions of one stream: a chunk that has come is held until it has left again.
fn copy(_: &mut Files, socket: Socket<'_, Files>, (file,): (Stream,)) {
    let (key, copied) = (file.id().to_owned(), file.clone());
    file.read(&socket, move |_, socket, read| {
        let (user, socket) = socket.split();
        let (chunk, flow) = match read {
            Read::Chunk(chunk) => (Some(chunk), Flow::Hold),
            Read::End | Read::Failed(_) => (None, Flow::Next),
        };
        user.copies.insert(key.clone(), chunk);
        copied.ready(&socket);
        flow
    });
    let (key, copied) = (file.id().to_owned(), file.clone());
    let next = move |_: &mut Files, socket: Socket<'_, Files>| {
        let (user, socket) = socket.split();
        match user.copies.remove(&key) {
            Some(Some(chunk)) => {
                copied.resume(&socket);
                Next::Chunk(chunk)
            }
            Some(None) => Next::End,
            None => Next::Later,
        }
    };
    let key = file.id().to_owned();
    file.write(&socket, next, move |_, socket, _| {
        socket.data.copies.remove(&key);
    });
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What Node reads files by.
const CHUNK_BYTES: usize = 64 * 1024;

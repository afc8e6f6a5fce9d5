//! Stream: files both ways, of any size, a chunk at a time. What arrives is counted and hashed, and
//! nothing of it is kept. The contract with the page is written at the top of
//! `site/stream/stream.js`; the streams themselves are those of the npm package `socket.io-stream`.

use std::{collections::BTreeMap, time::Duration};

use emio::{
    Reason, Server, Socket, SocketId, TimerId,
    stream::{Flow, Limits, Next, Read, Stream},
};
use sha2::{Digest, Sha256};

use crate::site::Site;

/// What all senders share.
#[derive(Default)]
pub struct Streams {
    /// Whose uploads the server is to hold back, each with the timer that lets them go.
    held: BTreeMap<SocketId, TimerId>,
}

/// Teaches a server to stream.
pub fn register(io: &mut Server<Site>) {
    let mut streams = io.of("/stream");
    streams.stream_limits(Limits {
        streams_per_socket_max: 8,
        streams_max: 1_000,
        chunk_bytes_max: 256 * 1024,
        idle_timeout: Duration::from_secs(5 * 60),
    });
    streams.on_stream("download", download);
    streams.on_stream("upload", upload);
    streams.on("hold", hold);
    streams.on_disconnect(leave);
}

/// The server reads, and the page writes.
fn upload(_: &mut Site, socket: Socket<'_, Site>, (file,): (Stream,)) {
    let (mut sha256, mut bytes) = (Sha256::new(), 0);
    let upload = file.clone();
    file.read(&socket, move |site: &mut Site, socket, read| {
        match read {
            Read::Chunk(chunk) => {
                sha256.update(&chunk);
                bytes += chunk.len() as u64;
            }
            Read::End => socket.emit("received", (&upload, bytes, hex(&mut sha256))),
            // It was cancelled, or its page has gone: the page knows.
            Read::Failed(_) => {}
        }
        if bytes > UPLOAD_BYTES_MAX {
            upload.fail(&socket, "longer than 1 GiB");
        }
        match site.stream.held.contains_key(&socket.id()) {
            true => Flow::Hold,
            false => Flow::Next,
        }
    });
}

/// Until it is let go, the server asks for no further chunk: the page has to wait. But not for ever,
/// because a stream that waits takes the place of another.
fn hold(site: &mut Site, socket: Socket<'_, Site>, (upload, is_held): (Stream, bool)) {
    let_go(site, &socket);
    if !is_held {
        return upload.resume(&socket);
    }
    let id = socket.id();
    let timer = socket.io().set_timeout(HELD_MAX, move |site, io| {
        site.stream.held.remove(&id);
        if let Some(sender) = io.socket(id) {
            upload.resume(&sender);
        }
    });
    site.stream.held.insert(id, timer);
}

fn leave(site: &mut Site, socket: Socket<'_, Site>, _: Reason) {
    let_go(site, &socket);
}

fn let_go(site: &mut Site, socket: &Socket<'_, Site>) {
    if let Some(timer) = site.stream.held.remove(&socket.id()) {
        socket.io().clear_timer(timer);
    }
}

/// The server writes, and the page reads.
fn download(_: &mut Site, socket: Socket<'_, Site>, (file, name): (Stream, String)) {
    let Some(content) = Content::named(&name) else {
        return file.fail(&socket, "there is no such file");
    };
    socket.reply(content.len());
    let (mut sha256, mut sent) = (Sha256::new(), 0);
    let download = file.clone();
    let next = move |_: &mut Site, socket: Socket<'_, Site>| {
        let chunk = content.chunk(sent);
        if chunk.is_empty() {
            socket.emit("sent", (&download, sent, hex(&mut sha256)));
            return Next::End;
        }
        sha256.update(&chunk);
        sent += chunk.len();
        Next::Chunk(chunk.into())
    };
    file.write(&socket, next, |_, _, _| ());
}

/// What can be downloaded. None of it is in memory for it: chunks are made when they are asked for.
#[derive(Clone, Copy)]
enum Content {
    /// This text.
    Source,
    /// Bytes that nobody can guess the hash of.
    Noise,
}

impl Content {
    fn named(name: &str) -> Option<Content> {
        match name {
            "source" => Some(Content::Source),
            "noise" => Some(Content::Noise),
            _ => None,
        }
    }

    fn len(self) -> usize {
        match self {
            Content::Source => SOURCE.len(),
            Content::Noise => NOISE_BYTES,
        }
    }

    /// What follows the first `sent` bytes.
    fn chunk(self, sent: usize) -> Vec<u8> {
        match self {
            Content::Source => SOURCE.bytes().skip(sent).take(SOURCE_CHUNK_BYTES).collect(),
            Content::Noise => {
                let end = NOISE_BYTES.min(sent + NOISE_CHUNK_BYTES);
                let mut seed = 0x9E37_79B9_7F4A_7C15 ^ sent as u64;
                let noise = std::iter::repeat_with(|| {
                    seed ^= seed << 13;
                    seed ^= seed >> 7;
                    seed ^= seed << 17;
                    seed as u8
                });
                noise.take(end - sent).collect()
            }
        }
    }
}

fn hex(sha256: &mut Sha256) -> String {
    let hash = sha256.finalize_reset();
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}

const SOURCE: &str = include_str!("stream.rs");

/// Small, so that a short text is several chunks.
const SOURCE_CHUNK_BYTES: usize = 256;

const NOISE_BYTES: usize = 20 * 1024 * 1024;

const NOISE_CHUNK_BYTES: usize = 64 * 1024;

/// A longer upload is failed.
const UPLOAD_BYTES_MAX: u64 = 1024 * 1024 * 1024;

/// Then an upload goes on by itself.
const HELD_MAX: Duration = Duration::from_secs(5 * 60);

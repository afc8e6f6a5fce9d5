//! Beside another HTTP server: a plain one in threads serves its own page, and hands each connection
//! that asks for /socket.io/ over to emio, with what it has read of it.

use std::{
    io::{self, Read, Write},
    net::{TcpListener, TcpStream},
    thread,
};

use emio::{AdoptedStream, Config, Handle, Server};

fn main() -> io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:3000")?;
    println!("listening on {}", listener.local_addr()?);
    serve(&listener)
}

/// Serves both.
pub fn serve(listener: &TcpListener) -> io::Result<()> {
    let mut io = Server::without_listener((), Config::default())?;
    io.on("chat message", |_, socket, (text,): (String,)| {
        socket.io().emit("chat message", text);
    });
    let handle = io.handle();
    thread::spawn(move || io.run());
    for stream in listener.incoming() {
        let (stream, handle) = (stream?, handle.clone());
        thread::spawn(move || answer(stream, &handle));
    }
    Ok(())
}

fn answer(mut stream: TcpStream, handle: &Handle<()>) -> io::Result<()> {
    let mut head = Vec::new();
    let mut buffer = [0; 4096];
    while !head.windows(4).any(|four| four == b"\r\n\r\n") && head.len() < 16 * 1024 {
        match stream.read(&mut buffer)? {
            0 => return Ok(()),
            n => head.extend_from_slice(&buffer[..n]),
        }
    }
    let line = head.split(|byte| *byte == b'\r').next().unwrap_or_default();
    let target = line.split(|byte| *byte == b' ').nth(1).unwrap_or_default();
    if !target.starts_with(b"/socket.io/") {
        return stream.write_all(PAGE.as_bytes());
    }
    // From here on emio answers, also what this connection asks for later.
    let Err(refused) = handle.adopt(stream, head) else {
        return Ok(());
    };
    match refused.adopted.stream {
        AdoptedStream::Tcp(mut stream) => stream.write_all(BUSY.as_bytes()),
        AdoptedStream::Unix(_) => Ok(()),
    }
}

const PAGE: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nConnection: close\r\n\r\n\
    <script src=\"/socket.io/socket.io.js\"></script><p>A page of the other server's.</p>\n";

const BUSY: &str = "HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\n\r\n";

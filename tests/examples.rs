//! The examples that join emio with something else, each run in a thread and asked once.

#![allow(dead_code)]

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    os::unix::net::UnixStream,
    thread,
    time::Duration,
};

use mio::net::UdpSocket;
use tungstenite::{WebSocket, stream::MaybeTlsStream};

#[path = "../tools/examples/adopt.rs"]
mod adopt;
#[path = "../tools/examples/own_loop.rs"]
mod own_loop;
#[path = "../tools/examples/unix.rs"]
mod unix;

/// A client in the namespace `/`.
fn enter(address: SocketAddr) -> WebSocket<MaybeTlsStream<TcpStream>> {
    let url = format!("ws://{address}/socket.io/?EIO=4&transport=websocket");
    let (mut ws, _) = tungstenite::connect(url).expect("a handshake");
    ws.read().expect("the open packet");
    ws.send("40".into()).expect("it reads");
    ws.read().expect("the CONNECT packet");
    ws
}

fn hear(ws: &mut WebSocket<MaybeTlsStream<TcpStream>>) -> String {
    let message = ws.read().expect("a message");
    message.into_text().expect("a text").to_string()
}

fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("it listens");
    (listener, address)
}

#[test]
fn another_http_server_hands_connections_over() {
    let (listener, address) = listen();
    thread::spawn(move || adopt::serve(&listener));
    let mut page = TcpStream::connect(address).expect("it listens");
    page.write_all(b"GET / HTTP/1.1\r\nHost: here\r\n\r\n")
        .expect("it reads");
    let mut answer = String::new();
    page.read_to_string(&mut answer).expect("a page");
    assert!(answer.contains("the other server's"), "{answer}");
    let (mut one, mut two) = (enter(address), enter(address));
    let message = "42[\"chat message\",\"hello\"]";
    one.send(message.into()).expect("it reads");
    for ws in [&mut one, &mut two] {
        assert_eq!(hear(ws), message);
    }
}

#[test]
fn a_loop_of_ones_own_serves_clients_and_datagrams() {
    let (listener, address) = listen();
    let datagrams = UdpSocket::bind(([127, 0, 0, 1], 0).into()).expect("a free port");
    let port = datagrams.local_addr().expect("it is bound");
    thread::spawn(move || own_loop::serve(listener, datagrams));
    let mut ws = enter(address);
    let sender = std::net::UdpSocket::bind("127.0.0.1:0").expect("a free port");
    sender.send_to(b"21 degrees", port).expect("it is bound");
    assert_eq!(hear(&mut ws), "42[\"datagram\",\"21 degrees\"]");
}

#[test]
fn a_unix_socket_is_bound_over_the_file_of_a_program_that_is_gone() {
    let path = std::env::temp_dir().join(format!("emio-example-{}.sock", std::process::id()));
    drop(std::os::unix::net::UnixListener::bind(&path).expect("a free name"));
    let place = path.clone();
    thread::spawn(move || unix::serve(&place));
    // Until the other thread has bound it, nobody listens there.
    let mut stream = loop {
        match UnixStream::connect(&path) {
            Ok(stream) => break stream,
            Err(_) => thread::sleep(Duration::from_millis(1)),
        }
    };
    stream
        .write_all(b"GET /socket.io/?EIO=4&transport=polling HTTP/1.0\r\n\r\n")
        .expect("it reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    assert!(answer.contains("\r\n\r\n0{\"sid\":"), "{answer}");
    std::fs::remove_file(path).expect("it was there");
}

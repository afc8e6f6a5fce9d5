//! A loop of one's own, and connections of one's own, over real sockets: what happens between two
//! turns, however long that is.

mod common;

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    time::{Duration, Instant},
};

use common::*;
use emio::{App, Config, Server, Socket, SocketId};

const GET: &[u8] = b"GET /nothing HTTP/1.1\r\nHost: here\r\n\r\n";

/// A server that has served one request of an adopted connection and dropped it as idle, its
/// client, and the clone that whoever accepted it has kept.
fn dropped_while_a_clone_lives() -> (Server<()>, TcpStream, TcpStream) {
    let config = Config {
        keep_alive_timeout: ms(50),
        ..Config::default()
    };
    let mut io = Server::without_listener((), config).expect("a server");
    let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");
    let address = listener.local_addr().expect("its address");
    let mut client = TcpStream::connect(address).expect("a connection");
    let (accepted, _) = listener.accept().expect("the same");
    let clone = accepted.try_clone().expect("a clone");
    let handle = io.handle();
    handle.adopt(accepted, Vec::new()).expect("there is room");
    client.write_all(GET).expect("it is open");
    while io.stats().connections_closed == 0 {
        io.turn(None).expect("a turn");
    }
    (io, client, clone)
}

/// Turns until there is nothing to do, and lets some time pass.
fn rest<A: App>(io: &mut Server<A>) {
    while io.next_timeout() == Some(Duration::ZERO) {
        io.turn(Some(Duration::ZERO)).expect("a turn");
    }
    let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");
    let address = listener.local_addr().expect("its address");
    let mut nobody = TcpStream::connect(address).expect("a connection");
    nobody.set_read_timeout(Some(ms(30))).expect("a timeout");
    nobody.read(&mut [0]).expect_err("nobody says anything");
}

/// When the server wants its next turn, or a little later.
fn next_turn<A: App>(io: &mut Server<A>) -> Instant {
    let sleep = io.next_timeout().expect("there is something to wait for");
    Instant::now() + sleep
}

#[test]
fn an_adopted_connection_of_which_a_clone_lives_is_heard_no_more() {
    let (mut io, mut client, _clone) = dropped_while_a_clone_lives();
    // It may be refused already.
    let _ = client.write_all(GET);
    for _ in 0..5 {
        io.turn(Some(ms(5))).expect("a turn");
    }
    assert_eq!(io.stats().connections, 0);
}

#[test]
fn the_client_of_an_adopted_connection_of_which_a_clone_lives_sees_its_end() {
    let (_io, mut client, _clone) = dropped_while_a_clone_lives();
    let mut answer = Vec::new();
    client.read_to_end(&mut answer).expect("an end");
    assert!(answer.starts_with(b"HTTP/1.1 404"));
}

#[test]
fn a_timer_that_is_set_between_turns_counts_from_then() {
    let mut io = Server::bind("127.0.0.1:0", ()).expect("a server");
    rest(&mut io);
    let begun = Instant::now();
    io.set_timeout(ms(1_000), |_, _| ());
    assert!(next_turn(&mut io) >= begun + ms(990));
}

#[test]
fn the_grace_of_a_shutdown_between_turns_begins_then() {
    let mut io = Server::bind("127.0.0.1:0", ()).expect("a server");
    let address = io.local_addr().expect("its address");
    let clients: Vec<TcpStream> = (0..4)
        .map(|_| {
            let mut client = TcpStream::connect(address).expect("a connection");
            let hello = upgrade_of(&websocket(""));
            client.write_all(hello.as_bytes()).expect("it is open");
            client
        })
        .collect();
    while io.stats().sessions < 4 {
        io.turn(None).expect("a turn");
    }
    rest(&mut io);
    let begun = Instant::now();
    io.shutdown(ms(4_000));
    while io.next_timeout() == Some(Duration::ZERO) {
        io.turn(Some(Duration::ZERO)).expect("a turn");
    }
    // The first is told now, the others each a second later.
    assert!(next_turn(&mut io) >= begun + ms(990));
    drop(clients);
}

#[test]
fn a_turn_does_not_sleep_on_what_was_asked_for_before_it() {
    #[derive(Default)]
    struct Guests(Vec<SocketId>);
    impl App for Guests {
        type Data = ();
    }
    let mut io = Server::bind("127.0.0.1:0", Guests::default()).expect("a server");
    io.on_connect(|guests: &mut Guests, socket: Socket<'_, Guests>| guests.0.push(socket.id()));
    let mut client =
        TcpStream::connect(io.local_addr().expect("its address")).expect("a connection");
    let hello = upgrade_of(&websocket(""));
    client.write_all(hello.as_bytes()).expect("it is open");
    client.write_all(&text("40")).expect("it is open");
    while io.app().0.is_empty() {
        io.turn(None).expect("a turn");
    }
    rest(&mut io);
    let id = io.app().0[0];
    io.with_socket(id, |_, peer| peer.emit("x", ()))
        .expect("it is there");
    assert_eq!(io.next_timeout(), Some(Duration::ZERO));
}

#[test]
fn nobody_is_accepted_once_the_server_was_told_to_end() {
    let mut io = Server::bind("127.0.0.1:0", ()).expect("a server");
    rest(&mut io);
    let address = io.local_addr().expect("its address");
    let _client = TcpStream::connect(address).expect("a connection");
    io.close();
    while io.turn(None).expect("a turn") {}
    assert_eq!(io.stats().connections_opened, 0);
}

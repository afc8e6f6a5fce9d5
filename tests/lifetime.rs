//! How a server comes to its connections and leaves them, over real sockets: adopted ones, several
//! listeners, a loop of the program's own, the end. Nothing here waits but for an answer.

use std::{
    io::{Read, Write},
    net::{Ipv6Addr, SocketAddr, TcpListener, TcpStream},
    os::{
        fd::{AsFd, AsRawFd},
        unix::net::{UnixListener, UnixStream},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use emio::{AdoptedStream, Config, Handle, HandleError, Reason, Server, engine};

const POLLING: &str = "GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: here\r\n\r\n";

/// A server on a thread of its own, which ends with the test.
struct Host {
    handle: Handle<()>,
    thread: Option<JoinHandle<std::io::Result<()>>>,
}

impl Host {
    fn run(mut io: Server<()>) -> Host {
        io.on("echo", |_, socket, (text,): (String,)| {
            socket.emit("echo", text)
        });
        let handle = io.handle();
        let thread = Some(thread::spawn(move || io.run()));
        Host { handle, thread }
    }

    /// One that listens nowhere.
    fn adopting(config: Config) -> Host {
        Host::run(Server::without_listener((), config).expect("a server"))
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        // It may have been asked to end already.
        let _ = self.handle.close();
        let ended = self.thread.take().expect("it is joined once").join();
        if !thread::panicking() {
            ended.expect("no panic").expect("no error");
        }
    }
}

/// The two ends of a connection.
fn pair() -> (TcpStream, TcpStream) {
    let listener = free();
    let client = TcpStream::connect(address(&listener)).expect("it listens");
    let (server, _) = listener.accept().expect("somebody connected");
    let patience = Some(Duration::from_secs(20));
    client.set_read_timeout(patience).expect("a timeout");
    (client, server)
}

fn free() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").expect("a free port")
}

fn address(listener: &TcpListener) -> SocketAddr {
    listener.local_addr().expect("it listens")
}

/// The next answer; it must have come when the stream has nothing more for now.
fn answer(stream: &mut impl Read) -> String {
    let mut answer = Vec::new();
    let mut byte = [0];
    while !answer.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).expect("an answer");
        answer.push(byte[0]);
    }
    let head = String::from_utf8(answer).expect("a head is text");
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("Content-Length: "));
    let length: usize = length.map_or(0, |length| length.parse().expect("a number"));
    let mut body = vec![0; length];
    stream.read_exact(&mut body).expect("a body");
    head + std::str::from_utf8(&body).expect("the body is text")
}

// Adopted connections.

#[test]
fn an_adopted_connection_goes_on_where_it_was_read_to() {
    let host = Host::adopting(Config::default());
    for cut in [0, 1, 20, POLLING.len()] {
        let (mut client, server) = pair();
        let (before, after) = POLLING.split_at(cut);
        host.handle.adopt(server, before.into()).expect("room");
        client.write_all(after.as_bytes()).expect("it reads");
        let first = answer(&mut client);
        assert!(first.contains("\r\n\r\n0{\"sid\":"), "{cut}: {first}");
        // And it stays with emio.
        client.write_all(POLLING.as_bytes()).expect("it reads");
        assert!(answer(&mut client).contains("\r\n\r\n0{\"sid\":"));
    }
}

#[test]
fn an_adopted_connection_may_become_a_websocket() {
    let host = Host::adopting(Config::default());
    let (client, server) = pair();
    host.handle.adopt(server, Vec::new()).expect("room");
    let url = "ws://here/socket.io/?EIO=4&transport=websocket";
    let (mut ws, _) = tungstenite::client(url, client).expect("a handshake");
    assert!(ws.read().expect("the open packet").is_text());
    for text in ["40", "42[\"echo\",\"a\"]"] {
        ws.send(text.into()).expect("it reads");
        let heard = ws.read().expect("an answer");
        assert_eq!(heard.to_text().expect("a text")[..2], text[..2]);
    }
}

#[test]
fn an_adopted_unix_connection_is_served_as_well() {
    let host = Host::adopting(Config::default());
    let (mut client, server) = UnixStream::pair().expect("two ends");
    host.handle.adopt(server, POLLING.into()).expect("room");
    assert!(answer(&mut client).contains("\r\n\r\n0{\"sid\":"));
}

#[test]
fn a_connection_that_is_not_adopted_is_given_back() {
    let config = Config {
        mailbox_max: 1,
        ..Config::default()
    };
    let mut io = Server::without_listener((), config).expect("a server");
    let handle = io.handle();
    let (mut client, server) = pair();
    let error = handle.adopt(server, vec![b'x'; 65_537]).unwrap_err();
    assert!(matches!(error.cause, HandleError::ReadTooMuch), "{error}");
    let stream = error.adopted.stream;
    handle.run(|_, _| ()).expect("room");
    let error = handle.adopt_again(stream, "abc");
    assert!(matches!(error.cause, HandleError::Full), "{error}");
    io.close();
    while io.turn(Some(Duration::ZERO)).expect("a turn") {}
    drop(io);
    let error = handle.adopt_again(error.adopted.stream, "abc");
    assert!(matches!(error.cause, HandleError::Closed), "{error}");
    assert_eq!(error.adopted.bytes_read, b"abc");
    let AdoptedStream::Tcp(mut stream) = error.adopted.stream else {
        panic!("it was one over TCP")
    };
    stream.write_all(b"sorry").expect("it is open");
    drop(stream);
    let mut heard = String::new();
    client.read_to_string(&mut heard).expect("the end");
    assert_eq!(heard, "sorry");
}

/// Adopting what was given back.
trait AdoptAgain {
    fn adopt_again(&self, stream: AdoptedStream, bytes: &str) -> emio::AdoptError;
}

impl AdoptAgain for Handle<()> {
    fn adopt_again(&self, stream: AdoptedStream, bytes: &str) -> emio::AdoptError {
        self.adopt(stream, bytes.into()).expect_err("no room")
    }
}

#[test]
fn adopted_connections_are_counted_as_the_others_are() {
    let config = Config {
        connections_max: Some(3),
        connections_per_ip_max: 2,
        ..Config::default()
    };
    let host = Host::adopting(config);
    let mut served = [(); 2].map(|()| {
        let (mut client, server) = pair();
        host.handle.adopt(server, POLLING.into()).expect("room");
        answer(&mut client);
        client
    });
    // A third one of this address, and a fourth of all, are closed unanswered.
    let (mut client, server) = pair();
    host.handle.adopt(server, POLLING.into()).expect("room");
    assert_eq!(client.read(&mut [0]).unwrap_or(0), 0);
    served[0].write_all(POLLING.as_bytes()).expect("it reads");
    answer(&mut served[0]);
}

#[test]
fn engine_io_alone_adopts_as_well() {
    let config = Config::default().at("/engine.io/");
    let mut io = engine::Server::without_listener((), config).expect("a server");
    let (mut client, server) = pair();
    let error = io.adopt(server, vec![b'x'; 65_537]).expect_err("too much");
    let request = POLLING.replace("socket.io", "engine.io");
    let stream = error.adopted.stream;
    io.adopt(stream, request.into()).expect("little");
    assert_eq!(io.next_timeout(), Some(Duration::ZERO));
    io.turn(None).expect("a turn");
    assert!(answer(&mut client).contains("\r\n\r\n0{\"sid\":"));
}

// Listeners.

#[test]
fn several_listeners_serve_one_application() {
    let path = std::env::temp_dir().join(format!("emio-several-{}.sock", std::process::id()));
    let (one, two) = (free(), free());
    let addresses = [address(&one), address(&two)];
    let mut io = Server::from_listener(one, ()).expect("a server");
    io.listen(two).expect("room for a listener");
    let listener = UnixListener::bind(&path).expect("a free name");
    io.listen_unix(listener).expect("room for a listener");
    let _host = Host::run(io);
    for address in addresses {
        let mut client = TcpStream::connect(address).expect("it listens");
        client.write_all(POLLING.as_bytes()).expect("it reads");
        assert!(answer(&mut client).contains("\r\n\r\n0{\"sid\":"));
    }
    let mut client = UnixStream::connect(&path).expect("it listens");
    client.write_all(POLLING.as_bytes()).expect("it reads");
    assert!(answer(&mut client).contains("\r\n\r\n0{\"sid\":"));
    std::fs::remove_file(path).expect("it was there");
}

#[test]
fn a_server_listens_on_ipv6() {
    let Ok(listener) = TcpListener::bind((Ipv6Addr::LOCALHOST, 0)) else {
        return eprintln!("this machine has no IPv6");
    };
    let address = address(&listener);
    let _host = Host::run(Server::from_listener(listener, ()).expect("a server"));
    let mut client = TcpStream::connect(address).expect("it listens");
    client.write_all(POLLING.as_bytes()).expect("it reads");
    assert!(answer(&mut client).contains("\r\n\r\n0{\"sid\":"));
}

#[test]
fn of_several_addresses_the_first_that_is_free_is_taken() {
    let taken = free();
    let addresses = [address(&taken), SocketAddr::from(([127, 0, 0, 1], 0))];
    let io = Server::bind(&addresses[..], ()).expect("one is free");
    assert_ne!(io.local_addr().expect("it listens"), address(&taken));
}

// A loop of one's own.

#[test]
fn a_server_says_when_it_is_to_be_turned() {
    let mut io = Server::bind("127.0.0.1:0", ()).expect("a server");
    let address = io.local_addr().expect("it listens");
    assert_eq!(io.as_fd().as_raw_fd(), io.as_raw_fd());
    while io.next_timeout() == Some(Duration::ZERO) {
        io.turn(Some(Duration::ZERO)).expect("a turn");
    }
    assert_eq!(io.next_timeout(), None, "nobody is here");
    let mut client = TcpStream::connect(address).expect("it listens");
    client
        .write_all(POLLING.as_bytes())
        .expect("the kernel keeps it");
    while io.stats().sessions == 0 {
        io.turn(Some(Duration::ZERO)).expect("a turn");
    }
    assert!(answer(&mut client).contains("\r\n\r\n0{\"sid\":"));
    while io.next_timeout() == Some(Duration::ZERO) {
        io.turn(Some(Duration::ZERO)).expect("a turn");
    }
    let timeout = io.next_timeout().expect("the client is to be pinged");
    assert!(timeout <= Duration::from_secs(25), "{timeout:?}");
    // A timer of the application is a deadline like any other.
    io.set_timeout(Duration::from_millis(1), |_, io| io.emit("tick", ()));
    assert!(io.next_timeout() <= Some(Duration::from_millis(1)));
    // What another thread leaves makes the descriptor readable; and so it ends.
    io.handle().close().expect("the mailbox has room");
    drop(client);
    while io.turn(Some(Duration::ZERO)).expect("a turn") {}
}

#[test]
fn engine_io_alone_can_be_turned_and_ended() {
    let mut io = engine::Server::bind("127.0.0.1:0", Vec::new()).expect("a server");
    io.on_message(|_, socket, message| socket.send(&message));
    io.on_close(|reasons: &mut Vec<Reason>, _, reason| reasons.push(reason));
    let address = io.local_addr().expect("it listens");
    assert_eq!(io.as_fd().as_raw_fd(), io.as_raw_fd());
    let (tell, told) = std::sync::mpsc::channel();
    let client = thread::spawn(move || {
        let url = format!("ws://{address}/engine.io/?EIO=4&transport=websocket");
        let (mut ws, _) = tungstenite::connect(url).expect("a handshake");
        ws.read().expect("the open packet");
        ws.send("4hello".into()).expect("it reads");
        let echo = ws.read().expect("an echo");
        tell.send(()).expect("the test waits");
        while ws.read().is_ok() {}
        echo
    });
    while told.try_recv().is_err() {
        let timeout = io.next_timeout().map(|it| it.min(Duration::from_millis(5)));
        io.turn(timeout.or(Some(Duration::from_millis(5))))
            .expect("a turn");
    }
    io.shutdown(Duration::ZERO);
    while io.turn(None).expect("a turn") {}
    let echo = client.join().expect("no panic");
    assert_eq!(echo.to_text().expect("a text"), "4hello");
}

// The end.

#[test]
fn a_server_that_shuts_down_says_goodbye_and_ends() {
    let listener = free();
    let address = address(&listener);
    let host = Host::run(Server::from_listener(listener, ()).expect("a server"));
    let mut clients = [(); 3].map(|()| {
        let url = format!("ws://{address}/socket.io/?EIO=4&transport=websocket");
        let (mut ws, _) = tungstenite::connect(url).expect("a handshake");
        ws.read().expect("the open packet");
        ws
    });
    let began = Instant::now();
    host.handle
        .shutdown(Duration::from_millis(300))
        .expect("the mailbox has room");
    for ws in &mut clients {
        assert!(ws.read().expect("a goodbye").is_close());
        while ws.read().is_ok() {}
    }
    assert!(began.elapsed() >= Duration::from_millis(150), "in slices");
    drop(host);
    assert!(TcpStream::connect(address).is_err(), "nobody listens");
}

#[test]
fn a_server_that_shuts_down_adopts_nobody() {
    let host = Host::adopting(Config::default());
    let (client, server) = pair();
    host.handle.adopt(server, Vec::new()).expect("room");
    let url = "ws://here/socket.io/?EIO=4&transport=websocket";
    let (mut first, _) = tungstenite::client(url, client).expect("a handshake");
    let (client, server) = pair();
    host.handle.adopt(server, Vec::new()).expect("room");
    let (mut second, _) = tungstenite::client(url, client).expect("a handshake");
    host.handle
        .shutdown(Duration::from_secs(100))
        .expect("the mailbox has room");
    let (mut client, server) = pair();
    host.handle.adopt(server, POLLING.into()).expect("room");
    assert_eq!(client.read(&mut [0]).unwrap_or(0), 0);
    host.handle.close().expect("it has not ended");
    for ws in [&mut first, &mut second] {
        while ws.read().is_ok() {}
    }
}

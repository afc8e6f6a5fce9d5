//! The loop over real sockets: few tests, each for something that a wire in memory cannot show.
//! Clients are tungstenite's and std's own; nothing here waits but for an answer.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    os::unix::net::{UnixListener, UnixStream},
    thread::{self, JoinHandle},
    time::Duration,
};

use emio::{Args, Config, Handle, Server, Socket};
use tungstenite::{Message, WebSocket, stream::MaybeTlsStream};

/// A server on a thread of its own, which ends with the test.
struct Host {
    address: SocketAddr,
    handle: Handle<()>,
    thread: Option<JoinHandle<std::io::Result<()>>>,
}

impl Host {
    fn start(set_up: impl FnOnce(&mut Server<()>)) -> Host {
        Host::with(Config::default(), set_up)
    }

    fn with(config: Config, set_up: impl FnOnce(&mut Server<()>)) -> Host {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        let mut io = Server::with_config(listener, (), config).expect("a server");
        io.on_raw("echo", |_, socket: Socket<'_, ()>, args: Args<'_>| {
            socket.emit("echo", args);
        });
        io.on_raw("all", |_, socket: Socket<'_, ()>, args: Args<'_>| {
            socket.io().emit("all", args);
        });
        set_up(&mut io);
        let address = io.local_addr().expect("it listens");
        let handle = io.handle();
        let thread = Some(thread::spawn(move || io.run()));
        Host {
            address,
            handle,
            thread,
        }
    }

    fn client(&self) -> Client {
        let url = format!("ws://{}/socket.io/?EIO=4&transport=websocket", self.address);
        let (socket, _) = tungstenite::connect(url).expect("a handshake");
        let mut client = Client { socket };
        assert!(client.text().starts_with("0{"));
        client.send("40");
        assert!(client.text().starts_with("40{\"sid\":"));
        client
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = self.handle.close();
        let ended = self.thread.take().expect("it is joined once").join();
        if !thread::panicking() {
            ended.expect("no panic").expect("no error");
        }
    }
}

struct Client {
    socket: WebSocket<MaybeTlsStream<TcpStream>>,
}

impl Client {
    fn send(&mut self, text: &str) {
        self.socket
            .send(Message::text(text))
            .expect("the server reads");
    }

    fn text(&mut self) -> String {
        let message = self.socket.read().expect("the server answers");
        message.into_text().expect("a text").to_string()
    }
}

#[test]
fn an_echo_comes_back_whole_however_large() {
    let host = Host::start(|_| {});
    let mut client = host.client();
    for bytes in [0, 16, 4_096, 65_536, 70_000, 900_000] {
        let event = format!("42[\"echo\",\"{}\"]", "x".repeat(bytes));
        client.send(&event);
        assert!(client.text() == event, "{bytes} bytes");
    }
}

#[test]
fn a_client_that_does_not_read_keeps_nobody_waiting() {
    let host = Host::start(|_| {});
    let mut deaf = host.client();
    let mut client = host.client();
    let event = format!("42[\"all\",\"{}\"]", "x".repeat(200_000));
    for _ in 0..30 {
        client.send(&event);
        assert!(client.text() == event);
    }
    for _ in 0..30 {
        assert!(deaf.text() == event, "6 MB waited for it, in order");
    }
}

#[test]
fn hundreds_come_and_go() {
    let host = Host::start(|_| {});
    for _ in 0..3 {
        let mut clients: Vec<_> = (0..200).map(|_| host.client()).collect();
        clients[0].send("42[\"all\",1]");
        for client in &mut clients {
            assert_eq!(client.text(), "42[\"all\",1]");
        }
    }
    let (tell, told) = std::sync::mpsc::channel();
    // The loop learns of the last ends a little later.
    let sockets = (0..1_000).map(|_| {
        let tell = tell.clone();
        let ask = host
            .handle
            .run(move |_, io| tell.send(io.stats().sockets).expect("it is heard"));
        ask.expect("the mailbox has room");
        told.recv().expect("the loop runs")
    });
    assert!(
        sockets.into_iter().any(|sockets| sockets == 0),
        "nobody is left behind"
    );
}

#[test]
fn other_threads_speak_through_the_handle() {
    let host = Host::start(|_| {});
    let mut client = host.client();
    let threads: Vec<_> = (0..4)
        .map(|thread| {
            let handle = host.handle.clone();
            thread::spawn(move || {
                for number in 0..50 {
                    handle
                        .emit("news", (thread, number))
                        .expect("the mailbox has room");
                }
            })
        })
        .collect();
    let mut next = [0; 4];
    for _ in 0..200 {
        let text = client.text();
        let numbers = text
            .strip_prefix("42[\"news\",")
            .and_then(|rest| rest.strip_suffix(']'));
        let (thread, number) = numbers
            .and_then(|pair| pair.split_once(','))
            .expect("two numbers");
        let thread: usize = thread.parse().expect("a number");
        assert_eq!(number, next[thread].to_string(), "in each thread's order");
        next[thread] += 1;
    }
    for thread in threads {
        thread.join().expect("no panic");
    }
}

#[test]
fn a_refused_request_arrives_whole_before_the_end() {
    let host = Host::start(|_| {});
    let mut stream = TcpStream::connect(host.address).expect("it listens");
    stream
        .set_read_timeout(Some(Duration::from_secs(10)))
        .expect("a timeout");
    let head = "POST /upload HTTP/1.1\r\nHost: localhost\r\nContent-Length: 50000000\r\n\r\n";
    stream.write_all(head.as_bytes()).expect("it reads");
    // It is refused by its length alone; what is on its way does not reset the answer.
    let _ = stream.write_all(&[b'x'; 100_000]);
    let mut answer = String::new();
    stream
        .read_to_string(&mut answer)
        .expect("an answer, and then the end");
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
}

#[test]
fn connections_beyond_the_limit_wait_for_one_to_end() {
    let config = Config {
        connections_max: Some(2),
        ..Config::default()
    };
    let host = Host::with(config, |_| {});
    let (first, second) = (host.client(), host.client());
    let mut third = TcpStream::connect(host.address).expect("the kernel queues it");
    third
        .write_all(b"GET / HTTP/1.0\r\n\r\n")
        .expect("the kernel keeps it");
    drop((first, second));
    let mut answer = String::new();
    third
        .read_to_string(&mut answer)
        .expect("its turn has come");
    assert!(answer.starts_with("HTTP/1.1 404 "), "{answer}");
}

#[test]
fn a_unix_socket_serves_as_well() {
    let path = std::env::temp_dir().join(format!("emio-{}.sock", std::process::id()));
    let listener = UnixListener::bind(&path).expect("a free name");
    let _host = Host::start(|io| io.listen_unix(listener).expect("room for a listener"));
    let mut stream = UnixStream::connect(&path).expect("it listens");
    let request = "GET /socket.io/?EIO=4&transport=polling HTTP/1.0\r\n\r\n";
    stream.write_all(request.as_bytes()).expect("it reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    assert!(answer.contains("\r\n\r\n0{\"sid\":"), "{answer}");
    std::fs::remove_file(path).expect("it was there");
}

#[test]
fn a_turn_accepts_no_more_than_its_share() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let mut io = Server::with_config(listener, (), Config::default()).expect("a server");
    let address = io.local_addr().expect("it listens");
    let clients: Vec<_> = (0..100)
        .map(|_| TcpStream::connect(address).expect("the kernel accepts"))
        .collect();
    io.turn(Some(Duration::ZERO)).expect("a turn");
    assert_eq!(io.stats().connections, 64);
    io.turn(Some(Duration::ZERO)).expect("a turn");
    assert_eq!(io.stats().connections, 100);
    drop(clients);
}

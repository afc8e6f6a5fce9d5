//! Socket activation: a process of its own gets listeners as systemd passes them, through a shell
//! that puts them at the right numbers.

#![cfg(feature = "systemd")]

use std::{
    io::{ErrorKind, Read, Write},
    net::{TcpListener, TcpStream},
    os::{
        fd::OwnedFd,
        unix::net::{UnixListener, UnixStream},
    },
    process::{Command, Stdio},
};

use emio::{Config, Server};

const POLLING: &[u8] = b"GET /socket.io/?EIO=4&transport=polling HTTP/1.0\r\n\r\n";

#[test]
fn without_sockets_there_is_no_server() {
    let result = Server::from_systemd((), Config::default());
    assert_eq!(result.err().map(|it| it.kind()), Some(ErrorKind::NotFound));
}

#[test]
fn a_server_takes_the_sockets_that_systemd_passes() {
    let path = std::env::temp_dir().join(format!("emio-systemd-{}.sock", std::process::id()));
    let tcp = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = tcp.local_addr().expect("it listens");
    let unix = UnixListener::bind(&path).expect("a free name");
    // As systemd does it: from number 3 on, with their count and the process they are for.
    let script = "LISTEN_PID=$$ LISTEN_FDS=2 exec \"$0\" --exact \
                  as_a_process_of_its_own 3<&0 4<&1 </dev/null >/dev/null";
    let program = std::env::current_exe().expect("this test");
    let mut child = Command::new("sh")
        .args(["-c", script])
        .arg(program)
        .stdin(Stdio::from(OwnedFd::from(tcp)))
        .stdout(Stdio::from(OwnedFd::from(unix)))
        .spawn()
        .expect("a shell");
    let mut answers = [String::new(), String::new()];
    let mut stream = TcpStream::connect(address).expect("the kernel queues it");
    stream.write_all(POLLING).expect("the kernel keeps it");
    let first = stream.read_to_string(&mut answers[0]);
    let mut stream = UnixStream::connect(&path).expect("the kernel queues it");
    stream.write_all(POLLING).expect("the kernel keeps it");
    let second = stream.read_to_string(&mut answers[1]);
    child.kill().expect("it runs");
    child.wait().expect("it was killed");
    std::fs::remove_file(path).expect("it was there");
    first.and(second).expect("two answers");
    for answer in answers {
        assert!(answer.contains("\r\n\r\n0{\"sid\":"), "{answer}");
    }
}

/// What the test above runs; among the others it has no sockets, and nothing to do.
#[test]
fn as_a_process_of_its_own() {
    if std::env::var_os("LISTEN_FDS").is_none() {
        return;
    }
    let server = Server::from_systemd((), Config::default()).expect("two sockets");
    server.run().expect("it serves until it is killed");
}

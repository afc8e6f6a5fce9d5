//! Requests that are slow, endless, doubtful, or none at all.

use std::{io, thread, time::Duration};

use super::{Attack, Field, Holds, peers};
use crate::{
    child::PATIENCE,
    peer::{Peer, Tally, Unit},
    wire::{self, HANDSHAKE},
};

pub fn attacks() -> Vec<Attack> {
    vec![
        Attack {
            quick: &["head_timeout=2000"],
            ..peers(
                "slow-heads",
                "a request head, byte by byte, past head_timeout",
                &["408"],
                slow_heads,
            )
        },
        Attack {
            quick: &["body_timeout=1500"],
            holds: Holds::Incoming,
            ..peers(
                "slow-bodies",
                "a POST's body, byte by byte, past body_timeout",
                &["408"],
                slow_bodies,
            )
        },
        Attack {
            quick: &["body_timeout=1500"],
            ..peers(
                "expect-and-wait",
                "Expect: 100-continue, and then nothing",
                &["100", "408"],
                expect_and_wait,
            )
        },
        Attack {
            quick: &["connections_max=600", "head_timeout=2000"],
            full: &["connections_max=6000"],
            ..peers(
                "silent-connects",
                "connections that say nothing, up to connections_max; newcomers wait until it ends",
                &["closed", "reset", "newcomer served"],
                silent_connects,
            )
        },
        peers(
            "header-floods",
            "a head with a thousand lines, or one of a megabyte, again and again",
            &["431"],
            header_floods,
        ),
        peers(
            "giant-targets",
            "session ids and paths of 15 KB, on one connection each",
            &["400", "404"],
            giant_targets,
        ),
        Attack {
            holds: Holds::Incoming,
            ..peers(
                "endless-chunks",
                "chunked bodies of one byte a chunk, of extensions, of trailers, without end",
                &["400", "413"],
                endless_chunks,
            )
        },
        peers(
            "bad-chunks",
            "chunk sizes that two readers may read as different ones",
            &["400", "413"],
            bad_chunks,
        ),
        peers(
            "smuggling",
            "conflicting lengths, obs-fold, bare LF, codings; each with a hidden request behind it",
            &["400", "501", "505"],
            smuggling,
        ),
        peers(
            "no-http",
            "TLS, HTTP/2, SSH, noise",
            &["400", "505"],
            no_http,
        ),
        peers(
            "odd-requests",
            "HTTP/1.0, absolute-form, CONNECT, TRACE, OPTIONS *",
            &["200", "400", "404"],
            odd_requests,
        ),
        Attack {
            holds: Holds::Backlog,
            ..peers(
                "pipelining-unread",
                "GETs without a pause, whose answers are not read",
                &["closed", "reset", "served"],
                |field| pipelining(field, false),
            )
        },
        Attack {
            holds: Holds::Backlog,
            ..peers(
                "pipelining-read",
                "the same, whose answers are read, but later",
                &["served", "closed", "reset"],
                |field| pipelining(field, true),
            )
        },
        Attack {
            quick: &["keep_alive_timeout=2000", "close_timeout=1000"],
            full: &[],
            holds: Holds::Backlog,
            ..peers(
                "files-unread",
                "the client's file of 38 KB, a hundred times on each connection, and never read",
                &["closed", "reset"],
                files_unread,
            )
        },
        peers(
            "half-closed",
            "the sending side ended: before a request, after it, within a head, a body, a poll",
            &["200", "404", "closed"],
            half_closed,
        ),
        peers(
            "connect-and-go",
            "connections that are reset or left as soon as they are there",
            &["went"],
            connect_and_go,
        ),
    ]
}

fn slow_heads(field: &Field) -> io::Result<Tally> {
    let mut peers = field.crowd(field.pick(100, 1000), |_| Peer::connect(field.address))?;
    // A head without an end: each pass over these bytes is one more line.
    for peer in &mut peers {
        peer.send("GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: h\r\n");
    }
    Ok(field.trickle(&mut peers, b"x: y\r\n"))
}

fn slow_bodies(field: &Field) -> io::Result<Tally> {
    let mut peers = field.crowd(field.pick(100, 1000), |at| {
        let (mut peer, sid) = Peer::polling(field.address)?;
        let line = match at % 2 {
            0 => "Content-Length: 100000",
            _ => "Transfer-Encoding: chunked",
        };
        let head = wire::post_head(&sid, line);
        peer.send(head);
        Ok(peer)
    })?;
    Ok(field.trickle(&mut peers, b"1\r\nx\r\n"))
}

fn expect_and_wait(field: &Field) -> io::Result<Tally> {
    let mut peers = field.crowd(field.pick(100, 1000), |_| {
        let (mut peer, sid) = Peer::polling(field.address)?;
        let line = "Content-Length: 100\r\nExpect: 100-continue";
        peer.send(wire::post_head(&sid, line));
        Ok(peer)
    })?;
    let mut tally = Tally::default();
    for _ in ["100", "408"] {
        for peer in &mut peers {
            tally.note(peer.unit(PATIENCE * 2).name());
        }
    }
    Ok(tally)
}

/// The kernel completes connections that the program has not accepted, so newcomers connect and
/// wait. They are served when the silent ones have met their deadline.
fn silent_connects(field: &Field) -> io::Result<Tally> {
    let mut peers = field.crowd(field.pick(700, 6100), |_| Peer::connect(field.address))?;
    let mut newcomer = Peer::connect(field.address)?;
    newcomer.send(HANDSHAKE);
    let mut tally = Tally::default();
    match newcomer.unit(PATIENCE * 2) {
        Unit::Response { status: 200, .. } => tally.note("newcomer served"),
        unit => tally.note(unit.name()),
    }
    for peer in &mut peers {
        tally.note(peer.unit(PATIENCE * 2).name());
    }
    Ok(tally)
}

fn header_floods(field: &Field) -> io::Result<Tally> {
    let line = "GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: h\r\n";
    let many = line.to_owned() + &"x: y\r\n".repeat(1000) + "\r\n";
    let long = line.to_owned() + "x: " + &"y".repeat(1_000_000) + "\r\n\r\n";
    field.again(|tally| {
        for head in [&many, &long] {
            let mut peer = Peer::connect(field.address)?;
            peer.send(head);
            tally.note(peer.verdict());
        }
        Ok(())
    })
}

fn giant_targets(field: &Field) -> io::Result<Tally> {
    let long = "A".repeat(15_000);
    let escaped = "%41".repeat(5_000);
    let requests = [
        wire::get(&long),
        wire::get(&escaped),
        wire::post(&long, "40"),
        format!("GET /{long} HTTP/1.1\r\nHost: h\r\n\r\n"),
        format!("GET /{escaped} HTTP/1.1\r\nHost: h\r\n\r\n"),
        format!(
            "GET /socket.io/?{} HTTP/1.1\r\nHost: h\r\n\r\n",
            "a=b&".repeat(3_000)
        ),
    ];
    let mut peer = Peer::connect(field.address)?;
    field.again(|tally| {
        for request in &requests {
            peer.send(request);
            tally.note(peer.verdict());
        }
        Ok(())
    })
}

fn endless_chunks(field: &Field) -> io::Result<Tally> {
    let endless = [
        "1\r\nx\r\n".repeat(2_000_000),
        "1;".to_owned() + &"e".repeat(100_000),
        "0\r\n".to_owned() + &"t: u\r\n".repeat(10_000),
    ];
    field.again(|tally| {
        for body in &endless {
            let (mut peer, sid) = Peer::polling(field.address)?;
            peer.send(wire::post_head(&sid, "Transfer-Encoding: chunked"));
            // The server stops listening in the middle of it.
            let _ = peer.send(body);
            tally.note(peer.verdict());
            leave(field, &sid)?;
        }
        Ok(())
    })
}

/// Ends a session that an attack has left behind, so that counters need not wait for its ping.
pub fn leave(field: &Field, sid: &str) -> io::Result<()> {
    let mut peer = Peer::connect(field.address)?;
    peer.send(wire::post(sid, "1"));
    // It may be over already: then the answer is 400.
    peer.verdict();
    Ok(())
}

fn bad_chunks(field: &Field) -> io::Result<Tally> {
    let bodies = [
        "0x2\r\n40\r\n0\r\n\r\n",
        "+2\r\n40\r\n0\r\n\r\n",
        "-2\r\n40\r\n0\r\n\r\n",
        "2\n40\n0\n\n",
        "2\r\n40X0\r\n\r\n",
        "\r\n2\r\n40\r\n0\r\n\r\n",
        " 2\r\n40\r\n0\r\n\r\n",
        "00000000000000002\r\n40\r\n0\r\n\r\n",
        "10000000000000002\r\n40\r\n0\r\n\r\n",
        "ffffffffffffffff\r\n40\r\n0\r\n\r\n",
        "2\r\n40\r\n0\r\nbad\0trailer\r\n\r\n",
        "2;a=\"\n\"\r\n40\r\n0\r\n\r\n",
    ];
    field.again(|tally| {
        for body in bodies {
            let (mut peer, sid) = Peer::polling(field.address)?;
            let head = wire::post_head(&sid, "Transfer-Encoding: chunked");
            peer.send(head + body + HANDSHAKE);
            tally.note(one_answer(&mut peer));
            leave(field, &sid)?;
        }
        Ok(())
    })
}

/// The only answer; `smuggled` if there was a second, to what was hidden behind the first request.
fn one_answer(peer: &mut Peer) -> String {
    let first = peer.unit(PATIENCE).name();
    match peer.unit(PATIENCE) {
        Unit::Closed | Unit::Reset => first,
        _ => "smuggled".into(),
    }
}

fn smuggling(field: &Field) -> io::Result<Tally> {
    let line = "POST /socket.io/?EIO=4&transport=polling HTTP/1.1\r\n";
    let heads = [
        "Host: h\r\nContent-Length: 5\r\nContent-Length: 6\r\n",
        "Host: h\r\nContent-Length: 5, 6\r\n",
        "Host: h\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        "Host: h\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n",
        "Host: h\r\nTransfer-Encoding: chunked, identity\r\n",
        "Host: h\r\nTransfer-Encoding: chunked, chunked\r\n",
        "Host: h\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: gzip\r\n",
        "Host: h\r\nTransfer-Encoding: xchunked\r\n",
        "Host: h\r\nTransfer-Encoding:\x0bchunked\r\n",
        "Host: h\r\nTransfer-Encoding : chunked\r\n",
        "Host: h\r\nTransfer-Encoding: chunked\r\n x\r\n",
        "Host: h\r\nX: a\r\n folded\r\n",
        "Host: h\r\n X: a\r\n",
        "Host: h\r\nContent-Length: +5\r\n",
        "Host: h\r\nContent-Length: 0x5\r\n",
        "Host: h\r\nContent-Length: 5 \r\nContent-Length: -5\r\n",
        "Host: h\r\nContent-Length: 99999999999999999999\r\n",
        "Host: h\r\nContent-Length: \r\n",
        "Host: h\nContent-Length: 5\n",
        "Host: h\r\nX: a\rTransfer-Encoding: chunked\r\n",
        "Host: h\r\nX: a\0b\r\n",
        "Host: h\r\nHost: other\r\n",
        "Host: h/other\r\n",
        "X: no host\r\n",
        "Host: h\r\n: no name\r\n",
        "Host: h\r\nno colon\r\n",
    ];
    let lines = [
        "POST  /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: h\r\n",
        "POST /socket.io/?EIO=4&transport=polling HTTP/1.1 \r\nHost: h\r\n",
        "POST /socket.io/?EIO=4&transport=polling#x HTTP/1.1\r\nHost: h\r\n",
        "POST /socket.io/?EIO=4&transport=polling HTTP/2.0\r\nHost: h\r\n",
        "POST /socket.io/?EIO=4&transport=polling HTTP/1.1\nHost: h\r\n",
        "POST socket.io HTTP/1.1\r\nHost: h\r\n",
        "P\tOST /socket.io/ HTTP/1.1\r\nHost: h\r\n",
    ];
    let requests: Vec<String> = heads
        .iter()
        .map(|head| format!("{line}{head}\r\n{HANDSHAKE}"))
        .chain(lines.iter().map(|line| format!("{line}\r\n{HANDSHAKE}")))
        .collect();
    field.again(|tally| {
        for request in &requests {
            let mut peer = Peer::connect(field.address)?;
            peer.send(request);
            tally.note(one_answer(&mut peer));
        }
        Ok(())
    })
}

fn no_http(field: &Field) -> io::Result<Tally> {
    let noise: Vec<u8> = (0..4096u32)
        .map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8)
        .collect();
    let hellos: [&[u8]; 5] = [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.9\r\n\r\n",
        b"\0\0\0\0\r\n\r\n",
        &noise,
    ];
    field.again(|tally| {
        for hello in hellos {
            let mut peer = Peer::connect(field.address)?;
            peer.send(hello);
            tally.note(peer.verdict());
        }
        Ok(())
    })
}

fn odd_requests(field: &Field) -> io::Result<Tally> {
    let polling = "/socket.io/?EIO=4&transport=polling";
    let table = [
        (format!("GET {polling} HTTP/1.0\r\n\r\n"), "200"),
        (
            format!("GET {polling} HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"),
            "200",
        ),
        (
            format!("GET http://evil.example{polling} HTTP/1.1\r\nHost: h\r\n\r\n"),
            "200",
        ),
        (
            format!("GET ws://evil.example{polling} HTTP/1.1\r\nHost: h\r\n\r\n"),
            "200",
        ),
        (
            "GET http://evil.example HTTP/1.1\r\nHost: h\r\n\r\n".into(),
            "404",
        ),
        (
            "CONNECT evil.example:443 HTTP/1.1\r\nHost: h\r\n\r\n".into(),
            "400",
        ),
        ("OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n".into(), "404"),
        (
            format!("TRACE {polling} HTTP/1.1\r\nHost: h\r\n\r\n"),
            "400",
        ),
        (
            format!("DELETE {polling} HTTP/1.1\r\nHost: h\r\n\r\n"),
            "400",
        ),
        (
            "GET /../../etc/passwd HTTP/1.1\r\nHost: h\r\n\r\n".into(),
            "404",
        ),
        (
            "GET /socket.io/%2e%2e/%00 HTTP/1.1\r\nHost: h\r\n\r\n".into(),
            "400",
        ),
    ];
    field.again(|tally| {
        for (request, expected) in &table {
            let mut peer = Peer::connect(field.address)?;
            peer.send(request);
            let unit = peer.unit(PATIENCE);
            if let Unit::Response {
                status: 200, body, ..
            } = &unit
            {
                let sid = wire::session_id(body).unwrap_or_default();
                leave(field, sid)?;
            }
            let name = unit.name();
            tally.note(if name == *expected {
                name
            } else {
                format!("{name} instead of {expected}: {request}")
            });
        }
        Ok(())
    })
}

fn pipelining(field: &Field, reads: bool) -> io::Result<Tally> {
    let mut peers = field.crowd(field.pick(20, 100), |_| Peer::connect(field.address))?;
    let request = "GET /nothing HTTP/1.1\r\nHost: h\r\n\r\n".repeat(100);
    Ok(field.flood(&mut peers, request.as_bytes(), reads))
}

fn files_unread(field: &Field) -> io::Result<Tally> {
    let request = "GET /socket.io/socket.io.js HTTP/1.1\r\nHost: h\r\n\r\n".repeat(100);
    let mut peers = field.crowd(field.pick(50, 500), |_| {
        let mut peer = Peer::connect(field.address)?;
        peer.send(&request);
        Ok(peer)
    })?;
    Ok(field.until_cut(&mut peers, |peer| peer.send("G")))
}

fn half_closed(field: &Field) -> io::Result<Tally> {
    field.again(|tally| {
        let mut end = |request: &str, expected: &str| -> io::Result<()> {
            let mut peer = Peer::connect(field.address)?;
            peer.send(request);
            peer.half_close();
            let name = peer.unit(PATIENCE).name();
            tally.note(if name == expected {
                name
            } else {
                format!("{name} instead of {expected}")
            });
            Ok(())
        };
        end("", "closed")?;
        end("GET /socket.io/ HTT", "closed")?;
        end("GET /nothing HTTP/1.1\r\nHost: h\r\n\r\n", "404")?;
        let (mut peer, sid) = Peer::polling(field.address)?;
        peer.send(wire::post(&sid, "40"));
        peer.unit(PATIENCE);
        end(&wire::get(&sid), "200")?;
        // A session whose poll has lost its connection is over (spec 2.1.8).
        end(&wire::get(&sid), "closed")?;
        let (_peer, sid) = Peer::polling(field.address)?;
        let post = wire::post(&sid, "40");
        end(&post[..post.len() - 1], "closed")?;
        leave(field, &sid)
    })
}

fn connect_and_go(field: &Field) -> io::Result<Tally> {
    field.again(|tally| {
        for at in 0..50 {
            let mut peer = Peer::connect(field.address)?;
            match at % 3 {
                0 => drop(peer.send(HANDSHAKE)),
                1 => drop(peer.send(wire::UPGRADE)),
                _ => {}
            }
            tally.note("went");
        }
        thread::sleep(Duration::from_millis(5));
        Ok(())
    })
}

//! Sessions that are guessed, hoarded, doubled, or carried by two transports at once.

use std::{io, thread, time::Duration};

use super::{Attack, Field, Holds, http::leave, peers};
use crate::{
    child::PATIENCE,
    peer::{Peer, Tally, Unit},
    wire::{self, HANDSHAKE, UPGRADE},
};

/// What a WebSocket handshake of a page of another origin is answered by default.
const FOREIGN_WEBSOCKET: &str = "403";

pub fn attacks() -> Vec<Attack> {
    vec![
        peers(
            "sid-guessing",
            "polls, POSTs and upgrades with ids that nobody was given",
            &["400"],
            sid_guessing,
        ),
        peers(
            "cross-origin",
            "handshakes from a page of another origin, polling and WebSocket",
            &["no permission", FOREIGN_WEBSOCKET],
            cross_origin,
        ),
        Attack {
            quick: &["connect_timeout=4000", "sessions_max=2000"],
            full: &["sessions_max=20000"],
            holds: Holds::Handshakes,
            ..peers(
                "session-hoard",
                "polling sessions that are opened and left, beyond sessions_max",
                &["200", "503", "over"],
                session_hoard,
            )
        },
        Attack {
            quick: &["connect_timeout=4000"],
            ..peers(
                "no-namespace",
                "WebSocket sessions that join nothing, and answer every ping",
                &["close", "closed"],
                no_namespace,
            )
        },
        Attack {
            quick: &["ping_interval=1000", "ping_timeout=3000"],
            ..peers(
                "silent-sessions",
                "sockets that have joined and say nothing more, not even a pong",
                &["close", "closed"],
                silent_sessions,
            )
        },
        Attack {
            quick: &["upgrade_timeout=1500"],
            ..peers(
                "half-upgrades",
                "upgrades of sessions that are begun and never finished; the sessions poll on",
                &["close", "still polls"],
                half_upgrades,
            )
        },
        peers(
            "double-upgrades",
            "a second upgrade while one is tried, and after it was done; 5 without a probe",
            &["close", "first lives"],
            double_upgrades,
        ),
        peers(
            "double-polls",
            "two polls at once, two POSTs at once",
            &["400", "200"],
            double_polls,
        ),
        peers(
            "packet-floods",
            "10,001 packets in one POST; bad packets; pings, opens and upgrades from a client",
            &["400", "200", "close"],
            packet_floods,
        ),
        Attack {
            holds: Holds::Backlog,
            ..peers(
                "posts-unread",
                "POSTs without a pause, whose ok is not read",
                &["closed", "reset", "served"],
                posts_unread,
            )
        },
        Attack {
            quick: &["loud_bytes=262144"],
            full: &["loud_bytes=65536"],
            holds: Holds::Backlog,
            ..peers(
                "never-polls",
                "polling clients that never poll again, in a room that is broadcast to",
                &["400"],
                never_polls,
            )
        },
    ]
}

fn sid_guessing(field: &Field) -> io::Result<Tally> {
    let (_held, known) = Peer::polling(field.address)?;
    let letters: Vec<char> = ('A'..='Z').chain('a'..='z').chain('0'..='9').collect();
    let mut state = 0x2545_F491_4F6C_DD1D_u64;
    let mut guess = |at: usize| -> String {
        // Most of a real id, but for some of its letters; or none of it.
        let kept = if at % 2 == 0 {
            known.len() - 1 - at % 12
        } else {
            0
        };
        let mut sid: String = known.chars().take(kept).collect();
        while sid.len() < known.len() {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            sid.push(letters[(state >> 33) as usize % letters.len()]);
        }
        if sid == known {
            "AAAAAAAAAAAAAAAAAAAA".into()
        } else {
            sid
        }
    };
    let mut at = 0;
    let tally = field.again(|tally| {
        let mut peer = Peer::connect(field.address)?;
        for _ in 0..50 {
            at += 1;
            let sid = guess(at);
            peer.send(match at % 3 {
                0 => wire::get(&sid),
                _ => wire::post(&sid, "42[\"join\",\"honest\"]"),
            });
            tally.note(peer.verdict());
        }
        let mut peer = Peer::connect(field.address)?;
        peer.send(wire::upgrade(&guess(at)));
        tally.note(peer.verdict());
        Ok(())
    });
    leave(field, &known)?;
    tally
}

fn cross_origin(field: &Field) -> io::Result<Tally> {
    let origin = "Host: 127.0.0.1\r\nOrigin: https://evil.example\r\n";
    let polling = HANDSHAKE.replace("Host: 127.0.0.1\r\n", origin);
    let websocket = UPGRADE.replace("Host: 127.0.0.1\r\n", origin);
    field.again(|tally| {
        let mut peer = Peer::connect(field.address)?;
        peer.send(&polling);
        match peer.unit(PATIENCE) {
            // A browser keeps from a page what has not this header.
            Unit::Response { head, body, .. } => {
                let head = head.to_ascii_lowercase();
                let is_open = head.contains("access-control-allow");
                tally.note(if is_open { "open" } else { "no permission" });
                leave(field, wire::session_id(&body).unwrap_or_default())?;
            }
            unit => tally.note(unit.name()),
        }
        let mut peer = Peer::connect(field.address)?;
        peer.send(&websocket);
        tally.note(peer.unit(PATIENCE).name());
        Ok(())
    })
}

fn session_hoard(field: &Field) -> io::Result<Tally> {
    let mut tally = Tally::default();
    let mut peer = Peer::connect(field.address)?;
    let mut first = None;
    for _ in 0..field.pick(3_000, 30_000) {
        // A head as large as allowed, which the session keeps until it joins.
        let cookie = "c".repeat(8_000);
        peer.send(HANDSHAKE.replace("\r\n\r\n", &format!("\r\nCookie: {cookie}\r\n\r\n")));
        match peer.unit(PATIENCE) {
            Unit::Response { status, body, .. } => {
                tally.note(status.to_string());
                let sid = wire::session_id(&body).map(str::to_owned);
                first = first.or(sid);
            }
            unit => tally.note(unit.name()),
        }
        if peer.ended.is_some() {
            peer = Peer::connect(field.address)?;
        }
    }
    // All of them end at their deadline; nobody has to say a word.
    let sid = first.unwrap_or_default();
    loop {
        let mut peer = Peer::connect(field.address)?;
        peer.send(wire::post(&sid, "3"));
        if peer.verdict() == "400" {
            tally.note("over");
            return Ok(tally);
        }
        thread::sleep(Duration::from_millis(200));
    }
}

/// A hundred such sessions, which are left in order.
pub fn hoard_a_little(field: &Field) -> io::Result<Tally> {
    field.again(|tally| {
        let mut sids = Vec::new();
        for _ in 0..100 {
            let (_, sid) = Peer::polling(field.address)?;
            sids.push(sid);
        }
        for sid in &sids {
            leave(field, sid)?;
        }
        tally.note("served");
        Ok(())
    })
}

fn no_namespace(field: &Field) -> io::Result<Tally> {
    let mut peers = field.crowd(field.pick(200, 2000), |_| Peer::websocket(field.address))?;
    let mut tally = Tally::default();
    for peer in &mut peers {
        tally.note(peer.verdict());
    }
    Ok(tally)
}

fn silent_sessions(field: &Field) -> io::Result<Tally> {
    let mut peers = field.crowd(field.pick(200, 2000), |_| Peer::joined(field.address, "40"))?;
    let mut tally = Tally::default();
    for peer in &mut peers {
        let end = loop {
            let unit = peer.unit(PATIENCE * 2);
            if unit.is_end() || unit == Unit::Silence {
                break unit;
            }
        };
        tally.note(end.name());
    }
    Ok(tally)
}

fn half_upgrades(field: &Field) -> io::Result<Tally> {
    let mut sids = Vec::new();
    let mut peers = field.crowd(field.pick(300, 3000), |at| {
        let (_, sid) = Peer::polling(field.address)?;
        let mut peer = Peer::connect(field.address)?;
        peer.send(wire::upgrade(&sid));
        peer.switched(101)?;
        if at % 2 == 0 {
            peer.say("2probe");
            peer.unit(PATIENCE);
        }
        sids.push(sid);
        Ok(peer)
    })?;
    let mut tally = Tally::default();
    for peer in &mut peers {
        tally.note(peer.verdict());
    }
    let mut peer = Peer::connect(field.address)?;
    for sid in &sids {
        peer.send(wire::post(sid, "1"));
        if peer.verdict() == "200" {
            tally.note("still polls");
        }
    }
    Ok(tally)
}

fn double_upgrades(field: &Field) -> io::Result<Tally> {
    field.again(|tally| {
        let (mut polling, sid) = Peer::polling(field.address)?;
        let try_upgrade = || -> io::Result<Peer> {
            let mut peer = Peer::connect(field.address)?;
            peer.send(wire::upgrade(&sid));
            peer.switched(101)?;
            Ok(peer)
        };
        let mut hasty = try_upgrade()?;
        hasty.say("5");
        tally.note(hasty.verdict());
        let mut first = try_upgrade()?;
        first.say("2probe");
        first.unit(PATIENCE);
        tally.note(try_upgrade()?.verdict());
        polling.send(wire::get(&sid));
        polling.unit(PATIENCE);
        first.say("5");
        first.say("40");
        match first.text() {
            Ok(text) if text.starts_with("40") => tally.note("first lives"),
            other => tally.note(format!("the first upgrade got {other:?}")),
        }
        tally.note(try_upgrade()?.verdict());
        Ok(())
    })
}

fn double_polls(field: &Field) -> io::Result<Tally> {
    field.again(|tally| {
        let (mut first, sid) = Peer::polling(field.address)?;
        let mut second = Peer::connect(field.address)?;
        first.send(wire::get(&sid));
        // The first is parked when a request on the same connection's heels was answered.
        second.send(wire::post(&sid, "3"));
        second.unit(PATIENCE);
        second.send(wire::get(&sid));
        match (second.unit(PATIENCE).name(), first.unit(PATIENCE)) {
            (
                name,
                Unit::Response {
                    status: 200, body, ..
                },
            ) if body == b"1" => tally.note(name),
            (name, unit) => tally.note(format!("{name} and {unit:?}")),
        }
        let (mut first, sid) = Peer::polling(field.address)?;
        first.send(wire::post_head(&sid, "Content-Length: 100"));
        let mut second = Peer::connect(field.address)?;
        thread::sleep(Duration::from_millis(5));
        second.send(wire::post(&sid, "3"));
        tally.note(second.unit(PATIENCE).name());
        leave(field, &sid)
    })
}

fn packet_floods(field: &Field) -> io::Result<Tally> {
    let table = [
        (vec!["3"; 10_001].join("\u{1e}"), "400"),
        ("\u{1e}".repeat(900_000), "400"),
        (String::new(), "400"),
        ("x".into(), "400"),
        ("bnot base64!".into(), "400"),
        ("2".into(), "200"),
        // Not a client's to send, and ignored, as officially.
        ("0{}\u{1e}5\u{1e}6".into(), "200"),
        ("4\u{1e}".into(), "200"),
    ];
    field.again(|tally| {
        for (body, expected) in &table {
            let (mut peer, sid) = Peer::polling(field.address)?;
            peer.send(wire::post(&sid, body));
            let name = peer.verdict();
            tally.note(if name == *expected {
                name
            } else {
                let start: String = body.chars().take(10).collect();
                format!("{name} to {start:?}")
            });
            leave(field, &sid)?;
        }
        for packet in ["2", "9", "", "bnot base64!"] {
            let mut peer = Peer::joined(field.address, "40")?;
            peer.say(packet);
            tally.note(peer.verdict());
        }
        Ok(())
    })
}

fn posts_unread(field: &Field) -> io::Result<Tally> {
    let mut sids = Vec::new();
    let mut peers = field.crowd(field.pick(10, 50), |_| {
        let (peer, sid) = Peer::polling(field.address)?;
        sids.push(sid);
        Ok(peer)
    })?;
    let mut tally = Tally::default();
    // Each pours requests of its own session.
    let posts: Vec<String> = sids
        .iter()
        .map(|sid| wire::post(sid, "3").repeat(50))
        .collect();
    while !field.is_over() {
        let mut sent = 0;
        for (peer, post) in peers.iter_mut().zip(&posts) {
            sent += peer.pour(post.as_bytes()).unwrap_or(0);
        }
        if sent == 0 {
            thread::sleep(Duration::from_millis(1));
        }
    }
    for peer in &mut peers {
        peer.drain();
        tally.note(peer.fate());
    }
    for sid in &sids {
        leave(field, sid)?;
    }
    Ok(tally)
}

fn never_polls(field: &Field) -> io::Result<Tally> {
    let mut sids = Vec::new();
    let mut peers = field.crowd(field.pick(20, 100), |_| {
        let (mut peer, sid) = Peer::polling(field.address)?;
        peer.send(wire::post(&sid, "40\u{1e}42[\"join\",\"loud\"]"));
        peer.unit(PATIENCE);
        sids.push(sid);
        Ok(peer)
    })?;
    let mut tally = Tally::default();
    for (peer, sid) in peers.iter_mut().zip(&sids) {
        // It goes on posting, and is told that its session is over.
        loop {
            if peer.ended.is_some() {
                *peer = Peer::connect(field.address)?;
            }
            peer.send(wire::post(sid, "3"));
            match peer.unit(PATIENCE) {
                Unit::Response { status: 200, .. } => thread::sleep(Duration::from_millis(50)),
                unit => break tally.note(unit.name()),
            }
        }
    }
    Ok(tally)
}

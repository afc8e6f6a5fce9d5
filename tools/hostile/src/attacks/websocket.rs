//! Frames that are too many, too long, too slow, or wrong.

use std::{io, time::Duration};

use super::{Attack, Field, Holds, peers};
use crate::{
    child::PATIENCE,
    peer::{Peer, Tally},
    wire::{self, BINARY, CONTINUATION, FINAL, PING, TEXT, frame},
};

pub fn attacks() -> Vec<Attack> {
    vec![
        Attack {
            holds: Holds::Incoming,
            ..peers(
                "endless-fragments",
                "fragments of a message without end, of 1 KB each",
                &["close 1009", "reset"],
                endless_fragments,
            )
        },
        Attack {
            quick: &["body_timeout=1000"],
            ..peers(
                "empty-fragments",
                "fragments of no bytes, without end, with pings between them",
                &["close 1008", "reset"],
                empty_fragments,
            )
        },
        Attack {
            quick: &["body_timeout=1500"],
            holds: Holds::Incoming,
            ..peers(
                "half-messages",
                "900 KB of a message on many connections, and never the rest",
                &["close 1008", "close 1013", "close", "reset"],
                half_messages,
            )
        },
        Attack {
            quick: &["ping_interval=1000", "ping_timeout=3000"],
            ..peers(
                "slow-frames",
                "a frame byte by byte, so that no pong can come",
                &["close", "closed", "reset"],
                slow_frames,
            )
        },
        peers(
            "ping-flood-read",
            "pings without a pause, whose answers are read",
            &["served"],
            |field| ping_flood(field, true),
        ),
        Attack {
            holds: Holds::Backlog,
            ..peers(
                "ping-flood-unread",
                "pings without a pause, whose answers are not read",
                &["served"],
                |field| ping_flood(field, false),
            )
        },
        peers(
            "bad-frames",
            "no mask, reserved bits, long control frames, 2^63 bytes, bad UTF-8, bad close codes",
            &["close 1002", "close 1007", "close 1009"],
            bad_frames,
        ),
        peers(
            "close-flood",
            "close frames right after the upgrade, and a flood behind them",
            &["close 1000", "reset"],
            close_flood,
        ),
        peers(
            "bad-upgrades",
            "upgrades without a key, of version 7, by POST, of unknown sessions",
            &["400", "405", "426"],
            bad_upgrades,
        ),
        Attack {
            quick: &["head_timeout=2000"],
            ..peers(
                "half-open-upgrades",
                "upgrade requests without their last line, on thousands of connections",
                &["408"],
                half_open_upgrades,
            )
        },
        Attack {
            quick: &["loud_bytes=262144"],
            full: &["loud_bytes=65536"],
            holds: Holds::Backlog,
            ..peers(
                "never-reads",
                "clients that never read, in a room that is broadcast to",
                &["reset", "closed", "close"],
                never_reads,
            )
        },
        Attack {
            quick: &["loud_bytes=262144"],
            full: &["loud_bytes=65536"],
            holds: Holds::Backlog,
            ..peers(
                "slow-readers",
                "the same, who read a kilobyte now and then",
                &["reset", "closed", "malformed"],
                slow_readers,
            )
        },
    ]
}

pub fn endless_fragments(field: &Field) -> io::Result<Tally> {
    let first = frame(TEXT, &[b'x'; 1024]);
    let more = frame(CONTINUATION, &[b'x'; 1024]).repeat(2_000);
    field.again(|tally| {
        let mut peers = field.crowd(20, |_| Peer::websocket(field.address))?;
        for peer in &mut peers {
            peer.send(&first);
        }
        for peer in &mut peers {
            let _ = peer.send(&more);
            tally.note(peer.verdict());
        }
        Ok(())
    })
}

fn empty_fragments(field: &Field) -> io::Result<Tally> {
    let mut peers = field.crowd(field.pick(10, 100), |_| {
        let mut peer = Peer::joined(field.address, "40")?;
        peer.send(frame(TEXT, b"42[\"echo\""));
        Ok(peer)
    })?;
    let mut pattern = frame(CONTINUATION, b"").repeat(100);
    pattern.extend(frame(FINAL | PING, b"still here"));
    let late = Field {
        until: field.until + PATIENCE * 2,
        ..*field
    };
    Ok(late.flood(&mut peers, &pattern, true))
}

fn half_messages(field: &Field) -> io::Result<Tally> {
    let part = frame(BINARY, &vec![0; 900_000]);
    let mut peers = field.crowd(field.pick(60, 200), |_| Peer::joined(field.address, "40"))?;
    for peer in &mut peers {
        // Those beyond the budget are told while they send.
        let _ = peer.send(&part);
    }
    let pong = frame(FINAL | PING, b"still here");
    let mut tally = Tally::default();
    let mut open: Vec<&mut Peer> = peers.iter_mut().collect();
    while !open.is_empty() {
        open.retain_mut(|peer| {
            let unit = peer.unit(Duration::from_millis(10));
            if unit.is_end() {
                tally.note(unit.name());
                return false;
            }
            // Between fragments it may show that it lives.
            let _ = peer.send(&pong);
            let _ = peer.send(frame(CONTINUATION, b""));
            true
        });
    }
    Ok(tally)
}

fn slow_frames(field: &Field) -> io::Result<Tally> {
    let mut peers = field.crowd(field.pick(100, 1000), |_| {
        let mut peer = Peer::joined(field.address, "40")?;
        let whole = frame(FINAL | BINARY, &[0; 60_000]);
        peer.send(&whole[..100]);
        Ok(peer)
    })?;
    let mut tally = Tally::default();
    let mut open: Vec<&mut Peer> = peers.iter_mut().collect();
    while !open.is_empty() {
        open.retain_mut(|peer| {
            let unit = peer.unit(Duration::ZERO);
            if unit.is_end() {
                tally.note(unit.name());
                return false;
            }
            let _ = peer.send(b"x");
            true
        });
        std::thread::sleep(field.pick(Duration::from_millis(50), Duration::from_millis(500)));
    }
    Ok(tally)
}

fn ping_flood(field: &Field, reads: bool) -> io::Result<Tally> {
    let mut peers = field.crowd(field.pick(10, 50), |_| Peer::joined(field.address, "40"))?;
    let pings = frame(FINAL | PING, &[b'p'; 125]).repeat(100);
    Ok(field.flood(&mut peers, &pings, reads))
}

fn bad_frames(field: &Field) -> io::Result<Tally> {
    let mut huge = vec![FINAL | BINARY, 0xff];
    huge.extend((1u64 << 62).to_be_bytes());
    huge.extend(wire::MASK);
    let mut negative = vec![FINAL | BINARY, 0xff];
    negative.extend(u64::MAX.to_be_bytes());
    negative.extend(wire::MASK);
    let mut long_ping = frame(FINAL | PING, &[0; 125]);
    long_ping[1] = 0x80 | 126;
    let table: [(Vec<u8>, &str); 14] = [
        (vec![FINAL | TEXT, 1, b'2'], "close 1002"),
        (frame(0x40 | FINAL | TEXT, b"4"), "close 1002"),
        (frame(0x10 | FINAL | TEXT, b"4"), "close 1002"),
        (frame(FINAL | 0x3, b"4"), "close 1002"),
        (frame(FINAL | 0xb, b"4"), "close 1002"),
        (frame(PING, b"fragmented"), "close 1002"),
        (long_ping, "close 1002"),
        (frame(FINAL | CONTINUATION, b"of nothing"), "close 1002"),
        (
            [frame(TEXT, b"4"), frame(TEXT, b"4")].concat(),
            "close 1002",
        ),
        (huge, "close 1009"),
        (negative, "close 1009"),
        (frame(FINAL | TEXT, b"4\xff\xfe"), "close 1007"),
        (frame(FINAL | wire::CLOSE, &[3]), "close 1002"),
        (
            frame(FINAL | wire::CLOSE, &999u16.to_be_bytes()),
            "close 1002",
        ),
    ];
    field.again(|tally| {
        for (at, (bytes, expected)) in table.iter().enumerate() {
            let mut peer = Peer::websocket(field.address)?;
            peer.send(bytes);
            let name = peer.verdict();
            tally.note(if name == *expected {
                name
            } else {
                format!("{name} to bad frame {at}")
            });
        }
        Ok(())
    })
}

fn close_flood(field: &Field) -> io::Result<Tally> {
    let close = frame(FINAL | wire::CLOSE, &1000u16.to_be_bytes());
    let flood = [close.clone(), wire::text("42[\"echo\",1]").repeat(1000)].concat();
    field.again(|tally| {
        for bytes in [&close, &flood, &close.repeat(1000)] {
            let mut peer = Peer::websocket(field.address)?;
            let _ = peer.send(bytes);
            tally.note(peer.verdict());
        }
        Ok(())
    })
}

fn bad_upgrades(field: &Field) -> io::Result<Tally> {
    let requests = [
        wire::UPGRADE.replace("Sec-WebSocket-Key", "X-Key"),
        wire::UPGRADE.replace("dGhlIHNhbXBsZSBub25jZQ==", "short"),
        wire::UPGRADE.replace("Version: 13", "Version: 7"),
        wire::UPGRADE.replace("GET", "POST"),
        wire::UPGRADE.replace("Upgrade: websocket", "Upgrade: h2c"),
        wire::UPGRADE.replace("transport=websocket", "transport=polling"),
        wire::UPGRADE.replace("EIO=4", "EIO=3"),
        wire::upgrade("AAAAAAAAAAAAAAAAAAAA"),
    ];
    field.again(|tally| {
        for request in &requests {
            let mut peer = Peer::connect(field.address)?;
            peer.send(request);
            tally.note(peer.verdict());
        }
        Ok(())
    })
}

fn half_open_upgrades(field: &Field) -> io::Result<Tally> {
    let mut peers = field.crowd(field.pick(500, 4000), |_| {
        let mut peer = Peer::connect(field.address)?;
        peer.send(&wire::UPGRADE[..wire::UPGRADE.len() - 2]);
        Ok(peer)
    })?;
    let mut tally = Tally::default();
    for peer in &mut peers {
        tally.note(peer.unit(PATIENCE * 2).name());
    }
    Ok(tally)
}

pub fn never_reads(field: &Field) -> io::Result<Tally> {
    unread(field, |_| {})
}

fn slow_readers(field: &Field) -> io::Result<Tally> {
    unread(field, Peer::sip)
}

/// Peers in a loud room, until each is cut off, which sending finds out.
fn unread(field: &Field, mut read: impl FnMut(&mut Peer)) -> io::Result<Tally> {
    let mut peers = field.crowd(field.pick(20, 100), |_| {
        let mut peer = Peer::joined(field.address, "40")?;
        peer.say("42[\"join\",\"loud\"]");
        Ok(peer)
    })?;
    Ok(field.until_cut(&mut peers, |peer| {
        read(peer);
        peer.say("3")
    }))
}

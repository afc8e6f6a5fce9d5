//! Packets that are deep, large, incomplete, or too many; namespaces, rooms and acknowledgements
//! without end.

use std::{io, thread, time::Duration};

use super::{Attack, Field, Holds, peers};
use crate::{
    child::PATIENCE,
    peer::{Peer, Tally, Unit},
    wire::{self, binary},
};

pub fn attacks() -> Vec<Attack> {
    vec![
        peers(
            "deep-json",
            "100,000 nested arrays, objects, and as auth; 101 levels; numbers of 100,000 digits",
            &["close"],
            deep_json,
        ),
        Attack {
            holds: Holds::Incoming,
            ..peers(
                "attachment-bombs",
                "ten attachments of a megabyte; a million of them announced",
                &["close", "close 1013", "reset"],
                attachment_bombs,
            )
        },
        Attack {
            holds: Holds::Backlog,
            ..peers(
                "placeholder-bombs",
                "one attachment of 400 KB that 20,000 placeholders name, read as a type",
                &["43"],
                placeholder_bombs,
            )
        },
        Attack {
            quick: &["body_timeout=1500"],
            holds: Holds::Incoming,
            ..peers(
                "missing-attachments",
                "binary events whose last attachment never comes, with pongs meanwhile",
                &["close"],
                missing_attachments,
            )
        },
        peers(
            "namespace-flood",
            "hundreds of dynamic namespaces by each client: 64 are joined, the others refused",
            &["40", "44"],
            namespace_flood,
        ),
        peers(
            "unknown-namespaces",
            "CONNECT to namespaces that are not there, without a pause",
            &["44", "served"],
            unknown_namespaces,
        ),
        peers(
            "room-flood",
            "joining 20,000 rooms: 1,024 are joined; names of 100 KB",
            &["43", "rooms bounded"],
            room_flood,
        ),
        peers(
            "ack-floods",
            "answers to nothing, ids of 19, 20 and 10,000 digits",
            &["ignored", "close", "43"],
            ack_floods,
        ),
        peers(
            "unanswered-acks",
            "5,000 questions of the server to each client, none answered: 1,024 are sent",
            &["1024 questions"],
            unanswered_acks,
        ),
        Attack {
            holds: Holds::Incoming,
            ..peers(
                "slow-joins",
                "events before a middleware has decided: 64 wait, the next ends the connection",
                &["close", "reset"],
                slow_joins,
            )
        },
        peers(
            "bad-packets",
            "unknown types, events for namespaces not joined, a second CONNECT, long names",
            &["close"],
            bad_packets,
        ),
        Attack {
            holds: Holds::Backlog,
            ..peers(
                "event-flood",
                "echo events without a pause, whose answers are read",
                &["served"],
                read_events,
            )
        },
        Attack {
            holds: Holds::Backlog,
            ..peers(
                "event-flood-unread",
                "the same, whose answers are not read",
                &["closed", "close", "reset"],
                |field| event_flood(field, false),
            )
        },
        Attack {
            holds: Holds::Both,
            ..peers(
                "large-echoes-unread",
                "echo events of 900 KB, whose answers are not read",
                &["closed", "close", "reset"],
                large_echoes,
            )
        },
        Attack {
            quick: &["recovery=2000"],
            full: &["recovery=10000"],
            holds: Holds::Recovery,
            ..peers(
                "recovery-flood",
                "sockets that are left to be recovered, and recoveries with secrets that are guessed",
                &["40"],
                recovery_flood,
            )
        },
        peers(
            "join-and-leave",
            "CONNECT and DISCONNECT of a namespace, again and again",
            &["served"],
            join_and_leave,
        ),
    ]
}

fn deep_json(field: &Field) -> io::Result<Tally> {
    let deep = "[".repeat(100_000) + &"]".repeat(100_000);
    let object = "{\"a\":".repeat(100_000) + "1" + &"}".repeat(100_000);
    let level = "[".repeat(101) + &"]".repeat(101);
    let packets = [
        format!("42[\"echo\",{deep}]"),
        format!("42[\"echo\",{object}]"),
        format!("42[\"echo\",{level}]"),
        format!("42[\"echo\",{}", "[".repeat(900_000)),
        format!("40{object}"),
        format!("40/slow,{{\"a\":{deep}}}"),
        format!("431{deep}"),
        format!("42{deep}"),
    ];
    field.again(|tally| {
        for packet in &packets {
            let mut peer = Peer::joined(field.address, "40")?;
            peer.say(packet);
            tally.note(peer.verdict());
        }
        Ok(())
    })
}

pub fn attachment_bombs(field: &Field) -> io::Result<Tally> {
    let holder = |at: usize| format!("{{\"_placeholder\":true,\"num\":{at}}}");
    let list: Vec<String> = (0..10).map(holder).collect();
    let header = format!("4510-[\"echo\",{}]", list.join(","));
    let part = binary(&vec![0; 999_999]);
    field.again(|tally| {
        let mut peers = field.crowd(20, |_| Peer::joined(field.address, "40"))?;
        for peer in &mut peers {
            peer.say(&header);
        }
        for _ in 0..10 {
            for peer in &mut peers {
                let _ = peer.send(&part);
            }
        }
        for peer in &mut peers {
            tally.note(peer.verdict());
        }
        let mut peer = Peer::joined(field.address, "40")?;
        peer.say("451000000-[\"echo\",{\"_placeholder\":true,\"num\":999999}]");
        tally.note(peer.verdict());
        Ok(())
    })
}

fn placeholder_bombs(field: &Field) -> io::Result<Tally> {
    let list = ["{\"_placeholder\":true,\"num\":0}"; 20_000].join(",");
    let typed = format!("451-1[\"typed\",{list}]");
    let echoed = format!("451-2[\"echo\",{list}]");
    let part = binary(&vec![7; 400_000]);
    field.again(|tally| {
        for packet in [&typed, &echoed] {
            let mut peer = Peer::joined(field.address, "40")?;
            peer.say(packet);
            peer.send(&part);
            match peer.text() {
                Ok(text) if text.starts_with("431[20000,") => tally.note("43"),
                Ok(text) if text.starts_with("461-2[") => tally.note("43"),
                Ok(text) => tally.note(text.chars().take(20).collect::<String>()),
                Err(unit) => tally.note(unit.name()),
            }
        }
        Ok(())
    })
}

fn missing_attachments(field: &Field) -> io::Result<Tally> {
    let part = binary(&vec![0; 400_000]);
    let mut peers = field.crowd(field.pick(50, 150), |_| {
        let mut peer = Peer::joined(field.address, "40")?;
        peer.say(
            "452-[\"echo\",{\"_placeholder\":true,\"num\":0},{\"_placeholder\":true,\"num\":1}]",
        );
        let _ = peer.send(&part);
        Ok(peer)
    })?;
    let mut tally = Tally::default();
    let mut open: Vec<&mut Peer> = peers.iter_mut().collect();
    while !open.is_empty() {
        open.retain_mut(|peer| {
            let unit = peer.unit(Duration::from_millis(5));
            if unit.is_end() {
                tally.note(unit.name());
                return false;
            }
            let _ = peer.say("3");
            true
        });
    }
    Ok(tally)
}

fn namespace_flood(field: &Field) -> io::Result<Tally> {
    let mut round = 0;
    field.again(|tally| {
        let mut peers = field.crowd(10, |_| Peer::websocket(field.address))?;
        for (at, peer) in peers.iter_mut().enumerate() {
            let base = (round * 10 + at) * 300;
            let mut frames = Vec::new();
            for number in 0..300 {
                frames.extend(wire::text(&format!("40/dyn-{},", base + number)));
            }
            peer.send(frames);
        }
        round += 1;
        for peer in &mut peers {
            for _ in 0..300 {
                match peer.text() {
                    Ok(text) => tally.note(&text[..2]),
                    Err(unit) => {
                        tally.note(unit.name());
                        break;
                    }
                }
            }
        }
        Ok(())
    })
}

fn unknown_namespaces(field: &Field) -> io::Result<Tally> {
    let mut peers = field.crowd(field.pick(10, 50), |_| Peer::joined(field.address, "40"))?;
    let mut tally = Tally::default();
    for peer in &mut peers {
        peer.say("40/nope,");
        let answer = peer.text().unwrap_or_else(|unit| unit.name());
        tally.note(&answer[..2]);
    }
    let mut pattern = Vec::new();
    for at in 0..200 {
        pattern.extend(wire::text(&format!("40/nope-{at},{{\"token\":\"x\"}}")));
    }
    tally.add(&field.flood(&mut peers, &pattern, true));
    Ok(tally)
}

fn room_flood(field: &Field) -> io::Result<Tally> {
    let mut tally = Tally::default();
    let mut peers = field.crowd(field.pick(5, 20), |_| Peer::joined(field.address, "40"))?;
    for (at, peer) in peers.iter_mut().enumerate() {
        let mut frames = Vec::new();
        for room in 0..20_000 {
            frames.extend(wire::text(&format!("42[\"join\",\"room {at}-{room}\"]")));
        }
        let long = "r".repeat(100_000);
        frames.extend(wire::text(&format!("421[\"join\",\"{long}\"]")));
        peer.send(frames);
        match peer.text() {
            Ok(text) if text == "431[]" => tally.note("43"),
            Ok(text) => tally.note(text),
            Err(unit) => tally.note(unit.name()),
        }
    }
    let mut watcher = Peer::connect(field.address)?;
    watcher.send("GET /stats HTTP/1.1\r\nHost: h\r\n\r\n");
    if let Unit::Response { body, .. } = watcher.unit(PATIENCE) {
        let value: serde_json::Value = serde_json::from_slice(&body)?;
        let rooms = value["rooms"].as_u64().unwrap_or(u64::MAX);
        let is_bounded = rooms <= 1_024 * peers.len() as u64 + 1;
        tally.note(if is_bounded {
            "rooms bounded".into()
        } else {
            format!("{rooms} rooms")
        });
    }
    Ok(tally)
}

fn ack_floods(field: &Field) -> io::Result<Tally> {
    let nineteen = "9".repeat(19);
    let twenty = "9".repeat(20);
    let many = "9".repeat(10_000);
    field.again(|tally| {
        let mut peer = Peer::joined(field.address, "40")?;
        let mut frames = Vec::new();
        for id in 0..5_000 {
            frames.extend(wire::text(&format!("43{id}[\"nobody asked\"]")));
        }
        frames.extend(wire::text(&format!("43{nineteen}[]")));
        frames.extend(wire::text("421[\"echo\"]"));
        peer.send(frames);
        let answer = peer.text().unwrap_or_else(|unit| unit.name());
        tally.note(if answer == "431[]" {
            "ignored".into()
        } else {
            answer
        });
        for id in [&nineteen, &twenty, &many] {
            let mut peer = Peer::joined(field.address, "40")?;
            peer.say(&format!("42{id}[\"echo\"]"));
            match peer.text() {
                Ok(text) if text == format!("43{id}[]") => tally.note("43"),
                Ok(text) => tally.note(text),
                Err(unit) => tally.note(unit.name()),
            }
        }
        Ok(())
    })
}

fn unanswered_acks(field: &Field) -> io::Result<Tally> {
    let mut peers = field.crowd(field.pick(10, 100), |_| Peer::joined(field.address, "40"))?;
    let mut tally = Tally::default();
    for peer in &mut peers {
        peer.say("421[\"ask\",5000]");
    }
    for peer in &mut peers {
        let mut questions = 0;
        loop {
            match peer.text() {
                Ok(text) if text.ends_with("[\"question\"]") => questions += 1,
                Ok(text) if text == "431[]" => break tally.note(format!("{questions} questions")),
                Ok(text) => break tally.note(text),
                Err(unit) => break tally.note(unit.name()),
            }
        }
    }
    Ok(tally)
}

fn slow_joins(field: &Field) -> io::Result<Tally> {
    let mut frames = wire::text("40/slow,");
    for _ in 0..65 {
        frames.extend(wire::text("42/slow,[\"echo\",\"wait\"]"));
    }
    let large = wire::text(&format!("42/slow,[\"echo\",\"{}\"]", "x".repeat(600_000)));
    let large = [wire::text("40/slow,"), large.clone(), large].concat();
    field.again(|tally| {
        let mut peers = field.crowd(20, |_| Peer::joined(field.address, "40"))?;
        for (at, peer) in peers.iter_mut().enumerate() {
            let _ = peer.send(if at % 2 == 0 { &frames } else { &large });
        }
        for peer in &mut peers {
            tally.note(peer.verdict());
        }
        Ok(())
    })
}

fn bad_packets(field: &Field) -> io::Result<Tally> {
    let long = "n".repeat(10_000);
    let packets = [
        "4".into(),
        "47".into(),
        "4abc".into(),
        "42".into(),
        "42{}".into(),
        "42[]".into(),
        "42[1".into(),
        "42[\"connect\"]".into(),
        "42/other,[\"echo\"]".into(),
        "41/other,".into(),
        "44{\"message\":\"x\"}".into(),
        "40".into(),
        "40[1]".into(),
        "451-[\"echo\"]".into(),
        "45-[\"echo\"]".into(),
        "4599999999999999999999-[\"echo\"]".into(),
        "461-[]".into(),
        format!("42[\"{long}\"]"),
        format!("40/{long},"),
    ];
    field.again(|tally| {
        for packet in &packets {
            let mut peer = Peer::joined(field.address, "40")?;
            peer.say(packet);
            // Text, where an attachment is due.
            peer.say("42[\"echo\"]");
            let name = peer.verdict();
            tally.note(if name == "close" {
                name
            } else {
                let start: String = packet.chars().take(20).collect();
                format!("{name} to {start}")
            });
        }
        let mut peer = Peer::joined(field.address, "40")?;
        peer.send(binary(b"an attachment of nothing"));
        tally.note(peer.verdict());
        Ok(())
    })
}

pub fn read_events(field: &Field) -> io::Result<Tally> {
    event_flood(field, true)
}

fn event_flood(field: &Field, reads: bool) -> io::Result<Tally> {
    let mut peers = field.crowd(field.pick(10, 50), |_| Peer::joined(field.address, "40"))?;
    let mut events = Vec::new();
    let payload = if reads { 20 } else { 2_000 };
    let payload = "x".repeat(payload);
    for id in 0..500 {
        events.extend(wire::text(&format!("42{id}[\"echo\",\"{payload}\"]")));
    }
    if reads {
        return Ok(field.flood(&mut peers, &events, true));
    }
    let late = Field {
        until: field.until + PATIENCE * 2,
        ..*field
    };
    Ok(late.flood(&mut peers, &events, false))
}

fn large_echoes(field: &Field) -> io::Result<Tally> {
    let mut peers = field.crowd(field.pick(5, 50), |_| Peer::joined(field.address, "40"))?;
    let event = wire::text(&format!("421[\"echo\",\"{}\"]", "x".repeat(900_000)));
    let late = Field {
        until: field.until + PATIENCE * 2,
        ..*field
    };
    Ok(late.flood(&mut peers, &event, false))
}

fn recovery_flood(field: &Field) -> io::Result<Tally> {
    let guess = "40{\"pid\":\"AAAAAAAAAAAAAAAAAAAA\",\"offset\":\"AAAA\"}";
    field.again(|tally| {
        for _ in 0..20 {
            let mut peer = Peer::joined(field.address, "40")?;
            peer.say("42[\"join\",\"honest\"]");
            tally.note("40");
        }
        let mut peer = Peer::websocket(field.address)?;
        peer.say(guess);
        let answer = peer.text().unwrap_or_else(|unit| unit.name());
        // Whoever is let in as somebody has missed events, which would come first.
        tally.note(if answer.starts_with("40{\"sid\":") {
            "40".into()
        } else {
            answer
        });
        Ok(())
    })
}

fn join_and_leave(field: &Field) -> io::Result<Tally> {
    let mut peers = field.crowd(field.pick(10, 50), |_| Peer::joined(field.address, "40"))?;
    let mut pattern = Vec::new();
    for at in 0..100 {
        pattern.extend(wire::text(&format!("40/dyn-{at},")));
        pattern.extend(wire::text(&format!("41/dyn-{at},")));
    }
    let tally = field.flood(&mut peers, &pattern, true);
    // Those that were cut in the middle of a frame are let go.
    thread::sleep(Duration::from_millis(1));
    Ok(tally)
}

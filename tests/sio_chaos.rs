//! Handlers that do anything at any moment, with clients that do the same, from many seeds: nothing
//! panics, and what the server holds stays consistent.
//!
//! `SEEDS=20000 cargo test --test sio_chaos` looks longer, `FROM=7 SEEDS=1` at one seed.

#[path = "common/sio.rs"]
mod sio;
use std::cell::Cell;

use emio::{AckError, Config, Crank, Io, Reason, Recovery, Refusal, Socket, SocketId, Unanswered};
use serde_json::Value;
use sio::*;

thread_local! { static RANDOM: Cell<u64> = const { Cell::new(1) }; static WISHES: Cell<u32> = const { Cell::new(0) }; }
/// A number below `n`.
fn below(n: u64) -> u64 {
    RANDOM.with(|r| {
        let mut x = r.get();
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        r.set(x);
        (x >> 20) % n
    })
}
/// Whether one more wish may be made, which it counts: handlers would feed each other for ever.
fn has_wishes_left() -> bool {
    WISHES.with(|f| {
        let left = f.get();
        f.set(left.saturating_sub(1));
        left > 0
    })
}

/// One wish of a namespace, picked by chance.
fn wish_of_io(io: Io<'_, Log>) {
    if !has_wishes_left() {
        return;
    }
    let ids: Vec<SocketId> = io.sockets().collect();
    match below(12) {
        0 => io.emit("e", below(9)),
        1 => io.timeout(ms(below(3_000))).emit_with_ack(
            "g",
            (),
            |_: &mut Log, io, _: Result<Vec<Value>, Unanswered<Value>>| wish_of_io(io),
        ),
        2 => io.fetch_sockets(|_: &mut Log, io, _| wish_of_io(io)),
        3 => io.sockets_join(["a", "b"]),
        4 => io.sockets_leave("a"),
        5 => io.to("a").disconnect_sockets(below(2) == 0),
        6 => {
            io.set_timeout(ms(below(2_000)), |_, io| wish_of_io(io));
        }
        7 if !ids.is_empty() => {
            let p = io.socket(ids[below(ids.len() as u64) as usize]).unwrap();
            p.disconnect(below(2) == 0);
        }
        8 if !ids.is_empty() => {
            let p = io.socket(ids[below(ids.len() as u64) as usize]).unwrap();
            p.close_connection();
        }
        9 if !ids.is_empty() => {
            let id = ids[below(ids.len() as u64) as usize];
            io.to(id).timeout(ms(500)).emit_with_ack(
                "one",
                (),
                |_: &mut Log, io, _: Result<Vec<Value>, Unanswered<Value>>| wish_of_io(io),
            );
        }
        10 => io.emit("connect", ()),
        _ => io.volatile().emit("v", "s"),
    }
}
/// Up to two wishes of a socket.
fn wish_of_socket(socket: &Socket<'_, Log>) {
    for _ in 0..below(3) {
        if !has_wishes_left() {
            return;
        }
        match below(16) {
            0 => socket.disconnect(true),
            1 => socket.disconnect(false),
            2 => socket.close_connection(),
            3 => socket.join("a"),
            4 => socket.join(format!("r{}", below(5))),
            5 => socket.leave("a"),
            6 => socket.emit_with_ack(
                "q",
                (),
                ms(below(2_000)),
                |_: &mut Log, s: Socket<'_, Log>, _: Result<Vec<Value>, AckError>| {
                    wish_of_socket(&s)
                },
            ),
            7 => socket.emit("connect", ()),
            8 => socket.expires_in(ms(below(60_000))),
            9 => socket.never_expires(),
            10 => socket.to("a").emit("m", below(9)),
            11 => socket
                .broadcast()
                .fetch_sockets(|_: &mut Log, io, _| wish_of_io(io)),
            12 => socket.emit("self", "x"),
            13 => socket.reply(1),
            _ => wish_of_io(socket.io()),
        }
        let _ = (
            socket.rooms(),
            socket.recovered(),
            socket.transport(),
            socket.backlog_bytes(),
            socket.id(),
        );
    }
}

/// Handlers of every kind, in a fixed namespace and in those of a pattern.
fn register(io: &mut Crank<Log>, later: bool) {
    for at in 0..2 {
        let mut n = match at {
            0 => io.of("/"),
            _ => io.of_pattern("/d-#"),
        };
        n.middleware(|_, s, _| {
            wish_of_socket(&s);
            if below(8) == 0 {
                Err(Refusal::new("no"))
            } else {
                Ok(())
            }
        });
        if later {
            n.middleware_deferred(|log: &mut Log, s, _, d| {
                wish_of_socket(&s);
                log.decisions.push(d)
            });
        }
        n.on_connect(|_, s: Socket<'_, Log>| {
            wish_of_socket(&s);
        });
        n.on_disconnecting(|_, s: Socket<'_, Log>, _: Reason| wish_of_socket(&s));
        n.on_disconnect(|_, s: Socket<'_, Log>, _: Reason| wish_of_socket(&s));
        n.on_any(|_, s, _, _| wish_of_socket(&s));
        n.event_middleware(|_, s, _, _| {
            wish_of_socket(&s);
            if below(8) == 0 {
                Err(Refusal::new("no"))
            } else {
                Ok(())
            }
        });
        n.on("x", |_, s: Socket<'_, Log>, (): ()| wish_of_socket(&s));
        n.on_error(|_, s, _| wish_of_socket(&s));
        n.on_room(|_, io, _, _| wish_of_io(io));
        n.on_expiring(|_, s: Socket<'_, Log>| wish_of_socket(&s));
        n.on_drain(|_, s: Socket<'_, Log>| wish_of_socket(&s));
        n.on_upgrade(|_, s: Socket<'_, Log>| wish_of_socket(&s));
        n.on_any_outgoing(|_, _, _, _| ());
    }
    io.on_new_namespace(|_, io: Io<'_, Log>| wish_of_io(io));
    io.on_session_expired(|_, io: Io<'_, Log>, _, _| wish_of_io(io));
    io.on_error(|_, _| ());
}

#[test]
fn nothing_panics_whatever_handlers_do() {
    let seeds = std::env::var("SEEDS")
        .ok()
        .and_then(|s| s.parse().ok())
        .unwrap_or(1_000u64);
    let from = std::env::var("FROM")
        .ok()
        .and_then(|s| s.parse().ok())
        .unwrap_or(1u64);
    for seed in from..from + seeds {
        // Shown when the test fails, which names the seed to look at.
        println!("seed {seed}");
        RANDOM.set(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
        let recovery = (below(4) > 0).then(|| Recovery {
            skip_middlewares: below(2) == 0,
            log_bytes_max: 500 + below(5_000),
            sessions_max: 1 + below(4) as u32,
            ..Recovery::default()
        });
        let config = Config {
            recovery,
            incoming_bytes_max: 3_000,
            pending_acks_max: 3,
            rooms_per_socket_max: 3,
            dynamic_namespaces_max: 3,
            namespaces_per_client_max: 3,
            cleanup_empty_namespaces: below(3) > 0,
            inputs_per_turn_max: 4 + below(4) as u32,
            ..Config::default()
        };
        let later = below(2) == 0;
        let mut party = Party::with(config, |io| register(io, later));
        let mut clients: Vec<Client> = Vec::new();
        let mut pids: Vec<String> = Vec::new();
        for _ in 0..150 {
            WISHES.set(40);
            match below(10) {
                0 | 1 if clients.len() < 12 => {
                    let (c, _) = party.websocket();
                    clients.push(c);
                }
                2..=4 if !clients.is_empty() => {
                    let c = clients[below(clients.len() as u64) as usize];
                    let ns = ["", "/d-1,", "/d-2,", "/d-3,", "/d-4,"][below(5) as usize];
                    let auth = match pids.is_empty() || below(2) == 0 {
                        true => String::new(),
                        false => format!(
                            "{{\"pid\":\"{}\"{}}}",
                            pids[below(pids.len() as u64) as usize],
                            if below(5) == 0 {
                                format!(",\"z\":\"{}\"", "z".repeat(4_000))
                            } else {
                                String::new()
                            }
                        ),
                    };
                    party.send(c, text(&format!("40{ns}{auth}")));
                }
                5 | 6 if !clients.is_empty() => {
                    let c = clients[below(clients.len() as u64) as usize];
                    let ns = ["", "/d-1,", "/d-2,"][below(3) as usize];
                    let what = [
                        "21[\"x\"]",
                        "2[\"x\"]",
                        "1",
                        "30[]",
                        "31[5]",
                        "32[]",
                        "2[\"y\",1]",
                    ][below(7) as usize];
                    let (kind, rest) = what.split_at(1);
                    party.send(c, text(&format!("4{kind}{ns}{rest}")));
                }
                7 if !clients.is_empty() => {
                    let at = below(clients.len() as u64) as usize;
                    let c = clients.swap_remove(at);
                    party.reset(c);
                }
                8 => {
                    let n = below(20_000);
                    party.advance(n);
                    for c in &clients {
                        party.send(*c, text("3"));
                    }
                }
                _ => {
                    let decisions = std::mem::take(&mut party.io.app().decisions);
                    for d in decisions {
                        let _ = match below(4) {
                            0 => {
                                drop(d);
                                Ok(())
                            }
                            1 => d.refuse(Refusal::new("no")),
                            _ => d.allow(),
                        };
                    }
                    party.turn();
                }
            }
            for c in &clients {
                for p in std::mem::take(party.received(*c))
                    .windows(28)
                    .filter(|w| w.starts_with(b"\"pid\":\""))
                {
                    let pid = String::from_utf8_lossy(&p[7..27]).into_owned();
                    if !pids.contains(&pid) {
                        pids.push(pid);
                    }
                }
            }
        }
        WISHES.set(0);
        party.io.app().decisions.clear();
        party.turn();
        party.finish();
    }
}

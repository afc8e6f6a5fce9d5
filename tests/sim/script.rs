//! Conversations without chance: the same steps, with the bytes cut everywhere, and with the
//! upgrade at every step.

use std::time::Duration;

use emio::Config;

use super::{
    Rng, Sim,
    app::{Command, Hello, Load, Whom},
    client::Style,
    net::Cut,
};

/// A conversation of one client with the server, while another listens.
struct Script {
    style: Style,
    /// Before which step the upgrade begins, and whether it comes to rest before that step.
    upgrade: Option<(usize, bool)>,
    cut: Option<Cut>,
    window: usize,
}

const STEPS: usize = 11;

impl Script {
    /// Plays it and returns how many bytes went up and down, what was heard and received.
    fn play(&self) -> (usize, usize, u64, u64) {
        let config = Config {
            ping_interval: Duration::from_millis(300),
            ping_timeout: Duration::from_millis(200),
            ..Config::default()
        };
        let mut sim = Sim::with(config, false, Rng(1), 2);
        let listener = sim.add_client(WEBSOCKET, 1 << 20);
        sim.settle();
        join(&mut sim, listener, "/");
        sim.check();
        sim.net.cut = self.cut;
        let (up, down) = (sim.net.bytes_up, sim.net.bytes_down);
        let client = sim.add_client(self.style, self.window);
        sim.settle();
        for step in 0..STEPS {
            if let Some((_, is_calm)) = self.upgrade.filter(|(at, _)| *at == step) {
                sim.with_client(client, |client, env| client.upgrade(env));
                if is_calm {
                    sim.check();
                }
            }
            self.step(&mut sim, client, step);
            sim.check();
        }
        if self.upgrade.is_some() {
            assert!(
                sim.clients[client].has_upgraded,
                "the upgrade came to its end"
            );
        }
        let (up, down) = (sim.net.bytes_up - up, sim.net.bytes_down - down);
        let (heard, received) = (sim.model.heard_count, sim.model.delivered_count);
        sim.finish();
        (up, down, heard, received)
    }

    fn step(&self, sim: &mut Sim, client: usize, step: usize) {
        let mut event = |load, commands, wants_ack| {
            sim.with_client(client, |client, env| {
                client.event(env, "/", load, commands, wants_ack);
            });
        };
        match step {
            0 | 8 => join(sim, client, "/"),
            1 => event(load(5, 0), Some(join_and_emit()), true),
            2 => event(load(4, 2), Some(vec![emit(everyone(false), 150, 2)]), false),
            3 => event(load(2, 1), None, false),
            4 => event(load(0, 0), Some(vec![ask(), emit(Whom::Me, 1, 0)]), true),
            5 => join(sim, client, "/chat"),
            6 => sim.advance(700),
            7 => event(
                load(0, 0),
                Some(vec![emit(Whom::Me, 1, 3), disconnect()]),
                false,
            ),
            9 => sim.with_client(client, |client, env| client.leave(env, "/chat")),
            _ => {
                let commands = vec![emit(everyone(true), 1, 0), emit(Whom::Me, 70, 1)];
                event(load(200, 0), Some(commands), false);
            }
        }
    }
}

fn load(pad: usize, blobs: usize) -> Load {
    Load { pad, blobs }
}

fn everyone(is_broadcast: bool) -> Whom {
    Whom::Rooms {
        rooms: Vec::new(),
        except: Vec::new(),
        is_broadcast,
    }
}

fn emit(to: Whom, pad: usize, blobs: usize) -> Command {
    let load = load(pad, blobs);
    Command::Emit { to, load }
}

fn ask() -> Command {
    Command::Ask {
        to: None,
        millis: 5_000,
        load: load(1, 1),
    }
}

fn disconnect() -> Command {
    Command::Disconnect {
        who: None,
        close: false,
    }
}

fn join_and_emit() -> Vec<Command> {
    let room = Whom::Rooms {
        rooms: vec!["a".to_owned(), "b".to_owned()],
        except: Vec::new(),
        is_broadcast: false,
    };
    let join = Command::Join {
        who: None,
        room: "a".to_owned(),
    };
    vec![join, emit(room, 3, 0), Command::Reply { load: load(2, 0) }]
}

fn join(sim: &mut Sim, client: usize, namespace: &'static str) {
    let load = Load { pad: 3, blobs: 0 };
    let hello = Hello {
        client,
        join: sim.next_join(),
        in_middleware: vec![Command::Emit { to: Whom::Me, load }],
        when_joined: vec![Command::Join {
            who: None,
            room: "b".to_owned(),
        }],
        ..Hello::default()
    };
    sim.with_client(client, |client, env| client.join(env, namespace, hello));
}

const POLLING: Style = Style {
    is_websocket: false,
    reconnects: false,
    says_close: false,
    pipelines: false,
    is_chunked: false,
    fragments: false,
    is_hasty: false,
    is_prompt: true,
    is_slow_poster: false,
    is_base64: false,
};

const WEBSOCKET: Style = Style {
    is_websocket: true,
    ..POLLING
};

fn styles() -> Vec<(Style, Option<(usize, bool)>)> {
    vec![
        (WEBSOCKET, None),
        (
            Style {
                fragments: true,
                ..WEBSOCKET
            },
            None,
        ),
        (POLLING, None),
        (
            Style {
                is_chunked: true,
                reconnects: true,
                ..POLLING
            },
            None,
        ),
        (
            Style {
                is_base64: true,
                ..WEBSOCKET
            },
            None,
        ),
        (
            Style {
                pipelines: true,
                ..POLLING
            },
            None,
        ),
        (POLLING, Some((2, false))),
        (
            Style {
                is_hasty: true,
                ..POLLING
            },
            Some((4, false)),
        ),
    ]
}

/// Every conversation with one cut, at each byte in turn, on its way up and on its way down.
pub fn cut_everywhere() {
    for (style, upgrade) in styles() {
        let script = |cut| Script {
            style,
            upgrade,
            cut,
            window: 1 << 20,
        };
        let (up, down, heard, received) = script(None).play();
        let cuts = (1..up).map(Cut::Up).chain((1..down).map(Cut::Down));
        for cut in cuts {
            let (.., cut_heard, cut_received) = script(Some(cut)).play();
            assert_eq!(
                (cut_heard, cut_received),
                (heard, received),
                "{cut:?} of {style:?}"
            );
        }
    }
}

/// The upgrade at each step, calmly and in a hurry, by clients and networks of all kinds.
pub fn upgrade_everywhere() {
    for at in 0..STEPS {
        for is_calm in [false, true] {
            for is_hasty in [false, true] {
                for reconnects in [false, true] {
                    for window in [1, 17, 1 << 20] {
                        let style = Style {
                            is_hasty,
                            reconnects,
                            ..POLLING
                        };
                        let upgrade = Some((at, is_calm));
                        Script {
                            style,
                            upgrade,
                            cut: None,
                            window,
                        }
                        .play();
                    }
                }
            }
        }
    }
}

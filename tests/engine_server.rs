//! `engine::Server` without its loop: handlers, hooks, judgements that come later, and the end.

#[path = "common/wire.rs"]
#[allow(dead_code)]
mod wire;

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv4Addr},
    thread,
    time::Instant,
};

use emio::{
    BadRequest, Config, ConnKey, ConnectionContext, Decision, Dispatch, Entropy, Reason,
    SessionEvent,
    engine::{Core, Fate, Message, PacketKind, Transport},
};
use wire::*;

/// A core, and clients that are buffers.
struct World {
    core: Core<Log>,
    now: Instant,
    received: HashMap<ConnKey, Vec<u8>>,
}

type Client = ConnKey;

#[derive(Default)]
struct Log {
    lines: Vec<String>,
    decisions: Vec<Decision>,
}

struct Numbers(u8);

impl Entropy for Numbers {
    fn fill(&mut self, bytes: &mut [u8]) {
        for byte in bytes {
            self.0 = self.0.wrapping_mul(5).wrapping_add(1);
            *byte = self.0;
        }
    }
}

impl World {
    fn new(prepare: impl FnOnce(&mut Core<Log>)) -> World {
        let now = Instant::now();
        let config = Config::default();
        let mut core = Core::new(Log::default(), config, Box::new(Numbers(1)), now, 0);
        prepare(&mut core);
        World {
            core,
            now,
            received: HashMap::new(),
        }
    }

    fn connect(&mut self) -> Client {
        let here = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let engine = self.core.engine();
        let key = engine.handle_open(self.now, here).expect("no limit");
        self.received.insert(key, Vec::new());
        key
    }

    fn send(&mut self, client: Client, bytes: impl AsRef<[u8]>) {
        let now = self.now;
        self.core.engine().handle_bytes(client, now, bytes.as_ref());
        self.turn();
    }

    fn ask(&mut self, bytes: impl AsRef<[u8]>) -> Client {
        let client = self.connect();
        self.send(client, bytes);
        client
    }

    /// What the loop does after an input.
    fn turn(&mut self) {
        loop {
            self.core.dispatch(&mut |_| ());
            let Some(key) = self.core.engine().poll_dirty() else {
                break;
            };
            let received = self.received.get_mut(&key).expect("it is connected");
            let fate = self.core.engine().transmit(key, &mut |slices| {
                let before = received.len();
                for slice in slices {
                    received.extend_from_slice(slice);
                }
                Ok(received.len() - before)
            });
            assert!(matches!(fate, Fate::Keep | Fate::Shutdown));
        }
        while self.core.poll_dead().is_some() {}
    }

    /// Another thread has left something.
    fn mail(&mut self) {
        self.core.handle_mail(self.now, &mut |_| ());
        self.turn();
    }

    fn received(&mut self, client: Client) -> &mut Vec<u8> {
        self.received.get_mut(&client).expect("it is connected")
    }

    fn is_open(&self, client: Client) -> bool {
        self.received.contains_key(&client)
    }

    fn lines(&mut self) -> Vec<String> {
        std::mem::take(&mut self.core.app().lines)
    }
}

fn noting(core: &mut Core<Log>) {
    core.on_open(|log, socket| {
        log.lines
            .push(format!("open {}", socket.transport().name()));
    });
    core.on_message(|log, socket, message| {
        if let Message::Text(text) = &message {
            log.lines.push(text.clone());
        }
        socket.send(&message);
    });
    core.on_close(|log, _, reason| log.lines.push(reason.to_string()));
}

#[test]
fn a_judgement_may_be_given_later_from_another_thread() {
    let mut world = World::new(|core| {
        noting(core);
        core.allow_request_deferred(|log, _, decision| log.decisions.push(decision));
    });
    let first = world.ask(get_of(&polling("")));
    let second = world.ask(upgrade_of(&websocket("")));
    let third = world.ask(get_of(&polling("")));
    world.is_silent(first);
    assert_eq!(world.core.census().connections_deciding, 3);
    let mut decisions = std::mem::take(&mut world.core.app().decisions).into_iter();
    let (one, two) = (decisions.next().unwrap(), decisions.next().unwrap());
    // The third is dropped undecided, which refuses.
    drop(decisions);
    let other = thread::spawn(move || (one.allow(), two.refuse("not you".into())));
    let (allowed, refused) = other.join().unwrap();
    assert!(allowed.is_ok() && refused.is_ok());
    world.is_silent(first);
    world.mail();
    assert_eq!(world.answer(first).status, 200);
    world.answer(second).is(403, "not you");
    let undecided = r#"{"code":4,"message":"No decision was made"}"#;
    world.answer(third).is_error(403, undecided);
    assert_eq!(world.lines(), ["open polling"]);
}

#[test]
fn hooks_give_a_handshake_its_headers_and_its_id() {
    let mut world = World::new(|core| {
        core.initial_headers(|_, handshake, headers| {
            let lang = handshake.query("lang").unwrap_or_default();
            // A value with a line break is refused and leaves no trace.
            let _ = headers.append("X-Lang", &lang);
        });
        core.generate_id(|_, handshake| handshake.query("none").is_none().then_some([9; 11]));
        core.on_connection_error(|log, error| {
            log.lines
                .push(format!("{} {:?}", error.code(), error.context()));
        });
    });
    let client = world.ask(get_of(&format!("{}&lang=en", polling(""))));
    let answer = world.answer(client);
    assert_eq!(answer.header("x-lang"), Some("en"));
    assert!(sid_of(answer.text()).starts_with("CQkJCQkJCQkJCQ"));
    let client = world.ask(get_of(&format!("{}&lang=a%0D%0AX-B:c", polling(""))));
    let answer = world.answer(client);
    assert_eq!(
        (answer.header("x-lang"), answer.header("x-b")),
        (None, None)
    );
    let client = world.ask(get_of(&format!("{}&none=1", polling(""))));
    world
        .answer(client)
        .is_error(400, r#"{"code":3,"message":"Bad request"}"#);
    // Refused for its version, whatever the hooks would say.
    let client = world.ask(get_of("/socket.io/?EIO=3&transport=polling&none=1"));
    assert_eq!(world.answer(client).status, 400);
    let no_id = ConnectionContext::BadRequest(BadRequest::IdGeneration);
    let version = ConnectionContext::Protocol(3);
    let wanted = [format!("3 {no_id:?}"), format!("5 {version:?}")];
    assert_eq!(world.lines(), wanted);
}

#[test]
fn a_page_of_another_origin_opens_no_websocket() {
    let mut world = World::new(|core| {
        noting(core);
        core.allow_request(|log, _| {
            log.lines.push("asked".to_owned());
            Ok(())
        });
        core.on_connection_error(|log, error| log.lines.push(format!("{:?}", error.context())));
    });
    let from = |origin| upgrade_with(&websocket(""), &format!("Origin: {origin}\r\n"));
    let ws = world.ask(from("http://there"));
    assert_eq!(world.answer(ws).status, 403);
    let foreign = ConnectionContext::Origin("http://there".into());
    assert_eq!(world.lines(), [format!("{foreign:?}")]);
    let ws = world.ask(from("http://here"));
    assert_eq!(world.answer(ws).status, 101);
    assert_eq!(world.lines(), ["asked", "open websocket"]);
}

#[test]
fn a_watcher_hears_of_sessions() {
    let mut world = World::new(|core| {
        core.on_session_event(|log, info, event| {
            assert_eq!(info.transport, Transport::WebSocket);
            log.lines.push(match event {
                SessionEvent::Packet(kind) => format!("in {}", kind.name()),
                SessionEvent::PacketCreate(PacketKind::Open) => "out open".to_owned(),
                other => format!("{other:?}"),
            });
        });
    });
    let ws = world.ask(upgrade_of(&websocket("")));
    world.answer(ws);
    world.send(ws, text("4a"));
    world.send(ws, text("1"));
    let wanted = [
        "Opened",
        "out open",
        "in message",
        "in close",
        "Closed(TransportClose)",
    ];
    assert_eq!(world.lines(), wanted);
}

#[test]
fn a_handle_ends_the_server() {
    let mut world = World::new(noting);
    let ws = world.ask(upgrade_of(&websocket("")));
    world.answer(ws);
    assert_eq!(world.core.stats().sessions, 1);
    let handle = world.core.handle();
    thread::spawn(move || handle.close().expect("it is heard"))
        .join()
        .unwrap();
    assert!(!world.core.is_closing());
    world.mail();
    assert!(world.core.is_closing());
    let reason = Reason::ServerShuttingDown.to_string();
    assert_eq!(world.lines(), ["open websocket", &reason]);
    assert_eq!(world.core.stats().sessions, 0);
    let handle = world.core.handle();
    drop(world);
    assert!(handle.close().is_err(), "nobody is there");
}

//! The application: it does what its clients tell it, and writes everything down.
//!
//! What always holds: an entry of the log is written before what it speaks of is done, and what a
//! handler asks for is written in the order of its asking, so the log is the order of effects.

use std::{cell::Cell, time::Duration};

use emio::{
    Ack, AckError, App, Args, Bytes, Config, Crank, Decision, Handle, Handshake, Io, Namespace,
    Peer, Reason, Refusal, SessionEvent, Socket,
};
use serde::{Deserialize, Serialize};

use super::heap;

#[derive(Default)]
pub struct Chat {
    pub log: Vec<Log>,
    /// Handshakes that were put off, by client.
    pub openings: Vec<(Option<usize>, Decision)>,
    /// Judgements that were put off, by socket.
    pub decisions: Vec<(String, Decision)>,
    /// Acknowledgements that were taken away, by socket and event.
    pub acks: Vec<(String, u64, Ack)>,
    /// Something was posted to the loop from a handler.
    pub has_posted: bool,
    /// What a watcher was told, if there is one.
    pub watched: Option<Watched>,
    /// How handlers reach the loop itself.
    handle: Option<Handle<Chat>>,
    tokens: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Watched {
    pub opened: u64,
    pub closed: u64,
    pub upgraded: u64,
    pub packets_in: u64,
    pub packets_out: u64,
}

/// What a socket carries: who it says it is.
pub struct Data {
    owner: String,
    hello: Hello,
}

thread_local! {
    static DATA_COUNT: Cell<usize> = const { Cell::new(0) };
}

impl Default for Data {
    fn default() -> Data {
        DATA_COUNT.set(DATA_COUNT.get() + 1);
        Data {
            owner: String::new(),
            hello: Hello::default(),
        }
    }
}

impl Drop for Data {
    fn drop(&mut self) {
        DATA_COUNT.set(DATA_COUNT.get() - 1);
    }
}

/// How many sockets' data the server holds.
pub fn data_count() -> usize {
    DATA_COUNT.get()
}

impl App for Chat {
    type Data = Data;
}

/// What a client sends with its CONNECT packet.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Hello {
    pub client: usize,
    /// Which of the client's joins this is.
    pub join: u64,
    pub is_refused: bool,
    pub in_middleware: Vec<Command>,
    pub when_joined: Vec<Command>,
    pub when_leaving: Vec<Command>,
    pub when_left: Vec<Command>,
    pub pad: String,
    /// What it shows to find its socket again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pid: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offset: Option<String>,
}

/// What a handler is told to do.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Command {
    Emit {
        to: Whom,
        load: Load,
    },
    Volatile {
        to: Whom,
        load: Load,
    },
    /// An event that wants an answer within so many milliseconds.
    Ask {
        to: Option<String>,
        millis: u64,
        load: Load,
    },
    Reply {
        load: Load,
    },
    TakeAck,
    Join {
        who: Option<String>,
        room: String,
    },
    Leave {
        who: Option<String>,
        room: String,
    },
    Disconnect {
        who: Option<String>,
        close: bool,
    },
    CloseConnection {
        who: Option<String>,
    },
    /// Ends the server, at once or within so many milliseconds.
    End {
        grace: Option<u64>,
    },
    /// The same emission in so many milliseconds.
    Later {
        millis: u64,
        namespace: String,
        rooms: Vec<String>,
        load: Load,
    },
}

/// Receivers.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Whom {
    Me,
    One(String),
    /// A union of rooms (none is everyone) without others, of the handler's namespace.
    Rooms {
        rooms: Vec<String>,
        except: Vec<String>,
        is_broadcast: bool,
    },
    Elsewhere {
        namespace: String,
        rooms: Vec<String>,
    },
}

/// How much an event carries besides its token.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Load {
    pub pad: usize,
    pub blobs: usize,
}

/// What happened, and what was asked for.
#[derive(Clone, Debug)]
pub enum Log {
    Judged {
        socket: String,
        namespace: String,
        client: usize,
        join: u64,
        is_last: bool,
    },
    Refused {
        socket: String,
        namespace: String,
        client: usize,
        join: u64,
    },
    Joined {
        socket: String,
        client: usize,
        join: u64,
        is_recovered: bool,
        rooms: Vec<String>,
    },
    /// A socket that might have come back is forgotten.
    Expired {
        socket: String,
    },
    Heard {
        socket: String,
        token: u64,
        owner: String,
        rooms: Vec<String>,
        is_good: bool,
    },
    Answered {
        socket: String,
        token: u64,
        answer: Result<u64, AckError>,
    },
    Leaving {
        socket: String,
        reason: Reason,
        rooms: Vec<String>,
    },
    Left {
        socket: String,
        reason: Reason,
        rooms: Vec<String>,
    },
    Problem(String),

    Emit {
        namespace: String,
        to: To,
        name: &'static str,
        token: u64,
        load: Load,
        volatile: bool,
    },
    Ask {
        socket: String,
        token: u64,
        millis: u64,
        load: Load,
    },
    Reply {
        socket: String,
        load: Load,
    },
    TakeAck,
    Join {
        socket: String,
        room: String,
    },
    Leave {
        socket: String,
        room: String,
    },
    Disconnect {
        socket: String,
        close: bool,
    },
    CloseConnection {
        socket: String,
    },
    // From elsewhere.
    Refuse {
        socket: String,
    },
    ReplyLate {
        socket: String,
        event: u64,
        load: Load,
    },
    Shut,
    WindDown,
}

/// Receivers, resolved as far as the model needs.
#[derive(Clone, Debug)]
pub enum To {
    One(String),
    Rooms {
        rooms: Vec<String>,
        except: Vec<String>,
        but: Option<String>,
    },
}

impl Chat {
    pub fn write(&mut self, entry: Log) {
        heap::test(|| self.log.push(entry));
    }

    fn token(&mut self) -> u64 {
        self.tokens += 1;
        SERVER_TOKENS + self.tokens
    }
}

/// Tokens of the server's events; clients' are smaller.
pub const SERVER_TOKENS: u64 = 1_000_000_000;

/// What an event with this token and load carries.
pub fn pad(token: u64, load: Load) -> String {
    let symbols = [
        'a',
        'é',
        '"',
        '\\',
        '\u{1F600}',
        '\n',
        '/',
        'z',
        '\u{2028}',
        ' ',
    ];
    let at = |n: usize| symbols[(token as usize + n * 7) % symbols.len()];
    (0..load.pad).map(at).collect()
}

pub fn blob(token: u64, index: usize) -> Vec<u8> {
    let len = (token as usize * 13 + index * 5) % 70;
    (0..len)
        .map(|n| (token as usize + index + n) as u8)
        .collect()
}

fn blobs(token: u64, load: Load) -> Vec<Bytes> {
    (0..load.blobs)
        .map(|index| Bytes::from(blob(token, index)))
        .collect()
}

fn args(token: u64, load: Load) -> (u64, String, Vec<Bytes>) {
    (token, pad(token, load), blobs(token, load))
}

fn is_good(token: u64, text: &str, found: &[Bytes]) -> bool {
    let mut at = found.iter().enumerate();
    let load = Load {
        pad: text.chars().count(),
        blobs: found.len(),
    };
    text == pad(token, load) && at.all(|(index, bytes)| **bytes == *blob(token, index))
}

/// A server with this application.
pub fn crank(
    config: Config,
    entropy: Box<dyn emio::Entropy>,
    now: std::time::Instant,
    is_deferred: bool,
) -> Crank<Chat> {
    let mut crank = Crank::new(Chat::default(), config, entropy, now, 1_700_000_000_000);
    crank.app().handle = Some(crank.handle());
    for name in NAMESPACES {
        let mut namespace = crank.of(name);
        if name == DEFERRED {
            namespace.middleware(|app, socket, hello| judge(app, socket, hello, false));
            namespace.middleware_deferred(|app: &mut Chat, socket, _, decision| {
                app.has_posted = true;
                let id = heap::test(|| socket.id().to_string());
                heap::test(|| app.decisions.push((id, decision)));
            });
            namespace.middleware(|_, _, _| Ok(()));
        }
        namespace.middleware(|app, socket, hello| judge(app, socket, hello, true));
        handle(&mut namespace);
    }
    if is_deferred {
        crank.allow_request_deferred(|app, _, handshake, decision| {
            let client = handshake
                .query("client")
                .and_then(|client| client.parse().ok());
            heap::test(|| app.openings.push((client, decision)));
        });
        crank.app().watched = Some(Watched::default());
        crank.on_session_event(|app, _, event| {
            let watched = app.watched.as_mut().expect("it was set with the watcher");
            let count = match event {
                SessionEvent::Opened => &mut watched.opened,
                SessionEvent::Closed(_) => &mut watched.closed,
                SessionEvent::Upgraded => &mut watched.upgraded,
                SessionEvent::Packet(_) => &mut watched.packets_in,
                SessionEvent::PacketCreate(_) => &mut watched.packets_out,
                _ => return,
            };
            *count += 1;
        });
    }
    crank.on_session_expired(|app, _, id, data| {
        let socket = heap::test(|| id.to_string());
        app.write(Log::Expired { socket });
        drop(data);
    });
    crank.on_error(|app, problem| app.write(heap::test(|| Log::Problem(problem.to_string()))));
    crank
}

fn handle(namespace: &mut Namespace<'_, Chat>) {
    namespace
        .on_connect(|app: &mut Chat, socket: Socket<'_, Chat>| {
            let (data, peer) = socket.split();
            if peer.recovered() {
                // It has the data of the one that left; nobody may have judged what it says now.
                let hello = peer.handshake().auth;
                data.hello = serde_json::from_value(hello).expect("clients say hello");
                data.owner = format!("{}/{}", data.hello.client, data.hello.join);
            }
            app.write(heap::test(|| Log::Joined {
                socket: peer.id().to_string(),
                client: data.hello.client,
                join: data.hello.join,
                is_recovered: peer.recovered(),
                rooms: rooms(&peer),
            }));
            obey(app, &peer, &data.hello.when_joined);
        })
        .on_disconnecting(|app: &mut Chat, socket: Socket<'_, Chat>, reason| {
            let (data, peer) = socket.split();
            let (socket, rooms) = heap::test(|| (peer.id().to_string(), rooms(&peer)));
            app.write(Log::Leaving {
                socket,
                reason,
                rooms,
            });
            obey(app, &peer, &data.hello.when_leaving);
        })
        .on_disconnect(|app: &mut Chat, socket: Socket<'_, Chat>, reason| {
            let (data, peer) = socket.split();
            let (socket, rooms) = heap::test(|| (peer.id().to_string(), rooms(&peer)));
            app.write(Log::Left {
                socket,
                reason,
                rooms,
            });
            obey(app, &peer, &data.hello.when_left);
        })
        .on(
            "do",
            |app: &mut Chat, socket: Socket<'_, Chat>, args: Told| {
                let (token, text, blobs, commands) = args;
                let (data, peer) = socket.split();
                hear(app, &peer, data, token, is_good(token, &text, &blobs));
                obey(app, &peer, &commands);
            },
        )
        .on_raw(
            "pass",
            |app: &mut Chat, socket: Socket<'_, Chat>, args: Args<'_>| {
                let (token, text, blobs): (u64, String, Vec<Bytes>) = args.parse()?;
                let (data, peer) = socket.split();
                hear(app, &peer, data, token, is_good(token, &text, &blobs));
                let load = Load {
                    pad: text.chars().count(),
                    blobs: blobs.len(),
                };
                let but = Some(heap::test(|| peer.id().to_string()));
                let to = To::Rooms {
                    rooms: Vec::new(),
                    except: Vec::new(),
                    but,
                };
                write_emit(app, peer.namespace(), to, "passed", token, load, false);
                peer.broadcast().emit("passed", args);
                Ok::<(), emio::ArgsError>(())
            },
        );
}

type Told = (u64, String, Vec<Bytes>, Vec<Command>);

pub const DEFERRED: &str = "/later";
pub const NAMESPACES: [&str; 3] = ["/", "/chat", DEFERRED];

fn judge(
    app: &mut Chat,
    socket: Socket<'_, Chat>,
    handshake: &Handshake<'_>,
    is_last: bool,
) -> Result<(), Refusal> {
    let hello: Hello = serde_json::from_value(handshake.auth.clone()).expect("clients say hello");
    let (data, peer) = socket.split();
    let (client, join) = (hello.client, hello.join);
    let (socket, namespace) = heap::test(|| (peer.id().to_string(), peer.namespace().to_owned()));
    if is_last && hello.is_refused {
        app.write(Log::Refused {
            socket,
            namespace,
            client,
            join,
        });
        // Nothing of this is done, because the answer is no.
        peer.join("refused");
        peer.emit("refused", ());
        return Err(Refusal::new("no"));
    }
    app.write(Log::Judged {
        socket,
        namespace,
        client,
        join,
        is_last: false,
    });
    if is_last || hello.is_refused {
        obey(app, &peer, &hello.in_middleware);
    }
    if is_last {
        let (socket, namespace) =
            heap::test(|| (peer.id().to_string(), peer.namespace().to_owned()));
        app.write(Log::Judged {
            socket,
            namespace,
            client,
            join,
            is_last,
        });
    }
    data.owner = format!("{client}/{join}");
    data.hello = hello;
    Ok(())
}

fn hear(app: &mut Chat, peer: &Peer<'_, Chat>, data: &Data, token: u64, is_good: bool) {
    let entry = heap::test(|| Log::Heard {
        socket: peer.id().to_string(),
        token,
        owner: data.owner.clone(),
        rooms: rooms(peer),
        is_good,
    });
    app.write(entry);
}

fn rooms(peer: &Peer<'_, Chat>) -> Vec<String> {
    let mut rooms = peer.rooms();
    rooms.sort();
    rooms
}

fn write_emit(
    app: &mut Chat,
    namespace: &str,
    to: To,
    name: &'static str,
    token: u64,
    load: Load,
    volatile: bool,
) {
    let namespace = heap::test(|| namespace.to_owned());
    app.write(Log::Emit {
        namespace,
        to,
        name,
        token,
        load,
        volatile,
    });
}

fn obey(app: &mut Chat, me: &Peer<'_, Chat>, commands: &[Command]) {
    let my_id = heap::test(|| me.id().to_string());
    for command in commands {
        match command {
            Command::Emit { to, load } => emit(app, me, to, *load, false),
            Command::Volatile { to, load } => emit(app, me, to, *load, true),
            Command::Later {
                millis,
                namespace,
                rooms,
                load,
            } => {
                let (namespace, rooms, load) = (namespace.clone(), rooms.clone(), *load);
                let after = Duration::from_millis(*millis);
                me.io().set_timeout(after, move |app, io| {
                    emit_from(app, io, &namespace, &rooms, load)
                });
            }
            Command::End { grace } => {
                let handle = app.handle.clone().expect("it was set at the beginning");
                super::end::end_server(&handle, *grace);
                app.has_posted = true;
            }
            Command::Reply { load } => {
                let socket = heap::test(|| my_id.clone());
                app.write(Log::Reply {
                    socket,
                    load: *load,
                });
                me.reply(args(ANSWER, *load));
            }
            Command::TakeAck => {
                if let Some(ack) = me.ack() {
                    let event = heard_last(app);
                    app.write(Log::TakeAck);
                    heap::test(|| app.acks.push((my_id.clone(), event, ack)));
                }
            }
            Command::Ask { to, .. }
            | Command::Join { who: to, .. }
            | Command::Leave { who: to, .. }
            | Command::Disconnect { who: to, .. }
            | Command::CloseConnection { who: to } => match to {
                None => act(app, me, command),
                Some(id) => {
                    let id = id.parse().expect("clients know ids");
                    if let Some(peer) = me.io().socket(id) {
                        act(app, &peer, command);
                    }
                }
            },
        }
    }
}

fn heard_last(app: &Chat) -> u64 {
    let heard = app.log.iter().rev().find_map(|entry| match entry {
        Log::Heard { token, .. } => Some(*token),
        _ => None,
    });
    heard.expect("an acknowledgement is asked for by an event")
}

/// What concerns one socket.
fn act(app: &mut Chat, peer: &Peer<'_, Chat>, command: &Command) {
    let socket = heap::test(|| peer.id().to_string());
    match command {
        Command::Ask { millis, load, .. } => {
            let token = app.token();
            app.write(Log::Ask {
                socket,
                token,
                millis: *millis,
                load: *load,
            });
            let timeout = Duration::from_millis(*millis);
            peer.emit_with_ack(
                "ask",
                args(token, *load),
                timeout,
                move |app: &mut Chat, socket, answer| {
                    let answer = answer.map(|(token, text, blobs): (u64, String, Vec<Bytes>)| {
                        if is_good(token, &text, &blobs) {
                            token
                        } else {
                            0
                        }
                    });
                    let socket = heap::test(|| socket.id().to_string());
                    app.write(Log::Answered {
                        socket,
                        token,
                        answer,
                    });
                },
            );
        }
        Command::Join { room, .. } => {
            app.write(heap::test(|| Log::Join {
                socket,
                room: room.clone(),
            }));
            peer.join(room);
        }
        Command::Leave { room, .. } => {
            app.write(heap::test(|| Log::Leave {
                socket,
                room: room.clone(),
            }));
            peer.leave(room);
        }
        Command::Disconnect { close, .. } => {
            app.write(Log::Disconnect {
                socket,
                close: *close,
            });
            peer.disconnect(*close);
        }
        Command::CloseConnection { .. } => {
            app.write(Log::CloseConnection { socket });
            peer.close_connection();
        }
        _ => unreachable!("the others concern several"),
    }
}

fn emit(app: &mut Chat, me: &Peer<'_, Chat>, whom: &Whom, load: Load, volatile: bool) {
    let token = app.token();
    let mut write = |to: To| write_emit(app, me.namespace(), to, "event", token, load, volatile);
    match whom {
        Whom::Me => {
            write(To::One(heap::test(|| me.id().to_string())));
            emit_one(me, token, load, volatile);
        }
        Whom::One(id) => {
            let Some(peer) = me.io().socket(id.parse().expect("clients know ids")) else {
                return;
            };
            write(To::One(heap::test(|| id.clone())));
            emit_one(&peer, token, load, volatile);
        }
        Whom::Rooms {
            rooms,
            except,
            is_broadcast,
        } => {
            let (rooms, except) = heap::test(|| (rooms.clone(), except.clone()));
            let but = is_broadcast.then(|| heap::test(|| me.id().to_string()));
            write(heap::test(|| To::Rooms {
                rooms: rooms.clone(),
                except: except.clone(),
                but,
            }));
            let to = if *is_broadcast {
                me.to(&rooms[..])
            } else {
                me.io().to(&rooms[..])
            };
            let to = to.except(&except[..]);
            let to = if volatile { to.volatile() } else { to };
            to.emit("event", args(token, load));
        }
        Whom::Elsewhere { namespace, rooms } => {
            let io = me.io().of(namespace).expect("it is defined");
            emit_from_with(app, io, namespace, rooms, load, volatile);
        }
    }
}

fn emit_one(peer: &Peer<'_, Chat>, token: u64, load: Load, volatile: bool) {
    if volatile {
        peer.volatile().emit("event", args(token, load));
    } else {
        peer.emit("event", args(token, load));
    }
}

/// An emission of a timer or of another thread.
pub fn emit_from(app: &mut Chat, io: Io<'_, Chat>, namespace: &str, rooms: &[String], load: Load) {
    let io = io.of(namespace).expect("it is defined");
    emit_from_with(app, io, namespace, rooms, load, false);
}

fn emit_from_with(
    app: &mut Chat,
    io: Io<'_, Chat>,
    namespace: &str,
    rooms: &[String],
    load: Load,
    volatile: bool,
) {
    let token = app.token();
    let to = heap::test(|| To::Rooms {
        rooms: rooms.to_vec(),
        except: Vec::new(),
        but: None,
    });
    write_emit(app, namespace, to, "event", token, load, volatile);
    let to = io.to(rooms);
    let to = if volatile { to.volatile() } else { to };
    to.emit("event", args(token, load));
}

/// Announces an emission by `HandleTo`, which is posted next.
pub fn announce(app: &mut Chat, namespace: &str, rooms: &[String], token: u64, load: Load) {
    let to = heap::test(|| To::Rooms {
        rooms: rooms.to_vec(),
        except: Vec::new(),
        but: None,
    });
    write_emit(app, namespace, to, "event", token, load, false);
}

/// What another thread sends.
pub fn payload(token: u64, load: Load) -> (u64, String, Vec<Bytes>) {
    args(token, load)
}

/// The token of every answer that the server gives: the event it answers is told by its id.
pub const ANSWER: u64 = 7;

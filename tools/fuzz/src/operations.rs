//! Sequences of operations: clients come, join, answer and go; handlers, other threads and timers
//! send to rooms and change them. A small model says who hears what.
//!
//! What always holds: each client hears exactly what the model says, in that order; everyone who
//! waits is told, and told once; the server lists the sockets and rooms that the model has.

mod client;
mod model;
mod plan;

use std::time::Duration;

use emio::{Config, Reason, Socket};

use crate::{
    app::{self, Guide},
    input::Input,
    world::{End, World},
};

use self::{client::Client, model::Model};

pub use self::{
    model::{Told, View},
    plan::Plan,
};

/// Steps.
pub fn operations(data: &[u8]) {
    let mut input = Input::new(data);
    let config = Config {
        connect_timeout: Duration::from_secs(100_000),
        pending_acks_max: 100_000,
        serve_client: false,
        ..Config::default()
    };
    let mut game = Game {
        world: World::new(Guide::default(), config, |crank| {
            for name in NAMESPACES {
                let mut namespace = crank.of(name);
                namespace.on_connect(|app: &mut Guide, socket: Socket<'_, Guide>| {
                    app.told.push(Told::Came(socket.id()));
                });
                namespace.on_disconnect(|app: &mut Guide, socket: Socket<'_, Guide>, _: Reason| {
                    app.told.push(Told::Gone(socket.id()));
                });
                namespace.on("do", |app: &mut Guide, socket: Socket<'_, Guide>, _: ()| {
                    let plan = app.plan.take().expect("there is a plan for the event");
                    plan.perform(socket.io());
                });
            }
        }),
        clients: Vec::new(),
        model: Model::default(),
        is_closed: false,
    };
    game.enter(true);
    for _ in 0..STEPS_MAX {
        if input.is_empty() || game.is_closed {
            break;
        }
        game.step(&mut input);
        game.check();
    }
    game.finish();
}

struct Game {
    world: World,
    clients: Vec<Client>,
    model: Model,
    /// The server was told to end.
    is_closed: bool,
}

impl Game {
    fn step(&mut self, input: &mut Input<'_>) {
        let first = input.byte();
        let (kind, which) = (first % 12, usize::from(first / 12));
        let client = which % self.clients.len();
        match kind {
            0 => self.enter(which % 2 == 0),
            1 => self.join(client, 1),
            2 => self.join(client, 0),
            3 => self.run(input),
            4 | 5 => self.handle(client, usize::from(kind - 4), input),
            6 => self.answer(client),
            7 => self.leave(client, input.byte()),
            8 => self.advance(u64::from(input.byte() % 20) * 100),
            9 => self.post(input),
            10 => self.visit(which, input),
            _ => {
                if input.byte() == 255 {
                    self.world.crank.handle().close().expect("there is room");
                    self.model.lose_all();
                    self.is_closed = true;
                }
            }
        }
    }

    /// A new client, in the namespace `/`.
    fn enter(&mut self, is_websocket: bool) {
        if self.clients.len() < CLIENTS_MAX {
            let client = Client::connect(&mut self.world, is_websocket);
            self.clients.push(client);
            self.join(self.clients.len() - 1, 0);
        }
    }

    fn join(&mut self, client: usize, namespace: usize) {
        let at = &mut self.clients[client];
        if !at.is_open || at.members[namespace].is_some() {
            return;
        }
        let packet = format!("40{}", PREFIXES[namespace]);
        at.say(&mut self.world, &packet);
        self.listen();
        let id = self.clients[client].joined.take().expect("it was let in");
        let member = self.model.enter(client, namespace, id);
        self.clients[client].members[namespace] = Some(member);
    }

    /// Operations between two turns.
    fn run(&mut self, input: &mut Input<'_>) {
        let plan = Plan::read(input, &mut self.model);
        self.model.perform(&plan);
        let handle = self.world.crank.handle();
        handle
            .run(move |_, io| plan.perform(io))
            .expect("there is room");
    }

    /// Operations of a handler.
    fn handle(&mut self, client: usize, namespace: usize, input: &mut Input<'_>) {
        let at = &self.clients[client];
        if !at.is_open || at.members[namespace].is_none() {
            return;
        }
        let plan = Plan::read(input, &mut self.model);
        self.model.perform(&plan);
        self.world.crank.app().plan = Some(plan);
        let packet = format!("42{}[\"do\"]", PREFIXES[namespace]);
        self.clients[client].say(&mut self.world, &packet);
    }

    /// Operations of one who looks at a socket between two turns.
    fn visit(&mut self, member: usize, input: &mut Input<'_>) {
        let plan = Plan::read(input, &mut self.model);
        let Some(id) = self.model.living(member) else {
            return;
        };
        self.model.perform(&plan);
        let visited = self
            .world
            .crank
            .with_socket(id, |_, peer| plan.perform(peer.io()));
        visited.expect("it is connected");
    }

    /// An event of another thread.
    fn post(&mut self, input: &mut Input<'_>) {
        let (whom, token) = Plan::read_post(input, &mut self.model);
        self.model.emit(&whom, token, false);
        let handle = self.world.crank.handle();
        let to = handle.of(NAMESPACES[whom.namespace]);
        let to = to.to(&whom.rooms).except(&whom.except);
        to.emit("e", token).expect("there is room");
    }

    /// A client answers what it was asked first.
    fn answer(&mut self, client: usize) {
        let at = &mut self.clients[client];
        let Some(question) = at.questions.pop_front().filter(|_| at.is_open) else {
            return;
        };
        // Who speaks in a namespace that it was told to leave loses its connection.
        let Some(member) = at.members[question.namespace] else {
            return;
        };
        let value = question.token * 10 + client as u32;
        self.model.answer(member, question.token, value);
        let prefix = PREFIXES[question.namespace];
        let packet = format!("43{prefix}{}[{value}]", question.id);
        at.say(&mut self.world, &packet);
    }

    fn leave(&mut self, client: usize, how: u8) {
        let at = &mut self.clients[client];
        if !at.is_open {
            return;
        }
        let namespace = usize::from(how & 1);
        match how % 6 {
            0..=2 => {
                let Some(member) = at.members[namespace] else {
                    return;
                };
                self.model.leave(member);
                at.say(&mut self.world, &format!("41{}", PREFIXES[namespace]));
                return;
            }
            3 => at.say_raw(&mut self.world, "1"),
            4 if at.is_websocket => at.end(&mut self.world, End::Eof),
            5 if at.is_websocket => at.end(&mut self.world, End::Reset),
            _ => return,
        }
        self.model.lose(client);
    }

    fn advance(&mut self, ms: u64) {
        self.world.advance(Duration::from_millis(ms));
        self.model.advance(ms);
    }

    /// Lets everyone hear what there is, and compares.
    fn check(&mut self) {
        self.listen();
        for (client, at) in self.clients.iter_mut().enumerate() {
            self.model.hear(client, &std::mem::take(&mut at.heard));
            for member in &mut at.members {
                *member = member.filter(|&member| self.model.living(member).is_some());
            }
            at.is_open &= !self.model.is_lost(client);
        }
        let handle = self.world.crank.handle();
        if handle.run(|app, io| app.view = model::view(io)).is_ok() {
            self.world.settle();
            let app = self.world.crank.app();
            self.model.compare(std::mem::take(&mut app.told), &app.view);
        }
    }

    /// Until there is nothing that a client reacts to.
    fn listen(&mut self) {
        for _ in 0..10_000 {
            self.world.settle();
            let mut has_reacted = false;
            for client in &mut self.clients {
                has_reacted |= client.listen(&mut self.world);
            }
            if !has_reacted {
                return;
            }
        }
        panic!("a conversation without end");
    }

    fn finish(mut self) {
        self.world.finish();
        self.model.lose_all();
        let told = std::mem::take(&mut self.world.crank.app().told);
        self.model.compare_told(told);
        drop(self.world);
        assert_eq!(app::living(), 0, "data of sockets");
    }
}

const NAMESPACES: [&str; 2] = ["/", "/b"];
/// What stands in front of a packet's payload.
const PREFIXES: [&str; 2] = ["", "/b,"];
const CLIENTS_MAX: usize = 5;
const STEPS_MAX: usize = 200;

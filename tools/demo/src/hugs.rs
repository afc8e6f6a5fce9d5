//! Hugs: a private word between two of those who are here. Nobody else hears it, and the server
//! keeps nothing of it. The contract with the page is written at the top of `site/hugs/hugs.js`.

use std::collections::BTreeMap;

use emio::{Reason, Server, Socket, SocketId};
use serde::Serialize;

use crate::site::{Site, cut};

/// What all share.
#[derive(Default)]
pub struct Hugs {
    /// Those who gave a name. Who leaves is removed, so there are never more than connections.
    names: BTreeMap<SocketId, String>,
}

#[derive(Serialize)]
struct Person<'a> {
    id: SocketId,
    name: &'a str,
}

/// Teaches a server to pass hugs on.
pub fn register(io: &mut Server<Site>) {
    let mut hugs = io.of("/hugs");
    hugs.on("join", join);
    hugs.on("hug", hug);
    hugs.on("write", write);
    hugs.on_disconnect(leave);
}

fn join(site: &mut Site, socket: Socket<'_, Site>, (name,): (String,)) {
    let names = &mut site.hugs.names;
    let id = socket.id();
    let name = cut(&name, NAME_CHARS_MAX);
    if name.is_empty() || names.contains_key(&id) {
        return;
    }
    let person = Person { id, name: &name };
    socket.broadcast().emit("user.add", person);
    let others = names.iter().map(|(&id, name)| Person { id, name });
    let others: Vec<_> = others.take(PEOPLE_LISTED_MAX).collect();
    socket.reply([others]);
    names.insert(id, name);
}

fn hug(site: &mut Site, socket: Socket<'_, Site>, (to,): (String,)) {
    let sent = site.hugs.pair(socket.id(), &to).map(|(from, to)| {
        // The id of a socket names a room that only it is in.
        socket.to(to).emit("hug", from);
    });
    socket.reply(sent.err());
}

fn write(site: &mut Site, socket: Socket<'_, Site>, (to, text): (String, String)) {
    let text = cut(&text, TEXT_CHARS_MAX);
    let sent = site.hugs.pair(socket.id(), &to).map(|(from, to)| {
        socket.to(to).emit("message", (from, text));
    });
    socket.reply(sent.err());
}

fn leave(site: &mut Site, socket: Socket<'_, Site>, _: Reason) {
    let id = socket.id();
    if site.hugs.names.remove(&id).is_some() {
        socket.broadcast().emit("user.remove", id);
    }
}

impl Hugs {
    /// Who sends, and to whom, if both are here.
    fn pair(&self, from: SocketId, to: &str) -> Result<(Person<'_>, SocketId), &'static str> {
        let name = self.names.get(&from).ok_or("say who you are first")?;
        let to = SocketId::parse(to).filter(|to| self.names.contains_key(to));
        Ok((Person { id: from, name }, to.ok_or("they have left")?))
    }
}

/// Longer names are cut.
const NAME_CHARS_MAX: usize = 32;

/// Longer messages are cut.
const TEXT_CHARS_MAX: usize = 1_000;

/// A newcomer is told no more of those who are here.
const PEOPLE_LISTED_MAX: usize = 200;

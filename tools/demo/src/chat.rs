//! The chat: everyone who has the page open talks to everyone, and sees who is there. The contract
//! with the page is written at the top of `site/chat/chat.js`.

use std::collections::BTreeMap;

use emio::{Bytes, Reason, Server, Socket, SocketId};
use serde::{Deserialize, Serialize};

use crate::site::{Site, cut};

/// What all users share.
#[derive(Default)]
pub struct Chat {
    /// Those who gave a name. Who leaves is removed, so there are never more than connections.
    names: BTreeMap<SocketId, String>,
    messages: u64,
}

#[derive(Serialize)]
struct User<'a> {
    id: SocketId,
    name: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Welcome<'a> {
    num_users: usize,
    users: Vec<User<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Added<'a> {
    id: SocketId,
    name: &'a str,
    num_users: usize,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Removed {
    id: SocketId,
    num_users: usize,
}

#[derive(Serialize)]
struct Text<'a> {
    from: User<'a>,
    text: String,
    id: u64,
}

#[derive(Serialize)]
struct Typing<'a> {
    from: User<'a>,
    typing: bool,
}

#[derive(Deserialize)]
struct Picture {
    #[serde(rename = "type")]
    kind: String,
    bytes: Bytes,
}

#[derive(Serialize)]
struct Shown<'a> {
    from: User<'a>,
    #[serde(rename = "type")]
    kind: String,
    bytes: Bytes,
}

/// Teaches a server the chat.
pub fn register(io: &mut Server<Site>) {
    let mut chat = io.of("/chat");
    chat.on("add user", add_user);
    chat.on("chat message", message);
    chat.on("chat image", image);
    chat.on("typing", typing);
    chat.on_disconnect(leave);
}

impl Chat {
    /// Who this is, once they gave a name.
    fn user(&self, id: SocketId) -> Option<User<'_>> {
        let name = self.names.get(&id)?;
        Some(User { id, name })
    }
}

fn add_user(site: &mut Site, socket: Socket<'_, Site>, (name,): (String,)) {
    let id = socket.id();
    let name = cut(&name, NAME_CHARS_MAX);
    let names = &mut site.chat.names;
    if name.is_empty() || names.contains_key(&id) {
        return;
    }
    let num_users = names.len() + 1;
    let added = Added {
        id,
        name: &name,
        num_users,
    };
    socket.broadcast().emit("user.add", added);
    let others = names.iter().map(|(&id, name)| User { id, name });
    let users = others.take(USERS_LISTED_MAX).collect();
    socket.reply(Welcome { num_users, users });
    names.insert(id, name);
}

fn message(site: &mut Site, socket: Socket<'_, Site>, (text,): (String,)) {
    let text = cut(&text, TEXT_CHARS_MAX);
    if text.is_empty() {
        return;
    }
    let Some(from) = site.chat.user(socket.id()) else {
        return;
    };
    let id = site.chat.messages;
    socket.io().emit("chat message", Text { from, text, id });
    site.chat.messages += 1;
}

fn image(site: &mut Site, socket: Socket<'_, Site>, (picture,): (Picture,)) {
    let Picture { kind, bytes } = picture;
    if !IMAGE_TYPES.contains(&&*kind) || bytes.len() > IMAGE_BYTES_MAX {
        return;
    }
    let Some(from) = site.chat.user(socket.id()) else {
        return;
    };
    socket.io().emit("chat image", Shown { from, kind, bytes });
}

fn typing(site: &mut Site, socket: Socket<'_, Site>, (typing,): (bool,)) {
    let Some(from) = site.chat.user(socket.id()) else {
        return;
    };
    let typing = Typing { from, typing };
    socket.broadcast().volatile().emit("typing", typing);
}

fn leave(site: &mut Site, socket: Socket<'_, Site>, _: Reason) {
    let id = socket.id();
    if site.chat.names.remove(&id).is_some() {
        let num_users = site.chat.names.len();
        let removed = Removed { id, num_users };
        socket.broadcast().emit("user.remove", removed);
    }
}

/// Longer names are cut.
const NAME_CHARS_MAX: usize = 32;

/// Longer messages are cut.
const TEXT_CHARS_MAX: usize = 4_000;

/// A newcomer is told no more names than these, but how many there are.
const USERS_LISTED_MAX: usize = 200;

/// Larger pictures are not passed on; the page makes them smaller.
const IMAGE_BYTES_MAX: usize = 750_000;

/// Nor are those that a browser would not show.
const IMAGE_TYPES: [&str; 5] = [
    "image/png",
    "image/jpeg",
    "image/gif",
    "image/webp",
    "image/avif",
];

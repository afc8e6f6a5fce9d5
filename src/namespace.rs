//! Sockets, namespaces and rooms: who is where, and who is meant.
//!
//! Not here: packets, sessions' transports, user code. What always holds: a socket stands in the
//! member list of each of its rooms at the place its own list says; a room without members does not
//! exist; a socket's own room is its id and costs nothing; only connected sockets are found by a
//! selection.

use std::{borrow::Cow, collections::HashMap};

use slab::Slab;

use crate::{
    id::{NamespaceKey, RoomKey, Secret, SessionKey, SocketId, SocketKey},
    reason::Reason,
};

/// Everyone and everything that has a name on this server.
#[derive(Debug, Default)]
pub struct Roster {
    pub sockets: Slab<Member>,
    namespaces: Vec<Namespace>,
    names: HashMap<Box<str>, NamespaceKey>,
    /// Slots of namespaces that are forgotten.
    free: Vec<NamespaceKey>,
    /// Dynamic namespaces that their last socket has left.
    emptied: Vec<NamespaceKey>,
    dynamic_count: usize,
    rooms: Slab<Room>,
    /// What happens to rooms, if somebody wants to know.
    changes: Option<Vec<RoomChange>>,
    /// Ids that do not carry their slot: recovered ones, and those of other protocols to come.
    aliases: HashMap<SocketId, SocketKey>,
    /// The same the other way round.
    renamed: HashMap<SocketKey, SocketId>,
    /// The mark of the current selection; a socket that bears it has been seen.
    epoch: u32,
}

/// One client in one namespace.
#[derive(Debug)]
pub struct Member {
    secret: Secret,
    pub presence: Presence,
    pub namespace: NamespaceKey,
    pub session: SessionKey,
    /// The next socket of the same client.
    pub next: Option<SocketKey>,
    /// Its place among the namespace's members.
    place: u32,
    mark: u32,
    /// Acknowledgements it owes.
    pub acks_count: u32,
    /// The rooms it is in, and its place there. Nothing while it is in none; boxed because most
    /// are.
    #[expect(
        clippy::box_collection,
        reason = "8 bytes for a socket without rooms, not 24"
    )]
    rooms: Option<Box<Vec<(RoomKey, u32)>>>,
}

/// How far a socket has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// Its middleware has not decided.
    Joining,
    Connected,
    /// It is on its way out; its handlers have not all been told.
    Leaving(Reason),
    Gone,
}

#[derive(Debug)]
struct Namespace {
    name: Box<str>,
    /// What its definer finds its handlers by.
    tag: u32,
    /// Made because a client asked for it.
    is_dynamic: bool,
    /// How many namespaces had this slot before.
    generation: u32,
    /// Sockets that have entered and were not removed.
    sockets_count: u32,
    /// Connected sockets, in no order that matters.
    members: Vec<SocketKey>,
    rooms: HashMap<Box<str>, RoomKey>,
    /// One counter for all its sockets, so that a broadcast can use one id.
    next_ack: u64,
}

#[derive(Debug)]
struct Room {
    name: Box<str>,
    members: Vec<SocketKey>,
}

/// Something that happened to a room. A socket's own room, which its id names, is not told of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoomChange {
    /// Where.
    pub namespace: NamespaceKey,
    /// Its name.
    pub room: Box<str>,
    /// What happened.
    pub what: RoomEvent,
}

/// What happened to a room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RoomEvent {
    /// Its first member is about to join.
    Created,
    /// Its last member has left.
    Deleted,
    /// This socket has joined.
    Joined(SocketId),
    /// This socket has left.
    Left(SocketId),
}

/// Who is to receive: all of a namespace, or the union of some rooms; without the excepted.
#[derive(Debug)]
pub struct Selection {
    namespace: NamespaceKey,
    /// Empty is everyone.
    groups: Vec<Group>,
    is_everyone: bool,
    except: Option<SocketKey>,
    /// Whether sockets are marked as seen: several groups may overlap, or some are excepted.
    has_marks: bool,
    group: usize,
    place: usize,
}

#[derive(Clone, Copy, Debug)]
enum Group {
    Room(RoomKey),
    One(SocketKey),
}

// Namespaces.
impl Roster {
    /// The namespace of this name. If there is none it is made, with this tag; one that was made
    /// because a client asked for it is the program's from now on, and takes the tag.
    pub fn define(&mut self, name: &str, tag: u32) -> NamespaceKey {
        let Some(&key) = self.names.get(name) else {
            return self.make(name, tag, false);
        };
        let namespace = &mut self.namespaces[key.index()];
        if std::mem::take(&mut namespace.is_dynamic) {
            namespace.tag = tag;
            self.dynamic_count -= 1;
        }
        key
    }

    /// A namespace that a client asked for. There is none of this name.
    pub fn define_dynamic(&mut self, name: &str, tag: u32) -> NamespaceKey {
        self.make(name, tag, true)
    }

    fn make(&mut self, name: &str, tag: u32, is_dynamic: bool) -> NamespaceKey {
        let mut made = Namespace {
            name: name.into(),
            tag,
            is_dynamic,
            generation: 0,
            sockets_count: 0,
            members: Vec::new(),
            rooms: HashMap::new(),
            next_ack: 0,
        };
        let key = match self.free.pop() {
            Some(key) => {
                let slot = &mut self.namespaces[key.index()];
                made.generation = slot.generation;
                *slot = made;
                key
            }
            None => {
                self.namespaces.push(made);
                NamespaceKey::new(self.namespaces.len() - 1)
            }
        };
        self.names.insert(name.into(), key);
        self.dynamic_count += usize::from(is_dynamic);
        key
    }

    /// Forgets the dynamic namespaces that nobody is in any more, if they are to be forgotten.
    pub fn forget_emptied(&mut self, cleans: bool) {
        while let Some(key) = self.emptied.pop() {
            let namespace = &mut self.namespaces[key.index()];
            if !cleans || namespace.sockets_count > 0 || !namespace.is_dynamic {
                continue;
            }
            // What was meant for it is not for who gets its slot.
            namespace.generation = namespace.generation.wrapping_add(1);
            self.names.remove(&namespace.name);
            namespace.is_dynamic = false;
            namespace.members = Vec::new();
            namespace.rooms = HashMap::new();
            self.dynamic_count -= 1;
            self.free.push(key);
        }
    }

    /// Whether a namespace is there that was made because a client asked for it.
    pub fn dynamic_count(&self) -> usize {
        self.dynamic_count
    }

    pub fn tag(&self, key: NamespaceKey) -> u32 {
        self.namespaces[key.index()].tag
    }

    /// Tells a namespace from others that had the same key before it.
    pub fn generation(&self, key: NamespaceKey) -> u32 {
        self.namespaces[key.index()].generation
    }

    /// All namespaces, in no order that matters.
    pub fn all(&self) -> impl Iterator<Item = NamespaceKey> {
        self.names.values().copied()
    }

    /// The namespaces with this tag.
    pub fn tagged(&self, tag: u32) -> impl Iterator<Item = NamespaceKey> {
        let all = self.all();
        all.filter(move |key| self.namespaces[key.index()].tag == tag)
    }

    /// From now on `take_changes` tells what happens to rooms.
    pub fn tell_rooms(&mut self) {
        self.changes.get_or_insert_default();
    }

    pub fn take_changes(&mut self) -> Vec<RoomChange> {
        self.changes
            .as_mut()
            .map(std::mem::take)
            .unwrap_or_default()
    }

    fn tell(&mut self, namespace: NamespaceKey, room: &str, what: RoomEvent) {
        if let Some(changes) = &mut self.changes {
            let room = room.into();
            changes.push(RoomChange {
                namespace,
                room,
                what,
            });
        }
    }

    pub fn namespace(&self, name: &str) -> Option<NamespaceKey> {
        // Most packets are for the first one, whose name is not even on the wire.
        let first = self.namespaces.first();
        if first.is_some_and(|first| &*first.name == name && name == "/") {
            return Some(NamespaceKey::new(0));
        }
        self.names.get(name).copied()
    }

    pub fn namespace_name(&self, key: NamespaceKey) -> &str {
        &self.namespaces[key.index()].name
    }

    /// Connected sockets of a namespace.
    pub fn members(&self, key: NamespaceKey) -> &[SocketKey] {
        &self.namespaces[key.index()].members
    }

    /// The names of a namespace's rooms, those that ids name left out.
    pub fn room_names(&self, key: NamespaceKey) -> impl Iterator<Item = &str> {
        let rooms = &self.namespaces[key.index()].rooms;
        rooms.keys().map(|name| &**name)
    }

    pub fn next_ack(&mut self, key: NamespaceKey) -> u64 {
        let next = &mut self.namespaces[key.index()].next_ack;
        *next += 1;
        *next - 1
    }

    pub fn rooms_count(&self) -> usize {
        self.rooms.len()
    }
}

// Sockets.
impl Roster {
    /// A socket that is joining this namespace, first in its client's list.
    pub fn enter(
        &mut self,
        secret: Secret,
        namespace: NamespaceKey,
        session: SessionKey,
        next: Option<SocketKey>,
    ) -> SocketKey {
        self.namespaces[namespace.index()].sockets_count += 1;
        SocketKey::new(self.sockets.insert(Member {
            secret,
            presence: Presence::Joining,
            namespace,
            session,
            next,
            place: 0,
            mark: self.epoch,
            acks_count: 0,
            rooms: None,
        }))
    }

    pub fn connect(&mut self, key: SocketKey) {
        let socket = &mut self.sockets[key.index()];
        let members = &mut self.namespaces[socket.namespace.index()].members;
        socket.presence = Presence::Connected;
        socket.place = u32::try_from(members.len()).expect("keys are 32 bits");
        members.push(key);
    }

    /// Takes a socket out of its rooms and its namespace's members. Its slot stays.
    pub fn leave_all(&mut self, key: SocketKey) {
        let socket = &mut self.sockets[key.index()];
        let namespace = socket.namespace;
        let was_member = socket.presence != Presence::Joining;
        socket.presence = Presence::Gone;
        for (room, place) in *socket.rooms.take().unwrap_or_default() {
            self.remove_from_room(key, namespace, room, place);
        }
        let place = self.sockets[key.index()].place as usize;
        let members = &mut self.namespaces[namespace.index()].members;
        if was_member && members.get(place) == Some(&key) {
            members.swap_remove(place);
            if let Some(moved) = members.get(place) {
                self.sockets[moved.index()].place = place as u32;
            }
            give_back(members);
        }
    }

    /// Gives a socket the id that another one had before it.
    pub fn rename(&mut self, key: SocketKey, id: SocketId) {
        self.aliases.insert(id, key);
        self.renamed.insert(key, id);
    }

    /// Keeps a namespace from being forgotten, until it is released as often as held.
    pub fn hold(&mut self, key: NamespaceKey) {
        self.namespaces[key.index()].sockets_count += 1;
    }

    pub fn release(&mut self, key: NamespaceKey) {
        let namespace = &mut self.namespaces[key.index()];
        namespace.sockets_count -= 1;
        if namespace.is_dynamic && namespace.sockets_count == 0 {
            self.emptied.push(key);
        }
    }

    /// Frees the slot of a socket that has left everything.
    pub fn remove(&mut self, key: SocketKey) {
        let socket = self.sockets.remove(key.index());
        debug_assert_eq!(socket.presence, Presence::Gone);
        self.release(socket.namespace);
        if let Some(id) = self.renamed.remove(&key) {
            // The id may be another socket's by now, if its client came back again.
            if self.aliases.get(&id) == Some(&key) {
                self.aliases.remove(&id);
            }
        }
    }

    pub fn id(&self, key: SocketKey) -> SocketId {
        if !self.renamed.is_empty() {
            if let Some(id) = self.renamed.get(&key) {
                return *id;
            }
        }
        let slot = u32::try_from(key.index()).expect("keys are 32 bits");
        SocketId::new(self.sockets[key.index()].secret, slot)
    }

    /// The one door from an id to a socket.
    pub fn resolve(&self, id: SocketId) -> Option<SocketKey> {
        let slot = id.slot() as usize;
        let found = self
            .sockets
            .get(slot)
            .filter(|socket| id.has_secret(&socket.secret))
            .filter(|socket| socket.presence != Presence::Gone);
        if found.is_some() {
            return Some(SocketKey::new(slot));
        }
        let key = self.aliases.get(&id).copied()?;
        (self.sockets[key.index()].presence != Presence::Gone).then_some(key)
    }

    pub fn is_connected(&self, key: SocketKey) -> bool {
        let socket = self.sockets.get(key.index());
        socket.is_some_and(|socket| socket.presence == Presence::Connected)
    }
}

// Rooms.
impl Roster {
    /// Puts a socket into a room; `false` if it is in `rooms_max` rooms already. In its own room,
    /// which its id names, it is anyway.
    pub fn join(&mut self, key: SocketKey, name: &str, rooms_max: usize) -> bool {
        let socket = &self.sockets[key.index()];
        if matches!(socket.presence, Presence::Leaving(_) | Presence::Gone)
            || self.is_own(key, name)
        {
            return true;
        }
        let place = socket.namespace;
        let namespace = &mut self.namespaces[place.index()];
        let joined = socket.rooms.as_deref().map_or(&[][..], |rooms| rooms);
        let room = match namespace.rooms.get(name) {
            Some(&room) if joined.iter().any(|&(other, _)| other == room) => return true,
            _ if joined.len() >= rooms_max => return false,
            Some(&room) => room,
            None => {
                let room = Room {
                    name: name.into(),
                    members: Vec::new(),
                };
                let room = RoomKey::new(self.rooms.insert(room));
                namespace.rooms.insert(name.into(), room);
                self.tell(place, name, RoomEvent::Created);
                room
            }
        };
        let members = &mut self.rooms[room.index()].members;
        let at = u32::try_from(members.len()).expect("keys are 32 bits");
        members.push(key);
        let socket = &mut self.sockets[key.index()];
        socket.rooms.get_or_insert_default().push((room, at));
        if self.changes.is_some() {
            self.tell(place, name, RoomEvent::Joined(self.id(key)));
        }
        true
    }

    /// Takes a socket out of a room, if it is there.
    pub fn leave(&mut self, key: SocketKey, name: &str) {
        let socket = &mut self.sockets[key.index()];
        let namespace = socket.namespace;
        let Some(&room) = self.namespaces[namespace.index()].rooms.get(name) else {
            return;
        };
        let Some(rooms) = &mut socket.rooms else {
            return;
        };
        let Some(at) = rooms.iter().position(|&(other, _)| other == room) else {
            return;
        };
        let (_, place) = rooms.swap_remove(at);
        if rooms.is_empty() {
            socket.rooms = None;
        }
        self.remove_from_room(key, namespace, room, place);
    }

    fn remove_from_room(
        &mut self,
        key: SocketKey,
        namespace: NamespaceKey,
        room: RoomKey,
        place: u32,
    ) {
        if self.changes.is_some() {
            let name = self.rooms[room.index()].name.clone();
            self.tell(namespace, &name, RoomEvent::Left(self.id(key)));
        }
        let members = &mut self.rooms[room.index()].members;
        members.swap_remove(place as usize);
        if let Some(moved) = members.get(place as usize) {
            let rooms = self.sockets[moved.index()].rooms.as_deref_mut();
            let entry = rooms
                .and_then(|rooms| rooms.iter_mut().find(|(other, _)| *other == room))
                .expect("a member of a room has it in its list");
            entry.1 = place;
        }
        if members.is_empty() {
            let room = self.rooms.remove(room.index());
            self.namespaces[namespace.index()].rooms.remove(&room.name);
            self.tell(namespace, &room.name, RoomEvent::Deleted);
        } else {
            give_back(members);
        }
    }

    /// The rooms of a socket, without its own.
    pub fn rooms(&self, key: SocketKey) -> impl Iterator<Item = &str> {
        let rooms = self.sockets[key.index()]
            .rooms
            .as_deref()
            .map_or(&[][..], |rooms| rooms);
        rooms
            .iter()
            .map(|&(room, _)| &*self.rooms[room.index()].name)
    }

    fn is_own(&self, key: SocketKey, name: &str) -> bool {
        SocketId::parse(name).is_some_and(|id| self.resolve(id) == Some(key))
    }
}

// Selections.
impl Roster {
    /// Prepares a walk over the sockets that are meant. No rooms is everyone; a room that does not
    /// exist is empty; an id is a room with one member.
    pub fn select(
        &mut self,
        namespace: NamespaceKey,
        rooms: &[Box<str>],
        except: &[Box<str>],
        except_socket: Option<SocketKey>,
    ) -> Selection {
        let groups: Vec<_> = rooms
            .iter()
            .flat_map(|room| self.groups(namespace, room))
            .collect();
        let has_marks = groups.len() > 1 || !except.is_empty();
        if has_marks {
            self.next_epoch();
        }
        for room in except {
            for group in self.groups(namespace, room) {
                self.mark(group);
            }
        }
        Selection {
            namespace,
            groups,
            is_everyone: rooms.is_empty(),
            except: except_socket,
            has_marks,
            group: 0,
            place: 0,
        }
    }

    /// The next socket of a selection; each comes once.
    pub fn next(&mut self, selection: &mut Selection) -> Option<SocketKey> {
        loop {
            let key = self.next_member(selection)?;
            let socket = &mut self.sockets[key.index()];
            if socket.presence != Presence::Connected || selection.except == Some(key) {
                continue;
            }
            if selection.has_marks {
                if socket.mark == self.epoch {
                    continue;
                }
                socket.mark = self.epoch;
            }
            return Some(key);
        }
    }

    /// The sockets that are meant, all at once; each once.
    pub fn selected(
        &self,
        namespace: NamespaceKey,
        rooms: &[Box<str>],
        except: &[Box<str>],
        except_socket: Option<SocketKey>,
    ) -> Vec<SocketKey> {
        let members = |names: &[Box<str>]| {
            let groups = names.iter().flat_map(|room| self.groups(namespace, room));
            let mut keys: Vec<SocketKey> = groups
                .flat_map(|group| match group {
                    Group::Room(room) => self.rooms[room.index()].members.clone(),
                    Group::One(socket) => vec![socket],
                })
                .collect();
            keys.sort_unstable();
            keys.dedup();
            keys
        };
        let mut keys = match rooms {
            [] => self.members(namespace).to_vec(),
            rooms => members(rooms),
        };
        let excepted = members(except);
        keys.retain(|key| {
            self.is_connected(*key)
                && except_socket != Some(*key)
                && excepted.binary_search(key).is_err()
        });
        keys
    }

    fn next_member(&self, selection: &mut Selection) -> Option<SocketKey> {
        if selection.is_everyone {
            let members = &self.namespaces[selection.namespace.index()].members;
            selection.place += 1;
            return members.get(selection.place - 1).copied();
        }
        loop {
            let members = match selection.groups.get(selection.group)? {
                Group::Room(room) => &self.rooms[room.index()].members[..],
                Group::One(socket) => std::slice::from_ref(socket),
            };
            if let Some(&key) = members.get(selection.place) {
                selection.place += 1;
                return Some(key);
            }
            selection.group += 1;
            selection.place = 0;
        }
    }

    /// What a name means: the room, and the socket whose id it is.
    fn groups(&self, namespace: NamespaceKey, name: &str) -> impl Iterator<Item = Group> + use<> {
        let room = self.namespaces[namespace.index()]
            .rooms
            .get(name)
            .copied()
            .map(Group::Room);
        let one = SocketId::parse(name)
            .and_then(|id| self.resolve(id))
            .filter(|socket| self.sockets[socket.index()].namespace == namespace)
            .map(Group::One);
        room.into_iter().chain(one)
    }

    fn mark(&mut self, group: Group) {
        match group {
            Group::One(socket) => self.sockets[socket.index()].mark = self.epoch,
            Group::Room(room) => {
                for socket in &self.rooms[room.index()].members {
                    self.sockets[socket.index()].mark = self.epoch;
                }
            }
        }
    }

    fn next_epoch(&mut self) {
        self.epoch = self.epoch.wrapping_add(1);
        if self.epoch == 0 {
            // Once in four billion selections old marks could be taken for new ones.
            for (_, socket) in &mut self.sockets {
                socket.mark = 0;
            }
            self.epoch = 1;
        }
    }
}

/// A namespace's name as it travels: a missing slash at its beginning is added.
pub fn full_name(name: &str) -> Cow<'_, str> {
    if name.starts_with('/') {
        return Cow::Borrowed(name);
    }
    Cow::Owned(format!("/{name}"))
}

/// Returns memory after many have left.
fn give_back(members: &mut Vec<SocketKey>) {
    if members.capacity() > 64 && members.len() < members.capacity() / 4 {
        members.shrink_to(members.len() * 2);
    }
}

const _: () = assert!(size_of::<Member>() <= 56, "an idle socket must stay small");

#[cfg(test)]
mod tests {
    use super::*;

    struct World {
        roster: Roster,
        namespace: NamespaceKey,
    }

    impl World {
        fn new() -> World {
            let mut roster = Roster::default();
            let namespace = roster.define("/", 0);
            World { roster, namespace }
        }

        fn socket(&mut self, rooms: &[&str]) -> SocketKey {
            let secret = [self.roster.sockets.len() as u8; 11];
            let key = self
                .roster
                .enter(secret, self.namespace, SessionKey::new(0), None);
            self.roster.connect(key);
            for room in rooms {
                assert!(self.roster.join(key, room, 8));
            }
            key
        }

        fn selected(&mut self, rooms: &[&str], except: &[&str]) -> Vec<SocketKey> {
            let boxed = |names: &[&str]| names.iter().map(|&name| name.into()).collect::<Vec<_>>();
            let (rooms, except) = (boxed(rooms), boxed(except));
            let mut selection = self.roster.select(self.namespace, &rooms, &except, None);
            let mut keys = Vec::new();
            while let Some(key) = self.roster.next(&mut selection) {
                keys.push(key);
            }
            keys.sort();
            keys
        }
    }

    #[test]
    fn wire_2_8_2_a_socket_in_several_rooms_is_selected_once() {
        let mut world = World::new();
        let (a, b) = (world.socket(&["x", "y"]), world.socket(&["y"]));
        let c = world.socket(&[]);
        assert_eq!(world.selected(&["x", "y"], &[]), [a, b]);
        assert_eq!(world.selected(&[], &[]), [a, b, c]);
        assert_eq!(world.selected(&[], &["x"]), [b, c]);
        assert_eq!(world.selected(&["y"], &["x"]), [b]);
        assert_eq!(world.selected(&["nobody"], &[]), []);
    }

    #[test]
    fn wire_2_8_1_an_id_is_the_room_of_its_socket() {
        let mut world = World::new();
        let (a, b) = (world.socket(&["x"]), world.socket(&[]));
        let id = world.roster.id(b).to_string();
        assert_eq!(world.selected(&[&id, "x"], &[]), [a, b]);
        assert_eq!(world.selected(&[], &[&id]), [a]);
        assert!(world.roster.join(b, &id, 0), "it is there already");
        assert_eq!(world.roster.rooms(b).count(), 0);
    }

    #[test]
    fn rooms_vanish_with_their_last_member() {
        let mut world = World::new();
        let sockets: Vec<_> = (0..100).map(|_| world.socket(&["x", "y", "z"])).collect();
        for (n, &key) in sockets.iter().enumerate() {
            if n % 2 == 0 {
                world.roster.leave(key, "y");
                world.roster.leave(key, "nowhere");
            }
        }
        assert_eq!(world.selected(&["y"], &[]).len(), 50);
        for &key in sockets.iter().rev() {
            world.roster.leave_all(key);
            assert_eq!(world.roster.resolve(world.roster.id(key)), None);
            world.roster.remove(key);
        }
        assert_eq!(world.roster.rooms_count(), 0);
        assert!(world.roster.sockets.is_empty());
        assert_eq!(world.selected(&[], &[]), []);
    }

    #[test]
    fn a_socket_has_a_limit_of_rooms() {
        let mut world = World::new();
        let key = world.socket(&["a", "b"]);
        assert!(!world.roster.join(key, "c", 2));
        assert!(world.roster.join(key, "a", 2), "it is there already");
        assert_eq!(world.roster.rooms(key).collect::<Vec<_>>(), ["a", "b"]);
    }
}

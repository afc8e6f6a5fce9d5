//! The whiteboard: everyone draws on one board, and sees where the others' pens are. The contract
//! with the page is written at the top of `site/whiteboard/whiteboard.js`.
//!
//! Where pens are is volatile: who cannot keep up misses some of it, and nobody waits. What they
//! have drawn is not: it reaches everyone, and who comes later finds it on the board.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Instant,
};

use emio::{Reason, Server, Socket};
use serde::{Deserialize, Serialize};

use crate::site::{Site, cut};

/// What all artists share.
pub struct Whiteboard {
    /// The clock that the pages compare theirs with.
    started: Instant,
    artists: BTreeMap<u32, Artist>,
    last_artist: u32,
    /// Their numbers have no gaps, so that a page knows the whole board by the oldest number.
    strokes: VecDeque<Stroke>,
    next_stroke: u64,
    points_count: usize,
}

/// What the server knows of one visitor of the board.
#[derive(Default)]
pub struct Drawing {
    artist: u32,
}

#[derive(Clone, Serialize, Deserialize)]
struct Artist {
    name: String,
    color: u8,
}

/// Where one finger, mouse or pen is, and whether it draws.
#[derive(Serialize, Deserialize)]
struct Pointer(u8, Point, bool);

#[derive(Clone, Copy, Serialize, Deserialize)]
struct Point(u16, u16);

#[derive(Deserialize)]
struct Drawn {
    /// The one of the page's pointers that drew it.
    pointer: u8,
    color: u8,
    width: u8,
    points: Vec<Point>,
}

#[derive(Serialize)]
struct Stroke {
    id: u64,
    color: u8,
    width: u8,
    points: Vec<Point>,
}

/// The board as a newcomer finds it.
#[derive(Serialize)]
struct Board<'a> {
    me: u32,
    /// The latest ones; of the others a newcomer hears when they say who they are.
    artists: BTreeMap<u32, &'a Artist>,
    strokes: &'a VecDeque<Stroke>,
}

/// Teaches a server the whiteboard.
pub fn register(io: &mut Server<Site>) {
    let mut board = io.of("/whiteboard");
    board.on_connect(enter);
    board.on("artist", introduce);
    board.on("move", moved);
    board.on("stroke", draw);
    board.on("clear", clear);
    board.on_disconnect(leave);
}

fn enter(site: &mut Site, socket: Socket<'_, Site>) {
    let board = &mut site.whiteboard;
    board.last_artist += 1;
    let me = board.last_artist;
    let artist = Artist {
        name: "Someone".to_owned(),
        color: (me % u32::from(COLORS)) as u8,
    };
    socket.broadcast().emit("artist", (me, &artist));
    board.artists.insert(me, artist);
    socket.data.whiteboard.artist = me;
    let latest = board.artists.iter().rev().take(ARTISTS_LISTED_MAX);
    let shown = Board {
        me,
        artists: latest.map(|(&id, artist)| (id, artist)).collect(),
        strokes: &board.strokes,
    };
    socket.emit("board", shown);
}

fn introduce(site: &mut Site, socket: Socket<'_, Site>, (artist,): (Artist,)) {
    let name = cut(&artist.name, NAME_CHARS_MAX);
    if name.is_empty() || artist.color >= COLORS {
        return;
    }
    let (id, color) = (socket.data.whiteboard.artist, artist.color);
    let artist = Artist { name, color };
    socket.broadcast().emit("artist", (id, &artist));
    site.whiteboard.artists.insert(id, artist);
}

/// The page numbers its moves: who receives them sees how many were lost on the way.
fn moved(site: &mut Site, socket: Socket<'_, Site>, args: (u64, f64, Vec<Pointer>)) {
    let (number, sent_at, pointers) = args;
    let is_on_board = pointers.iter().all(|Pointer(_, at, _)| at.is_on_board());
    if !is_on_board || pointers.len() > POINTERS_MAX {
        return;
    }
    socket.reply(site.whiteboard.now_ms());
    let moved = (socket.data.whiteboard.artist, number, sent_at, pointers);
    socket.broadcast().volatile().emit("move", moved);
}

fn draw(site: &mut Site, socket: Socket<'_, Site>, (drawn,): (Drawn,)) {
    let board = &mut site.whiteboard;
    let pointer = drawn.pointer;
    let Some(stroke) = drawn.into_stroke(board.next_stroke) else {
        return;
    };
    // Its artist has it on the board already, and learns its number.
    socket.reply(stroke.id);
    let artist = socket.data.whiteboard.artist;
    socket
        .broadcast()
        .emit("stroke", (artist, pointer, &stroke));
    if let Some(oldest) = board.add(stroke) {
        socket.io().emit("forget", oldest);
    }
}

fn clear(site: &mut Site, socket: Socket<'_, Site>, (): ()) {
    let board = &mut site.whiteboard;
    board.strokes.clear();
    board.points_count = 0;
    let artist = socket.data.whiteboard.artist;
    socket.io().emit("forget", (board.next_stroke, artist));
}

fn leave(site: &mut Site, socket: Socket<'_, Site>, _: Reason) {
    let artist = socket.data.whiteboard.artist;
    site.whiteboard.artists.remove(&artist);
    socket.broadcast().emit("gone", artist);
}

impl Whiteboard {
    fn now_ms(&self) -> f64 {
        (self.started.elapsed().as_secs_f64() * 10_000.0).round() / 10.0
    }

    /// Puts a stroke on the board; what is the oldest one now, if others had to go.
    fn add(&mut self, stroke: Stroke) -> Option<u64> {
        let before = self.strokes.len();
        self.next_stroke = stroke.id + 1;
        self.points_count += stroke.points.len();
        self.strokes.push_back(stroke);
        while self.strokes.len() > STROKES_MAX || self.points_count > POINTS_MAX {
            let oldest = self.strokes.pop_front()?;
            self.points_count -= oldest.points.len();
        }
        let has_forgotten = self.strokes.len() <= before;
        let oldest = self.strokes.front()?;
        has_forgotten.then_some(oldest.id)
    }
}

impl Default for Whiteboard {
    fn default() -> Whiteboard {
        Whiteboard {
            started: Instant::now(),
            artists: BTreeMap::new(),
            last_artist: 0,
            strokes: VecDeque::new(),
            next_stroke: 0,
            points_count: 0,
        }
    }
}

impl Drawn {
    /// What is left of it on the board, if anything.
    fn into_stroke(mut self, id: u64) -> Option<Stroke> {
        self.points.retain(Point::is_on_board);
        self.points.truncate(STROKE_POINTS_MAX);
        // It stays for long, and may have come in a larger coat.
        self.points.shrink_to_fit();
        let is_fine = !self.points.is_empty() && self.color < COLORS && self.width <= WIDTH_MAX;
        is_fine.then_some(Stroke {
            id,
            color: self.color,
            width: self.width,
            points: self.points,
        })
    }
}

impl Point {
    fn is_on_board(&self) -> bool {
        self.0 <= BOARD.0 && self.1 <= BOARD.1
    }
}

/// The board in its own units, which each page scales to its size.
const BOARD: Point = Point(4000, 3000);
const COLORS: u8 = 8;
/// In the board's units.
const WIDTH_MAX: u8 = 100;
/// Longer names are cut.
const NAME_CHARS_MAX: usize = 24;
/// Fingers of one page.
const POINTERS_MAX: usize = 10;
/// Longer strokes are cut; the page begins another one in time.
const STROKE_POINTS_MAX: usize = 256;
/// Beyond these, the oldest strokes leave the board: a newcomer is sent at most 300 KB.
const STROKES_MAX: usize = 1000;
const POINTS_MAX: usize = 20_000;

/// A newcomer is told of no more.
const ARTISTS_LISTED_MAX: usize = 200;

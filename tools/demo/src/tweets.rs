//! Tweets: the server speaks first. It greets who comes, and tells everyone a tweet every second,
//! as long as somebody is there. The contract with the page is written at the top of
//! `site/tweets/tweets.js`.

use std::{
    collections::{BTreeSet, VecDeque},
    time::Duration,
};

use emio::{Io, Reason, Server, Socket, TimerId};
use serde::{Deserialize, Serialize};

use crate::site::Site;

/// What all watchers share.
pub struct Tweets {
    /// The latest ones, oldest first.
    recent: VecDeque<Tweet>,
    next_id: u64,
    visits: u64,
    watchers: usize,
    /// Runs while there are watchers.
    interval: Option<TimerId>,
}

/// What the server knows of one watcher.
#[derive(Default)]
pub struct Watcher {
    /// Which of the recent tweets they like.
    liked: BTreeSet<u64>,
}

#[derive(Serialize)]
struct Tweet {
    id: u64,
    author: &'static str,
    text: String,
    likes: usize,
}

#[derive(Serialize, Deserialize)]
struct Greeting {
    greeting: String,
}

/// Teaches a server to tweet.
pub fn register(io: &mut Server<Site>) {
    let mut tweets = io.of("/tweets");
    tweets.on_connect(greet);
    tweets.on("greeting-from-client", greeted);
    tweets.on("like", like);
    tweets.on_disconnect(leave);
}

fn greet(site: &mut Site, socket: Socket<'_, Site>) {
    let tweets = &mut site.tweets;
    tweets.visits += 1;
    let greeting = format!("Hello, visitor number {}!", tweets.visits);
    socket.emit("greeting-from-server", Greeting { greeting });
    socket.emit("tweets", [&tweets.recent]);
    tweets.watchers += 1;
    socket.io().emit("watchers", tweets.watchers);
    let start = || socket.io().set_interval(PERIOD, tweet);
    tweets.interval.get_or_insert_with(start);
}

fn greeted(_: &mut Site, socket: Socket<'_, Site>, (answer,): (Greeting,)) {
    socket.reply(format!(
        "I heard {} characters.",
        answer.greeting.chars().count()
    ));
}

/// Every second.
fn tweet(site: &mut Site, io: Io<'_, Site>) {
    io.emit("tweet", site.tweets.tweet());
}

fn like(site: &mut Site, socket: Socket<'_, Site>, (id,): (u64,)) {
    let recent = &mut site.tweets.recent;
    let liked = &mut socket.data.tweets.liked;
    liked.retain(|id| recent.iter().any(|tweet| tweet.id == *id));
    let Some(tweet) = recent.iter_mut().find(|tweet| tweet.id == id) else {
        return;
    };
    if liked.insert(id) {
        tweet.likes += 1;
        socket.io().emit("likes", (id, tweet.likes));
    }
}

fn leave(site: &mut Site, socket: Socket<'_, Site>, _: Reason) {
    let tweets = &mut site.tweets;
    tweets.watchers -= 1;
    socket.io().emit("watchers", tweets.watchers);
    if tweets.watchers > 0 {
        return;
    }
    // Nobody watches: the timer would only wake the host.
    if let Some(interval) = tweets.interval.take() {
        socket.io().clear_timer(interval);
    }
}

impl Default for Tweets {
    /// Full already, so that the first visitor sees something at once.
    fn default() -> Tweets {
        let mut tweets = Tweets {
            recent: VecDeque::with_capacity(RECENT_MAX),
            next_id: 0,
            visits: 0,
            watchers: 0,
            interval: None,
        };
        for _ in 0..RECENT_MAX {
            tweets.tweet();
        }
        tweets
    }
}

impl Tweets {
    /// Makes the next one, which takes the place of the oldest.
    fn tweet(&mut self) -> &Tweet {
        let mut dice = Dice(self.next_id);
        let author = dice.pick(&AUTHORS);
        let (opening, thing, ending) = (
            dice.pick(&OPENINGS),
            dice.pick(&THINGS),
            dice.pick(&ENDINGS),
        );
        if self.recent.len() == RECENT_MAX {
            self.recent.pop_front();
        }
        self.recent.push_back(Tweet {
            id: self.next_id,
            author,
            text: format!("{opening} {thing}{ending}"),
            likes: 0,
        });
        self.next_id += 1;
        self.recent.back().expect("one was just pushed")
    }
}

/// Numbers that look random and are the same in every run: splitmix64.
struct Dice(u64);

impl Dice {
    fn pick(&mut self, words: &[&'static str]) -> &'static str {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        words[(mixed ^ (mixed >> 31)) as usize % words.len()]
    }
}

const PERIOD: Duration = Duration::from_secs(1);

/// So many are kept for newcomers; only these can be liked.
const RECENT_MAX: usize = 20;

const AUTHORS: [&str; 8] = [
    "Wren", "Robin", "Finch", "Kestrel", "Swift", "Linnet", "Siskin", "Plover",
];
const OPENINGS: [&str; 9] = [
    "Just met",
    "Dreaming of",
    "All I ever wanted was",
    "Nothing beats",
    "Still thinking about",
    "Slowly learning to love",
    "Today I am grateful for",
    "Sharing a branch with",
    "My whole morning was",
];
const THINGS: [&str; 11] = [
    "one thread that does it all",
    "a loop that sleeps when nothing happens",
    "a queue without anything in it",
    "64 MB of memory and most of it free",
    "a connection that came back by itself",
    "the first frame after an upgrade",
    "a warm little board behind the radiator",
    "a poll that was answered in time",
    "213 bytes and not one more",
    "a heartbeat every 25 seconds",
    "a disconnect with a good reason",
];
const ENDINGS: [&str; 6] = [
    ".",
    "!",
    ", before breakfast.",
    ", with a cup of tea.",
    ", and nobody noticed.",
    ", once more.",
];

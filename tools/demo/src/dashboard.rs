//! The dashboard: comments of whoever looks at it, and how the host does, kept in a database. The
//! contract with the page is written at the top of `site/dashboard/dashboard.js`.
//!
//! It shows how blocking work stands beside the loop. Everything that may wait, the database
//! (`dashboard/store.rs`) and the files that tell the host's figures (`dashboard/host.rs`), belongs
//! to one thread, and the two only ever leave each other notes:
//!
//!   loop ── Draft, through a bounded channel ──▶ worker
//!   loop ◀── Handle::run, Ack::reply ─────────── worker
//!
//! What always holds: a handler never waits; when the channel is full it refuses. A comment is kept
//! before it is shown. The end of the server waits until what was accepted is kept.

mod host;
mod store;

use std::{
    collections::VecDeque,
    path::Path,
    sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel},
    thread::{self, JoinHandle},
    time::{Duration, Instant, SystemTime},
};

use emio::{Ack, Handle, HandleError, Reason, Server, Socket};
use serde::Serialize;

use self::{
    host::{Figures, Host},
    store::{Comment, Sample, Store},
};
use crate::site::Site;

/// What all watchers share: the end of what is kept, so that a newcomer waits for no disk.
#[derive(Default)]
pub struct Dashboard {
    comments: VecDeque<Comment>,
    samples: VecDeque<Sample>,
    watching: usize,
    queue: Option<Queue>,
}

/// What the server knows of one watcher: how much it has said lately.
#[derive(Default)]
pub struct Watcher {
    minute: Option<Instant>,
    comments: u32,
}

#[derive(Serialize)]
struct History<'a> {
    comments: &'a VecDeque<Comment>,
    samples: &'a VecDeque<Sample>,
}

/// Teaches a server the dashboard, whose database is this file, and starts its worker.
pub fn register(io: &mut Server<Site>, path: Option<&Path>) {
    // Before anybody is served, waiting for the disk is no harm.
    let store = open(path);
    io.app().dashboard = Dashboard {
        comments: store.comments(COMMENTS_SHOWN_MAX).unwrap_or_default(),
        samples: store.samples(SAMPLES_SHOWN_MAX).unwrap_or_default(),
        watching: 0,
        queue: Some(Queue::new(store, io.handle())),
    };
    handle_events(io);
}

fn handle_events(io: &mut Server<Site>) {
    let mut dashboard = io.of("/dashboard");
    dashboard.on_connect(welcome);
    dashboard.on_disconnect(leave);
    dashboard.on("comment", comment);
}

/// The database, or one in memory if there is none to be had: a demo without a past is still one.
fn open(path: Option<&Path>) -> Store {
    let reason = match path.map(|path| (path, Store::open(path))) {
        Some((_, Ok(store))) => return store,
        Some((path, Err(error))) => format!("{} cannot be used: {error}", path.display()),
        None => "no folder for state: neither XDG_STATE_HOME nor HOME is set".to_owned(),
    };
    eprintln!("dashboard: {reason}\ndashboard: what it keeps will end with this process");
    Store::in_memory()
}

// On the loop: nothing here waits.

fn welcome(site: &mut Site, socket: Socket<'_, Site>) {
    let dashboard = &mut site.dashboard;
    dashboard.watching += 1;
    let history = History {
        comments: &dashboard.comments,
        samples: &dashboard.samples,
    };
    socket.emit("history", history);
    socket.io().emit("watching", dashboard.watching);
}

fn leave(site: &mut Site, socket: Socket<'_, Site>, _: Reason) {
    site.dashboard.watching -= 1;
    socket.io().emit("watching", site.dashboard.watching);
}

/// Leaves a comment to the worker, which answers when it is kept; or answers at once why not.
fn comment(site: &mut Site, socket: Socket<'_, Site>, (name, text): (String, String)) {
    let draft = match tidy(&name, &text) {
        Ok((name, text)) => Draft { name, text },
        Err(reason) => return socket.reply(reason),
    };
    if !socket.data.dashboard.may_comment(Instant::now()) {
        return socket.reply("That is a lot at once. Wait a minute, then go on.");
    }
    let (Some(queue), Some(ack)) = (&site.dashboard.queue, socket.ack()) else {
        return;
    };
    if let Err(ack) = queue.leave(draft, ack) {
        let _ = ack.reply("The server has more to write than it can. Try again soon.");
    }
}

/// A name and a comment as they are kept, or why they are not.
fn tidy(name: &str, text: &str) -> Result<(String, String), &'static str> {
    // Spaces of any kind become one space: a name is one line.
    let name = name.split_whitespace().collect::<Vec<_>>().join(" ");
    let text = text.trim().to_owned();
    if name.is_empty() {
        return Err("Say who you are.");
    }
    if text.is_empty() {
        return Err("Say something.");
    }
    if name.chars().count() > NAME_CHARS_MAX {
        return Err("That name is too long.");
    }
    if text.chars().count() > TEXT_CHARS_MAX {
        return Err("That comment is too long.");
    }
    Ok((name, text))
}

impl Watcher {
    /// Whether one more comment now is not one too many.
    fn may_comment(&mut self, now: Instant) -> bool {
        let minute = *self.minute.get_or_insert(now);
        if now.duration_since(minute) >= MINUTE {
            (self.minute, self.comments) = (Some(now), 0);
        }
        self.comments = self.comments.saturating_add(1);
        self.comments <= COMMENTS_PER_MINUTE_MAX
    }
}

// Between the two.

/// A comment that is not kept yet.
struct Draft {
    name: String,
    text: String,
}

/// The loop's end of the channel, and the thread at the other one.
struct Queue {
    drafts: Option<SyncSender<(Draft, Ack)>>,
    worker: Option<JoinHandle<()>>,
}

impl Queue {
    fn new(store: Store, io: Handle<Site>) -> Queue {
        let (sender, receiver) = sync_channel(DRAFTS_MAX);
        let worker = Worker {
            store,
            host: Host::new(Path::new("/")),
            recent: Vec::with_capacity(SAMPLES_PER_ROW),
            io,
        };
        Queue {
            drafts: Some(sender),
            worker: Some(thread::spawn(move || worker.run(&receiver))),
        }
    }

    /// Leaves a draft, or gives the acknowledgement back when the worker is too far behind. It must
    /// not be `send`, which waits.
    fn leave(&self, draft: Draft, ack: Ack) -> Result<(), Ack> {
        let Some(drafts) = &self.drafts else {
            return Err(ack);
        };
        drafts
            .try_send((draft, ack))
            .map_err(|refused| match refused {
                TrySendError::Full((_, ack)) | TrySendError::Disconnected((_, ack)) => ack,
            })
    }
}

/// When a server has ended it drops its state, and this with it. A channel without a sender still
/// gives what is in it; then the worker ends, and only then the process.
impl Drop for Queue {
    fn drop(&mut self) {
        self.drafts = None;
        let _ = self.worker.take().map(JoinHandle::join);
    }
}

// On the worker: everything here may wait.

struct Worker {
    store: Store,
    host: Host,
    /// What was measured since the last row.
    recent: Vec<Figures>,
    io: Handle<Site>,
}

impl Worker {
    fn run(mut self, drafts: &Receiver<(Draft, Ack)>) {
        let mut due = Instant::now() + SAMPLE_PERIOD;
        loop {
            let now = Instant::now();
            if now >= due {
                due = now + SAMPLE_PERIOD;
                self.measure();
            }
            match drafts.recv_timeout(due - now) {
                Ok((draft, ack)) => self.keep(draft, ack),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        self.keep_row();
    }

    /// Keeps a comment, shows it to everybody, and tells its author, in this order.
    fn keep(&mut self, Draft { name, text }: Draft, ack: Ack) {
        let at = unix_ms();
        let comment = match self.store.keep_comment(at, &name, &text) {
            Ok(id) => Comment { id, at, name, text },
            Err(error) => {
                eprintln!("dashboard: a comment cannot be kept: {error}");
                let _ = ack.reply("The server cannot write it down.");
                return;
            }
        };
        // What is kept has to be shown: when the loop has no place for it, this thread waits, and
        // the next drafts in their channel.
        while let Err(HandleError::Full) = self.show(comment.clone()) {
            thread::sleep(FULL_PAUSE);
        }
        let _ = ack.reply(None::<&str>);
    }

    fn show(&self, comment: Comment) -> Result<(), HandleError> {
        self.io.run(move |site, io| {
            if let Some(io) = io.of("/dashboard") {
                io.emit("comment", &comment);
            }
            push(&mut site.dashboard.comments, comment, COMMENTS_SHOWN_MAX);
        })
    }

    /// Reads the host's figures for those who look, and keeps a row of them now and then.
    fn measure(&mut self) {
        let figures = self.host.figures();
        self.recent.push(figures.clone());
        let at = unix_ms();
        let sample = Sample { at, figures };
        let facts = self.host.facts();
        let row = match self.recent.len() {
            SAMPLES_PER_ROW.. => self.keep_row(),
            _ => None,
        };
        // No harm when the loop has no place for it: the next figures come in a second, and a row
        // is kept either way.
        let _ = self.io.run(move |site, io| {
            if let Some(row) = row {
                push(&mut site.dashboard.samples, row, SAMPLES_SHOWN_MAX);
            }
            if let (1.., Some(io)) = (site.dashboard.watching, io.of("/dashboard")) {
                io.volatile().emit("figures", (sample, facts));
            }
        });
    }

    /// Keeps the mean of what was measured since the last row.
    fn keep_row(&mut self) -> Option<Sample> {
        let figures = Figures::mean(&self.recent)?;
        self.recent.clear();
        let at = unix_ms();
        let row = Sample { at, figures };
        if let Err(error) = self.store.keep_sample(&row) {
            eprintln!("dashboard: the figures cannot be kept: {error}");
        }
        Some(row)
    }
}

fn push<T>(list: &mut VecDeque<T>, item: T, len_max: usize) {
    list.push_back(item);
    while list.len() > len_max {
        list.pop_front();
    }
}

/// Now, as JavaScript has it.
fn unix_ms() -> i64 {
    let since = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// Longer names are refused. The page takes no longer ones.
const NAME_CHARS_MAX: usize = 32;

/// Longer comments are refused. The page takes no longer ones.
const TEXT_CHARS_MAX: usize = 500;

/// Further comments of one socket are refused until the minute is over.
const COMMENTS_PER_MINUTE_MAX: u32 = 10;

/// Comments that wait for the worker; further ones are refused.
const DRAFTS_MAX: usize = 64;

/// Comments that a newcomer gets.
const COMMENTS_SHOWN_MAX: usize = 100;

/// Rows of figures that a newcomer gets: a quarter of an hour.
const SAMPLES_SHOWN_MAX: usize = 15 * 60 / SAMPLES_PER_ROW;

/// Figures are kept as the mean of so many, to be gentle with the disk.
const SAMPLES_PER_ROW: usize = 5;

/// How often the host is asked.
const SAMPLE_PERIOD: Duration = Duration::from_secs(1);

/// Until a loop that is behind is asked again.
const FULL_PAUSE: Duration = Duration::from_millis(10);

const MINUTE: Duration = Duration::from_secs(60);

#[cfg(test)]
pub use tests::TempFolder;

#[cfg(test)]
mod tests {
    use std::{
        env, fs,
        io::{Read, Write},
        net::TcpStream,
        path::PathBuf,
        process,
    };

    use super::*;

    /// A folder that goes when it is dropped.
    pub struct TempFolder(PathBuf);

    impl TempFolder {
        pub fn new(name: &str) -> TempFolder {
            let path = env::temp_dir().join(format!("emio-{name}-{}", process::id()));
            fs::create_dir_all(&path).unwrap();
            TempFolder(path)
        }

        pub fn path(&self) -> &Path {
            &self.0
        }
    }

    impl Drop for TempFolder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn names_and_comments_are_tidied_or_refused() {
        let long_name = "ß".repeat(NAME_CHARS_MAX);
        let long_text = "ß".repeat(TEXT_CHARS_MAX);
        let kept = |name: &str, text: &str| Ok((name.to_owned(), text.to_owned()));
        let table = [
            ("Ada", "hello", kept("Ada", "hello")),
            (
                "  Ada\n\u{2028} L. ",
                " two\nlines\t",
                kept("Ada L.", "two\nlines"),
            ),
            (&long_name, &long_text, kept(&long_name, &long_text)),
            (
                &format!("{long_name}x"),
                "hello",
                Err("That name is too long."),
            ),
            (
                "Ada",
                &format!("{long_text}x"),
                Err("That comment is too long."),
            ),
            (" \n", "hello", Err("Say who you are.")),
            ("Ada", "\t", Err("Say something.")),
        ];
        for (name, text, expected) in table {
            assert_eq!(tidy(name, text), expected);
        }
    }

    #[test]
    fn a_watcher_may_say_so_much_each_minute() {
        let (mut watcher, begin) = (Watcher::default(), Instant::now());
        for _ in 0..COMMENTS_PER_MINUTE_MAX {
            assert!(watcher.may_comment(begin));
        }
        assert!(!watcher.may_comment(begin));
        assert!(!watcher.may_comment(begin + MINUTE - Duration::from_millis(1)));
        assert!(watcher.may_comment(begin + MINUTE));
    }

    #[test]
    fn a_comment_beyond_what_the_worker_can_take_is_refused() {
        // A worker that never takes anything, and place for one comment.
        let (drafts, receiver) = sync_channel(1);
        let mut io = Server::bind("127.0.0.1:0", Site::default()).unwrap();
        io.app().dashboard.queue = Some(Queue {
            drafts: Some(drafts),
            worker: None,
        });
        handle_events(&mut io);
        let (address, handle) = (io.local_addr().unwrap(), io.handle());
        let server = thread::spawn(move || io.run());

        let exchange = |method: &str, sid: &str, body: &str| {
            let mut stream = TcpStream::connect(address).unwrap();
            stream.set_read_timeout(Some(MINUTE)).unwrap();
            let request = format!(
                "{method} /socket.io/?EIO=4&transport=polling{sid} HTTP/1.1\r\nHost: demo\r\n\
                 Connection: close\r\nContent-Length: {}\r\n\r\n{body}",
                body.len()
            );
            stream.write_all(request.as_bytes()).unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).unwrap();
            answer
        };
        let opened = exchange("GET", "", "");
        let sid = opened.split('"').nth(3).expect(&opened);
        let sid = format!("&sid={sid}");
        exchange("POST", &sid, "40/dashboard,");
        for id in [1, 2] {
            let event = format!("42/dashboard,{id}[\"comment\",\"Ada\",\"hello\"]");
            exchange("POST", &sid, &event);
        }
        let mut heard = String::new();
        while !heard.contains("43/dashboard,") {
            heard = exchange("GET", &sid, "");
            assert!(heard.starts_with("HTTP/1.1 200"), "{heard}");
        }
        let refusal = r#"43/dashboard,2["The server has more to write than it can"#;
        assert!(heard.contains(refusal), "{heard}");

        handle.close().unwrap();
        server.join().unwrap().unwrap();
        // The one that was accepted is still to be had, though nobody sends any more.
        assert_eq!(receiver.try_iter().count(), 1);
        assert!(receiver.recv().is_err());
    }

    #[test]
    fn a_list_keeps_its_newest() {
        let mut list = VecDeque::new();
        for item in 0..5 {
            push(&mut list, item, 3);
        }
        assert_eq!(list, [2, 3, 4]);
    }
}

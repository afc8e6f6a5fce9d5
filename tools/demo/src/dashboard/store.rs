//! The database of the dashboard: one file of SQLite, and two tables.
//!
//! Not here: threads, and what is shown. Every call may wait for the disk, so none of them belongs
//! on the loop. What always holds: what a call has written survives the process; a table never has
//! more rows than its limit.

use std::{error::Error, fs, path::Path, time::Duration};

use rusqlite::{Connection, OpenFlags, Row, TransactionBehavior, params};
use serde::Serialize;

use super::host::Figures;

/// An open database.
pub struct Store {
    db: Connection,
}

/// What somebody said. `at` is in milliseconds since 1970, as JavaScript has it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Comment {
    pub id: i64,
    pub at: i64,
    pub name: String,
    pub text: String,
}

/// How the host was, at a time.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Sample {
    pub at: i64,
    #[serde(flatten)]
    pub figures: Figures,
}

impl Store {
    /// Opens the file, or makes it together with its folder. It is an error if another process has
    /// it open, if it is damaged, or if it is not a file of this program.
    pub fn open(path: &Path) -> Result<Store, Box<dyn Error>> {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE;
        Store::prepare(Connection::open_with_flags(path, flags)?)
    }

    /// A database that ends with the process.
    pub fn in_memory() -> Store {
        let db = Connection::open_in_memory().map_err(Into::into);
        db.and_then(Store::prepare)
            .expect("memory can always be opened")
    }

    fn prepare(mut db: Connection) -> Result<Store, Box<dyn Error>> {
        db.busy_timeout(BUSY_TIMEOUT)?;
        // Exclusive, because what is shown is kept in memory beside the file: a second server on
        // the same file would show half of it.
        db.execute_batch("PRAGMA locking_mode = EXCLUSIVE")?;
        // Looked at before anything is written: what is another program's stays as it is.
        let number = |sql| db.query_row(sql, [], |row| row.get::<_, i64>(0));
        let is_new = number("SELECT count(*) FROM sqlite_schema")? == 0;
        if !is_new && number("PRAGMA application_id")? != APPLICATION_ID {
            return Err("it belongs to another program".into());
        }
        // In a write-ahead log a row costs one write, and a sync only now and then, which spares
        // the cards that small hosts start from; a power cut may take the last rows, never the
        // file. Since nobody shares the log, it works on any file system.
        db.execute_batch("PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL")?;
        let tx = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        if is_new {
            tx.execute_batch(SCHEMA)?;
            tx.pragma_update(None, "application_id", APPLICATION_ID)?;
        }
        let health: String = tx.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
        if health != "ok" {
            return Err(format!("it is damaged: {health}").into());
        }
        tx.commit()?;
        let store = Store { db };
        // Whether its tables are those of this version.
        store.comments::<Vec<_>>(1)?;
        store.samples::<Vec<_>>(1)?;
        Ok(store)
    }

    /// Keeps a comment, and forgets those beyond the limit.
    pub fn keep_comment(&mut self, at: i64, name: &str, text: &str) -> rusqlite::Result<i64> {
        let tx = self.db.transaction()?;
        let row = params![at, name, text];
        tx.execute(
            "INSERT INTO comments (at, name, text) VALUES (?, ?, ?)",
            row,
        )?;
        // The newest row is never forgotten, so that ids only grow.
        let id = tx.last_insert_rowid();
        tx.execute("DELETE FROM comments WHERE id <= ?", [id - COMMENTS_MAX])?;
        tx.commit()?;
        Ok(id)
    }

    /// Keeps a sample, and forgets those beyond the limit: by their number and not by their time,
    /// since many a small host has no clock when it starts.
    pub fn keep_sample(&mut self, sample: &Sample) -> rusqlite::Result<()> {
        let tx = self.db.transaction()?;
        let Sample { at, figures } = sample;
        let [load1, load5, load15] = figures.load.map_or([None; 3], |load| load.map(Some));
        tx.execute(
            "INSERT INTO samples (at, cpu, memory, load1, load5, load15, celsius)
             VALUES (?, ?, ?, ?, ?, ?, ?)",
            params![
                at,
                figures.cpu_percent,
                figures.memory_bytes,
                load1,
                load5,
                load15,
                figures.celsius
            ],
        )?;
        let oldest = tx.last_insert_rowid() - SAMPLES_MAX;
        tx.execute("DELETE FROM samples WHERE id <= ?", [oldest])?;
        tx.commit()
    }

    /// The last comments, oldest first.
    pub fn comments<C: FromIterator<Comment>>(&self, last: usize) -> rusqlite::Result<C> {
        let sql = "SELECT id, at, name, text FROM
            (SELECT * FROM comments ORDER BY id DESC LIMIT ?) ORDER BY id";
        self.rows(sql, last, |row| {
            Ok(Comment {
                id: row.get(0)?,
                at: row.get(1)?,
                name: row.get(2)?,
                text: row.get(3)?,
            })
        })
    }

    /// The last samples, oldest first.
    pub fn samples<C: FromIterator<Sample>>(&self, last: usize) -> rusqlite::Result<C> {
        let sql = "SELECT at, cpu, memory, load1, load5, load15, celsius FROM
            (SELECT * FROM samples ORDER BY id DESC LIMIT ?) ORDER BY id";
        self.rows(sql, last, |row| {
            let load: [Option<f64>; 3] = [row.get(3)?, row.get(4)?, row.get(5)?];
            Ok(Sample {
                at: row.get(0)?,
                figures: Figures {
                    cpu_percent: row.get(1)?,
                    memory_bytes: row.get(2)?,
                    load: match load {
                        [Some(load1), Some(load5), Some(load15)] => Some([load1, load5, load15]),
                        _ => None,
                    },
                    celsius: row.get(6)?,
                },
            })
        })
    }

    fn rows<T, C: FromIterator<T>>(
        &self,
        sql: &str,
        last: usize,
        read: fn(&Row<'_>) -> rusqlite::Result<T>,
    ) -> rusqlite::Result<C> {
        let mut statement = self.db.prepare(sql)?;
        statement.query_map([last as i64], read)?.collect()
    }
}

/// Comments beyond it are forgotten, oldest first.
const COMMENTS_MAX: i64 = 1_000;

/// Samples beyond it are forgotten, oldest first: a day, at one in five seconds. Together with the
/// comments that is a file of about 2 MB.
const SAMPLES_MAX: i64 = 24 * 60 * 60 / 5;

/// How long a predecessor may take to let go of the file.
const BUSY_TIMEOUT: Duration = Duration::from_millis(500);

/// "emio"; by this the program knows its files.
const APPLICATION_ID: i64 = 0x65_6d_69_6f;

const SCHEMA: &str = "
    CREATE TABLE comments (
        id INTEGER PRIMARY KEY,
        at INTEGER NOT NULL,
        name TEXT NOT NULL,
        text TEXT NOT NULL
    ) STRICT;
    CREATE TABLE samples (
        id INTEGER PRIMARY KEY,
        at INTEGER NOT NULL,
        cpu REAL, memory REAL, load1 REAL, load5 REAL, load15 REAL, celsius REAL
    ) STRICT;
";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dashboard::TempFolder;

    fn sample(at: i64) -> Sample {
        Sample {
            at,
            figures: Figures {
                cpu_percent: Some(12.5),
                memory_bytes: Some(3e9),
                load: Some([0.5, 0.25, 0.0]),
                celsius: None,
            },
        }
    }

    fn comments(store: &Store) -> Vec<Comment> {
        store.comments(10).unwrap()
    }

    fn samples(store: &Store) -> Vec<Sample> {
        store.samples(10).unwrap()
    }

    /// Why this file cannot be opened.
    fn refusal(path: &Path) -> String {
        Store::open(path).err().expect("it opens").to_string()
    }

    #[test]
    fn what_was_kept_is_there_when_it_is_opened_again() {
        let folder = TempFolder::new("store-again");
        let path = folder.path().join("a/folder/of/its/own.sqlite");
        let mut store = Store::open(&path).unwrap();
        let text = "text with ' and \0 and <b> and 🌱";
        assert_eq!(store.keep_comment(5, "Ada", text).unwrap(), 1);
        store.keep_sample(&sample(7)).unwrap();
        store
            .keep_sample(&Sample {
                at: 8,
                figures: Figures::default(),
            })
            .unwrap();
        drop(store);

        let mut store = Store::open(&path).unwrap();
        let [id, at] = [1, 5];
        let (name, text) = ("Ada".to_owned(), text.to_owned());
        assert_eq!(comments(&store), [Comment { id, at, name, text }]);
        assert_eq!(samples(&store)[0], sample(7));
        assert_eq!(samples(&store)[1].figures, Figures::default());
        assert_eq!(store.keep_comment(6, "Grace", "hello").unwrap(), 2);
    }

    #[test]
    fn only_the_last_rows_are_kept_and_ids_grow() {
        let mut store = Store::in_memory();
        for at in 0..COMMENTS_MAX + 3 {
            store.keep_comment(at, "Ada", "hello").unwrap();
        }
        let all: Vec<Comment> = store.comments(usize::MAX >> 1).unwrap();
        assert_eq!(all.len() as i64, COMMENTS_MAX);
        assert_eq!((all[0].at, all[0].id), (3, 4));
        let last: Vec<Comment> = store.comments(2).unwrap();
        assert_eq!(last[..], all[all.len() - 2..]);

        store
            .db
            .execute("INSERT INTO samples (id, at) VALUES (?, 0)", [SAMPLES_MAX])
            .unwrap();
        store.keep_sample(&sample(1)).unwrap();
        store
            .db
            .execute("INSERT INTO samples (id, at) VALUES (1, 0)", [])
            .unwrap();
        assert_eq!(samples(&store).len(), 3);
        store.keep_sample(&sample(2)).unwrap();
        assert_eq!(samples(&store).len(), 3);
    }

    #[test]
    fn files_that_are_not_ours_are_refused_and_left_alone() {
        let folder = TempFolder::new("store-foreign");
        let text = folder.path().join("text");
        fs::write(&text, "this is no database ".repeat(500)).unwrap();
        assert!(
            refusal(&text).contains("not a database"),
            "{}",
            refusal(&text)
        );
        assert!(fs::read_to_string(&text).unwrap().starts_with("this is"));

        let foreign = folder.path().join("foreign.sqlite");
        let db = Connection::open(&foreign).unwrap();
        db.execute_batch("CREATE TABLE bookmarks (url)").unwrap();
        drop(db);
        let bytes = fs::read(&foreign).unwrap();
        assert_eq!(refusal(&foreign), "it belongs to another program");
        assert_eq!(fs::read(&foreign).unwrap(), bytes);

        refusal(folder.path());
    }

    #[test]
    fn a_damaged_file_is_refused() {
        let folder = TempFolder::new("store-damaged");
        let path = folder.path().join("damaged.sqlite");
        let mut store = Store::open(&path).unwrap();
        for at in 0..1_000 {
            store.keep_comment(at, "Ada", &"hello ".repeat(50)).unwrap();
        }
        drop(store);
        // All but the first two pages: the tables' rows.
        let mut bytes = fs::read(&path).unwrap();
        bytes[2 * 4096..].fill(0x5a);
        fs::write(&path, bytes).unwrap();
        refusal(&path);
    }

    #[test]
    fn a_file_that_is_open_elsewhere_is_refused() {
        let folder = TempFolder::new("store-locked");
        let path = folder.path().join("locked.sqlite");
        // When it is new, and when it is not.
        for _ in 0..2 {
            let first = Store::open(&path).unwrap();
            assert_eq!(refusal(&path), "database is locked");
            drop(first);
        }
    }
}

//! Where to listen, and where to keep what lasts: from flags, else from the environment, else here.

use std::{env, path::PathBuf};

/// Where to listen, and where to keep what lasts.
pub struct Options {
    pub host: String,
    pub port: u16,
    /// The database. `None` if nobody says where, and the system neither.
    pub data: Option<PathBuf>,
}

/// Why there is nothing to start.
pub enum Ended {
    /// The user asked how.
    Help,
    /// This is wrong with what the user said.
    Wrong(String),
}

impl Options {
    /// What the command line and the environment say.
    pub fn read() -> Result<Options, Ended> {
        let mut host = env::var("HOST").ok();
        let mut port = env::var("PORT").ok();
        let mut data = env::var("DATA").ok();
        let mut args = env::args().skip(1);
        while let Some(arg) = args.next() {
            let (name, value) = match arg.split_once('=') {
                Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
                None => (arg, None),
            };
            let slot = match &*name {
                "--help" | "-h" => return Err(Ended::Help),
                "--host" | "-H" => &mut host,
                "--port" | "-p" => &mut port,
                "--data" | "-d" => &mut data,
                _ => return Err(Ended::Wrong(format!("unknown option {name}"))),
            };
            let value = value.or_else(|| args.next());
            *slot = Some(value.ok_or_else(|| Ended::Wrong(format!("{name} needs a value")))?);
        }
        let port = port.as_deref().unwrap_or("3000");
        let wrong = |_| Ended::Wrong(format!("{port:?} is not a port (0 to 65535)"));
        let port = port.parse().map_err(wrong)?;
        // Only this machine, unless told otherwise: the demo knows no passwords.
        let host = host.unwrap_or_else(|| "127.0.0.1".to_owned());
        let data = data
            .map(PathBuf::from)
            .or_else(|| Some(state_folder()?.join(DATA)));
        Ok(Options { host, port, data })
    }
}

/// Where programs keep what is theirs and nobody's document. XDG Base Directory Specification: a
/// path in the variable that is not absolute does not count.
fn state_folder() -> Option<PathBuf> {
    let folder = |name| {
        env::var_os(name)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    folder("XDG_STATE_HOME").or_else(|| Some(folder("HOME")?.join(".local/state")))
}

const DATA: &str = "emio/emio-demo.sqlite";

pub const USAGE: &str = "\
usage: demo [--host ADDRESS] [--port NUMBER] [--data FILE]
Without flags the environment's HOST, PORT and DATA count, and without those 127.0.0.1, 3000 and
emio/emio-demo.sqlite in $XDG_STATE_HOME or ~/.local/state. FILE is the database of the dashboard;
one that cannot be used is replaced by one in memory, and :memory: means that.";

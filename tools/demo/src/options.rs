//! Where to listen: from flags, else from the environment, else here.

use std::env;

/// Where to listen.
pub struct Options {
    pub host: String,
    pub port: u16,
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
        Ok(Options { host, port })
    }
}

pub const USAGE: &str = "\
usage: demo [--host ADDRESS] [--port NUMBER]
Without flags the environment's HOST and PORT count, and without those 127.0.0.1 and 3000.";

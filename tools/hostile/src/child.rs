//! The server as a process: started, asked for its counters, measured, ended.
//!
//! Not here: what it serves (`serve`). What always holds: a server that was started is ended, at
//! the latest when its value is dropped.

use std::{
    fs,
    io::{self, BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    process::{Child, Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::wire::cut_response;

/// How long anything that should happen is waited for. Beyond it is failure, never a measurement.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// How often something is looked at that is waited for.
const LOOK: Duration = Duration::from_millis(20);

/// A server that runs.
pub struct Server {
    child: Child,
    pub address: SocketAddr,
    /// One connection for all questions, so that they are answered when no other is accepted.
    control: TcpStream,
    /// Whether the process is the server itself, whose memory says something.
    pub is_measured: bool,
}

/// What it says of itself, and what it was given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    pub ticks: u64,
    pub connections: u64,
    pub sessions: u64,
    pub sockets: u64,
    pub rooms: u64,
    pub namespaces: u64,
    pub incoming_bytes: u64,
    pub backlog_bytes: u64,
    pub refused_by_limit: u64,
    pub turn_us_max: u64,
    /// The wall clock as the server sees it.
    pub unix_ms: u64,
}

impl Server {
    /// Starts `hostile serve WORDS`, run by `wrapper` if there is one.
    pub fn start(wrapper: &[String], words: &[&str]) -> io::Result<Server> {
        let own = std::env::current_exe()?;
        let mut command = match wrapper {
            [] => Command::new(&own),
            [program, rest @ ..] => {
                let mut command = Command::new(program);
                command.args(rest).arg(&own);
                command
            }
        };
        command.arg("serve").args(words);
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let address = listening(&mut child);
        let connected = address.and_then(|address| Ok((address, TcpStream::connect(address)?)));
        let (address, control) = match connected {
            Ok(both) => both,
            Err(error) => {
                let _ = child.kill();
                let _ = child.wait();
                return Err(error);
            }
        };
        control.set_read_timeout(Some(PATIENCE * 2))?;
        control.set_nodelay(true)?;
        Ok(Server {
            child,
            address,
            control,
            is_measured: wrapper.is_empty(),
        })
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Its counters now.
    pub fn counters(&mut self) -> io::Result<Counters> {
        self.control
            .write_all(b"GET /stats HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")?;
        let (mut bytes, mut buffer) = (Vec::new(), [0; 4096]);
        let body = loop {
            let n = self.control.read(&mut buffer)?;
            if n == 0 {
                return Err(io::Error::other("the server closed the control connection"));
            }
            bytes.extend_from_slice(&buffer[..n]);
            let response = cut_response(&bytes).map_err(|_| io::Error::other("malformed"))?;
            if let Some(response) = response {
                break response.body;
            }
        };
        let value: Value = serde_json::from_slice(&bytes[body])?;
        let number = |name: &str| value[name].as_u64().unwrap_or(u64::MAX);
        Ok(Counters {
            ticks: number("ticks"),
            connections: number("connections"),
            sessions: number("sessions"),
            sockets: number("sockets"),
            rooms: number("rooms"),
            namespaces: number("namespaces"),
            incoming_bytes: number("incoming_bytes"),
            backlog_bytes: number("backlog_bytes"),
            refused_by_limit: number("refused_by_limit"),
            turn_us_max: number("turn_us_max"),
            unix_ms: number("unix_ms"),
        })
    }

    /// Looks at the counters until they are as they should be; those seen last, if they never are.
    pub fn settle(&mut self, is_settled: impl Fn(&Counters) -> bool) -> io::Result<Counters> {
        let end = Instant::now() + PATIENCE;
        loop {
            let counters = self.counters()?;
            if is_settled(&counters) || Instant::now() > end {
                return Ok(counters);
            }
            thread::sleep(LOOK);
        }
    }

    /// Bytes of memory that are resident now.
    pub fn rss(&self) -> u64 {
        self.status("VmRSS:")
    }

    /// The most that were resident since `forget_peak`.
    pub fn rss_peak(&self) -> u64 {
        self.status("VmHWM:")
    }

    pub fn forget_peak(&self) {
        // Where it is not allowed, the peak is the one since the start, which is no smaller.
        let _ = fs::write(format!("/proc/{}/clear_refs", self.pid()), "5");
    }

    fn status(&self, name: &str) -> u64 {
        let text = fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
        kib.unwrap_or(0) * 1024
    }

    /// Sends it a signal by name.
    pub fn signal(&self, name: &str) -> io::Result<()> {
        let status = Command::new("kill")
            .args([format!("-{name}"), self.pid().to_string()])
            .status()?;
        status
            .success()
            .then_some(())
            .ok_or_else(|| io::Error::other("kill failed"))
    }

    /// How it ended, waited for.
    pub fn wait(&mut self) -> io::Result<ExitStatus> {
        let end = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            if Instant::now() > end {
                return Err(io::Error::other("the server did not end"));
            }
            thread::sleep(LOOK);
        }
    }

    /// Ends it in order; an error if it fails to.
    pub fn end(mut self) -> io::Result<()> {
        self.signal("TERM")?;
        let status = self.wait()?;
        status
            .success()
            .then_some(())
            .ok_or_else(|| io::Error::other(format!("the server ended with {status}")))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // One that has ended is no error.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Reads the line that tells where the server listens.
fn listening(child: &mut Child) -> io::Result<SocketAddr> {
    let stdout = child.stdout.take().expect("it was piped");
    let mut line = String::new();
    BufReader::new(stdout).read_line(&mut line)?;
    let address = line.trim().strip_prefix("listening on ");
    let address = address.and_then(|address| address.parse().ok());
    address.ok_or_else(|| io::Error::other("the server did not start"))
}

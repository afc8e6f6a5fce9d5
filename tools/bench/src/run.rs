//! Rounds: every job on every server, a fresh process each time, the servers taking turns.
//! Not here: the load itself (`load`, in a process of its own) and what the numbers say (`table`).
//! The server has core 0, the generator core 1, and this process sleeps meanwhile.

use std::{
    env, fs, io,
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    ops::Range,
    path::{Path, PathBuf},
    process::{self, Child, Command, Stdio},
    sync::atomic::{AtomicU16, Ordering},
    thread,
    time::{Duration, Instant},
};

use crate::{
    job::{Job, Plan},
    load::{self, Figure},
    measure,
    table::{Peer, Results, Sample},
};

const SERVER_CORE: &str = "0";
const GENERATOR_CORE: &str = "1";
const START_MAX: Duration = Duration::from_secs(10);
/// Below the ports that the kernel gives to clients, or a client might connect to itself.
const PORTS: Range<u16> = 10_000..20_000;
/// Descriptors of a process beside its clients.
const DESCRIPTORS_SPARE: usize = 100;

pub struct Options {
    pub plan: Plan,
    /// Only jobs of these names or kinds; all when empty.
    pub only: Vec<String>,
    pub peers: Vec<Peer>,
    pub rounds: usize,
}

/// Builds everything, runs everything, and returns what it found and what failed.
pub fn run(options: &Options) -> io::Result<Results> {
    let cores = thread::available_parallelism()?.get();
    if cores < 2 {
        return Err(io::Error::other(
            "two cores are needed: one for the server, one for the load",
        ));
    }
    let root = root()?;
    let mut results = Results::new(options.rounds, about(&root));
    let jobs = chosen(options, &mut results);
    if jobs.is_empty() || options.rounds == 0 {
        return Err(io::Error::other(
            "nothing to measure: no job has such a name, or no rounds",
        ));
    }
    let mut servers = Vec::new();
    for &peer in &options.peers {
        eprintln!("building {}", peer.name());
        match build(peer, &root) {
            Ok(program) => servers.push((peer, program)),
            Err(error) => results.fail(format!("{} was not built: {error}", peer.name())),
        }
    }
    for round in 0..options.rounds {
        for &job in &jobs {
            for turn in 0..servers.len() {
                let (peer, program) = &servers[(round + turn) % servers.len()];
                if *peer == Peer::Floor && !job.has_floor() {
                    continue;
                }
                run_one(options, round, job, *peer, program, &mut results);
            }
        }
    }
    Ok(results)
}

fn chosen(options: &Options, results: &mut Results) -> Vec<Job> {
    let mut jobs = crate::job::jobs(options.plan);
    if !options.only.is_empty() {
        jobs.retain(|job| {
            let name = job.to_string();
            let is_kind = |only: &String| {
                name.strip_prefix(only.as_str())
                    .is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
            };
            options.only.iter().any(is_kind)
        });
    }
    let descriptors_max = measure::descriptors_max();
    jobs.retain(|job| {
        let enough = job.descriptors(options.plan) + DESCRIPTORS_SPARE <= descriptors_max;
        if !enough {
            results.fail(format!(
                "{job} was left out: {descriptors_max} descriptors allowed"
            ));
        }
        enough
    });
    jobs
}

fn run_one(
    options: &Options,
    round: usize,
    job: Job,
    peer: Peer,
    program: &Program,
    results: &mut Results,
) {
    let began = Instant::now();
    let found = Server::start(program, job).and_then(|server| match job {
        Job::Start => start(&server, program),
        _ => generate(&server, job, peer, options.plan),
    });
    let (what, name) = (job.to_string(), peer.name());
    let seconds = began.elapsed().as_secs_f64();
    match found {
        Ok(figures) => {
            let first = figures
                .first()
                .map(|figure| format!("{} {:.2}", figure.name, figure.value));
            let first = first.unwrap_or_default();
            eprintln!(
                "round {}  {what:<18} {name:<6} {seconds:>5.1} s  {first}",
                round + 1
            );
            results.samples.push(Sample {
                round,
                job,
                peer,
                figures,
            });
        }
        Err(error) => {
            eprintln!(
                "round {}  {what:<18} {name:<6} {seconds:>5.1} s  FAILED {error}",
                round + 1
            );
            results.fail(format!("{job}, {name}, round {}: {error}", round + 1));
        }
    }
}

/// What was built: a command line that wants a port, and the file whose size counts.
struct Program {
    command: Vec<String>,
    file: PathBuf,
}

fn build(peer: Peer, root: &Path) -> io::Result<Program> {
    let target = target(root);
    let text = |path: &Path| path.to_string_lossy().into_owned();
    match peer {
        Peer::Floor => {
            let file = env::current_exe()?;
            Ok(Program {
                command: vec![text(&file)],
                file,
            })
        }
        Peer::Emio => {
            cargo(root, &target, "bench-server")?;
            let file = target.join("release/bench-server");
            Ok(Program {
                command: vec![text(&file)],
                file,
            })
        }
        Peer::Oxide => {
            let target = target.join("peers");
            cargo(&root.join("tools/bench/peers"), &target, "oxide")?;
            let file = target.join("release/oxide");
            Ok(Program {
                command: vec![text(&file)],
                file,
            })
        }
        Peer::Node => {
            let folder = root.join("tools/bench/peers/node");
            if !folder.join("node_modules/socket.io/package.json").exists() {
                let mut npm = Command::new("npm");
                done(
                    npm.args(["ci", "--no-audit", "--no-fund"])
                        .current_dir(&folder),
                )?;
            }
            let file = on_path("node").ok_or_else(|| io::Error::other("node is not installed"))?;
            let command = vec![text(&file), text(&folder.join("server.mjs"))];
            Ok(Program { command, file })
        }
    }
}

fn cargo(folder: &Path, target: &Path, package: &str) -> io::Result<()> {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command
        .args([
            "build",
            "--release",
            "--quiet",
            "-p",
            package,
            "--target-dir",
        ])
        .arg(target);
    done(command.current_dir(folder))
}

fn done(command: &mut Command) -> io::Result<()> {
    let status = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .status()?;
    if status.success() {
        Ok(())
    } else {
        Err(io::Error::other(format!("{status}")))
    }
}

/// The workspace this program was built in.
fn root() -> io::Result<PathBuf> {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .canonicalize()
}

fn target(root: &Path) -> PathBuf {
    root.join(env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into()))
}

/// Where results go when nobody says otherwise.
pub fn results_folder() -> io::Result<PathBuf> {
    Ok(target(&root()?).join("bench"))
}

fn on_path(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path)
        .map(|folder| folder.join(name))
        .find(|file| file.is_file())
}

fn about(root: &Path) -> Vec<String> {
    let peers = root.join("tools/bench/peers");
    let lock = fs::read_to_string(peers.join("Cargo.lock")).unwrap_or_default();
    let npm = fs::read_to_string(peers.join("node/package-lock.json")).unwrap_or_default();
    let node = Command::new("node").arg("--version").output();
    let node = node.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_string());
    vec![
        measure::machine(),
        format!("server on core {SERVER_CORE}, generator on core {GENERATOR_CORE}, loopback"),
        format!(
            "oxide: socketioxide {}, tokio {}, current thread; node: socket.io {} on Node {}",
            version(&lock, "name = \"socketioxide\"").unwrap_or("?"),
            version(&lock, "name = \"tokio\"").unwrap_or("?"),
            version(&npm, "\"node_modules/socket.io\"").unwrap_or("?"),
            node.as_deref().unwrap_or("?"),
        ),
    ]
}

/// The first `x.y.z` in quotes after a package's name in a lock file.
fn version<'a>(lock: &'a str, package: &str) -> Option<&'a str> {
    let (_, rest) = lock.split_once(package)?;
    rest.split('"').find(|word| {
        word.starts_with(|first: char| first.is_ascii_digit()) && word.split('.').count() == 3
    })
}

/// A server process: stopped and waited for when this goes.
struct Server {
    child: Child,
    port: u16,
    /// From the process's birth until it accepted a connection.
    startup: Duration,
}

impl Server {
    fn start(program: &Program, job: Job) -> io::Result<Server> {
        let port = free_port()?;
        let mut command = Command::new("taskset");
        command.args(["-c", SERVER_CORE]).args(&program.command);
        // The floors live in this very program, which must be told which to be.
        if program.file == env::current_exe()? {
            command.arg(match job {
                Job::Broadcast { .. } => "floor-fan",
                Job::Heartbeat => "floor-beat",
                _ => "floor-echo",
            });
        }
        command.arg(port.to_string());
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let began = Instant::now();
        let child = command.spawn()?;
        let mut server = Server {
            child,
            port,
            startup: Duration::ZERO,
        };
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        while TcpStream::connect(address).is_err() {
            if let Some(status) = server.child.try_wait()? {
                return Err(io::Error::other(format!("the server ended: {status}")));
            }
            if began.elapsed() > START_MAX {
                return Err(io::Error::other("the server did not start"));
            }
            thread::sleep(Duration::from_micros(200));
        }
        server.startup = began.elapsed();
        Ok(server)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A port where nobody listens, and not one used a moment ago: its connections may linger.
fn free_port() -> io::Result<u16> {
    static TRIED: AtomicU16 = AtomicU16::new(0);
    let span = PORTS.end - PORTS.start;
    let first = (process::id() % u32::from(span)) as u16;
    for _ in 0..span {
        let tried = TRIED.fetch_add(1, Ordering::Relaxed) % span;
        let port = PORTS.start + (first + tried) % span;
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return Ok(port);
        }
    }
    Err(io::Error::other("no free port"))
}

fn start(server: &Server, program: &Program) -> io::Result<Vec<Figure>> {
    thread::sleep(Duration::from_millis(500));
    let memory = measure::memory(server.child.id())?;
    let figure = |name: &str, value| Figure {
        name: name.into(),
        value,
        is_void: false,
    };
    Ok(vec![
        figure("start_ms", server.startup.as_secs_f64() * 1e3),
        figure("rss_mib", memory.rss as f64 / (1024.0 * 1024.0)),
        figure("binary_kb", fs::metadata(&program.file)?.len() as f64 / 1e3),
    ])
}

/// The generator bounds its own time: see `fleet`.
fn generate(server: &Server, job: Job, peer: Peer, plan: Plan) -> io::Result<Vec<Figure>> {
    let mut command = Command::new("taskset");
    command
        .args(["-c", GENERATOR_CORE])
        .arg(env::current_exe()?)
        .arg("load")
        .arg(job.to_string());
    command.args([server.port.to_string(), server.child.id().to_string()]);
    if peer == Peer::Floor {
        command.arg("raw");
    }
    command.arg(plan.name()).stdin(Stdio::null());
    let output = command.output()?;
    if !output.status.success() {
        let reason = String::from_utf8_lossy(&output.stderr).trim().to_string();
        return Err(io::Error::other(reason));
    }
    let text = String::from_utf8_lossy(&output.stdout);
    load::from_json(&text).ok_or_else(|| io::Error::other("the generator said nothing"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_found_in_lock_files() {
        let lock = "[[package]]\nname = \"tokio\"\nversion = \"1.48.0\"\nsource = \"x\"\n";
        assert_eq!(version(lock, "name = \"tokio\""), Some("1.48.0"));
        let npm = "{\"node_modules/socket.io\": {\n \"version\": \"4.8.4\",\n";
        assert_eq!(version(npm, "\"node_modules/socket.io\""), Some("4.8.4"));
        assert_eq!(version(lock, "name = \"axum\""), None);
    }
}

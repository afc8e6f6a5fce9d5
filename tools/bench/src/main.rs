//! emio beside its peers and beside the kernel alone, on two cores of one machine. `cargo run
//! --release -p bench -- run` builds, measures and writes a table; `bench help` has more.

#![forbid(unsafe_code)]

mod chart;
mod client;
mod fleet;
mod floor;
mod job;
mod load;
mod measure;
mod reach;
mod run;
mod table;

use std::{env, fs, io, path::PathBuf, process::ExitCode};

use serde_json::Value;

use crate::{
    job::{Job, Plan},
    load::Target,
    run::Options,
    table::{Peer, Results},
};

const USAGE: &str = "\
bench run [options]        build and measure emio, its peers and the floors
  --quick                  a look at most of it: few clients, short windows, one round
  --must                   only what the goals need; prints which are reached
  --only NAME,...          jobs or kinds of them: echo, echo-100-16, idle, broadcast ...
  --peers NAME,...         of floor, emio, oxide, node
  --rounds N               3 by default
  --json FILE              target/bench/results.json by default
  --markdown FILE          target/bench/results.md by default
bench must FILE            which goals the results in this JSON file reach
bench chart FILE FOLDER    draws memory.svg and cpu.svg from the results in this JSON file
bench load JOB PORT PID [raw] [full|must|quick]
                           the load of one job on a server that runs
bench floor-echo PORT      writes back what it reads
bench floor-fan PORT       writes what it reads to everyone
bench floor-beat PORT      writes a few bytes to everyone every 25 s
";

fn main() -> ExitCode {
    let args: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    let done = match words[..] {
        ["run", ref options @ ..] => command_run(options),
        ["must", file] => command_must(file),
        ["chart", file, folder] => command_chart(file, folder),
        ["load", job, port, pid, ref rest @ ..] => command_load(job, port, pid, rest),
        ["floor-echo", port] => floor(floor::Mode::Echo, port),
        ["floor-fan", port] => floor(floor::Mode::Fan, port),
        ["floor-beat", port] => floor(floor::Mode::Beat, port),
        ["help" | "--help"] => {
            print!("{USAGE}");
            Ok(true)
        }
        _ => Err(usage()),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn usage() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, USAGE)
}

/// Whether everything that was to be measured has been.
fn command_run(words: &[&str]) -> io::Result<bool> {
    let mut options = Options {
        plan: Plan::Full,
        only: Vec::new(),
        peers: Peer::ALL.to_vec(),
        rounds: 0,
    };
    let folder = run::results_folder()?;
    let (mut json, mut markdown) = (folder.join("results.json"), folder.join("results.md"));
    let mut rounds = None;
    let mut rest = words.iter().copied();
    while let Some(word) = rest.next() {
        match word {
            "--quick" => options.plan = Plan::Quick,
            "--must" => options.plan = Plan::Must,
            _ => {
                let value = rest.next().ok_or_else(usage)?;
                let mut list = value.split(',');
                match word {
                    "--only" => options.only = list.map(String::from).collect(),
                    "--peers" => {
                        let peers = list.try_fold(Vec::new(), |mut peers, name| {
                            peers.push(Peer::parse(name)?);
                            Some(peers)
                        });
                        options.peers = peers.ok_or_else(usage)?;
                    }
                    "--rounds" => rounds = Some(value.parse().map_err(|_| usage())?),
                    "--json" => json = PathBuf::from(value),
                    "--markdown" => markdown = PathBuf::from(value),
                    _ => return Err(usage()),
                }
            }
        }
    }
    options.rounds = rounds.unwrap_or(if options.plan == Plan::Quick { 1 } else { 3 });

    let results = run::run(&options)?;
    let command = format!("cargo run --release -p bench -- run {}", words.join(" "));
    let command = command.trim_end();
    for file in [&json, &markdown] {
        if let Some(folder) = file.parent() {
            fs::create_dir_all(folder)?;
        }
    }
    fs::write(&json, format!("{:#}\n", results.to_json(command)))?;
    let text = results.markdown(command) + &reach::floors(&results);
    fs::write(&markdown, &text)?;
    print!("{text}");
    if options.plan == Plan::Must {
        print!("\n{}", reach::markdown(&results));
    }
    Ok(results.failures.is_empty())
}

fn command_must(file: &str) -> io::Result<bool> {
    print!("{}", reach::markdown(&read(file)?));
    Ok(true)
}

fn command_chart(file: &str, folder: &str) -> io::Result<bool> {
    let (results, folder) = (read(file)?, PathBuf::from(folder));
    fs::create_dir_all(&folder)?;
    fs::write(folder.join("memory.svg"), chart::memory(&results))?;
    fs::write(folder.join("cpu.svg"), chart::cpu(&results))?;
    Ok(true)
}

fn read(file: &str) -> io::Result<Results> {
    let value: Value = serde_json::from_str(&fs::read_to_string(file)?)?;
    let results = Results::from_json(&value);
    results.ok_or_else(|| io::Error::other("not a file that `bench run` wrote"))
}

fn command_load(job: &str, port: &str, pid: &str, rest: &[&str]) -> io::Result<bool> {
    let job = Job::parse(job).ok_or_else(usage)?;
    let port = port.parse().map_err(|_| usage())?;
    let pid = pid.parse().map_err(|_| usage())?;
    let mut target = Target {
        port,
        pid,
        is_raw: false,
        plan: Plan::Full,
    };
    for word in rest {
        match *word {
            "raw" => target.is_raw = true,
            "full" => target.plan = Plan::Full,
            "must" => target.plan = Plan::Must,
            "quick" => target.plan = Plan::Quick,
            _ => return Err(usage()),
        }
    }
    let figures = load::run(job, target).map_err(io::Error::other)?;
    println!("{}", load::to_json(&figures));
    Ok(true)
}

fn floor(mode: floor::Mode, port: &str) -> io::Result<bool> {
    floor::run(mode, port.parse().map_err(|_| usage())?)?;
    Ok(true)
}

//! Hostile peers over real TCP, and faults of the host, beside honest clients who must notice
//! nothing. `cargo run --release -p hostile -- run`; `hostile help` has more.

#![forbid(unsafe_code)]

mod attacks;
mod child;
mod fleet;
mod netns;
mod peer;
mod proxy;
mod run;
mod serve;
mod table;
mod wire;

use std::{env, fs, io, process::ExitCode, time::Duration};

use crate::{
    attacks::Pace,
    run::Options,
    table::{Verdict, verdict},
};

const USAGE: &str = "\
hostile run [options]      attacks a server of its own, one attack after the other
  --quick                  100 honest clients, a second or so for each, shorter deadlines, four
                           at a time; decides by answers, losses, memory and counters
  --honest N               honest clients; 1,000 by default, 100 in a quick run
  --seconds S              how long an attack lasts at least; 10 by default, 1 in a quick run
  --jobs N                 attacks at a time; 1 by default, 4 in a quick run
  --only NAME,...          some attacks
  --memory-cap MIB         the server's address space in the attack memory-cap; 48 by default
  --markdown FILE          writes a table
  --server-wrapper WORDS   a program that runs the server, with its options: 'valgrind -q'
hostile list               the attacks, and what each does
hostile serve [NAME=N ...] the server that is attacked
";

fn main() -> ExitCode {
    let args: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    let done = match words[..] {
        ["run", ref options @ ..] => command_run(options),
        ["serve", ref options @ ..] => serve::serve(options).map(|()| true),
        ["list"] => {
            for attack in attacks::all() {
                println!("{:20} {}", attack.name, attack.what);
            }
            Ok(true)
        }
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

/// Whether everything passed.
fn command_run(words: &[&str]) -> io::Result<bool> {
    let is_quick = words.contains(&"--quick");
    let mut options = Options {
        pace: if is_quick { Pace::Quick } else { Pace::Full },
        honest: if is_quick { 100 } else { 1000 },
        before: Duration::from_millis(if is_quick { 400 } else { 5_000 }),
        window: Duration::from_secs(if is_quick { 1 } else { 10 }),
        jobs: if is_quick { 4 } else { 1 },
        cap_bytes: 48 << 20,
        wrapper: Vec::new(),
    };
    let (mut only, mut markdown) = (Vec::new(), None);
    let mut rest = words.iter().copied().filter(|word| *word != "--quick");
    while let Some(word) = rest.next() {
        let value = rest.next().ok_or_else(usage)?;
        let number = || value.parse::<f64>().map_err(|_| usage());
        match word {
            "--honest" => options.honest = number()? as usize,
            "--seconds" => {
                options.window = Duration::from_secs_f64(number()?);
                options.before = options.before.min(options.window);
            }
            "--jobs" => options.jobs = number()? as usize,
            "--memory-cap" => options.cap_bytes = (number()? as u64) << 20,
            "--only" => only = value.split(',').map(str::to_owned).collect(),
            "--markdown" => markdown = Some(value.to_owned()),
            "--server-wrapper" => {
                options.wrapper = value.split_whitespace().map(str::to_owned).collect();
            }
            _ => return Err(usage()),
        }
    }
    let mut attacks = attacks::all();
    if let Some(unknown) = only
        .iter()
        .find(|name| attacks.iter().all(|attack| attack.name != **name))
    {
        return Err(io::Error::other(format!("there is no attack {unknown}")));
    }
    attacks.retain(|attack| only.is_empty() || only.iter().any(|name| name == attack.name));
    let outcomes = run::run(&attacks, &options, &|attack, outcome| {
        println!("{}", table::line(attack, outcome));
    });
    if let Some(file) = markdown {
        let command = format!("cargo run --release -p hostile -- run {}", words.join(" "));
        let table = table::markdown(&attacks, &outcomes);
        fs::write(file, format!("`{}`\n\n{table}", command.trim_end()))?;
    }
    let count = |wanted: Verdict| {
        let verdicts = outcomes.iter().map(verdict);
        verdicts.filter(|verdict| *verdict == wanted).count()
    };
    let (passed, failed, skipped) = (
        count(Verdict::Passed),
        count(Verdict::Failed),
        count(Verdict::Skipped),
    );
    println!("{passed} passed, {failed} failed, {skipped} skipped");
    Ok(failed == 0)
}

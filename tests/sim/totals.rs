//! What the games amounted to: how much was played, and which faults fell on it.
//!
//! What always holds: counts are of one thread, because each game runs in its own; one that is
//! played again to print its failure counts again.

use std::{cell::RefCell, collections::BTreeMap, fmt, ops::AddAssign};

/// Sums over games.
#[derive(Clone, Default)]
pub struct Totals {
    pub games: u64,
    pub steps: u64,
    pub clients: u64,
    upgrades: u64,
    heard: u64,
    delivered: u64,
    returns: u64,
    missed: u64,
    faults: BTreeMap<&'static str, u64>,
}

/// One game.
pub struct Game {
    pub steps: usize,
    pub clients: usize,
    pub upgrades: usize,
    pub heard: u64,
    pub delivered: u64,
}

thread_local! {
    static TOTALS: RefCell<Totals> = RefCell::default();
}

/// One more fault of this kind.
pub fn count(fault: &'static str) {
    super::heap::test(|| {
        TOTALS.with_borrow_mut(|totals| *totals.faults.entry(fault).or_default() += 1);
    });
}

/// A socket came back, and was sent so many events that it missed.
pub fn count_return(missed: usize) {
    TOTALS.with_borrow_mut(|totals| {
        totals.returns += 1;
        totals.missed += missed as u64;
    });
}

pub fn add_game(game: Game) {
    TOTALS.with_borrow_mut(|totals| {
        totals.games += 1;
        totals.steps += game.steps as u64;
        totals.clients += game.clients as u64;
        totals.upgrades += game.upgrades as u64;
        totals.heard += game.heard;
        totals.delivered += game.delivered;
    });
}

/// What this thread has played since it was last asked.
pub fn take() -> Totals {
    TOTALS.take()
}

impl AddAssign for Totals {
    fn add_assign(&mut self, other: Totals) {
        self.games += other.games;
        self.steps += other.steps;
        self.clients += other.clients;
        self.upgrades += other.upgrades;
        self.heard += other.heard;
        self.delivered += other.delivered;
        self.returns += other.returns;
        self.missed += other.missed;
        for (fault, count) in other.faults {
            *self.faults.entry(fault).or_default() += count;
        }
    }
}

impl fmt::Display for Totals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let faults: u64 = self.faults.values().sum();
        write!(
            f,
            "{} games, {} steps, {} clients, {} upgrades, {} events heard by the server, \
             {} packets received by clients, {} sockets recovered and {} events replayed, \
             {faults} faults:",
            self.games,
            self.steps,
            self.clients,
            self.upgrades,
            self.heard,
            self.delivered,
            self.returns,
            self.missed
        )?;
        for (fault, count) in &self.faults {
            write!(f, " {fault} {count},")?;
        }
        Ok(())
    }
}

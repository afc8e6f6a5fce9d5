//! Deadlines of many machines, one for each: a hierarchical timing wheel in milliseconds.
//!
//! Not here: clocks (time is an argument: milliseconds since the engine's start) and what a
//! deadline means (its machine looks at its own state when it is called).
//!
//! What always holds: no key expires before its deadline; a key expires in the first `expire`
//! at or after it. Arming and cancelling are O(1); a jump of any length costs no more than the
//! keys it passes. The one exception: a deadline more than twelve days ahead expires early.
//!
//! ```text
//!   level 0   64 slots of 1 ms    the current 64 ms         a slot = one deadline
//!   level 1   64 slots of 64 ms   the current 4 s           reached by the tick, a slot
//!   level 2   …        4 s        the current 4 min         falls to the levels below
//!   level 3   …        4 min      the current 4.7 h
//!   level 4   …        4.7 h      from now on, as a ring
//! ```
//!
//! A key lies on the level of the highest bit in which its deadline differs from the tick. So
//! what lies on a lower level is due earlier, and below level 4 no slot wraps around.

/// A timing wheel. Keys are the indices of the machines they wake, so their nodes live in a
/// vector of 12 bytes a key, which grows with the largest key and never shrinks. The slots are
/// another 1.3 KiB.
///
/// `now` must not run ahead of the time the caller goes by: what is armed for a time before the
/// last `now` expires at once.
#[derive(Debug)]
pub struct Wheel {
    /// Every armed deadline is at or after it.
    tick: u64,
    /// For each level, which slots have keys.
    occupied: [u64; LEVELS],
    /// The first key of each slot, level by level.
    heads: [u32; LEVELS * SLOTS],
    nodes: Vec<Node>,
    armed: u32,
}

#[derive(Debug, Clone, Copy)]
struct Node {
    /// The key before this one; for a slot's first, `HEAD` + its slot; `NONE` if not armed.
    prev: u32,
    next: u32,
    /// The low half. The rest follows from the tick, which is at most `DELAY_MS_MAX` behind.
    deadline: u32,
}

const _: () = assert!(
    size_of::<Node>() == 12,
    "every connection and session has one"
);

/// A slot with keys, and the first millisecond it covers.
struct Slot {
    level: usize,
    index: usize,
    start: u64,
}

impl Wheel {
    pub fn new() -> Wheel {
        Wheel {
            tick: 0,
            occupied: [0; LEVELS],
            heads: [NONE; LEVELS * SLOTS],
            nodes: Vec::new(),
            armed: 0,
        }
    }

    /// Arms `key`, moving it if it was armed. A deadline in the past expires with the next
    /// `expire`, so a loop over `expire` must not arm for a time before its own `now`.
    ///
    /// A deadline more than `DELAY_MS_MAX` after the last `expire` or `advance` is brought
    /// forward: the key expires early, and the caller, who knows better, arms it again.
    pub fn arm(&mut self, key: u32, deadline_ms: u64) {
        assert!(
            key < HEAD,
            "a key is the index of a machine, and memory ends before"
        );
        self.cancel(key);
        let index = key as usize;
        if index >= self.nodes.len() {
            self.nodes.resize(
                index + 1,
                Node {
                    prev: NONE,
                    next: NONE,
                    deadline: 0,
                },
            );
        }
        let latest = self.tick.saturating_add(DELAY_MS_MAX);
        self.link(key, deadline_ms.clamp(self.tick, latest));
        self.armed += 1;
    }

    /// Forgets the deadline of `key`, if it has one.
    pub fn cancel(&mut self, key: u32) {
        if self.is_armed(key) {
            self.unlink(key);
            self.armed -= 1;
        }
    }

    pub fn is_armed(&self, key: u32) -> bool {
        self.nodes
            .get(key as usize)
            .is_some_and(|node| node.prev != NONE)
    }

    /// When `key` expires: what it was armed for, unless that was past or too far ahead.
    #[cfg(test)]
    pub fn deadline(&self, key: u32) -> Option<u64> {
        self.is_armed(key).then(|| self.deadline_of(key))
    }

    /// How many keys are armed.
    #[cfg(test)]
    pub fn armed_count(&self) -> usize {
        self.armed as usize
    }

    /// Takes one key whose deadline is at or before `now_ms` off the wheel, the earliest first.
    /// To be called until it returns none.
    pub fn expire(&mut self, now_ms: u64) -> Option<u32> {
        // Every pass ends, or moves a slot's keys down one level or more: at most four times each.
        while let Some(slot) = self.first_slot().filter(|slot| slot.start <= now_ms) {
            self.tick = slot.start;
            let key = self.heads[slot.level * SLOTS + slot.index];
            if slot.level == 0 {
                self.cancel(key);
                // What the caller now arms is measured from here, not from a sleep ago.
                self.advance(now_ms);
                return Some(key);
            }
            self.cascade(slot);
        }
        self.advance(now_ms);
        None
    }

    /// Tells the time, expiring nothing. Worth a call before arming when much time has passed
    /// since the last `expire`: `arm` measures how far ahead a deadline may be from here.
    pub fn advance(&mut self, now_ms: u64) {
        // Not onto a slot that has yet to fall: its keys would no longer lie where they belong.
        let limit = self
            .first_slot()
            .map_or(u64::MAX, |slot| slot.start.saturating_sub(1));
        self.tick = self.tick.max(now_ms.min(limit));
    }

    /// When to call `expire` next: never after the earliest deadline, and exactly on it in the
    /// last 64 ms. Called then, `expire` gets on, if only by moving keys to a lower level; a
    /// sleeper wakes at most four times in vain for one deadline.
    pub fn next_deadline(&self) -> Option<u64> {
        self.first_slot().map(|slot| slot.start)
    }

    /// The earliest slot with keys: the first on the lowest level that has any.
    fn first_slot(&self) -> Option<Slot> {
        let level = self.occupied.iter().position(|&slots| slots != 0)?;
        let shift = level as u32 * SLOT_BITS;
        let block = self.tick >> shift;
        let current = (block % SLOTS as u64) as u32;
        let ahead = self.occupied[level].rotate_right(current).trailing_zeros();
        let start = (block + u64::from(ahead)) << shift;
        Some(Slot {
            level,
            index: (current + ahead) as usize % SLOTS,
            start,
        })
    }

    /// Spreads the keys of a slot that the tick has reached over the levels below.
    fn cascade(&mut self, slot: Slot) {
        let head = slot.level * SLOTS + slot.index;
        let mut key = self.heads[head];
        self.heads[head] = NONE;
        self.occupied[slot.level] &= !(1 << slot.index);
        while key != NONE {
            let next = self.nodes[key as usize].next;
            self.link(key, self.deadline_of(key));
            key = next;
        }
    }

    fn deadline_of(&self, key: u32) -> u64 {
        let ahead = self.nodes[key as usize]
            .deadline
            .wrapping_sub(self.tick as u32);
        self.tick + u64::from(ahead)
    }

    fn link(&mut self, key: u32, deadline: u64) {
        let differing = (deadline ^ self.tick) | (SLOTS as u64 - 1);
        let level = ((u64::BITS - 1 - differing.leading_zeros()) / SLOT_BITS) as usize;
        let level = level.min(LEVELS - 1);
        let index = (deadline >> (level as u32 * SLOT_BITS)) as usize % SLOTS;
        let head = level * SLOTS + index;
        let next = self.heads[head];
        self.nodes[key as usize] = Node {
            prev: HEAD + head as u32,
            next,
            deadline: deadline as u32,
        };
        if next != NONE {
            self.nodes[next as usize].prev = key;
        }
        self.heads[head] = key;
        self.occupied[level] |= 1 << index;
    }

    fn unlink(&mut self, key: u32) {
        let Node { prev, next, .. } = self.nodes[key as usize];
        self.nodes[key as usize].prev = NONE;
        if next != NONE {
            self.nodes[next as usize].prev = prev;
        }
        if prev < HEAD {
            self.nodes[prev as usize].next = next;
            return;
        }
        let head = (prev - HEAD) as usize;
        self.heads[head] = next;
        if next == NONE {
            self.occupied[head / SLOTS] &= !(1 << (head % SLOTS));
        }
    }
}

impl Default for Wheel {
    fn default() -> Wheel {
        Wheel::new()
    }
}

/// Rounds a deadline up to a multiple of 16 ms. Deadlines that need not be exact, heartbeats
/// above all, should pass through here: those that fall together share one wake-up.
pub fn coalesce(deadline_ms: u64) -> u64 {
    deadline_ms.saturating_add(15) & !15
}

/// How far ahead a deadline may be: 63 of the topmost slots, twelve days. The 64th would be the
/// slot of the tick itself.
pub const DELAY_MS_MAX: u64 = (SLOTS as u64 - 1) << ((LEVELS as u32 - 1) * SLOT_BITS);

const LEVELS: usize = 5;
const SLOTS: usize = 64; // one bit each in a u64
const SLOT_BITS: u32 = 6;
const NONE: u32 = u32::MAX;
const HEAD: u32 = NONE - (LEVELS * SLOTS) as u32;

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    const DAY: u64 = 24 * 60 * 60 * 1_000;

    #[test]
    fn a_key_expires_at_its_deadline_and_not_before() {
        for start in [
            0,
            1,
            63,
            64,
            4_095,
            (1 << 24) - 1,
            (1 << 30) - 1,
            (1 << 32) - 1,
            1 << 40,
        ] {
            for bit in 0..30 {
                for delay in [(1_u64 << bit) - 1, 1 << bit, (1 << bit) + 1] {
                    let delay = delay.min(DELAY_MS_MAX);
                    let mut wheel = wheel_at(start);
                    wheel.arm(3, start + delay);
                    assert_eq!(wheel.deadline(3), Some(start + delay));
                    if delay > 0 {
                        assert_eq!(wheel.expire(start + delay - 1), None, "{start} + {delay}");
                    }
                    assert_eq!(wheel.expire(start + delay), Some(3), "{start} + {delay}");
                    assert_eq!(wheel.expire(start + delay), None);
                    assert_eq!((wheel.armed_count(), wheel.next_deadline()), (0, None));
                }
            }
        }
    }

    #[test]
    fn arming_again_moves_and_cancelling_forgets() {
        let mut wheel = Wheel::new();
        wheel.arm(0, 10);
        wheel.arm(1, 10);
        wheel.arm(2, 10);
        wheel.arm(1, 5_000);
        wheel.cancel(0);
        wheel.cancel(0);
        wheel.cancel(77);
        assert_eq!(wheel.armed_count(), 2);
        assert_eq!(
            (wheel.is_armed(0), wheel.is_armed(1), wheel.is_armed(77)),
            (false, true, false)
        );
        assert_eq!((wheel.expire(4_999), wheel.expire(4_999)), (Some(2), None));
        assert_eq!((wheel.deadline(2), wheel.deadline(1)), (None, Some(5_000)));
        assert_eq!((wheel.expire(5_000), wheel.expire(5_000)), (Some(1), None));
    }

    #[test]
    fn a_deadline_in_the_past_expires_next() {
        let mut wheel = wheel_at(1_000);
        wheel.arm(0, 3);
        assert_eq!(wheel.next_deadline(), Some(1_000));
        assert_eq!((wheel.expire(1_000), wheel.expire(1_000)), (Some(0), None));
        wheel.arm(0, 3);
        assert_eq!(wheel.expire(500), None, "time went back");
        assert_eq!(wheel.expire(1_000), Some(0));
    }

    #[test]
    fn a_deadline_too_far_ahead_expires_early() {
        let mut wheel = wheel_at(77);
        wheel.arm(0, 30 * DAY);
        assert_eq!(wheel.deadline(0), Some(77 + DELAY_MS_MAX));
        assert_eq!(wheel.expire(77 + DELAY_MS_MAX - 1), None);
        assert_eq!(wheel.expire(77 + DELAY_MS_MAX), Some(0));
        wheel.arm(0, u64::MAX);
        assert_eq!(wheel.expire(u64::MAX), Some(0));
        wheel.arm(0, u64::MAX);
        assert_eq!(
            (wheel.expire(u64::MAX), wheel.expire(u64::MAX)),
            (Some(0), None)
        );
    }

    #[test]
    fn after_months_of_idleness_deadlines_are_exact_again() {
        let mut wheel = Wheel::new();
        let now = 200 * DAY;
        wheel.advance(now);
        wheel.arm(0, now + 25_000);
        assert_eq!(wheel.expire(now + 24_999), None);
        assert_eq!(wheel.expire(now + 25_000), Some(0));
        // Also in the middle of a late expiry: key 1 is still due when key 0 is armed anew.
        wheel.arm(0, now + 30_000);
        wheel.arm(1, now + 40_000);
        let later = now + 100 * DAY;
        assert_eq!(wheel.expire(later), Some(0));
        assert_eq!(wheel.expire(later), Some(1));
        wheel.arm(1, later + 25_000);
        assert_eq!(
            (wheel.expire(later + 24_999), wheel.deadline(1)),
            (None, Some(later + 25_000))
        );
    }

    #[test]
    fn a_late_expiry_is_in_the_order_of_deadlines() {
        let mut wheel = Wheel::new();
        let deadlines = [900_000, 5, 70, 64, 4_096, 6, 300_000_000, 4_095, 63];
        for (key, deadline) in deadlines.into_iter().enumerate() {
            wheel.arm(key as u32, deadline);
        }
        let mut expired = Vec::new();
        while let Some(key) = wheel.expire(DELAY_MS_MAX) {
            expired.push(deadlines[key as usize]);
        }
        let mut sorted = deadlines.to_vec();
        sorted.sort();
        assert_eq!(expired, sorted);
    }

    #[test]
    fn a_sleeper_that_trusts_next_deadline_wakes_at_most_five_times() {
        for delay in [1, 63, 64, 25_000, 3_600_000, DAY, 12 * DAY] {
            let mut wheel = wheel_at(123_456_789);
            let mut now = 123_456_789;
            wheel.arm(0, now + delay);
            for wakes in 1.. {
                let wake = wheel.next_deadline().expect("armed");
                assert!(wake > now && wakes <= 5, "spinning");
                now = wake;
                if wheel.expire(now) == Some(0) {
                    break;
                }
            }
            assert_eq!(now, 123_456_789 + delay);
        }
    }

    #[test]
    fn the_wheel_is_a_map_of_deadlines() {
        for seed in 1..=24 {
            // Half of the runs pass 2^32 ms, where the low half of the time starts again.
            let start = if seed % 2 == 0 {
                0
            } else {
                (1 << 32) - seed * 1_000_000
            };
            run_against_model(seed, start, 4_000);
        }
    }

    fn run_against_model(seed: u64, start: u64, operations: usize) {
        let mut random = Random(0x5EED_0004 + seed);
        let mut wheel = wheel_at(start);
        let mut model: BTreeMap<u32, u64> = BTreeMap::new();
        let mut now = start;
        for _ in 0..operations {
            let key = (random.next() % 300) as u32;
            match random.next() % 8 {
                0..=3 => {
                    let delay = random.span();
                    let deadline = (now + delay).saturating_sub(random.next() % 8);
                    wheel.arm(key, deadline);
                    let latest = wheel.tick + DELAY_MS_MAX;
                    model.insert(key, deadline.clamp(wheel.tick, latest));
                }
                4 => {
                    wheel.cancel(key);
                    model.remove(&key);
                }
                5 => now = wheel.next_deadline().map_or(now, |wake| wake.max(now)),
                6 => {
                    now += random.span();
                    wheel.advance(now);
                }
                _ => now += random.span(),
            }
            check_next(&wheel, &model);
            assert_eq!(wheel.deadline(key), model.get(&key).copied());
            if random.next() % 4 != 0 {
                expire_both(&mut wheel, &mut model, now);
            }
        }
        expire_both(&mut wheel, &mut model, u64::MAX);
        assert_eq!(
            (wheel.armed_count(), wheel.occupied, model.len()),
            (0, [0; LEVELS], 0)
        );
    }

    fn check_next(wheel: &Wheel, model: &BTreeMap<u32, u64>) {
        let earliest = model.values().min().copied();
        let next = wheel.next_deadline();
        assert_eq!(next.is_some(), earliest.is_some());
        assert!(next <= earliest, "{next:?} sleeps past {earliest:?}");
        assert_eq!(wheel.armed_count(), model.len());
    }

    fn expire_both(wheel: &mut Wheel, model: &mut BTreeMap<u32, u64>, now: u64) {
        let mut last = 0;
        while let Some(key) = wheel.expire(now) {
            let deadline = model.remove(&key).expect("only armed keys expire");
            assert!(
                last <= deadline && deadline <= now,
                "{last} {deadline} {now}"
            );
            last = deadline;
        }
        assert!(
            model.values().all(|&deadline| deadline > now),
            "late at {now}"
        );
        assert!(
            wheel.next_deadline().is_none_or(|wake| wake > now),
            "spinning at {now}"
        );
        for (&key, &deadline) in model.iter() {
            assert_eq!(wheel.deadline(key), Some(deadline));
        }
    }

    #[test]
    fn steady_use_allocates_nothing() {
        let mut wheel = Wheel::new();
        wheel.arm(999, 1);
        let capacity = wheel.nodes.capacity();
        for now in 0..10_000 {
            while wheel.expire(now).is_some() {}
            wheel.arm((now % 1_000) as u32, now + 1 + now % 5_000);
        }
        assert_eq!(wheel.nodes.capacity(), capacity);
    }

    #[test]
    fn coalesced_deadlines_are_never_earlier() {
        let check = |deadline, rounded| assert_eq!(coalesce(deadline), rounded);
        check(0, 0);
        check(1, 16);
        check(16, 16);
        check(17, 32);
    }

    fn wheel_at(now: u64) -> Wheel {
        let mut wheel = Wheel::new();
        assert_eq!(wheel.expire(now), None);
        wheel
    }

    /// xorshift64: the same cases on every machine.
    struct Random(u64);

    impl Random {
        fn next(&mut self) -> u64 {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            self.0 >> 11
        }

        /// Any magnitude up to 2^31 ms alike.
        fn span(&mut self) -> u64 {
            let bits = self.next() % 32;
            self.next() & ((1 << bits) - 1)
        }
    }
}

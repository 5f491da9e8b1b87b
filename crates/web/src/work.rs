//! Work that a browser does before a stranger's form is taken: a second for a person, much for somebody who sends thousands. Not
//! more than a riddle with our seal on it is handed out, so nothing is kept of those who only look. Who cannot do it, because
//! their browser runs no scripts, shares a narrow way with all others like them.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use sha2::{Digest, Sha256};

/// Leading zero bits of the hash that is looked for: a quarter of a million tries on average.
pub const BITS: u32 = 18;
/// A riddle is good for this long: somebody may write for a while.
const GOOD_FOR_MS: i64 = 6 * 3_600_000;
/// Riddles remembered as solved; each costs its sender the work, so many come only from somebody who can afford it.
const SOLVED_MAX: usize = 20_000;
/// Forms that come without work, from all addresses together, in an hour.
const WITHOUT_PER_HOUR: usize = 6;
const HOUR_MS: i64 = 3_600_000;

/// Riddles and their solutions.
pub struct Work {
    secret: [u8; 32],
    riddles: AtomicU64,
    solved: Mutex<HashMap<String, i64>>,
    without: Mutex<Vec<i64>>,
}

/// Why a form is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unworked {
    /// The solution is wrong, used or too old.
    Wrong,
    /// It came without, and too many others did.
    TooMany,
}

impl Work {
    /// With something random, by which we know our own riddles until the next start.
    pub fn new(secret: [u8; 32]) -> Self {
        Self { secret, riddles: AtomicU64::new(0), solved: Mutex::default(), without: Mutex::default() }
    }

    /// A riddle.
    pub fn riddle(&self, now_ms: i64) -> String {
        let number = self.riddles.fetch_add(1, Ordering::Relaxed);
        let text = format!("{now_ms:x}.{number:x}");
        format!("{text}.{}", self.seal(&text))
    }

    /// Takes a riddle with its solution; both empty is a form from a browser without scripts.
    ///
    /// # Errors
    /// When the form is not to be taken.
    pub fn take(&self, riddle: &str, solution: &str, now_ms: i64) -> Result<(), Unworked> {
        if solution.is_empty() {
            let mut without = lock(&self.without);
            without.retain(|at| now_ms - at < HOUR_MS);
            if without.len() >= WITHOUT_PER_HOUR {
                return Err(Unworked::TooMany);
            }
            without.push(now_ms);
            return Ok(());
        }
        let (text, seal) = riddle.rsplit_once('.').ok_or(Unworked::Wrong)?;
        let made_ms = text.split('.').next().and_then(|ms| i64::from_str_radix(ms, 16).ok());
        let is_fresh = made_ms.is_some_and(|made| (0..GOOD_FOR_MS).contains(&(now_ms - made)));
        if !is_fresh || seal != self.seal(text) || !is_solved(riddle, solution) {
            return Err(Unworked::Wrong);
        }
        let mut solved = lock(&self.solved);
        if solved.len() >= SOLVED_MAX {
            solved.retain(|_, at| now_ms - *at < GOOD_FOR_MS);
        }
        if solved.len() >= SOLVED_MAX || solved.insert(riddle.to_owned(), now_ms).is_some() {
            return Err(Unworked::Wrong);
        }
        Ok(())
    }

    fn seal(&self, text: &str) -> String {
        let sum = Sha256::new().chain_update(self.secret).chain_update(text).finalize();
        // The secret has a fixed length and comes first, and only the half is shown: nobody can go on from it.
        mesh::tree::to_hex(&sum[..16])
    }
}

/// Whether the hash of both begins with enough zero bits.
pub fn is_solved(riddle: &str, solution: &str) -> bool {
    let sum = Sha256::new().chain_update(riddle).chain_update(":").chain_update(solution).finalize();
    let zeros = sum.iter().take_while(|byte| **byte == 0).count();
    let next = sum.get(zeros).map_or(8, |byte| byte.leading_zeros());
    solution.len() <= 20 && zeros as u32 * 8 + next >= BITS
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn solve(riddle: &str) -> String {
        (0_u64..).map(|n| n.to_string()).find(|n| is_solved(riddle, n)).expect("there is one")
    }

    #[test]
    fn a_riddle_is_solved_once_within_its_time_and_only_if_it_is_ours() {
        let work = Work::new([7; 32]);
        let riddle = work.riddle(1_000);
        let solution = solve(&riddle);
        assert_eq!(work.take(&riddle, "x", 2_000), Err(Unworked::Wrong));
        assert_eq!(work.take(&riddle, &solution, 2_000), Ok(()));
        assert_eq!(work.take(&riddle, &solution, 2_000), Err(Unworked::Wrong), "it was used");
        let late = work.riddle(1_000);
        assert_eq!(work.take(&late, &solve(&late), 1_000 + GOOD_FOR_MS), Err(Unworked::Wrong));
        let foreign = Work::new([8; 32]).riddle(1_000);
        assert_eq!(work.take(&foreign, &solve(&foreign), 2_000), Err(Unworked::Wrong));
        assert_eq!(work.take("", "1", 2_000), Err(Unworked::Wrong));
    }

    #[test]
    fn without_work_few_come_through_in_an_hour() {
        let work = Work::new([7; 32]);
        let through = |now_ms: i64| (0..20).filter(|_| work.take("", "", now_ms).is_ok()).count();
        assert_eq!((through(0), through(1_000), through(HOUR_MS)), (WITHOUT_PER_HOUR, 0, WITHOUT_PER_HOUR));
    }
}

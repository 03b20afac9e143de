//! Processes that train one model together, each with a part of the photographs.
//!
//! A [`Team`] is what its members need to talk: a number for each, and messages from one to another. [`in_threads`]
//! makes one of threads of a process; with the feature `mpi` `Mpi::new` makes one of the processes that `mpirun`
//! started.
//!
//! ```
//! use transfer::team;
//! let members: Vec<_> = team::in_threads(2)
//!     .into_iter()
//!     .map(|member| std::thread::spawn(move || team::gathered(&*member, &[member.rank() as u8])))
//!     .collect();
//! for member in members {
//!     assert_eq!(member.join().expect("no panic")?, [[0], [1]]);
//! }
//! # Ok::<(), transfer::Error>(())
//! ```

#[cfg(feature = "mpi")]
mod mpi;
mod sum;
mod threads;

#[cfg(feature = "mpi")]
pub use mpi::Mpi;
pub(crate) use sum::{Leaf, SumTree};
pub use threads::in_threads;

use std::fmt::Debug;
use std::ops::Range;
use std::sync::Arc;

use crate::{Error, Result};

/// A member of a team, as it sees the others.
///
/// All members call the same functions in the same order. A member that fails, or that is dropped, makes the calls of
/// those that wait for it fail.
pub trait Team: Debug + Send + Sync {
    /// The number of this member, from 0.
    fn rank(&self) -> usize;

    /// The number of members, at least 1.
    fn size(&self) -> usize;

    /// Sends bytes to another member. It may wait until that member asks for them.
    ///
    /// # Errors
    /// Where that member is gone.
    fn send(&self, to: usize, message: &[u8]) -> Result<()>;

    /// The next message of another member, in the order in which it sent them.
    ///
    /// # Errors
    /// Where that member is gone.
    fn receive(&self, from: usize) -> Result<Vec<u8>>;

    /// Sends messages to other members and takes theirs, all at the same time, so that no member waits for the other's
    /// turn. Each is the number of a member and bytes; several for one member keep their order. The members have to agree
    /// about lengths.
    ///
    /// Without an implementation of its own, pairs of members take turns.
    ///
    /// # Errors
    /// Where a member is gone, or sent another length.
    fn exchange(&self, out: &[(usize, &[u8])], into: &mut [(usize, &mut [u8])]) -> Result<()> {
        let rank = self.rank();
        for round in 1..self.size().next_power_of_two() {
            let other = rank ^ round;
            let send =
                || out.iter().filter(|(to, _)| *to == other).try_for_each(|(_, m)| self.send(other, m));
            if rank < other {
                send()?;
            }
            for (_, to) in into.iter_mut().filter(|(from, _)| *from == other) {
                let message = self.receive(other)?;
                if message.len() != to.len() {
                    return Err(Error::Team(format!(
                        "Expected {} bytes of the member {other} of the team. Received: {}. All must train the same model.",
                        to.len(),
                        message.len()
                    )));
                }
                to.copy_from_slice(&message);
            }
            if rank > other {
                send()?;
            }
        }
        Ok(())
    }
}

/// A member of a team, as an option of something: equal to itself alone.
#[derive(Debug, Clone)]
pub struct Membership(Arc<dyn Team>);

impl Membership {
    /// The member.
    pub fn team(&self) -> &dyn Team {
        &*self.0
    }
}

impl From<Arc<dyn Team>> for Membership {
    fn from(team: Arc<dyn Team>) -> Self {
        Membership(team)
    }
}

impl PartialEq for Membership {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

/// Which of `n` things, cut into parts that are as equal as possible, are a member's.
pub(crate) fn share(team: &dyn Team, n: usize) -> Range<usize> {
    share_of(team.rank(), team.size(), n)
}

/// The same by a member's number and the number of members.
pub(crate) fn share_of(rank: usize, size: usize, n: usize) -> Range<usize> {
    n * rank / size..n * (rank + 1) / size
}

/// What member 0 has, for all members; what the others pass is not looked at.
///
/// # Errors
/// Where a member is gone.
pub fn broadcast(team: &dyn Team, message: Vec<u8>) -> Result<Vec<u8>> {
    let (rank, size) = (team.rank(), team.size());
    // A binomial tree: who has it passes it on to the member that is half of the rest away.
    let mut message = message;
    let mut step = size.next_power_of_two();
    let mut has_it = rank == 0;
    while step > 1 {
        step /= 2;
        if has_it && rank % (2 * step) == 0 {
            if rank + step < size {
                team.send(rank + step, &message)?;
            }
        } else if !has_it && rank % step == 0 {
            message = team.receive(rank - step)?;
            has_it = true;
        }
    }
    Ok(message)
}

/// What each member has, in the order of their numbers, for all members.
///
/// # Errors
/// Where a member is gone.
pub fn gathered(team: &dyn Team, message: &[u8]) -> Result<Vec<Vec<u8>>> {
    let (rank, size) = (team.rank(), team.size());
    if rank > 0 {
        team.send(0, message)?;
        return unpacked(&broadcast(team, Vec::new())?, size);
    }
    let mut all = vec![message.to_vec()];
    for from in 1..size {
        all.push(team.receive(from)?);
    }
    let mut packed = Vec::with_capacity(all.iter().map(|one| one.len() + 8).sum());
    for one in &all {
        packed.extend((one.len() as u64).to_le_bytes());
        packed.extend_from_slice(one);
    }
    broadcast(team, packed)?;
    Ok(all)
}

fn unpacked(mut packed: &[u8], count: usize) -> Result<Vec<Vec<u8>>> {
    let broken = || Error::Team("A message of another member of the team is cut off.".into());
    let mut all = Vec::with_capacity(count);
    for _ in 0..count {
        let (length, rest) = packed.split_first_chunk::<8>().ok_or_else(broken)?;
        let length = usize::try_from(u64::from_le_bytes(*length)).map_err(|_| broken())?;
        let (one, rest) = rest.split_at_checked(length).ok_or_else(broken)?;
        all.push(one.to_vec());
        packed = rest;
    }
    Ok(all)
}

/// The number that member 0 has.
pub(crate) fn first_number(team: &dyn Team, number: usize) -> Result<usize> {
    let bytes = broadcast(team, (number as u64).to_le_bytes().to_vec())?;
    let bytes = bytes.try_into().map_err(|_| Error::Team("Expected a number of the first member.".into()))?;
    Ok(u64::from_le_bytes(bytes) as usize)
}

/// Numbers as bytes.
pub(crate) fn bytes_of(numbers: &[f32]) -> Vec<u8> {
    let mut bytes = vec![0; 4 * numbers.len()];
    bytes.chunks_exact_mut(4).zip(numbers).for_each(|(to, x)| to.copy_from_slice(&x.to_le_bytes()));
    bytes
}

/// The numbers of [`bytes_of`].
pub(crate) fn numbers_of(bytes: &[u8]) -> Result<Vec<f32>> {
    let (chunks, rest) = bytes.as_chunks::<4>();
    match rest.is_empty() {
        true => Ok(chunks.iter().map(|x| f32::from_le_bytes(*x)).collect()),
        false => Err(Error::Team(format!("Expected numbers of 4 bytes. Received: {} bytes", bytes.len()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What `f` gives to each of so many members.
    fn of_each<T: Send>(size: usize, f: impl Fn(&dyn Team) -> T + Sync) -> Vec<T> {
        let f = &f;
        std::thread::scope(|scope| {
            let members: Vec<_> =
                in_threads(size).into_iter().map(|member| scope.spawn(move || f(&*member))).collect();
            members.into_iter().map(|member| member.join().expect("no panic")).collect()
        })
    }

    #[test]
    fn each_member_gets_what_the_first_one_broadcasts_and_what_all_have() {
        for size in 1..=9 {
            let got = of_each(size, |team| broadcast(team, vec![team.rank() as u8; 3]).expect("all there"));
            assert_eq!(got, vec![vec![0; 3]; size], "{size}");
            let all = of_each(size, |team| gathered(team, &vec![7; team.rank()]).expect("all there"));
            let expected: Vec<Vec<u8>> = (0..size).map(|rank| vec![7; rank]).collect();
            assert!(all.iter().all(|one| *one == expected), "{size}: {all:?}");
        }
    }

    #[test]
    fn shares_are_equal_to_one_and_cover_all() {
        for (size, n) in [(1, 5), (3, 10), (4, 3), (7, 0), (5, 100)] {
            let shares = of_each(size, |team| share(team, n));
            let covered: Vec<usize> = shares.iter().cloned().flatten().collect();
            assert_eq!(covered, (0..n).collect::<Vec<_>>());
            let lengths: Vec<usize> = shares.iter().map(ExactSizeIterator::len).collect();
            assert!(lengths.iter().max().unwrap_or(&0) - lengths.iter().min().unwrap_or(&0) <= 1);
        }
    }

    #[test]
    fn a_member_that_is_gone_is_an_error_of_those_that_wait_for_it() {
        let mut members = in_threads(3);
        drop(members.pop());
        let error = members[0].receive(2).expect_err("gone").to_string();
        assert!(error.contains("member 2"), "{error}");
        assert!(members[1].send(2, &[1]).is_err());
    }

    #[test]
    fn what_is_cut_off_is_refused() {
        assert!(unpacked(&[1, 0, 0], 1).is_err());
        assert!(unpacked(&[9, 0, 0, 0, 0, 0, 0, 0, 1], 1).is_err());
        assert!(unpacked(&[255; 8], 1).is_err());
        assert!(numbers_of(&[0; 5]).is_err());
        assert_eq!(numbers_of(&bytes_of(&[1.5, -0.0])).expect("whole"), [1.5, -0.0]);
    }
}

//! A team of the processes that `mpirun` started.

use std::sync::{Arc, Mutex, PoisonError};

use mpi::environment::Universe;
use mpi::topology::{Communicator, SimpleCommunicator};
use mpi::traits::{Destination, MatchedReceiveVec, Source};
use mpi::Threading;

use super::Team;
use crate::{Error, Result};

/// Bytes of one message; longer ones are cut, since MPI counts in 32 bits.
const MOST: usize = 1 << 30;

/// The processes that `mpirun` or `srun` started.
pub struct Mpi {
    member: Arc<Member>,
    universe: Universe,
}

impl Mpi {
    /// Joins the others. Once in a process, before anything else uses MPI.
    ///
    /// # Errors
    /// Where MPI was started before, or cannot be called from more than one thread.
    pub fn new() -> Result<Self> {
        let wrong = |what: &str| Error::Team(format!("MPI cannot be used: {what}"));
        let (universe, threading) = mpi::initialize_with_threading(Threading::Serialized)
            .ok_or_else(|| wrong("it was started in this process before"))?;
        if threading < Threading::Serialized {
            return Err(wrong(
                "it can be called from the main thread alone; use an MPI with MPI_THREAD_SERIALIZED",
            ));
        }
        let world = SimpleCommunicator::world();
        let (rank, size) = (world.rank() as usize, world.size() as usize);
        Ok(Mpi { member: Arc::new(Member { rank, size, one_at_a_time: Mutex::new(()) }), universe })
    }

    /// This process as a member.
    pub fn team(&self) -> Arc<dyn Team> {
        self.member.clone()
    }

    /// Waits for the others, and ends MPI. Members must not be used any more.
    pub fn finish(self) {
        drop(self.universe);
    }

    /// Ends all processes of the team at once, with this exit code: for errors, so that nobody waits for a member that
    /// has failed.
    pub fn abort(self, code: i32) -> ! {
        SimpleCommunicator::world().abort(code)
    }
}

impl std::fmt::Debug for Mpi {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Mpi({} of {})", self.member.rank, self.member.size)
    }
}

#[derive(Debug)]
struct Member {
    rank: usize,
    size: usize,
    /// MPI is called by one thread at a time.
    one_at_a_time: Mutex<()>,
}

impl Team for Member {
    fn rank(&self) -> usize {
        self.rank
    }

    fn size(&self) -> usize {
        self.size
    }

    fn send(&self, to: usize, message: &[u8]) -> Result<()> {
        let length = (message.len() as u64).to_le_bytes();
        self.exchange(&[(to, &length), (to, message)], &mut [])
    }

    fn receive(&self, from: usize) -> Result<Vec<u8>> {
        let _only_one = self.one_at_a_time.lock().unwrap_or_else(PoisonError::into_inner);
        let process = SimpleCommunicator::world();
        let process = process.process_at_rank(from as i32);
        let length = next(&process);
        let length: [u8; 8] = length.try_into().map_err(|_| {
            Error::Team(format!(
                "Process {from} sent something else than a length: the processes do different things."
            ))
        })?;
        let length = u64::from_le_bytes(length) as usize;
        let mut message = Vec::with_capacity(length);
        while message.len() < length {
            message.extend(next(&process));
        }
        Ok(message)
    }

    fn exchange(&self, out: &[(usize, &[u8])], into: &mut [(usize, &mut [u8])]) -> Result<()> {
        let _only_one = self.one_at_a_time.lock().unwrap_or_else(PoisonError::into_inner);
        let world = SimpleCommunicator::world();
        mpi::request::multiple_scope(out.len() + into.len(), |scope, requests| {
            for (from, to) in into.iter_mut() {
                for chunk in to.chunks_mut(MOST) {
                    requests.add(world.process_at_rank(*from as i32).immediate_receive_into(scope, chunk));
                }
            }
            for (to, message) in out {
                for chunk in message.chunks(MOST) {
                    requests.add(world.process_at_rank(*to as i32).immediate_send(scope, chunk));
                }
            }
            let (mut patience, mut done) = (Patience::default(), Vec::new());
            while !requests.test_all(&mut done) {
                patience.wait();
            }
        });
        Ok(())
    }
}

/// The next message of a process.
fn next(process: &impl Source) -> Vec<u8> {
    let mut patience = Patience::default();
    loop {
        if let Some(message) = process.immediate_matched_probe() {
            return message.matched_receive_vec().0;
        }
        patience.wait();
    }
}

/// Waits for other processes and leaves the processor to whatever else has to be computed, which MPI's own waiting does
/// not.
#[derive(Default)]
struct Patience {
    turns: u32,
}

impl Patience {
    fn wait(&mut self) {
        /// Turns that only give way, so that an answer in time is found in time. More of them would take the processor
        /// from a thread that computes.
        const AWAKE: u32 = 200;
        /// Where sleep no longer becomes longer.
        const LONGEST: u32 = 4;
        self.turns = self.turns.saturating_add(1);
        match self.turns.checked_sub(AWAKE) {
            None => std::thread::yield_now(),
            Some(turns) => {
                let microseconds = 64 << (turns / 4).min(LONGEST);
                std::thread::sleep(std::time::Duration::from_micros(microseconds));
            }
        }
    }
}

//! A team of the processes that `mpirun` started.

use std::sync::{Arc, Mutex, PoisonError};

use mpi::environment::Universe;
use mpi::topology::{Communicator, SimpleCommunicator};
use mpi::traits::{Destination, Source};
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
        let _only_one = self.one_at_a_time.lock().unwrap_or_else(PoisonError::into_inner);
        let process = SimpleCommunicator::world();
        let process = process.process_at_rank(to as i32);
        process.send(&(message.len() as u64).to_le_bytes()[..]);
        message.chunks(MOST).for_each(|chunk| process.send(chunk));
        Ok(())
    }

    fn receive(&self, from: usize) -> Result<Vec<u8>> {
        let _only_one = self.one_at_a_time.lock().unwrap_or_else(PoisonError::into_inner);
        let process = SimpleCommunicator::world();
        let process = process.process_at_rank(from as i32);
        let (length, _) = process.receive_vec::<u8>();
        let length: [u8; 8] = length.try_into().map_err(|_| {
            Error::Team(format!(
                "Process {from} sent something else than a length: the processes do different things."
            ))
        })?;
        let length = u64::from_le_bytes(length) as usize;
        let mut message = Vec::with_capacity(length);
        while message.len() < length {
            message.extend(process.receive_vec::<u8>().0);
        }
        Ok(message)
    }
}

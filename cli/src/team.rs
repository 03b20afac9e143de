//! The processes that `mpirun` started, where the program was built for that: they share one command. The first one
//! speaks and writes files, the others compute.

use std::sync::{Arc, OnceLock};

use transfer::team::Team;

/// `None` for a process that works alone.
static TEAM: OnceLock<Option<Arc<dyn Team>>> = OnceLock::new();

/// The team, where there are others in it.
pub fn team() -> Option<Arc<dyn Team>> {
    TEAM.get().cloned().flatten()
}

/// Whether this process speaks and writes files.
pub fn is_first() -> bool {
    team().is_none_or(|team| team.rank() == 0)
}

/// How a process takes part.
pub struct Membership {
    #[cfg(feature = "mpi")]
    mpi: Option<transfer::team::Mpi>,
}

impl Membership {
    /// Joins the team that `mpirun` or `srun` started, if one did.
    ///
    /// # Errors
    /// Where MPI cannot be used.
    #[cfg(feature = "mpi")]
    pub fn join() -> transfer::Result<Self> {
        if transfer::environment::processes().is_none() {
            return Ok(Membership { mpi: None });
        }
        let mpi = transfer::team::Mpi::new()?;
        let team = mpi.team();
        let _ = TEAM.set((team.size() > 1).then_some(team));
        if !is_first() {
            silence();
        }
        Ok(Membership { mpi: Some(mpi) })
    }

    /// Where the program was built without MPI: it works alone, and says so where others were started beside it.
    ///
    /// # Errors
    /// Where `mpirun` started several processes: they would write to the same files.
    #[cfg(not(feature = "mpi"))]
    pub fn join() -> transfer::Result<Self> {
        match transfer::environment::processes() {
            Some(n) if n > 1 => Err(transfer::Error::Team(format!(
                "Expected a program that was built for several processes, since mpirun or srun started {n}. Received: one \
                 that works alone. Build it with `cargo install --path cli --features mpi`."
            ))),
            _ => Ok(Membership {}),
        }
    }

    /// Ends the others too, where this process ends with an error, so that none waits for it.
    #[cfg(feature = "mpi")]
    pub fn end(self, code: u8) {
        match (self.mpi, code) {
            (None, _) => {}
            (Some(mpi), 0) => mpi.finish(),
            (Some(mpi), code) => {
                // The first process may still be writing its checkpoint, and says how to go on.
                if !is_first() {
                    std::thread::sleep(std::time::Duration::from_secs(3));
                }
                mpi.abort(i32::from(code))
            }
        }
    }

    #[cfg(not(feature = "mpi"))]
    pub fn end(self, _: u8) {}
}

/// Results come from the first process alone.
#[cfg(all(feature = "mpi", unix))]
fn silence() {
    // SAFETY: the name ends with a zero, and what is opened is used here alone.
    unsafe {
        let nowhere = libc::open(c"/dev/null".as_ptr(), libc::O_WRONLY);
        if nowhere >= 0 {
            libc::dup2(nowhere, libc::STDOUT_FILENO);
            libc::close(nowhere);
        }
    }
}

#[cfg(all(feature = "mpi", not(unix)))]
fn silence() {}

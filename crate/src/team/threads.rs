//! A team of threads in one process.

use std::sync::mpsc::{channel, Receiver, Sender};
use std::sync::{Arc, Mutex, PoisonError};

use super::Team;
use crate::{Error, Result};

/// The members of a team for so many threads of this process, one for each. It is there for tests, and for programs
/// that train several parts in one process.
pub fn in_threads(size: usize) -> Vec<Arc<dyn Team>> {
    let mut senders: Vec<Vec<Sender<Vec<u8>>>> = (0..size).map(|_| Vec::new()).collect();
    let mut receivers: Vec<Vec<Mutex<Receiver<Vec<u8>>>>> = (0..size).map(|_| Vec::new()).collect();
    for from in &mut senders {
        for to in &mut receivers {
            let (sender, receiver) = channel();
            from.push(sender);
            to.push(Mutex::new(receiver));
        }
    }
    let members = senders.into_iter().zip(receivers).enumerate();
    members.map(|(rank, (to, from))| Arc::new(Member { rank, to, from }) as Arc<dyn Team>).collect()
}

#[derive(Debug)]
struct Member {
    rank: usize,
    to: Vec<Sender<Vec<u8>>>,
    from: Vec<Mutex<Receiver<Vec<u8>>>>,
}

fn gone(rank: usize) -> Error {
    Error::Team(format!("The member {rank} of the team is gone, so that the others cannot go on."))
}

impl Team for Member {
    fn rank(&self) -> usize {
        self.rank
    }

    fn size(&self) -> usize {
        self.to.len()
    }

    fn send(&self, to: usize, message: &[u8]) -> Result<()> {
        let sender = self.to.get(to).ok_or_else(|| gone(to))?;
        sender.send(message.to_vec()).map_err(|_| gone(to))
    }

    fn receive(&self, from: usize) -> Result<Vec<u8>> {
        let receiver = self.from.get(from).ok_or_else(|| gone(from))?;
        receiver.lock().unwrap_or_else(PoisonError::into_inner).recv().map_err(|_| gone(from))
    }
}

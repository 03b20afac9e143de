//! dfdx's CPUs for passes without a tape, which several threads may do with one model at the same time.
//!
//! A CPU of dfdx's keeps the memory of tensors that are gone for the next ones, and panics where two threads take from
//! it at the same moment (it looks, and then takes what the other one has taken). So each pass has a CPU to itself,
//! and hands it back with its memory when it is over.

use std::ops::Deref;
use std::sync::{Mutex, MutexGuard};

use dfdx::prelude::{Cache, Cpu};

/// Those that nobody has now.
static FREE: Mutex<Vec<Cpu>> = Mutex::new(Vec::new());

fn free() -> MutexGuard<'static, Vec<Cpu>> {
    FREE.lock().unwrap_or_else(|e| e.into_inner())
}

/// A CPU that uses the memory of its tensors again, for one thread at a time.
pub(crate) fn new_cpu() -> Cpu {
    let cpu = Cpu::default();
    cpu.enable_cache();
    cpu
}

/// Gives the memory of those that nobody has now back to the system.
pub(crate) fn forget_memory() {
    free().iter().for_each(|cpu| cpu.empty_cache());
}

/// A CPU that nobody else allocates on as long as this value lives. Tensors may outlive it.
#[derive(Debug)]
pub struct LentCpu(Cpu);

impl LentCpu {
    pub(crate) fn take() -> Self {
        let waiting = free().pop();
        LentCpu(waiting.unwrap_or_else(new_cpu))
    }
}

impl Deref for LentCpu {
    type Target = Cpu;
    fn deref(&self) -> &Cpu {
        &self.0
    }
}

impl Drop for LentCpu {
    fn drop(&mut self) {
        free().push(self.0.clone());
    }
}

//! Random numbers that depend on what they are for: [`transfer_kernels::random`].

pub use transfer_kernels::random::Rng;

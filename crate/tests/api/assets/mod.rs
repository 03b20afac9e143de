//! Inputs: downloads, archives, and the search for the data set and the weights.

mod archives;
mod downloads;
mod inputs;
mod samples;
mod support;

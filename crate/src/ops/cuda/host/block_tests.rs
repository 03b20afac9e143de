//! A block.

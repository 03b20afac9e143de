//! Rules about the source code that the compiler does not check.

mod circles;
mod imports;
mod layers;
mod rules;

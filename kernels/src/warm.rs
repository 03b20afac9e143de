//! Fetches memory into the cache before a kernel needs it.
//!
//! The kernels walk through many rows at once, a few numbers of each, which no processor recognises
//! as a stream: where they miss the cache, they wait, for what they write as much as for what they
//! read. Reading the same memory from end to end beforehand goes at full speed and costs a fraction
//! of that wait. What is fetched must fit in the second-level cache, together with what the kernel
//! uses besides.

/// Numbers in a cache line.
const LINE: usize = 16;

/// Reads a number of each cache line.
pub fn warm(memory: &[f32]) {
    let mut seen = 0;
    for line in memory.chunks(LINE) {
        seen |= line[0].to_bits();
    }
    std::hint::black_box(seen);
}

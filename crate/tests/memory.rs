//! Readers of weight files and checkpoints take no more memory than the file is long, whatever it says. A test
//! of its own, because it counts each allocation of its process.

use std::alloc::{GlobalAlloc, Layout, System};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use transfer::fuzzing::run;
use transfer::weights::load;

struct Counting;

static HELD: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);
static LARGEST: AtomicUsize = AtomicUsize::new(0);

fn taken(bytes: usize) {
    PEAK.fetch_max(HELD.fetch_add(bytes, Relaxed) + bytes, Relaxed);
    LARGEST.fetch_max(bytes, Relaxed);
}

// SAFETY: all work is the system allocator's; only numbers are noted beside it.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        taken(layout.size());
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        taken(layout.size());
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, old: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        taken(size);
        HELD.fetch_sub(layout.size(), Relaxed);
        // SAFETY: the caller's promises are passed on.
        unsafe { System.realloc(old, layout, size) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        HELD.fetch_sub(layout.size(), Relaxed);
        // SAFETY: the caller's promises are passed on.
        unsafe { System.dealloc(memory, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// For tables, names and messages, which are there for the smallest file, too.
const SMALL: usize = 128 << 10;
/// What the HDF5 library takes for a list that announces 65535 entries. A file that it is let near has more
/// than the 9 MB of MobileNetV2's numbers; the small ones of the corpus are for a smaller network.
const LIST: usize = 5 << 20;

/// Runs `work` on a file of `length` bytes: no single allocation is larger than the file, and all that is
/// held at a time is its bytes, the values made of them, and little besides (`more` than that is allowed).
fn within<T>(what: &str, length: usize, more: usize, work: impl FnOnce() -> T) -> T {
    let before = HELD.load(Relaxed);
    PEAK.store(before, Relaxed);
    LARGEST.store(0, Relaxed);
    let result = work();
    let (peak, largest) = (PEAK.load(Relaxed) - before, LARGEST.load(Relaxed));
    assert!(largest <= length + more + SMALL, "{what}: {largest} bytes at once for a file of {length}");
    assert!(peak <= 3 * length + more + 8 * SMALL, "{what}: {peak} bytes held for a file of {length}");
    result
}

fn safetensors(header: &str, values: usize) -> Vec<u8> {
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend_from_slice(header.as_bytes());
    bytes.resize(bytes.len() + values, 0);
    bytes
}

/// Files that announce far more than they hold.
fn lies() -> Vec<(&'static str, Vec<u8>)> {
    let tensor = |shape: &str, end: u64| {
        safetensors(&format!(r#"{{"a":{{"dtype":"F32","shape":{shape},"data_offsets":[0,{end}]}}}}"#), 16)
    };
    let length = |n: u64| [n.to_le_bytes().as_slice(), b"{}"].concat();
    vec![
        ("a header of 2^31 bytes", length((1 << 31) - 1)),
        ("a header of 16 MiB", length(16 << 20)),
        ("a tensor of 2^38 values", tensor("[274877906944]", 1 << 40)),
        ("a tensor whose size overflows", tensor("[4294967296,4294967296,4294967296]", 16)),
        ("a tensor of no width and 2^60 rows", tensor("[1152921504606846976,0]", 0)),
        ("an h5 file of its signature alone", b"\x89HDF\r\n\x1a\n".to_vec()),
        ("an h5 file of ones", [b"\x89HDF\r\n\x1a\n".as_slice(), &[0xFF; 4000]].concat()),
    ]
}

#[test]
fn no_reader_takes_more_memory_than_the_file_is_long() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("lie");
    // What is made once and kept, such as thread pools, is not the file's doing.
    let _ = load(folder.path());
    // The counter counts.
    assert!(std::panic::catch_unwind(|| within("a vector", 1000, 0, || vec![1u8; 4 * SMALL])).is_err());
    for (what, bytes) in lies() {
        std::fs::write(&path, &bytes).unwrap();
        within(what, bytes.len(), 0, || load(&path)).expect_err(what);
        for target in ["tf_hub_h5", "keras_h5", "safetensors", "checkpoint", "model"] {
            within(what, bytes.len(), 0, || run(target, &bytes));
        }
    }
    // Each number of each file of the corpus made huge, byte by byte.
    let mut lies_told = 0;
    for target in ["tf_hub_h5", "keras_h5", "safetensors", "checkpoint", "model"] {
        let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fuzz/corpus").join(target);
        for entry in corpus.read_dir().unwrap() {
            let entry = entry.unwrap();
            let bytes = std::fs::read(entry.path()).unwrap();
            for at in (0..bytes.len()).step_by(if target.ends_with("h5") { 7 } else { 1 }) {
                let mut lie = bytes.clone();
                lie[at] = if lie[at].is_ascii_digit() { b'9' } else { 0x7F };
                let what = format!("{target} {:?} at {at}", entry.file_name());
                let more = if target.ends_with("h5") { LIST } else { 0 };
                within(&what, lie.len(), more, || run(target, &lie));
                lies_told += 1;
            }
        }
    }
    assert!(lies_told > 10_000, "the corpus is nearly empty: {lies_told}");
    // The real thing, whole and in part.
    let bytes = std::fs::read(transfer::assets::mobilenet_v2_weights().unwrap().path).unwrap();
    std::fs::write(&path, &bytes).unwrap();
    within("the real weights", bytes.len(), 0, || load(&path)).unwrap();
    std::fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
    within("half of the real weights", bytes.len() / 2, 0, || load(&path)).unwrap_err();
}

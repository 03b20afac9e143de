//! The emulation's other end: buffers and launches, told to a program through a pipe.

use std::fs::File;
use std::io::{BufReader, BufWriter, Read, Seek, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use super::super::calls::{Arg, Call};
use crate::Result;

/// A buffer of the emulation: what is an address on a GPU.
#[derive(Debug, Clone, Copy)]
pub(super) struct Buffer {
    number: u32,
    bytes: usize,
}

/// A running emulation.
pub(super) struct Emulator {
    child: Child,
    to: Option<BufWriter<ChildStdin>>,
    from: BufReader<ChildStdout>,
    /// Its standard error.
    complaints: File,
    /// In which order threads and blocks take their turns.
    order: u32,
    buffers: u32,
}

/// Runs `work` in each order of threads and blocks, and returns what it returns, which must be the same
/// bits each time; `None` where there is no C++ compiler.
#[track_caller]
pub(super) fn on_emulator(work: impl Fn(&mut Emulator) -> Vec<Vec<f32>>) -> Option<Vec<Vec<f32>>> {
    let mut emulator = Emulator::start()?;
    let [first, others @ ..] = [0, 1, 2].map(|order| {
        emulator.order = order;
        let results = work(&mut emulator);
        emulator.clear();
        results
    });
    let bits = |results: &[Vec<f32>]| -> Vec<Vec<u32>> {
        results.iter().map(|result| result.iter().map(|v| v.to_bits()).collect()).collect()
    };
    for other in others {
        assert!(bits(&other) == bits(&first), "the result depends on the order of threads or blocks");
    }
    if let Err(said) = emulator.finish() {
        panic!("the emulation failed and said:\n{said}");
    }
    Some(first)
}

impl Emulator {
    fn start() -> Option<Self> {
        let complaints = tempfile::tempfile().expect("a temporary file");
        let mut child = Command::new(super::build::program()?)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(complaints.try_clone().expect("a file has a second handle"))
            // It has only what it was told to have, and looking for more needs rights that a container may lack.
            .env("ASAN_OPTIONS", "detect_leaks=0")
            .spawn()
            .expect("the emulation starts");
        let to = child.stdin.take().map(BufWriter::new);
        let from = BufReader::new(child.stdout.take().expect("a pipe was asked for"));
        Some(Emulator { child, to, from, complaints, order: 0, buffers: 0 })
    }

    #[track_caller]
    fn ended(&mut self) -> ! {
        let _ = self.end();
        panic!("the emulation has ended and said:\n{}", self.complaints());
    }

    fn complaints(&mut self) -> String {
        let mut text = String::new();
        let _ = self.complaints.rewind();
        let _ = self.complaints.read_to_string(&mut text);
        text
    }

    #[track_caller]
    fn send(&mut self, bytes: &[u8]) {
        let sent = self.to.as_mut().map(|to| to.write_all(bytes));
        if !matches!(sent, Some(Ok(()))) {
            self.ended();
        }
    }

    /// A new buffer with these bytes.
    pub(super) fn bytes(&mut self, contents: &[u8]) -> Buffer {
        self.send(b"A");
        self.send(&(contents.len() as u64).to_le_bytes());
        self.send(contents);
        self.buffers += 1;
        Buffer { number: self.buffers - 1, bytes: contents.len() }
    }

    /// A new buffer with these numbers.
    pub(super) fn floats(&mut self, contents: &[f32]) -> Buffer {
        let bytes: Vec<u8> = contents.iter().flat_map(|v| v.to_le_bytes()).collect();
        self.bytes(&bytes)
    }

    /// A new buffer of `len` numbers that nobody has computed yet: NaN, which would be seen in a result.
    pub(super) fn unwritten(&mut self, len: usize) -> Buffer {
        self.floats(&vec![f32::NAN; len])
    }

    /// Writes the address of byte `offset` of `of` into `into`, as 64-bit number `at`.
    pub(super) fn write_address(&mut self, into: Buffer, at: usize, of: Buffer, offset: usize) {
        self.write(into, at, of.number, offset as u64);
    }

    /// Writes a number into `into`, as 64-bit number `at`.
    pub(super) fn write_number(&mut self, into: Buffer, at: usize, number: u64) {
        self.write(into, at, u32::MAX, number);
    }

    fn write(&mut self, into: Buffer, at: usize, of: u32, plus: u64) {
        self.send(b"W");
        self.send(&into.number.to_le_bytes());
        self.send(&(8 * at as u64).to_le_bytes());
        self.send(&of.to_le_bytes());
        self.send(&plus.to_le_bytes());
    }

    /// Launches.
    #[track_caller]
    pub(super) fn launch(&mut self, call: Result<Call<Buffer>>) {
        let call = call.expect("a call that can be made");
        if call.grid.contains(&0) {
            return;
        }
        let mut message = vec![b'L'];
        message.extend((call.kernel.len() as u32).to_le_bytes());
        message.extend(call.kernel.as_bytes());
        message.extend(call.grid.iter().chain(&call.block).flat_map(|side| side.to_le_bytes()));
        message.extend(self.order.to_le_bytes());
        message.extend((call.args.len() as u32).to_le_bytes());
        for arg in &call.args {
            let (kind, bits) = match *arg {
                Arg::Pointer(buffer) => (b'P', buffer.number),
                Arg::Null => (b'N', 0),
                Arg::Int(value) => (b'I', value as u32),
                Arg::Float(value) => (b'F', value.to_bits()),
            };
            message.push(kind);
            message.extend(bits.to_le_bytes());
        }
        self.send(&message);
    }

    /// A buffer's numbers.
    #[track_caller]
    pub(super) fn read(&mut self, buffer: Buffer) -> Vec<f32> {
        self.send(b"R");
        self.send(&buffer.number.to_le_bytes());
        let flushed = self.to.as_mut().map(|to| to.flush());
        let mut bytes = vec![0; buffer.bytes];
        if !matches!(flushed, Some(Ok(()))) || self.from.read_exact(&mut bytes).is_err() {
            self.ended();
        }
        bytes.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect()
    }

    fn clear(&mut self) {
        self.send(b"C");
        self.buffers = 0;
    }

    /// Closes its input and waits for the end; whether that was a good one.
    fn end(&mut self) -> bool {
        drop(self.to.take());
        self.child.wait().is_ok_and(|status| status.success())
    }

    /// Waits for the end, until which sanitizers may have something to say.
    fn finish(mut self) -> Result<(), String> {
        match self.end() {
            true => Ok(()),
            false => Err(self.complaints()),
        }
    }
}

impl Drop for Emulator {
    fn drop(&mut self) {
        self.end();
    }
}

/// What is said to a launch on two buffers of eight numbers.
fn outcome(call: Call<Buffer>) -> Option<Result<(), String>> {
    let mut emulator = Emulator::start()?;
    (0..2).for_each(|_| _ = emulator.floats(&[0.0; 8]));
    emulator.launch(Ok(call));
    Some(emulator.finish())
}

#[test]
fn the_emulation_refuses_wrong_launches_and_sees_one_number_too_many() {
    let at = |number| Arg::Pointer(Buffer { number, bytes: 32 });
    let call = |kernel, args: &[Arg<Buffer>], threads| Call {
        kernel,
        grid: [1, 1, 1],
        block: [threads, 1, 1],
        args: args.to_vec(),
    };
    let Some(right) = outcome(call("add_into", &[at(0), at(1), Arg::Int(8)], 256)) else { return };
    assert_eq!(right, Ok(()));
    for (call, expected) in [
        (call("add_into", &[at(0), at(1), Arg::Int(9)], 256), "heap-buffer-overflow"),
        (call("add_into", &[at(0), Arg::Int(8)], 256), "takes PPI and not PI"),
        (call("add_into", &[at(0), at(1), Arg::Float(8.0)], 256), "takes PPI and not PPF"),
        (call("add_onto", &[at(0), at(1), Arg::Int(8)], 256), "no kernel add_onto"),
        (call("add_into", &[at(0), at(2), Arg::Int(8)], 256), "a buffer that does not exist"),
        (call("add_into", &[at(0), at(1), Arg::Int(8)], 2048), "that a GPU would refuse"),
        (call("add_into", &[at(0), Arg::Null, Arg::Int(8)], 256), "null pointer"),
    ] {
        let said = outcome(call).and_then(Result::err).unwrap_or_default();
        assert!(said.contains(expected), "expected {expected:?}, received {said:?}");
    }
}

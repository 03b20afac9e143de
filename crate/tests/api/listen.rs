//! What the library says while a test runs.

use std::sync::{Arc, Mutex, Once};
use std::thread::ThreadId;

static SAID: Mutex<Vec<(ThreadId, String)>> = Mutex::new(Vec::new());

/// Keeps what the library says from now on. Tests run at the same time: their lines are among it.
pub struct Said {
    from: usize,
}

/// Starts to listen.
pub fn listen() -> Said {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        transfer::progress::set_reporter(Some(Arc::new(|line: &str| {
            SAID.lock().unwrap().push((std::thread::current().id(), line.to_owned()));
        })));
    });
    Said { from: SAID.lock().unwrap().len() }
}

impl Said {
    /// All lines since then, each with a line break.
    pub fn lines(&self) -> String {
        self.select(|_| true)
    }

    /// The lines that this thread has said.
    pub fn lines_of_this_thread(&self) -> String {
        let me = std::thread::current().id();
        self.select(|thread| thread == me)
    }

    fn select(&self, wanted: impl Fn(ThreadId) -> bool) -> String {
        let said = SAID.lock().unwrap();
        said[self.from..]
            .iter()
            .filter(|(thread, _)| wanted(*thread))
            .map(|(_, line)| format!("{line}\n"))
            .collect()
    }
}

/// All lines since the first test listened.
pub fn all_said() -> String {
    Said { from: 0 }.lines()
}

//! Ctrl-C, and the command that goes on where it was pressed.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::{screen, INTERRUPTED};

static PRESSED: AtomicBool = AtomicBool::new(false);

/// From now on the first Ctrl-C (or SIGTERM) asks the library to stop after its step, and the second ends
/// the program.
pub fn listen() {
    let handler = || {
        if PRESSED.swap(true, Ordering::SeqCst) {
            transfer::output::remove_unfinished();
            std::process::exit(i32::from(INTERRUPTED));
        }
        transfer::progress::request_stop();
        screen::say("Stopping after this step, with a checkpoint. Press Ctrl-C again to end at once.");
    };
    // Without a handler Ctrl-C ends the program at once, and what was learned since the last epoch is lost.
    if let Err(e) = ctrlc::set_handler(handler) {
        screen::note(&format!("Ctrl-C will end the training at once: {e}"));
    }
}

/// The command that this program was started with, for a shell.
pub fn this_command() -> String {
    let words = std::env::args_os().map(|word| quoted(&word.to_string_lossy()));
    words.collect::<Vec<_>>().join(" ")
}

fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,@%+".contains(c);
    match !word.is_empty() && word.chars().all(plain) {
        true => word.to_owned(),
        false => format!("'{}'", word.replace('\'', r"'\''")),
    }
}

#[cfg(test)]
mod tests {
    use super::quoted;

    #[test]
    fn words_are_quoted_for_a_shell_where_they_have_to_be() {
        assert_eq!(quoted("--image-size=120x160"), "--image-size=120x160");
        assert_eq!(quoted("my photos"), "'my photos'");
        assert_eq!(quoted("it's"), r"'it'\''s'");
        assert_eq!(quoted(""), "''");
        assert_eq!(quoted("$HOME"), "'$HOME'");
    }
}

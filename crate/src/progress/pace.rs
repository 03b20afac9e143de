//! How often it is said where long work stands, and in which words.

use std::time::{Duration, Instant};

use crate::thousands::thousands;

/// The least time between two lines.
const TIME: Duration = Duration::from_secs(10);
/// After this long there is a line in any case.
const LONG: Duration = Duration::from_secs(60);

/// Where a pass stands: steps of an epoch, or images.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stand<'a> {
    /// What it is: `epoch 2/10`; empty for a pass over images alone.
    pub what: &'a str,
    /// What is counted: `steps`.
    pub unit: &'a str,
    pub done: usize,
    pub total: usize,
    /// Images that are done.
    pub images: usize,
}

/// The pass that is under way.
#[derive(Debug)]
pub(super) struct Pace {
    what: String,
    total: usize,
    done: usize,
    /// When the pass was first seen, and its images then.
    begun: (Instant, usize, usize),
    /// When the last line was said, and what was done then.
    said: (Instant, usize),
}

impl Pace {
    /// The line to be said now, if one is due: at most one every ten seconds, and then only for a tenth of the work or a
    /// minute.
    pub fn line(pace: &mut Option<Pace>, stand: Stand<'_>, now: Instant) -> Option<String> {
        let Stand { what, unit, done, total, images } = stand;
        let pass = match pace {
            Some(pass) if pass.what == what && pass.total == total && done >= pass.done => pass,
            _ => {
                let what = what.to_owned();
                *pace = Some(Pace { what, total, done, begun: (now, done, images), said: (now, done) });
                return None;
            }
        };
        pass.done = done;
        let waited = now.saturating_duration_since(pass.said.0);
        let far = 10 * (done - pass.said.1) >= total;
        if done >= total || waited < TIME || !(far || waited >= LONG) {
            return None;
        }
        pass.said = (now, done);
        let (begun, first_done, first_images) = pass.begun;
        let seconds = now.saturating_duration_since(begun).as_secs_f64();
        let rate = (images - first_images.min(images)) as f64 / seconds;
        let left = (total - done) as f64 * seconds / (done - first_done).max(1) as f64;
        let what = if what.is_empty() { String::new() } else { format!("{what}: ") };
        let (done, total) = (thousands(done), thousands(total));
        Some(format!("{what}{done} of {total} {unit}, {rate:.1} images/s, about {} left", time(left)))
    }
}

/// Seconds in words: `40 s`, `3 min`, `2.5 h`.
fn time(seconds: f64) -> String {
    match seconds {
        s if s < 90.0 => format!("{s:.0} s"),
        s if s < 5400.0 => format!("{:.0} min", s / 60.0),
        s => format!("{:.1} h", s / 3600.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The lines of a pass of so many images that takes so long, with the seconds at which they are said.
    fn lines(total: usize, seconds: u64) -> Vec<(u64, String)> {
        let (mut pace, start) = (None, Instant::now());
        let line = |i: usize| {
            let after = seconds as f64 * i as f64 / total as f64;
            let stand = Stand { what: "", unit: "images", done: i, total, images: i };
            let line = Pace::line(&mut pace, stand, start + Duration::from_secs_f64(after));
            line.map(|line| (after.round() as u64, line))
        };
        (0..=total).filter_map(line).collect()
    }

    #[test]
    fn a_short_pass_says_nothing_and_a_long_one_at_most_every_ten_seconds_and_every_tenth() {
        assert_eq!(lines(1000, 9), []);
        let first = (10, "500 of 1,000 images, 50.0 images/s, about 10 s left".to_owned());
        assert_eq!(lines(1000, 20), [first]);
        let long = lines(1000, 400);
        assert_eq!(long.len(), 9);
        assert_eq!(long[0], (40, "100 of 1,000 images, 2.5 images/s, about 6 min left".to_owned()));
        // An hour and more: each minute.
        assert_eq!(lines(1000, 6000).len(), 99);
    }

    #[test]
    fn another_pass_begins_anew() {
        let (mut pace, start) = (None, Instant::now());
        let at = |pace: &mut Option<Pace>, what, done, seconds| {
            let stand = Stand { what, unit: "steps", done, total: 10, images: 32 * done };
            Pace::line(pace, stand, start + Duration::from_secs(seconds))
        };
        assert!(at(&mut pace, "epoch 1/2", 1, 0).is_none());
        let said = at(&mut pace, "epoch 1/2", 3, 20).unwrap();
        assert_eq!(said, "epoch 1/2: 3 of 10 steps, 3.2 images/s, about 70 s left");
        assert!(at(&mut pace, "epoch 2/2", 4, 40).is_none());
        assert!(at(&mut pace, "epoch 2/2", 1, 60).is_none(), "the same epoch of another training");
        assert!(at(&mut pace, "epoch 2/2", 10, 90).is_none(), "the end has a line of its own");
    }
}

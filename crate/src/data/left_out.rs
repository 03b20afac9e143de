//! How many photographs of each class were left out, and how many may be.
//!
//! A class that lost a part of its photographs is not the class that somebody collected, and one that lost all of
//! them cannot be learned. So there is a limit, for each class of a folder; a single damaged file is below it, also
//! in a small class.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Mutex;

use super::bad_images::Skipped;
use crate::{Error, Result, Show};

/// The counts of all classes of a folder.
#[derive(Debug, Default)]
pub(super) struct Tally {
    /// The part of a class that may be left out.
    part: f32,
    classes: Vec<Class>,
    /// Whether the first class stands for all labels.
    together: bool,
}

#[derive(Debug)]
struct Class {
    name: String,
    /// Photographs in the folder, those left out included.
    files: usize,
    left_out: AtomicUsize,
    /// By path the first of those left out so far.
    first: Mutex<Option<Skipped>>,
}

/// How many of so many files may be left out: `part` of them, and at least one where `part` is not 0.
fn allowed(files: usize, part: f32) -> usize {
    // A part such as 0.7 is a little less than that in binary.
    let n = (files as f64 * (f64::from(part) + 1e-7)) as usize;
    if part > 0.0 {
        n.max(1)
    } else {
        0
    }
}

impl Tally {
    /// No files yet.
    pub fn new(class_names: &[String], part: f32) -> Self {
        let class = |name: &String| Class {
            name: name.clone(),
            files: 0,
            left_out: AtomicUsize::new(0),
            first: Mutex::default(),
        };
        Tally { part, classes: class_names.iter().map(class).collect(), together: false }
    }

    /// The same, with one class for all labels if `yes`.
    pub fn together(self, yes: bool) -> Self {
        Tally { together: yes, ..self }
    }

    fn class(&self, label: u32) -> Option<&Class> {
        self.classes.get(if self.together { 0 } else { label as usize })
    }

    /// Counts a photograph of the folder, good or bad.
    pub fn count(&mut self, label: u32) {
        if let Some(class) = self.classes.get_mut(label as usize) {
            class.files += 1;
        }
    }

    /// Counts one of them as left out.
    pub fn leave_out(&self, label: u32, file: &Skipped) {
        let Some(class) = self.class(label) else { return };
        class.left_out.fetch_add(1, Ordering::Relaxed);
        let mut first = class.first.lock().unwrap_or_else(|e| e.into_inner());
        if first.as_ref().is_none_or(|first| file < first) {
            *first = Some(file.clone());
        }
    }

    /// How many were left out.
    pub fn left_out(&self) -> usize {
        self.classes.iter().map(|class| class.left_out.load(Ordering::Relaxed)).sum()
    }

    /// An error where too many of a class were left out so far.
    pub fn check(&self, label: u32) -> Result<()> {
        self.class(label).map_or(Ok(()), |class| self.check_class(class))
    }

    /// The same for all classes.
    pub fn check_all(&self) -> Result<()> {
        self.classes.iter().try_for_each(|class| self.check_class(class))
    }

    fn check_class(&self, class: &Class) -> Result<()> {
        let (n, files) = (class.left_out.load(Ordering::Relaxed), class.files);
        if n == 0 || (n <= allowed(files, self.part) && n < files) {
            return Ok(());
        }
        let first = class.first.lock().unwrap_or_else(|e| e.into_inner());
        let first = first.as_ref().map(|first| format!(" For example: {first}.")).unwrap_or_default();
        let name = class.name.shown();
        if n >= files {
            return Err(Error::Data(format!(
                "the class {name} has no photograph that can be decoded: all {files} are damaged or of kinds that are \
                 not read.{first} Replace them, or remove the class's folder."
            )));
        }
        Err(Error::Data(format!(
            "{n} of {files} photographs of the class {name} cannot be decoded. Expected at most {}, which is {:.0} % \
             of a class{}.{first} Replace or remove them; or allow more, with ImageDatasetOptions::max_left_out or \
             --max-left-out.",
            allowed(files, self.part),
            100.0 * self.part,
            if self.part > 0.0 { " and at least one" } else { "" },
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally(files: usize, left_out: usize, part: f32) -> Tally {
        let mut tally = Tally::new(&["cats".to_owned(), "dogs".to_owned()], part);
        (0..files).for_each(|_| tally.count(1));
        for i in (0..left_out).rev() {
            let file = Skipped { path: format!("dogs/{i}.jpg").into(), reason: "is empty (0 bytes)".into() };
            tally.leave_out(1, &file);
        }
        tally
    }

    #[test]
    fn a_tenth_may_be_left_out_and_one_of_a_small_class_but_never_all() {
        let passes = |files, left_out, part| tally(files, left_out, part).check_all().is_ok();
        for (files, left_out) in [(5, 1), (2, 1), (19, 1), (20, 2), (100, 10), (1000, 100), (10, 1)] {
            assert!(passes(files, left_out, 0.1), "{left_out} of {files}");
            assert!(!passes(files, left_out + 1, 0.1), "{} of {files}", left_out + 1);
        }
        assert!(!passes(1, 1, 0.1) && !passes(1, 1, 1.0) && !passes(9, 9, 1.0));
        assert!(passes(9, 8, 1.0) && passes(10, 7, 0.7) && !passes(10, 8, 0.7));
        assert!(passes(9, 0, 0.0) && !passes(9, 1, 0.0));
    }

    #[test]
    fn the_error_names_the_class_the_numbers_and_a_file() {
        let text = tally(30, 4, 0.1).check(1).unwrap_err().to_string();
        for part in ["4 of 30", "dogs", "at most 3", "10 %", "dogs/0.jpg is empty", "--max-left-out"] {
            assert!(text.contains(part), "{text}");
        }
        assert!(tally(30, 4, 0.1).check(0).is_ok());
        assert!(tally(3, 3, 0.5)
            .check_all()
            .unwrap_err()
            .to_string()
            .contains("no photograph that can be decoded"));
    }
}

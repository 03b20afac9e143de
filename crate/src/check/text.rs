//! A report as text.

use std::fmt;
use std::path::Path;

use super::findings::{CheckedFile, ClassFinding, DuplicateGroup, Oddity};
use super::report::CheckReport;
use crate::Show;

/// Findings of a kind that are named; the others are counted.
const NAMED: usize = 10;
/// Files of a group that are named.
const FILES: usize = 6;

impl CheckReport {
    /// The path below the checked folder.
    pub(super) fn short<'a>(&self, path: &'a Path) -> &'a Path {
        path.strip_prefix(&self.dir).unwrap_or(path)
    }

    /// One line about the most important findings, as `train` prints it.
    pub fn summary(&self) -> String {
        let photographs = self.duplicates.iter().map(|group| group.files.len()).sum::<usize>();
        let mut parts = vec![format!(
            "{photographs} photographs in {}",
            counted(self.duplicates.len(), "group of duplicates", "groups of duplicates")
        )];
        match self.leaks() {
            0 => {}
            n => parts.push(format!("{n} of them outside of the training set have a duplicate in it")),
        }
        parts.push(counted(self.suspects.len(), "suspected label", "suspected labels"));
        parts.push(counted(self.outliers.len(), "outlier", "outliers"));
        let names = if self.duplicates.is_empty() && self.suspects.is_empty() {
            ""
        } else {
            " `transfer check` names them."
        };
        format!("Checked {} photographs: {}.{names}", self.photographs(), parts.join(", "))
    }

    fn files(&self, f: &mut fmt::Formatter<'_>, group: &DuplicateGroup) -> fmt::Result {
        write!(f, "  {} (similarity {:.2}):", group.kind.name(), group.similarity)?;
        for file in group.files.iter().take(FILES) {
            write!(f, " {}", self.short(&file.path).shown())?;
        }
        match group.files.len().saturating_sub(FILES) {
            0 => writeln!(f),
            more => writeln!(f, " and {more} more"),
        }
    }

    fn list<T>(
        &self,
        f: &mut fmt::Formatter<'_>,
        title: &str,
        found: &[T],
        line: impl Fn(&T) -> String,
    ) -> fmt::Result {
        if found.is_empty() {
            return Ok(());
        }
        writeln!(f, "\n{title}: {}", found.len())?;
        for item in found.iter().take(NAMED) {
            writeln!(f, "  {}", line(item))?;
        }
        match found.len().saturating_sub(NAMED) {
            0 => Ok(()),
            more => writeln!(f, "  and {more} more"),
        }
    }

    fn file(&self, file: &CheckedFile) -> String {
        self.short(&file.path).shown().to_string()
    }

    fn head(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} photographs of {} classes in {}",
            self.photographs(),
            self.class_names.len(),
            self.dir.file_name().unwrap_or(self.dir.as_os_str()).shown()
        )?;
        for (set, counts) in self.sets.iter().filter(|(set, _)| set != "all") {
            writeln!(f, "  {set}: {}", counts.iter().sum::<usize>())?;
        }
        let (h, w) = (self.sizes.height, self.sizes.width);
        let [low, middle, high] = self.sizes.aspect_ratio;
        writeln!(
            f,
            "sizes (height x width): median {}x{}, heights {} to {}, widths {} to {}; aspect ratio {low:.2} to \
             {high:.2}, median {middle:.2}",
            h[1], w[1], h[0], h[2], w[0], w[2]
        )
    }

    fn groups_of_duplicates(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.duplicates.is_empty() {
            return Ok(());
        }
        let photographs: usize = self.duplicates.iter().map(|group| group.files.len()).sum();
        writeln!(f, "\nduplicates: {} groups, {photographs} photographs", self.duplicates.len())?;
        if self.leaks() > 0 {
            writeln!(
                f,
                "  WARNING: {} photographs of validation or test have a duplicate in the training set",
                self.leaks()
            )?;
        }
        let several = self.duplicates.iter().filter(|group| group.has_several_classes()).count();
        if several > 0 {
            writeln!(f, "  WARNING: {several} groups have photographs of different classes")?;
        }
        self.duplicates.iter().take(NAMED).try_for_each(|group| self.files(f, group))?;
        match self.duplicates.len().saturating_sub(NAMED) {
            0 => Ok(()),
            more => writeln!(f, "  and {more} more groups"),
        }
    }
}

fn counted(n: usize, one: &str, many: &str) -> String {
    format!("{n} {}", if n == 1 { one } else { many })
}

impl fmt::Display for ClassFinding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ClassFinding::Small { class, photographs } => {
                write!(f, "{} has few photographs: {photographs}", class.shown())
            }
            ClassFinding::Unequal { largest, smallest } => write!(
                f,
                "classes are unequal: {} has {} photographs, {} has {}; consider balanced class weights",
                largest.0.shown(),
                largest.1,
                smallest.0.shown(),
                smallest.1
            ),
            ClassFinding::PartOf { class, of, part } => write!(
                f,
                "{:.0} % of {} look like {}: is one class a part of the other?",
                100.0 * part,
                class.shown(),
                of.shown()
            ),
        }
    }
}

impl fmt::Display for CheckReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.head(f)?;
        self.groups_of_duplicates(f)?;
        self.list(f, "suspected wrong labels", &self.suspects, |suspect| {
            format!(
                "{} looks like {} (probability {:.3}, of {} {:.3})",
                self.file(&suspect.file),
                suspect.looks_like.shown(),
                suspect.probability,
                suspect.file.class.shown(),
                suspect.given_probability
            )
        })?;
        self.list(f, "outliers", &self.outliers, |outlier| {
            format!("{} (distance {:.3})", self.file(&outlier.file), outlier.distance)
        })?;
        self.list(f, "unreadable files", &self.unreadable, |file| {
            format!("{} {}", self.short(&file.path).shown(), file.reason)
        })?;
        self.list(f, "classes", &self.classes, ToString::to_string)?;
        for oddity in [Oddity::Tiny, Oddity::SingleColour, Oddity::Grey, Oddity::Elongated] {
            let some: Vec<_> = self.odd.iter().filter(|odd| odd.oddity == oddity).collect();
            self.list(f, oddity.name(), &some, |odd| {
                format!("{} ({}x{})", self.file(&odd.file), odd.file.size.0, odd.file.size.1)
            })?;
        }
        match self.is_clean() {
            true => writeln!(f, "\nnothing found"),
            false => Ok(()),
        }
    }
}

impl fmt::Debug for CheckReport {
    /// As it is printed, because that is what a notebook shows.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

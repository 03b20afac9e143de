//! A data set in a line of text.

use super::Dataset;

impl std::fmt::Display for Dataset {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let plural = |n: usize, one: &str, many: &str| format!("{n} {}", if n == 1 { one } else { many });
        let (found, classes) = (self.store.found, self.class_names().len());
        write!(
            f,
            "Found {} belonging to {}.",
            plural(found, "file", "files"),
            plural(classes, "class", "classes")
        )?;
        if self.len() != found {
            let batches = plural(self.cardinality(), "batch", "batches");
            write!(f, "\nUsing {} of them, {batches}.", self.len())?;
        }
        Ok(())
    }
}

impl std::fmt::Debug for Dataset {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(self, f)
    }
}

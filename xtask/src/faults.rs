//! `cargo xtask faults`: kills, full disks, lying servers. What they are is in `crate/examples/faults/`;
//! this builds it, keeps its results, and writes its table into the README.

use std::path::Path;

use crate::process::{command, run};
use crate::project::Project;
use crate::Result;

/// Lines of the README that the table stands between.
const MARKS: (&str, &str) = ("<!-- written by `cargo xtask faults --readme` -->\n", "<!-- end -->\n");

/// Runs the scenarios whose names hold one of the words, all where there is none.
pub fn faults(words: &[&str]) -> Result<()> {
    let project = Project::find()?;
    let results = Path::new("target").join("xtask");
    let into_readme = words.contains(&"--readme");
    let others: Vec<&str> = words.iter().copied().filter(|word| *word != "--readme").collect();
    if into_readme && !others.is_empty() {
        return Err(format!("--readme wants every scenario in full. Received with it: {others:?}"));
    }
    let mut cargo = command("cargo");
    cargo.args(["run", "--quiet", "--package", "transfer", "--example", "faults", "--", "--out"]);
    cargo.arg(&results).args(&others);
    let outcome = run(&mut cargo, "the list of faults");
    let table = results.join("faults.md");
    if into_readme && outcome.is_ok() {
        let read = |path: &Path| {
            std::fs::read_to_string(path).map_err(|e| format!("cannot read {}: {e}", path.display()))
        };
        let path = project.root.join("README.md");
        let readme = with_table(&read(&path)?, &read(&table)?)?;
        std::fs::write(&path, readme).map_err(|e| format!("cannot write {}: {e}", path.display()))?;
    }
    outcome
}

/// The README with this table in the place of the one it has.
fn with_table(readme: &str, table: &str) -> Result<String> {
    let missing = || format!("expected the lines {MARKS:?} in the README, around the table of faults");
    let (before, rest) = readme.split_once(MARKS.0).ok_or_else(missing)?;
    let (_, after) = rest.split_once(MARKS.1).ok_or_else(missing)?;
    Ok(format!("{before}{}\n{table}\n{}{after}", MARKS.0, MARKS.1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_takes_the_place_of_the_old_one_and_of_nothing_else() {
        let readme = format!("before\n{}\nold\n\n{}after\n", MARKS.0, MARKS.1);
        let new = with_table(&readme, "| new |\n").unwrap();
        assert_eq!(new, format!("before\n{}\n| new |\n\n{}after\n", MARKS.0, MARKS.1));
        assert_eq!(with_table(&new, "| new |\n").unwrap(), new);
        assert!(with_table("no marks", "").is_err());
    }
}

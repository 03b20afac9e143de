//! `cargo xtask faults`: kills, full disks, lying servers, system calls that fail. What they are is in
//! `tools/faults/`; this builds it, keeps its results, and writes its table into the documentation.

use std::path::Path;

use crate::process::{command, run};
use crate::project::Project;
use crate::Result;

/// The page that has the table.
const PAGE: &str = "docs/robustness.md";
/// Lines of the page that the table stands between.
const MARKS: (&str, &str) = ("<!-- written by `cargo xtask faults --docs` -->\n", "<!-- end -->\n");
const INTO_PAGE: &str = "--docs";

/// Runs the scenarios whose names hold one of the words, all where there is none.
pub fn faults(words: &[&str]) -> Result<()> {
    let project = Project::find()?;
    let results = project.root.join("target/xtask");
    let into_page = words.contains(&INTO_PAGE);
    let others: Vec<&str> = words.iter().copied().filter(|word| *word != INTO_PAGE).collect();
    if into_page && !others.is_empty() {
        return Err(format!("{INTO_PAGE} wants every scenario in full. Received with it: {others:?}"));
    }
    // For the whole workspace, as the tests: with features of its own each would compile the library anew.
    let mut cargo = command("cargo");
    cargo.args(["build", "--quiet", "--workspace", "--bin", "faults", "--bin", "transfer"]);
    run(&mut cargo, "building the list of faults and the program")?;
    let built = |name: &str| {
        project.root.join("target/debug").join(format!("{name}{}", std::env::consts::EXE_SUFFIX))
    };
    let mut faults = command(built("faults"));
    faults.arg("--program").arg(built("transfer")).arg("--out").arg(&results).args(&others);
    let outcome = run(&mut faults, "the list of faults");
    if into_page && outcome.is_ok() {
        let read = |path: &Path| {
            std::fs::read_to_string(path).map_err(|e| format!("cannot read {}: {e}", path.display()))
        };
        let path = project.root.join(PAGE);
        let page = with_table(&read(&path)?, &read(&results.join("faults.md"))?)?;
        std::fs::write(&path, page).map_err(|e| format!("cannot write {}: {e}", path.display()))?;
    }
    outcome
}

/// The page with this table in the place of the one it has.
fn with_table(page: &str, table: &str) -> Result<String> {
    let missing = || format!("expected the lines {MARKS:?} in {PAGE}, around the table of faults");
    let (before, rest) = page.split_once(MARKS.0).ok_or_else(missing)?;
    let (_, after) = rest.split_once(MARKS.1).ok_or_else(missing)?;
    Ok(format!("{before}{}\n{table}\n{}{after}", MARKS.0, MARKS.1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_takes_the_place_of_the_old_one_and_of_nothing_else() {
        let page = format!("before\n{}\nold\n\n{}after\n", MARKS.0, MARKS.1);
        let new = with_table(&page, "| new |\n").unwrap();
        assert_eq!(new, format!("before\n{}\n| new |\n\n{}after\n", MARKS.0, MARKS.1));
        assert_eq!(with_table(&new, "| new |\n").unwrap(), new);
        assert!(with_table("no marks", "").is_err());
    }

    #[test]
    fn the_page_has_a_place_for_the_table() {
        let page =
            std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(PAGE)).unwrap();
        assert!(with_table(&page, "| new |\n").is_ok());
    }
}

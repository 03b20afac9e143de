//! The project's own Python environment, `.venv`, filled from the lock files that belong to the pip list of
//! `environment.yml` and to `tests/requirements.txt`.

use crate::locks::{self, Lock};
use crate::process::{command, output, run};
use crate::project::Project;
use crate::step::{is_done, note_done, step};
use crate::{owned, Result};

/// By this file an environment is known that was made before there was a note.
const OLDER: [&str; 1] = ["place"];

/// `.venv`, with nothing in it if it is new.
pub fn environment(project: &Project) -> Result<()> {
    // Scripts in a virtual environment name its folder: a moved checkout needs a new one.
    let place = format!("{}\n", project.root.display());
    let is_ours = owned::is_there(&project.venv(), &OLDER)?;
    if is_ours && is_done(&project.venv().join("place"), &place) && works(project) {
        owned::write_note(&project.venv())?;
    } else {
        step("a Python environment in .venv", "a few seconds, once", || {
            let python = find_python()?;
            owned::empty_folder(&project.venv(), &OLDER)?;
            run(command(python).args(["-m", "venv"]).arg(project.venv()), "making .venv")?;
            note_done(&project.venv().join("place"), &place)
        })?;
    }
    Ok(())
}

/// What users need, into the [`environment`].
pub fn packages(project: &Project) -> Result<()> {
    let what = "JupyterLab and what it needs into .venv";
    install(project, what, "about a minute, once", &locks::NOTEBOOK, "packages")
}

/// What only the tests need, on top of [`packages`].
pub fn set_up_tests(project: &Project) -> Result<()> {
    let what = "what the tests need into .venv";
    install(project, what, "half a minute, once", &locks::TESTS, "test-packages")
}

fn install(project: &Project, what: &str, expected: &str, lock: &Lock, stamp: &str) -> Result<()> {
    let stamp = project.venv().join(stamp);
    let inputs = lock.read(&project.root)?;
    if is_done(&stamp, &inputs) {
        return Ok(());
    }
    step(what, expected, || {
        let mut pip = command(project.venv_program("python"));
        pip.args(locks::install_arguments(&lock.path()));
        // The kernel may be building at the same time, and shows how far it is.
        pip.arg("--quiet");
        run(&mut pip, "installing Python packages")?;
        note_done(&stamp, &inputs)
    })
}

fn works(project: &Project) -> bool {
    output(command(project.venv_program("python")).args(["-c", "import pip"])).is_some()
}

/// A Python that is new enough and can make virtual environments.
pub fn find_python() -> Result<&'static str> {
    const INSTALL: &str =
        "Debian or Ubuntu: sudo apt install python3 python3-venv; Fedora: sudo dnf install \
                           python3; macOS: brew install python";
    for python in ["python3", "python"] {
        let version = "import sys; print(sys.version_info >= (3, 10), '%d.%d.%d' % sys.version_info[:3])";
        let Some(told) = output(command(python).args(["-c", version])) else { continue };
        let Some(("True", _)) = told.split_once(' ') else {
            return Err(format!("Python 3.10 or newer is needed, and `{python}` says {told}. {INSTALL}"));
        };
        if output(command(python).args(["-c", "import venv, ensurepip"])).is_none() {
            return Err(format!("`{python}` lacks the module venv or ensurepip. {INSTALL}"));
        }
        return Ok(python);
    }
    Err(format!(
        "Python 3.10 or newer with venv is needed, and neither python3 nor python can be run. {INSTALL}"
    ))
}

/// A line without its comment and the space around it.
pub fn without_comment(line: &str) -> String {
    line.split('#').next().unwrap_or_default().trim().to_owned()
}

/// The entries under `- pip:` of a conda environment; they are all that is read of it.
pub fn pip_list(yml: &str) -> Vec<String> {
    let indent = |line: &str| line.len() - line.trim_start().len();
    let mut lines = yml.lines().filter(|line| !without_comment(line).is_empty());
    let Some(head) = lines.find(|line| without_comment(line) == "- pip:") else { return Vec::new() };
    lines
        .take_while(|line| indent(line) > indent(head))
        .filter_map(|line| without_comment(line).strip_prefix("- ").map(|entry| entry.trim().to_owned()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::pip_list;

    #[test]
    fn the_pip_list_ends_where_the_indentation_does() {
        let yml = "dependencies:\n  - python>=3.10\n  - pip\n  - pip:   # the list\n      - a==1\n\n      # why\n      \
                   - b>=2,<3  # note\n  - evcxr\nother: x\n";
        assert_eq!(pip_list(yml), ["a==1", "b>=2,<3"]);
    }

    #[test]
    fn an_environment_without_a_pip_list_has_no_packages() {
        assert!(pip_list("dependencies:\n  - pip\n  - evcxr\n").is_empty());
    }

    #[test]
    fn the_projects_own_environment_pins_what_runs_the_notebook() {
        let packages = pip_list(include_str!("../../environment.yml"));
        for name in ["jupyterlab", "nbclient", "nbconvert"] {
            assert!(packages.iter().any(|p| p.starts_with(&format!("{name}=="))), "{name} in {packages:?}");
        }
    }
}

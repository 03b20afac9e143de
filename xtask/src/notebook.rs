//! `cargo xtask notebook`: everything from a fresh clone to a running notebook.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use crate::process::{become_program, command, processes_in, run};
use crate::project::{Project, LANGUAGES};
use crate::step::{duration, is_done, note_done, step};
use crate::{cuda, kernel, python, toolchain, Result};

/// What the kernel runs after loading the crate, so that nothing is left to download later.
/// Each of them says in its own words what it found where.
const FETCH: [&str; 3] = [
    "println!(\"{}\", transfer::assets::mobilenet_v2_weights()?);",
    "println!(\"{}\", transfer::assets::sample_photographs()?);",
    "println!(\"{}\", transfer::assets::cats_and_dogs()?);",
];

/// Sets up what is missing and opens JupyterLab with `arguments`.
pub fn open(project: Project, arguments: &[&str]) -> Result<()> {
    set_up(&project)?;
    println!("==> JupyterLab; Ctrl-C twice ends it");
    let mut lab = command(project.venv_program("jupyter"));
    become_program(lab.arg("lab").arg(project.notebook()).args(arguments), "JupyterLab")
}

/// [`open`] for a copy of the notebook that computes on a GPU.
pub fn open_cuda(project: Project, arguments: &[&str]) -> Result<()> {
    let (toolkit, notebook) = set_up_cuda(&project)?;
    println!("==> JupyterLab with {}; Ctrl-C twice ends it", notebook.display());
    let mut lab = command(project.venv_program("jupyter"));
    toolkit.add_to(&mut lab);
    become_program(lab.arg("lab").arg(notebook).args(arguments), "JupyterLab")
}

/// [`execute`] for a copy of the notebook that computes on a GPU; its results go beside the copy.
pub fn execute_cuda(project: &Project) -> Result<()> {
    let (toolkit, notebook) = set_up_cuda(project)?;
    let _turn = take_turn(project)?;
    println!("==> {}, headless", notebook.display());
    let mut runner = runner(project);
    toolkit.add_to(&mut runner);
    runner.arg("execute").arg(&notebook).arg("--out").arg(notebook.with_file_name("results"));
    run(&mut runner, &format!("running {}", notebook.display()))
}

/// What a GPU's notebook needs: the GPU is looked for first, since nothing else is worth a wait without it.
fn set_up_cuda(project: &Project) -> Result<(cuda::Toolkit, PathBuf)> {
    let toolkit = cuda::check()?;
    let rustc = toolchain::check()?;
    toolchain::add_sources(project, &rustc)?;
    python::environment(project)?;
    python::packages(project)?;
    kernel::set_up(project)?;
    // The kernel resolves dependencies on its own; this gives it the versions that we test.
    let build = project.root.join("target").join("evcxr-cuda");
    std::fs::create_dir_all(&build)
        .and_then(|()| std::fs::copy(project.root.join("Cargo.lock"), build.join("Cargo.lock")))
        .map_err(|e| format!("cannot copy Cargo.lock into {}: {e}", build.display()))?;
    let notebook = cuda::copy_notebook(project)?;
    println!("==> set-up is complete; the notebook's first cell compiles the crate (some minutes, once)");
    Ok((toolkit, notebook))
}

/// Sets up what is missing and runs the notebook headless.
pub fn execute(project: &Project) -> Result<()> {
    let preparation = set_up(project)?;
    run_headless(project, &project.notebook().to_string_lossy(), Some(preparation))
}

/// Runs the notebook headless and writes its committed form.
///
/// Edits that were made while it ran are not lost: what ran is another notebook then, and nothing is written.
pub fn save(project: &Project) -> Result<()> {
    let before = bytes_of(&project.notebook())?;
    execute(project)?;
    check_unchanged(&project.notebook(), &project.results(), &before)?;
    let executed = project.results().join(project.notebook().file_name().unwrap_or_default());
    let mut runner = runner(project);
    runner.arg("save").arg(executed).arg(project.notebook());
    run(&mut runner, "writing the committed form of the notebook")
}

fn bytes_of(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).map_err(|e| format!("cannot read {}: {e}", path.display()))
}

/// An error where the notebook is no longer what it was before it ran.
fn check_unchanged(notebook: &Path, results: &Path, before: &[u8]) -> Result<()> {
    match bytes_of(notebook)? == before {
        true => Ok(()),
        false => Err(format!(
            "{} was changed while it ran, so its committed form was not written over it. What ran is in {}. Run the \
             command again",
            notebook.display(),
            results.display()
        )),
    }
}

/// The set-up, each step only where it is missing; returns the seconds that it took.
pub fn set_up(project: &Project) -> Result<f64> {
    let start = Instant::now();
    let rustc = toolchain::check()?;
    toolchain::add_sources(project, &rustc)?;
    python::environment(project)?;
    // Much of what pip does is waiting for the network.
    std::thread::scope(|scope| {
        let packages = scope.spawn(|| python::packages(project));
        let built = kernel::build_first(project);
        let installed = packages.join().unwrap_or_else(|_| Err("installing Python packages panicked".into()));
        installed.and(built)
    })?;
    let kernel = kernel::set_up(project)?;
    warm(project, &format!("{rustc}\n{kernel}"))?;
    let seconds = start.elapsed().as_secs_f64();
    println!("==> set-up is complete ({})", duration(seconds));
    Ok(seconds)
}

/// Runs one notebook as it is; `preparation` is noted among its figures.
pub fn run_headless(project: &Project, notebook: &str, preparation: Option<f64>) -> Result<()> {
    let _turn = take_turn(project)?;
    println!("==> {notebook}, headless");
    let mut runner = runner(project);
    runner.arg("execute").arg(notebook).arg("--out").arg(project.results());
    if let Some(seconds) = preparation {
        runner.arg("--preparation").arg(format!("{seconds:.3}"));
    }
    run(&mut runner, &format!("running {notebook}"))
}

/// Loads the crate in the kernel once, which compiles it, and lets it fetch its inputs.
fn warm(project: &Project, tools: &str) -> Result<()> {
    let stamp = project.stamp("warm");
    if is_done(&stamp, &warm_inputs(project, tools)?) {
        return Ok(());
    }
    let what = "the notebook's first cell: compiling the crate for the kernel, then weights and photographs";
    step(what, "about 4 minutes on two cores when new", || {
        let _turn = take_turn(project)?;
        // The kernel resolves dependencies on its own; this gives it the versions that we test.
        let build = project.kernel_build();
        std::fs::create_dir_all(&build)
            .and_then(|()| std::fs::copy(project.root.join("Cargo.lock"), build.join("Cargo.lock")))
            .map_err(|e| format!("cannot copy Cargo.lock into {}: {e}", build.display()))?;
        let mut runner = runner(project);
        runner.arg("warm").arg(project.notebook());
        for code in FETCH {
            runner.args(["--code", code]);
        }
        run(&mut runner, "loading the crate in the kernel")
    })?;
    // Fetching changes what the inputs look like, so they are looked at again.
    note_done(&stamp, &warm_inputs(project, tools)?)
}

/// Everything that makes the kernel compile or fetch anew when it changes.
fn warm_inputs(project: &Project, tools: &str) -> Result<String> {
    let mut lines = vec![tools.trim().to_owned()];
    for name in ["TRANSFER_DATA_DIR", "TRANSFER_WEIGHTS", "TRANSFER_CACHE"] {
        lines.push(format!("{name} {:?}", std::env::var_os(name)));
    }
    let files = [
        "Cargo.lock",
        "crate/Cargo.toml",
        "kernels/Cargo.toml",
        ".cargo/config.toml",
        "notebooks/evcxr.toml",
        "notebooks/zh/evcxr.toml",
    ];
    for file in files {
        list(&project.root.join(file), &mut lines, 0)?;
    }
    for sources in ["crate/src", "kernels/src"] {
        list(&project.root.join(sources), &mut lines, usize::MAX)?;
    }
    list(&project.root.join("data"), &mut lines, 1)?;
    lines.push(format!("built {}", project.kernel_build().join("target").is_dir()));
    Ok(lines.join("\n"))
}

/// Adds a line for `path` and what lies in it down to `depth`. As for cargo, a file's date counts.
fn list(path: &Path, lines: &mut Vec<String>, depth: usize) -> Result<()> {
    let failed = |e: std::io::Error| format!("cannot read {}: {e}", path.display());
    let about = std::fs::metadata(path).map_err(failed)?;
    if about.is_file() {
        let changed = about.modified().map_err(failed)?;
        let changed = changed.duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        lines.push(format!("{} {} {}", path.display(), about.len(), changed.as_nanos()));
    } else if depth == 0 {
        lines.push(path.display().to_string());
    } else {
        let entries: std::io::Result<Vec<_>> = std::fs::read_dir(path).and_then(Iterator::collect);
        let mut entries: Vec<_> = entries.map_err(failed)?.into_iter().map(|entry| entry.path()).collect();
        entries.sort();
        for entry in entries {
            list(&entry, lines, depth - 1)?;
        }
    }
    Ok(())
}

/// Waits until no other `cargo xtask` runs a kernel here, and makes sure that no JupyterLab does:
/// the kernel's build folder serves one at a time.
pub fn take_turn(project: &Project) -> Result<File> {
    let path = project.stamp("kernel.lock");
    note_done(&path, "")?;
    let file = File::options()
        .write(true)
        .open(&path)
        .map_err(|e| format!("cannot open {}: {e}", path.display()))?;
    if let Err(TryLockError::WouldBlock) = file.try_lock() {
        println!("    waiting: another `cargo xtask` is running a notebook in this checkout");
        file.lock().map_err(|e| format!("cannot lock {}: {e}", path.display()))?;
    }
    let folders = [PathBuf::from("notebooks")]
        .into_iter()
        .chain(LANGUAGES.map(|name| Path::new("notebooks").join(name)));
    let folders: Vec<PathBuf> = folders.map(|folder| project.root.join(folder)).collect();
    let patience = Instant::now();
    loop {
        // A kernel that was told to end takes a moment.
        let running: Vec<u32> =
            folders.iter().flat_map(|folder| processes_in(folder, "evcxr_jupyter")).collect();
        if running.is_empty() {
            return Ok(file);
        }
        if patience.elapsed().as_secs() >= 10 {
            return Err(format!(
                "a kernel is running in notebooks/ (process {}), and its build folder serves one at a time: \
                 shut it down in JupyterLab (Kernel, Shut Down) and try again",
                running.iter().map(u32::to_string).collect::<Vec<_>>().join(", ")
            ));
        }
        std::thread::sleep(std::time::Duration::from_millis(200));
    }
}

fn runner(project: &Project) -> Command {
    let mut python = command(project.venv_program("python"));
    python.arg("xtask/run_notebook.py").current_dir(&project.root);
    python
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_notebook_that_was_edited_while_it_ran_is_not_written_over() {
        let notebook = std::env::temp_dir().join(format!("xtask-edited-{}.ipynb", std::process::id()));
        std::fs::write(&notebook, "before").unwrap();
        let before = bytes_of(&notebook).unwrap();
        let check = || check_unchanged(&notebook, Path::new("target/notebooks"), &before);
        assert_eq!(check(), Ok(()));
        std::fs::write(&notebook, "an edit").unwrap();
        let error = check().unwrap_err();
        assert!(error.contains("was changed while it ran") && error.contains("target/notebooks"), "{error}");
        std::fs::remove_file(&notebook).unwrap();
    }

    #[test]
    fn a_listing_changes_with_a_files_content_and_stays_the_same_otherwise() {
        let folder = std::env::temp_dir().join(format!("xtask-list-{}", std::process::id()));
        std::fs::create_dir_all(folder.join("deep")).unwrap();
        std::fs::write(folder.join("deep/a"), "one").unwrap();
        let look = |depth| {
            let mut lines = Vec::new();
            list(&folder, &mut lines, depth).unwrap();
            lines
        };
        let before = look(usize::MAX);
        assert_eq!(before, look(usize::MAX));
        let shallow = look(1);
        std::fs::write(folder.join("deep/a"), "longer").unwrap();
        assert_ne!(before, look(usize::MAX));
        assert_eq!(shallow, look(1));
        std::fs::remove_dir_all(&folder).unwrap();
    }
}

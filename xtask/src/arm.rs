//! `cargo xtask arm`: the kernels for NEON on an emulated 64-bit ARM processor, the crate's comparison with Keras on
//! it, and what the compiler made of the inner loops. The tools come from Debian, into `target/arm/`.

mod loops;

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::cross::{cargo_for, files_of, gently, script, unpacked};
use crate::process::{output, run};
use crate::project::Project;
use crate::step::step;
use crate::Result;

const TARGET: &str = "aarch64-unknown-linux-gnu";

/// A C compiler and the C library for ARM, an emulator, and a model of processors' pipelines.
const PACKAGES: [&str; 11] = [
    "gcc-12-aarch64-linux-gnu",
    "cpp-12-aarch64-linux-gnu",
    "binutils-aarch64-linux-gnu",
    "libgcc-12-dev-arm64-cross",
    "libgcc-s1-arm64-cross",
    "libc6-arm64-cross",
    "libc6-dev-arm64-cross",
    "linux-libc-dev-arm64-cross",
    "qemu-user-static",
    "llvm-22",
    "libllvm22",
];

/// Emulated processors: one of the least, one of servers, and one with all extensions that the emulator knows.
const PROCESSORS: [&str; 3] = ["cortex-a53", "neoverse-n1", "max"];

/// `cargo xtask arm [PART …]`.
pub fn arm(parts: &[&str]) -> Result<()> {
    const PARTS: [&str; 4] = ["kernels", "loops", "crate", "golden"];
    if let Some(unknown) = parts.iter().find(|part| !PARTS.contains(part)) {
        return Err(format!("expected some of the parts {}. Received: {unknown}", PARTS.join(", ")));
    }
    // The whole comparison takes an emulator hours.
    let wanted = |part: &str| parts.contains(&part) || parts.is_empty() && part != "golden";
    let project = Project::find()?;
    let tools = Tools::get(&project)?;
    if wanted("kernels") {
        for processor in PROCESSORS {
            let what = format!("the tests of the kernels on an emulated {processor}");
            step(&what, "minutes", || {
                tools.test(&project, processor, &["--package", "transfer-kernels", "--lib"], &[])
            })?;
        }
    }
    if wanted("loops") {
        step("the inner loops", "minutes the first time", || tools.loops(&project))?;
    }
    let golden = ["--package", "transfer", "--test", "golden"];
    if wanted("crate") {
        let tests = ["activations_of_synthetic_images", "repeatability"];
        step(
            "activations of Keras, and the same bits again, on an emulated neoverse-n1",
            "half an hour",
            || tools.test(&project, "neoverse-n1", &golden, &tests),
        )?;
    }
    if wanted("golden") {
        step("all comparisons with Keras on an emulated neoverse-n1", "hours", || {
            tools.test(&project, "neoverse-n1", &golden, &[])
        })?;
    }
    Ok(())
}

struct Tools {
    /// What stands for `/` in the packages.
    root: PathBuf,
    /// The C compiler, which links, too.
    gcc: PathBuf,
}

impl Tools {
    fn get(project: &Project) -> Result<Self> {
        if !cfg!(all(target_os = "linux", target_arch = "x86_64")) {
            return Err(
                "expected Linux on x86-64, for which the tools are. Received: another system".to_owned()
            );
        }
        let folder = project.root.join("target/arm");
        let root = unpacked(&folder, &PACKAGES)?;
        let gcc = folder.join("bin/aarch64-linux-gnu-gcc");
        let at = root.display();
        // The compiler was made to be unpacked into `/`.
        let call = format!(
            "LD_LIBRARY_PATH='{at}/usr/lib/x86_64-linux-gnu' exec '{at}/usr/bin/aarch64-linux-gnu-gcc-12' \
             --sysroot='{at}' -B'{at}/usr/bin/aarch64-linux-gnu-' \"$@\""
        );
        script(&gcc, &call)?;
        Ok(Tools { root, gcc })
    }

    fn cargo(&self, project: &Project, arguments: &[&str]) -> Result<Command> {
        let mut cargo = cargo_for(project, TARGET, arguments)?;
        cargo.env("CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER", &self.gcc);
        cargo.env("CC_aarch64_unknown_linux_gnu", &self.gcc);
        cargo.env("AR_aarch64_unknown_linux_gnu", "ar");
        Ok(cargo)
    }

    /// Runs the tests of `program` whose names contain one of `filters`.
    fn test(&self, project: &Project, processor: &str, program: &[&str], filters: &[&str]) -> Result<()> {
        let mut cargo = self.cargo(project, &[&["test", "--release"], program].concat())?;
        let emulator = self.root.join("usr/bin/qemu-aarch64-static");
        let libraries = self.root.join("usr/aarch64-linux-gnu");
        let runner = format!("{} -L {} -cpu {processor}", emulator.display(), libraries.display());
        cargo.env("CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER", runner);
        cargo.arg("--").args(filters);
        run(&mut cargo, "the tests")
    }

    /// Compiles the kernels to assembly as a release is compiled, and prints what is in their inner loops.
    fn loops(&self, project: &Project) -> Result<()> {
        let build = ["rustc", "--package", "transfer-kernels", "--lib", "--release"];
        let mut cargo = self.cargo(project, &build)?;
        // Names with types in them tell one instance of a function from another.
        cargo.args(["--", "--emit=asm", "-C", "symbol-mangling-version=v0", "-C", "debuginfo=0"]);
        run(&mut cargo, "compiling the kernels")?;
        let folder = project.root.join("target/other-targets").join(TARGET).join("release/deps");
        let is_assembly = |path: &PathBuf| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            name.starts_with("transfer_kernels") && name.ends_with(".s")
        };
        let age = |path: &PathBuf| path.metadata().and_then(|about| about.modified()).ok();
        let newest = files_of(&folder)?.into_iter().filter(is_assembly).max_by_key(age);
        let newest = newest.ok_or_else(|| format!("no assembly of the kernels in {}", folder.display()))?;
        let text =
            std::fs::read_to_string(&newest).map_err(|e| format!("cannot read {}: {e}", newest.display()))?;
        loops::report(&text, &|block| self.model(project, block))
    }

    /// Cycles that a model of the Neoverse N1 takes for a block of instructions, again and again.
    fn model(&self, project: &Project, block: &str) -> Result<f64> {
        let file = project.root.join("target/arm/block.s");
        std::fs::write(&file, block).map_err(|e| format!("cannot write {}: {e}", file.display()))?;
        cycles(&self.root, &file)
    }
}

/// How often a block is repeated in the model.
const REPEATED: f64 = 100.0;

fn cycles(root: &Path, file: &Path) -> Result<f64> {
    let program = root.join("usr/lib/llvm-22/bin/llvm-mca");
    let mut model = gently(&program.to_string_lossy());
    model.env("LD_LIBRARY_PATH", root.join("usr/lib/x86_64-linux-gnu"));
    model.args(["-mtriple=aarch64", "-mcpu=neoverse-n1", "-iterations=100"]).arg(file);
    let said = output(&mut model).ok_or_else(|| format!("{} cannot be run", program.display()))?;
    let total = said.lines().find_map(|line| line.strip_prefix("Total Cycles:")?.trim().parse::<f64>().ok());
    total.map(|total| total / REPEATED).ok_or_else(|| "the model names no cycles".to_owned())
}

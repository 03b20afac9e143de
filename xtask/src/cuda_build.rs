//! `cargo xtask cuda-build`: everything about the GPU that can be tried without one. Compiles the kernels by
//! nvcc and by NVRTC, builds the crate with its feature `cuda`, and runs what needs a GPU on an emulated one
//! (`crate/src/ops/cuda/host/driver.cpp`). The toolkit comes from PyPI; nothing is installed outside target/.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::process::{command, output, run};
use crate::project::Project;
use crate::python::find_python;
use crate::step::{is_done, note_done, step};
use crate::{locks, owned, Result};

/// The compiler with what it needs, headers, and both run-time compilers that README.md names.
pub const PACKAGES: [&str; 7] = [
    "nvidia-cuda-nvcc==13.0.88",
    "nvidia-cuda-crt==13.0.88",
    "nvidia-nvvm==13.0.88",
    "nvidia-cuda-runtime==13.0.96",
    "nvidia-cuda-cccl==13.0.85",
    "nvidia-cuda-nvrtc==13.0.88",
    "nvidia-cuda-nvrtc-cu12==12.4.127",
];
/// Compute capabilities: the oldest that dfdx compiles for, and a later one.
const CAPABILITIES: [&str; 2] = ["80", "90"];
const KERNELS: &str = "crate/src/ops/cuda/kernels";

/// Where things are, all below target/cuda.
struct Places {
    /// The Python environment with the packages.
    venv: PathBuf,
    /// `nvidia` in its site-packages.
    nvidia: PathBuf,
    /// What dfdx and cudarc take for a toolkit, with a driver and an nvidia-smi.
    toolkit: PathBuf,
    /// Compiled kernels.
    kernels: PathBuf,
    /// Cargo's build folder.
    build: PathBuf,
}

/// All of it.
pub fn cuda_build() -> Result<()> {
    let project = Project::find()?;
    let places = packages(&project)?;
    let text = kernels_text()?;
    let source = places.kernels.join("kernels.cu");
    write(&source, &text)?;
    step("the kernels by nvcc", "seconds", || CAPABILITIES.iter().try_for_each(|c| nvcc(&places, c)))?;
    step("the kernels by NVRTC 12.4 and 13.0", "seconds", || {
        let libraries = ["cuda_nvrtc/lib/libnvrtc.so.12", "cu13/lib/libnvrtc.so.13"];
        libraries.iter().try_for_each(|library| {
            CAPABILITIES.iter().try_for_each(|c| nvrtc(&places, library, c, &source, &text))
        })
    })?;
    step("an emulated GPU", "seconds", || toolkit(&places))?;
    step("the crate with its feature `cuda`", "minutes the first time", || {
        let packages = ["-p", "transfer", "-p", "transfer-tools", "--features", "cuda"];
        let targets = ["--lib", "--test", "cuda", "--bin", "gpu-test"];
        cargo(&places, &[&["build"], &packages[..], &targets].concat())
    })?;
    step("the network, on the emulated GPU", "minutes", || {
        cargo(&places, &["test", "-p", "transfer", "--features", "cuda", "--test", "cuda"])
    })?;
    step("each op, on the emulated GPU", "minutes", || {
        let run = ["run", "-p", "transfer-tools", "--features", "cuda", "--bin", "gpu-test"];
        cargo(&places, &[&run[..], &["--", "ops", "target/cuda", "target/cuda"]].concat())
    })
}

/// Builds one of the tools for a machine with a GPU of any kind that will do; gives its program.
pub fn build_program(project: &Project, name: &str) -> Result<PathBuf> {
    let places = packages(project)?;
    if !places.toolkit.join("lib").join("libcuda.so").exists() {
        step("what stands for a toolkit", "seconds", || toolkit(&places))?;
    }
    let what = format!("{name} with the crate's feature `cuda`, for speed");
    step(&what, "minutes the first time", || {
        cargo(&places, &["build", "--release", "-p", "transfer-tools", "--features", "cuda", "--bin", name])
    })?;
    Ok(places.build.join("release").join(name))
}

fn packages(project: &Project) -> Result<Places> {
    let root = project.root.join("target").join("cuda");
    let venv = root.join("venv");
    let python = venv.join("bin").join("python");
    let inputs = format!("{}\n{}\n", root.display(), locks::CUDA.read(&project.root)?);
    if !is_done(&venv.join("packages"), &inputs) {
        step("the toolkit's packages into target/cuda/venv", "about 230 MB, a minute, once", || {
            owned::empty_folder(&venv, &["packages"])?;
            run(command(find_python()?).args(["-m", "venv"]).arg(&venv), "making target/cuda/venv")?;
            let mut pip = command(&python);
            pip.args(locks::install_arguments(&locks::CUDA.path())).arg("--quiet");
            run(&mut pip, "installing the toolkit's packages")?;
            note_done(&venv.join("packages"), &inputs)
        })?;
    }
    let ask = "import sysconfig; print(sysconfig.get_path('purelib'))";
    let site = output(command(&python).args(["-c", ask]))
        .ok_or_else(|| format!("{} cannot be run; remove {}", python.display(), venv.display()))?;
    let places = Places {
        venv,
        nvidia: Path::new(&site).join("nvidia"),
        toolkit: root.join("toolkit"),
        kernels: root.join("kernels"),
        build: root.join("build"),
    };
    for folder in [&places.kernels, &places.toolkit.join("bin"), &places.toolkit.join("lib")] {
        std::fs::create_dir_all(folder).map_err(|e| format!("cannot make {}: {e}", folder.display()))?;
    }
    Ok(places)
}

fn read(path: &Path) -> Result<String> {
    std::fs::read_to_string(path).map_err(|e| format!("cannot read {}: {e}", path.display()))
}

fn write(path: &Path, text: &str) -> Result<()> {
    std::fs::write(path, text).map_err(|e| format!("cannot write {}: {e}", path.display()))
}

/// The text that the crate gives NVRTC: the parts of all.cu one behind the other, which a test of the
/// crate's compares.
fn kernels_text() -> Result<String> {
    let all = read(&Path::new(KERNELS).join("all.cu"))?;
    let parts = all.lines().filter_map(|line| line.strip_prefix("#include \"")?.strip_suffix('"'));
    parts.map(|part| read(&Path::new(KERNELS).join(part))).collect()
}

/// The names of the kernels in a text: what stands before the parenthesis that opens the parameters.
fn entries(text: &str) -> Vec<&str> {
    let declarations = text.split("extern \"C\" __global__").skip(1);
    declarations
        .filter_map(|declaration| {
            let head = declaration.trim_start().strip_prefix("void")?.trim_start();
            let head = match head.strip_prefix("__launch_bounds__(") {
                Some(rest) => rest.split_once(')')?.1,
                None => head,
            };
            head.split('(').next().map(str::trim)
        })
        .collect()
}

fn nvcc_command(places: &Places) -> Command {
    command(places.nvidia.join("cu13").join("bin").join("nvcc"))
}

fn nvcc(places: &Places, capability: &str) -> Result<()> {
    let mut nvcc = nvcc_command(places);
    nvcc.args(["-std=c++17", "--fmad=false", "-Werror", "all-warnings", "-cubin"]);
    // Registers that do not suffice are slow, and so are arrays that are not in registers.
    nvcc.args(["-Xptxas", "-Werror,-warn-spills,-warn-lmem-usage"]);
    nvcc.arg(format!("-arch=sm_{capability}"));
    nvcc.arg("-o").arg(places.kernels.join(format!("nvcc-sm_{capability}.cubin")));
    run(nvcc.arg(Path::new(KERNELS).join("all.cu")), &format!("compiling the kernels for sm_{capability}"))
}

/// Compiles the text to PTX, and that for a GPU as a driver would.
fn nvrtc(places: &Places, library: &str, capability: &str, source: &Path, text: &str) -> Result<()> {
    let version = library.rsplit('.').next().unwrap_or_default();
    let ptx = places.kernels.join(format!("nvrtc{version}-compute_{capability}.ptx"));
    let mut python = command(places.venv.join("bin").join("python"));
    python.arg("xtask/src/nvrtc.py").arg(places.nvidia.join(library)).arg(source).arg(&ptx);
    python.args(["--fmad=false".to_owned(), format!("--gpu-architecture=compute_{capability}")]);
    // It opens another library of its own folder.
    python.envs(places.nvidia.join(library).parent().map(|folder| ("LD_LIBRARY_PATH", folder)));
    run(&mut python, &format!("compiling the kernels by NVRTC {version} for compute_{capability}"))?;
    let compiled = read(&ptx)?;
    let (names, found) = (entries(text), compiled.matches(".entry").count());
    let missing = names.iter().find(|name| !compiled.contains(&format!(".entry {name}(")));
    if let Some(name) = missing.or(names.first().filter(|_| found != names.len())) {
        return Err(format!(
            "{} was expected to have the {} kernels, and {name} once",
            ptx.display(),
            names.len()
        ));
    }
    let mut ptxas = command(places.nvidia.join("cu13").join("bin").join("ptxas"));
    ptxas.arg(format!("-arch=sm_{capability}")).args(["--warning-as-error", "-o"]);
    let cubin = ptx.with_extension("cubin");
    run(ptxas.arg(cubin).arg(&ptx), &format!("assembling {}", ptx.display()))
}

/// Makes the folder that stands for a toolkit: the packages' headers and NVRTC, an nvidia-smi that knows of
/// a GPU, and a driver that emulates it.
fn toolkit(places: &Places) -> Result<()> {
    let lib = places.toolkit.join("lib");
    let smi = places.toolkit.join("bin").join("nvidia-smi");
    write(&smi, "#!/bin/sh\n# Says what dfdx's build asks.\nprintf 'compute_cap\\n9.0\\n'\n")?;
    run(command("chmod").arg("+x").arg(&smi), "making nvidia-smi")?;
    let packages = places.nvidia.join("cu13");
    link(&packages.join("include"), &places.toolkit.join("include"))?;
    let nvrtc = packages.join("lib");
    for (from, to) in [
        ("libnvrtc.so.13", "libnvrtc.so"),
        ("libnvrtc.so.13", "libnvrtc.so.13"),
        ("libnvrtc-builtins.so.13.0", "libnvrtc-builtins.so.13.0"),
    ] {
        link(&nvrtc.join(from), &lib.join(to))?;
    }
    let unused = places.kernels.join("unused.c");
    write(&unused, &unused_functions()?)?;
    let object = places.kernels.join("unused.o");
    run(command("cc").args(["-fPIC", "-c", "-o"]).arg(&object).arg(&unused), "compiling stubs")?;
    let mut driver = command(std::env::var_os("CXX").unwrap_or_else(|| "c++".into()));
    driver.args(["-std=c++17", "-O3", "-ffp-contract=off", "-fPIC", "-shared", "-Wl,-soname,libcuda.so.1"]);
    // An address that a GPU would refuse ends the program.
    driver.args(["-fsanitize=alignment", "-fsanitize-undefined-trap-on-error"]);
    driver.args(["-Wall", "-Wextra", "-Werror", "-Wno-unknown-pragmas", "-o"]).arg(lib.join("libcuda.so.1"));
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("fma") && is_x86_feature_detected!("avx2") {
        driver.args(["-mfma", "-mavx2"]);
    }
    driver.arg("crate/src/ops/cuda/host/driver.cpp").arg(&object);
    run(&mut driver, "compiling the emulated driver")?;
    link(&lib.join("libcuda.so.1"), &lib.join("libcuda.so"))?;
    for name in ["cublas", "cublasLt"] {
        // Their functions are the driver's.
        let file = format!("lib{name}.so.13");
        let mut empty = command("cc");
        empty.args(["-shared", "-o"]).arg(lib.join(&file)).arg(format!("-Wl,-soname,{file}"));
        run(empty.args(["-x", "c", "/dev/null"]), &format!("making {file}"))?;
        link(&lib.join(&file), &lib.join(format!("lib{name}.so")))?;
    }
    Ok(())
}

/// Definitions of all functions of driver and cuBLAS that cudarc declares, for the linker; those that the
/// emulation has take precedence, the others say that they are not supported.
fn unused_functions() -> Result<String> {
    let metadata = output(command("cargo").args(["metadata", "--format-version=1", "--all-features"]))
        .ok_or("`cargo metadata` failed")?;
    let manifest = metadata
        .split('"')
        .find(|word| word.ends_with("Cargo.toml") && word.contains("cudarc-"))
        .ok_or("cargo was expected to know where the crate cudarc is")?;
    let sources = Path::new(manifest).with_file_name("src");
    let mut text = String::new();
    for (file, prefix) in
        [("driver/sys.rs", "cu"), ("cublas/sys.rs", "cublas"), ("cublaslt/sys.rs", "cublas")]
    {
        let declared = read(&sources.join(file))?;
        let mut names: Vec<&str> =
            declared.split("pub fn ").skip(1).filter_map(|rest| rest.split('(').next()).collect();
        names.sort_unstable();
        names.dedup();
        for name in names.into_iter().filter(|name| name.starts_with(prefix)) {
            text += &format!("__attribute__((weak)) int {name}(void) {{ return 801; }}\n");
        }
    }
    Ok(text)
}

fn link(from: &Path, to: &Path) -> Result<()> {
    let _ = std::fs::remove_file(to);
    #[cfg(unix)]
    let linked = std::os::unix::fs::symlink(from, to);
    #[cfg(not(unix))]
    let linked = Err::<(), _>(std::io::Error::other("only Linux has what this needs"));
    linked.map_err(|e| format!("cannot link {} to {}: {e}", to.display(), from.display()))
}

/// Cargo, with the toolkit and the emulated GPU.
fn cargo(places: &Places, arguments: &[&str]) -> Result<()> {
    let mut cargo = command("cargo");
    let bins = [places.toolkit.join("bin"), places.nvidia.join("cu13").join("bin")];
    let path = std::env::var_os("PATH").unwrap_or_default();
    let path = std::env::join_paths(bins.into_iter().chain(std::env::split_paths(&path)))
        .map_err(|e| format!("PATH: {e}"))?;
    cargo.args(arguments).env("PATH", path).env("CARGO_TARGET_DIR", &places.build);
    cargo.env("CUDA_PATH", &places.toolkit).env("LD_LIBRARY_PATH", places.toolkit.join("lib"));
    // dfdx's kernels for the oldest GPU that will do: the driver makes code for later ones from it.
    cargo.env("CUDA_COMPUTE_CAP", CAPABILITIES[0]).env("CARGO_PROFILE_RELEASE_STRIP", "true");
    // Tests are compiled for a look, not for speed.
    cargo.env("CARGO_PROFILE_DEV_OPT_LEVEL", "1").env("CARGO_PROFILE_DEV_DEBUG", "0");
    run(cargo.env("TRANSFER_DEVICE", "cuda"), &format!("`cargo {}`", arguments.join(" ")))
}

#[cfg(test)]
mod tests {
    use super::entries;

    #[test]
    fn kernels_are_found_by_their_names_with_and_without_launch_bounds() {
        let text = "extern \"C\" __global__ void one(int a) {}\n\
                    extern \"C\" __global__ void __launch_bounds__(A* B)\n    two(const float* x) {}\n";
        assert_eq!(entries(text), ["one", "two"]);
    }
}

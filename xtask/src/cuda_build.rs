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
/// The libraries of NVIDIA's that a program with the GPU's code loads.
const NEEDED: [&str; 3] = ["libcuda.so.1", "libcublas.so.13", "libnvrtc.so.13"];
/// Those that the linker is given stubs of: name and version. cudarc names the last one, too, and uses nothing of it.
const LIBRARIES: [(&str, u32); 3] = [("cuda", 1), ("cublas", 13), ("cublasLt", 13)];
const KERNELS: &str = "crate/src/ops/cuda/kernels";

/// Where things are, all below target/cuda.
struct Places {
    /// The Python environment with the packages.
    venv: PathBuf,
    /// `nvidia` in its site-packages.
    nvidia: PathBuf,
    /// What dfdx and cudarc take for a toolkit, with libraries to link against and an nvidia-smi.
    toolkit: PathBuf,
    /// The libraries of an emulated GPU, for the loader.
    emulator: PathBuf,
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
        let targets = ["--lib", "--test", "cuda", "--test", "cuda_device", "--bin", "gpu-test"];
        cargo(&places, &[&["build"], &packages[..], &targets].concat())
    })?;
    step("the network, on the emulated GPU", "minutes", || {
        cargo(&places, &["test", "-p", "transfer", "--features", "cuda", "--test", "cuda"])
    })?;
    step("the choice of a GPU, on emulated ones", "seconds", || {
        let test = ["test", "-p", "transfer", "--features", "cuda", "--test", "cuda_device"];
        cargo_with(&places, &test, &[("TRANSFER_REQUIRE_EMULATED_GPU", "1")])
    })?;
    step("the program `transfer`, on emulated GPUs", "a minute the first time", || {
        let test = ["test", "-p", "transfer-cli", "--features", "cuda", "--test", "device"];
        cargo_with(&places, &test, &[("TRANSFER_REQUIRE_EMULATED_GPU", "1")])
    })?;
    step("each op, on the emulated GPU", "minutes", || {
        let run = ["run", "-p", "transfer-tools", "--features", "cuda", "--bin", "gpu-test"];
        cargo(&places, &[&run[..], &["--", "ops", "target/cuda", "target/cuda"]].concat())
    })
}

/// Builds one of the tools for a machine with a GPU of any kind that will do; gives its program.
pub fn build_program(project: &Project, name: &str) -> Result<PathBuf> {
    let places = packages(project)?;
    step("what stands for a toolkit", "seconds", || toolkit(&places))?;
    let what = format!("{name} with the crate's feature `cuda`, for speed");
    step(&what, "minutes the first time", || {
        cargo(&places, &["build", "--release", "-p", "transfer-tools", "--features", "cuda", "--bin", name])
    })?;
    let program = places.build.join("release").join(name);
    check_needed(&program, &NEEDED)?;
    Ok(program)
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
        emulator: root.join("emulator"),
        kernels: root.join("kernels"),
        build: root.join("build"),
    };
    for folder in
        [&places.kernels, &places.emulator, &places.toolkit.join("bin"), &places.toolkit.join("lib")]
    {
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

/// The names of the kernels in a text: what stands before the parenthesis that opens the parameters; of those that a
/// macro writes, the macro's first argument.
fn entries(text: &str) -> Vec<String> {
    let (mut names, mut macros, mut plain) = (Vec::new(), Vec::new(), String::new());
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if let Some(definition) = line.strip_prefix("#define ") {
            let mut whole = definition.to_owned();
            let mut last = line;
            while last.trim_end().ends_with('\\') {
                last = lines.next().unwrap_or_default();
                whole += last;
            }
            if whole.contains("extern \"C\" __global__") {
                macros.extend(definition.split_once('(').map(|(name, _)| format!("{name}(")));
            }
        } else if let Some(rest) = macros.iter().find_map(|m: &String| line.strip_prefix(m.as_str())) {
            names.extend(rest.split(',').next().map(|name| name.trim().to_owned()));
        } else {
            plain += line;
            plain.push('\n');
        }
    }
    let declarations = plain.split("extern \"C\" __global__").skip(1);
    names.extend(declarations.filter_map(|declaration| {
        let head = declaration.trim_start().strip_prefix("void")?.trim_start();
        let head = match head.strip_prefix("__launch_bounds__(") {
            Some(rest) => rest.split_once(')')?.1,
            None => head,
        };
        head.split('(').next().map(|name| name.trim().to_owned())
    }));
    names
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

/// Makes the folder that stands for a toolkit (headers, NVRTC, libraries to link against, and an nvidia-smi that
/// knows of a GPU), and beside it the folder of the driver that emulates a GPU.
fn toolkit(places: &Places) -> Result<()> {
    let lib = places.toolkit.join("lib");
    let smi = places.toolkit.join("bin").join("nvidia-smi");
    write(&smi, "#!/bin/sh\n# Says what dfdx's build asks.\nprintf 'compute_cap\\n9.0\\n'\n")?;
    run(command("chmod").arg("+x").arg(&smi), "making nvidia-smi")?;
    let packages = places.nvidia.join("cu13");
    link(&packages.join("include"), &places.toolkit.join("include"))?;
    let nvrtc = packages.join("lib");
    link(&nvrtc.join("libnvrtc.so.13"), &lib.join("libnvrtc.so"))?;
    for file in ["libnvrtc.so.13", "libnvrtc-builtins.so.13.0"] {
        link(&nvrtc.join(file), &places.emulator.join(file))?;
    }
    // The linker notes a library as needed only where it defines what is used, and takes the first that does. So
    // each of these has its own functions and no others, as the real ones have.
    let declared = declared_functions()?;
    for (name, version) in LIBRARIES {
        let soname = format!("lib{name}.so.{version}");
        let source = places.kernels.join(format!("{name}.c"));
        let functions = declared.iter().filter(|(library, _)| *library == name);
        write(
            &source,
            &functions.map(|(_, f)| format!("int {f}(void) {{ return 801; }}\n")).collect::<String>(),
        )?;
        let stub = lib.join(format!("lib{name}.so"));
        shared_library(&stub, &soname, &[source])?;
    }
    let mut driver = command(std::env::var_os("CXX").unwrap_or_else(|| "c++".into()));
    driver.args(["-std=c++17", "-O3", "-ffp-contract=off", "-fPIC", "-shared", "-Wl,-soname,libcuda.so.1"]);
    // An address that a GPU would refuse ends the program.
    driver.args(["-fsanitize=alignment", "-fsanitize-undefined-trap-on-error"]);
    driver.args(["-Wall", "-Wextra", "-Werror", "-Wno-unknown-pragmas", "-o"]);
    driver.arg(places.emulator.join("libcuda.so.1"));
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("fma") && is_x86_feature_detected!("avx2") {
        driver.args(["-mfma", "-mavx2"]);
    }
    let unused = places.kernels.join("unused.c");
    let weak = |f: &String| format!("__attribute__((weak)) int {f}(void) {{ return 801; }}\n");
    write(&unused, &declared.iter().map(|(_, f)| weak(f)).collect::<String>())?;
    let object = places.kernels.join("unused.o");
    run(
        command("cc").args(["-fPIC", "-c", "-o"]).arg(&object).arg(&unused),
        "compiling what is not emulated",
    )?;
    driver.arg("crate/src/ops/cuda/host/driver.cpp").arg(&object);
    run(&mut driver, "compiling the emulated driver")?;
    for (name, version) in &LIBRARIES[1..] {
        // Their functions are the emulated driver's.
        let soname = format!("lib{name}.so.{version}");
        shared_library(&places.emulator.join(&soname), &soname, &[])?;
    }
    Ok(())
}

/// A library of C sources.
fn shared_library(to: &Path, soname: &str, sources: &[PathBuf]) -> Result<()> {
    let mut cc = command("cc");
    cc.args(["-shared", "-fPIC", "-o"]).arg(to).arg(format!("-Wl,-soname,{soname}"));
    cc.args(["-x", "c"]).args(sources);
    if sources.is_empty() {
        cc.arg("/dev/null");
    }
    run(&mut cc, &format!("making {}", to.display()))
}

/// All functions of driver and cuBLAS that cudarc declares, each with its library.
fn declared_functions() -> Result<Vec<(&'static str, String)>> {
    let metadata = output(command("cargo").args(["metadata", "--format-version=1", "--all-features"]))
        .ok_or("`cargo metadata` failed")?;
    let manifest = metadata
        .split('"')
        .find(|word| word.ends_with("Cargo.toml") && word.contains("cudarc-"))
        .ok_or("cargo was expected to know where the crate cudarc is")?;
    let sources = Path::new(manifest).with_file_name("src");
    let mut functions = Vec::new();
    for (file, library, prefix) in [
        ("driver/sys.rs", "cuda", "cu"),
        ("cublas/sys.rs", "cublas", "cublas"),
        ("cublaslt/sys.rs", "cublasLt", "cublasLt"),
    ] {
        let declared = read(&sources.join(file))?;
        let mut names: Vec<&str> =
            declared.split("pub fn ").skip(1).filter_map(|rest| rest.split('(').next()).collect();
        names.sort_unstable();
        names.dedup();
        let own = names.into_iter().filter(|name| name.starts_with(prefix));
        functions.extend(own.map(|name| (library, name.to_owned())));
    }
    Ok(functions)
}

/// Fails unless a program says that it needs these libraries, each by the name that the loader looks for.
fn check_needed(program: &Path, libraries: &[&str]) -> Result<()> {
    let told = output(command("readelf").args(["-d"]).arg(program))
        .ok_or_else(|| format!("`readelf -d {}` failed; it comes with the C compiler", program.display()))?;
    let missing = missing_of(&told, libraries);
    match missing.is_empty() {
        true => Ok(()),
        false => Err(format!(
            "{} was expected to need {libraries:?}. It does not name {missing:?}: on a machine with a GPU it would \
             end with `undefined symbol`",
            program.display()
        )),
    }
}

/// Which of the libraries `readelf -d` does not list as needed.
fn missing_of<'a>(told: &str, libraries: &[&'a str]) -> Vec<&'a str> {
    let needed: Vec<&str> = told.lines().filter(|line| line.contains("(NEEDED)")).collect();
    let has = |library: &&str| needed.iter().any(|line| line.contains(&format!("[{library}]")));
    libraries.iter().filter(|library| !has(library)).copied().collect()
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
    cargo_with(places, arguments, &[])
}

/// [`cargo`] with more variables.
fn cargo_with(places: &Places, arguments: &[&str], variables: &[(&str, &str)]) -> Result<()> {
    let mut cargo = command("cargo");
    let bins = [places.toolkit.join("bin"), places.nvidia.join("cu13").join("bin")];
    let path = std::env::var_os("PATH").unwrap_or_default();
    let path = std::env::join_paths(bins.into_iter().chain(std::env::split_paths(&path)))
        .map_err(|e| format!("PATH: {e}"))?;
    cargo.args(arguments).env("PATH", path).env("CARGO_TARGET_DIR", &places.build);
    cargo.env("CUDA_PATH", &places.toolkit).env("LD_LIBRARY_PATH", &places.emulator);
    // dfdx's kernels for the oldest GPU that will do: the driver makes code for later ones from it.
    cargo.env("CUDA_COMPUTE_CAP", CAPABILITIES[0]).env("CARGO_PROFILE_RELEASE_STRIP", "true");
    // Tests are compiled for a look, not for speed.
    cargo.env("CARGO_PROFILE_DEV_OPT_LEVEL", "1").env("CARGO_PROFILE_DEV_DEBUG", "0");
    cargo.envs(variables.iter().copied());
    run(cargo.env("TRANSFER_DEVICE", "cuda"), &format!("`cargo {}`", arguments.join(" ")))
}

#[cfg(test)]
mod tests {
    use super::{entries, missing_of, NEEDED};

    #[test]
    fn a_library_that_a_program_does_not_name_is_found() {
        let line =
            |name: &str| format!(" 0x0000000000000001 (NEEDED)             Shared library: [{name}]\n");
        let all: String = NEEDED.iter().map(|name| line(name)).collect();
        assert_eq!(missing_of(&all, &NEEDED), [""; 0]);
        assert_eq!(missing_of(&(line(NEEDED[0]) + &line(NEEDED[2])), &NEEDED), ["libcublas.so.13"]);
        // The name of the library itself is no need.
        assert_eq!(missing_of(&all.replace("(NEEDED)", "(SONAME)"), &NEEDED), NEEDED);
    }

    #[test]
    fn kernels_are_found_by_their_names_with_and_without_launch_bounds() {
        let text = "extern \"C\" __global__ void one(int a) {}\n\
                    extern \"C\" __global__ void __launch_bounds__(A* B)\n    two(const float* x) {}\n";
        assert_eq!(entries(text), ["one", "two"]);
        let by_macro = "#define KERNEL(name, T) \\\n    extern \"C\" __global__ void \\\n    name(T* x) {}\n\
                        KERNEL(three, int)\nKERNEL(four, float)\n#undef KERNEL\n";
        assert_eq!(entries(&(by_macro.to_owned() + text)), ["three", "four", "one", "two"]);
    }
}

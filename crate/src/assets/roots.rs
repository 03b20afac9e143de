//! Where downloads are kept, and whether this program runs from the checkout that it was built in.

use crate::{environment, Error, Result, Show};
use etcetera::base_strategy::{choose_native_strategy, BaseStrategy};
use std::path::{Path, PathBuf};

/// The folder that downloads are kept in: the one that `TRANSFER_CACHE` names, else `data/` of the project's own
/// checkout, else `transfer` in the platform's cache folder (`~/.cache` or `XDG_CACHE_HOME` on Linux,
/// `~/Library/Caches` on macOS, the local application data on Windows).
///
/// The working folder plays no part. The folder need not exist: whatever writes to it creates it.
///
/// # Errors
/// [`Error::Invalid`] where `TRANSFER_CACHE` is unusable, or where it is not set and the system names no cache folder.
pub fn data_root() -> Result<PathBuf> {
    if let Some(folder) = environment::cache()? {
        return Ok(folder);
    }
    if let Some(checkout) = checkout() {
        return Ok(checkout.join("data"));
    }
    let cache = choose_native_strategy().ok().map(|strategy| strategy.cache_dir());
    cache.filter(|cache| cache.is_absolute()).map(|cache| cache.join("transfer")).ok_or_else(|| {
        Error::Invalid(
            "downloads expected a cache folder in the user's home. Received: no home folder. Set the environment \
             variable TRANSFER_CACHE to an absolute path"
                .into(),
        )
    })
}

/// The checkout that this program was built in, if it runs from there: from its `target/`, or in a notebook's kernel
/// that loads the crate from there. An installed program has none, and neither has a copy of one.
pub fn checkout() -> Option<PathBuf> {
    let files = std::env::current_exe().into_iter().chain(file_of_this_code());
    checkout_of(Path::new(env!("CARGO_MANIFEST_DIR")), files)
}

/// The folder above the crate that was compiled at `manifest`, if one of the `files` lies in its `target/` or in
/// the Python environment that its kernel is installed in.
fn checkout_of(manifest: &Path, files: impl Iterator<Item = PathBuf>) -> Option<PathBuf> {
    let root = manifest.parent()?.canonicalize().ok()?;
    if !root.join("Cargo.toml").is_file() || !root.join("crate/Cargo.toml").is_file() {
        return None;
    }
    // The build folder may well be a link to a larger disk.
    let target = root.join("target").canonicalize();
    let built_there = |file: PathBuf| {
        let file = file.canonicalize().ok()?;
        let below = target.as_ref().is_ok_and(|target| file.starts_with(target));
        (below || file.starts_with(root.join(".venv"))).then_some(())
    };
    files.filter(|file| file.is_absolute()).find_map(built_there).map(|()| root)
}

/// The program or library that holds this very code. In a notebook the kernel is the program, wherever it is
/// installed, and the crate is a library in the kernel's build folder.
#[cfg(unix)]
fn file_of_this_code() -> Option<PathBuf> {
    use std::os::unix::ffi::OsStrExt;
    let here = checkout as fn() -> Option<PathBuf> as *const libc::c_void;
    // SAFETY: `dladdr` writes the structure, all of whose bits may be zero, and its name is a string of the system
    // that stays where it is as long as the library is loaded, which this code is in.
    let name = unsafe {
        let mut found: libc::Dl_info = std::mem::zeroed();
        if libc::dladdr(here, &mut found) == 0 || found.dli_fname.is_null() {
            return None;
        }
        std::ffi::CStr::from_ptr(found.dli_fname)
    };
    Some(PathBuf::from(std::ffi::OsStr::from_bytes(name.to_bytes())))
}

#[cfg(not(unix))]
fn file_of_this_code() -> Option<PathBuf> {
    None
}

/// A path as it is printed: relative to the checkout if it lies in there, since a notebook's output must not name a
/// folder of somebody's machine.
pub(super) fn place(path: &Path, checkout: Option<&Path>) -> String {
    checkout.and_then(|checkout| path.strip_prefix(checkout).ok()).unwrap_or(path).shown().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checkout_counts_only_for_what_was_built_in_it() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        for name in
            ["built/target/release/transfer", "built/.venv/bin/kernel", "home/bin/transfer", "moved/x"]
        {
            std::fs::create_dir_all(root.join(name).parent().unwrap()).unwrap();
            std::fs::write(root.join(name), "").unwrap();
        }
        std::fs::create_dir_all(root.join("built/crate")).unwrap();
        for name in ["built/Cargo.toml", "built/crate/Cargo.toml"] {
            std::fs::write(root.join(name), "").unwrap();
        }
        let of =
            |manifest: &str, file: &Path| checkout_of(&root.join(manifest), [file.to_owned()].into_iter());
        assert_eq!(of("built/crate", &root.join("built/target/release/transfer")), Some(root.join("built")));
        assert_eq!(of("built/crate", &root.join("built/.venv/bin/kernel")), Some(root.join("built")));
        assert_eq!(of("built/crate", &root.join("home/bin/transfer")), None);
        assert_eq!(of("built/crate", Path::new("target/release/transfer")), None);
        assert_eq!(of("moved/crate", &root.join("built/target/release/transfer")), None);
        // A link to an installed program does not move it, nor does one to the checkout's.
        #[cfg(unix)]
        {
            let link = root.join("built/target/link");
            std::os::unix::fs::symlink(root.join("home/bin/transfer"), &link).unwrap();
            assert_eq!(of("built/crate", &link), None);
            let link = root.join("home/bin/link");
            std::os::unix::fs::symlink(root.join("built/target/release/transfer"), &link).unwrap();
            assert_eq!(of("built/crate", &link), Some(root.join("built")));
        }
    }

    #[test]
    fn the_tests_themselves_run_from_the_checkout() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().canonicalize().unwrap();
        if std::env::current_exe().unwrap().starts_with(root.join("target")) {
            assert_eq!(checkout(), Some(root));
        }
        #[cfg(unix)]
        assert!(file_of_this_code().is_some());
    }
}

//! Where things are: the project's folder, and `data/` in it.

use std::path::{Path, PathBuf};

/// The folder that downloads land in.
///
/// It is `data/` of the project that the current folder lies in, else `data/` of the project that
/// this crate was compiled in, if that still exists, else `data/` in the current folder. It need not
/// exist: whatever writes to it creates it.
pub fn data_root() -> PathBuf {
    let current = std::env::current_dir().unwrap_or_else(|_| ".".into());
    data_root_from(&current, Path::new(env!("CARGO_MANIFEST_DIR")))
}

fn data_root_from(current: &Path, manifest: &Path) -> PathBuf {
    let compiled_in = manifest.parent().filter(|folder| is_project(folder) || folder.join("data").is_dir());
    let around = current.ancestors().find(|folder| is_project(folder) && folder.join("notebooks").is_dir());
    around.or(compiled_in).unwrap_or(current).join("data")
}

fn is_project(folder: &Path) -> bool {
    folder.join("Cargo.toml").is_file() && folder.join("crate").is_dir()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_data_folder_is_that_of_the_project_around_else_of_the_crate_else_here() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        for name in ["project/notebooks", "project/crate/src", "built/crate", "elsewhere"] {
            std::fs::create_dir_all(root.join(name)).unwrap();
        }
        for name in ["project/Cargo.toml", "project/crate/Cargo.toml", "built/Cargo.toml"] {
            std::fs::write(root.join(name), "").unwrap();
        }
        let from = |current: &str, manifest: &str| data_root_from(&root.join(current), &root.join(manifest));
        assert_eq!(from("project/notebooks", "built/crate"), root.join("project/data"));
        assert_eq!(from("project/crate/src", "built/crate"), root.join("project/data"));
        assert_eq!(from("elsewhere", "built/crate"), root.join("built/data"));
        assert_eq!(from("elsewhere", "gone/crate"), root.join("elsewhere/data"));
    }
}

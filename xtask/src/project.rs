//! Where things are in this checkout.

use std::path::{Path, PathBuf};

use crate::Result;

/// The folders of one checkout.
pub struct Project {
    /// The checkout itself.
    pub root: PathBuf,
    /// File name of the notebook that a command is about.
    notebook: String,
}

impl Project {
    /// The checkout that this program was built from, and where it runs from now on.
    pub fn find() -> Result<Project> {
        let built_in = Path::new(env!("CARGO_MANIFEST_DIR"));
        let root = built_in.parent().filter(|root| root.join("notebooks").is_dir()).ok_or_else(|| {
            format!("expected the project's folder above {}, found none: was it moved?", built_in.display())
        })?;
        let root = root.to_path_buf();
        std::env::set_current_dir(&root).map_err(|e| format!("cannot enter {}: {e}", root.display()))?;
        Ok(Project { root, notebook: "transfer.ipynb".to_owned() })
    }

    pub fn venv(&self) -> PathBuf {
        self.root.join(".venv")
    }

    /// A program that pip or cargo installed into the project's own environment.
    pub fn venv_program(&self, name: &str) -> PathBuf {
        let folder = if cfg!(windows) { "Scripts" } else { "bin" };
        self.venv().join(folder).join(format!("{name}{}", std::env::consts::EXE_SUFFIX))
    }

    /// Where Jupyter looks for kernels that belong to this environment alone.
    pub fn jupyter_data(&self) -> PathBuf {
        self.venv().join("share").join("jupyter")
    }

    /// The same, for another of its notebooks, by name with or without folder and ending.
    pub fn with_notebook(self, name: Option<&str>) -> Result<Project> {
        let Some(name) = name else { return Ok(self) };
        let stem = Path::new(name).file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let project = Project { notebook: format!("{stem}.ipynb"), ..self };
        if project.notebook().is_file() {
            return Ok(project);
        }
        let entries = std::fs::read_dir("notebooks").map_err(|e| format!("cannot read notebooks/: {e}"))?;
        let names = entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned());
        let mut there: Vec<String> =
            names.filter_map(|n| n.strip_suffix(".ipynb").map(str::to_owned)).collect();
        there.sort();
        Err(format!("expected the name of a notebook in notebooks/: {}. Received: {name}", there.join(", ")))
    }

    pub fn notebook(&self) -> PathBuf {
        PathBuf::from("notebooks").join(&self.notebook)
    }

    /// Where headless runs leave their results.
    pub fn results(&self) -> PathBuf {
        PathBuf::from("target").join("notebooks")
    }

    /// Where the kernel builds its cells; must agree with `notebooks/evcxr.toml`.
    pub fn kernel_build(&self) -> PathBuf {
        self.root.join("target").join("evcxr")
    }

    /// A note that a piece of set-up is done; its content says for which inputs.
    pub fn stamp(&self, name: &str) -> PathBuf {
        self.root.join("target").join("xtask").join(name)
    }
}

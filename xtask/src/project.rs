//! Where things are in this checkout.

use std::path::{Path, PathBuf};

use crate::Result;

/// The folders of one checkout.
pub struct Project {
    /// The checkout itself.
    pub root: PathBuf,
    /// File name of the notebook that a command is about.
    notebook: String,
    /// The folder of notebooks in another language, below `notebooks/`; none for English.
    language: Option<&'static str>,
}

/// Languages that the notebooks exist in besides English, as folders of `notebooks/`.
pub const LANGUAGES: [&str; 1] = ["zh"];

impl Project {
    /// The checkout that this program was built from, and where it runs from now on.
    pub fn find() -> Result<Project> {
        let built_in = Path::new(env!("CARGO_MANIFEST_DIR"));
        let root = built_in.parent().filter(|root| root.join("notebooks").is_dir()).ok_or_else(|| {
            format!("expected the project's folder above {}, found none: was it moved?", built_in.display())
        })?;
        let root = root.to_path_buf();
        std::env::set_current_dir(&root).map_err(|e| format!("cannot enter {}: {e}", root.display()))?;
        Ok(Project { root, notebook: "transfer.ipynb".to_owned(), language: None })
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

    /// The same, for notebooks in another language: `en` or one of [`LANGUAGES`]. Comes before
    /// [`with_notebook`](Self::with_notebook).
    pub fn in_language(self, language: Option<&str>) -> Result<Project> {
        let language = match language {
            None | Some("en") => None,
            Some(asked) => Some(*LANGUAGES.iter().find(|known| **known == asked).ok_or_else(|| {
                format!(
                    "expected a language of the notebooks: en, {}. Received: {asked}",
                    LANGUAGES.join(", ")
                )
            })?),
        };
        Ok(Project { language, ..self })
    }

    /// The same, for another of its notebooks, by name with or without folder and ending.
    pub fn with_notebook(self, name: Option<&str>) -> Result<Project> {
        let Some(name) = name else { return Ok(self) };
        let stem = Path::new(name).file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let project = Project { notebook: format!("{stem}.ipynb"), ..self };
        if project.notebook().is_file() {
            return Ok(project);
        }
        let folder = project.notebooks();
        let entries =
            std::fs::read_dir(&folder).map_err(|e| format!("cannot read {}: {e}", folder.display()))?;
        let names = entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned());
        let mut there: Vec<String> =
            names.filter_map(|n| n.strip_suffix(".ipynb").map(str::to_owned)).collect();
        there.sort();
        let folder = folder.display();
        Err(format!("expected the name of a notebook in {folder}: {}. Received: {name}", there.join(", ")))
    }

    /// The folder of the notebooks in the chosen language, which a kernel runs in.
    pub fn notebooks(&self) -> PathBuf {
        let folder = PathBuf::from("notebooks");
        match self.language {
            Some(language) => folder.join(language),
            None => folder,
        }
    }

    pub fn notebook(&self) -> PathBuf {
        self.notebooks().join(&self.notebook)
    }

    /// Where headless runs leave their results.
    pub fn results(&self) -> PathBuf {
        let folder = PathBuf::from("target").join("notebooks");
        match self.language {
            Some(language) => folder.join(language),
            None => folder,
        }
    }

    /// Where the kernel builds its cells; must agree with `evcxr.toml` beside the notebooks.
    pub fn kernel_build(&self) -> PathBuf {
        self.root.join("target").join("evcxr")
    }

    /// A note that a piece of set-up is done; its content says for which inputs.
    pub fn stamp(&self, name: &str) -> PathBuf {
        self.root.join("target").join("xtask").join(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_language_chooses_the_folder_of_notebooks_and_of_their_results() {
        let project =
            || Project { root: PathBuf::new(), notebook: "transfer.ipynb".to_owned(), language: None };
        let chosen = project().in_language(Some("zh")).unwrap();
        assert_eq!(chosen.notebook(), Path::new("notebooks/zh/transfer.ipynb"));
        assert_eq!(chosen.results(), Path::new("target/notebooks/zh"));
        for english in [None, Some("en")] {
            let chosen = project().in_language(english).unwrap();
            assert_eq!(chosen.notebook(), Path::new("notebooks/transfer.ipynb"));
        }
        let error = project().in_language(Some("fr")).err().unwrap();
        assert!(error.contains("en, zh. Received: fr"), "{error}");
    }

    #[test]
    fn each_language_has_its_folder_in_the_project() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        for language in LANGUAGES {
            assert!(root.join("notebooks").join(language).join("transfer.ipynb").is_file(), "{language}");
        }
    }
}

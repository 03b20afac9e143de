//! How deep folders of photographs may lie in one another, and what is said of folders that are left out.

use std::path::Path;

use crate::{Error, Show};

/// Folders in one another.
pub(super) const MAX_DEPTH: usize = 32;

/// That a folder is left out because it was read by another path.
pub(super) fn same_folder(folder: &Path, before: &Path) -> String {
    format!(
        "{} leads to the same folder as {}, and is left out: its photographs would count twice.",
        folder.shown(),
        before.shown()
    )
}

pub(super) fn too_deep(folder: &Path) -> Error {
    Error::Data(format!(
        "expected folders that lie at most {MAX_DEPTH} deep in one another. Received: {}. Move its photographs up.",
        folder.shown()
    ))
}

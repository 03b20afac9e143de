//! The list of what `sort` does: a row for each act, on disk before the act.

use std::path::{Path, PathBuf};

use transfer::output::{Log, Transfer};
use transfer::Show;

use crate::Failure;

const COLUMNS: [&str; 5] = ["action", "from", "to", "class", "confidence"];
const FOLDER: &str = "folder";
/// The list's name in the folder of the class folders; further lists there have numbers.
const NAME: &str = "sorted";

/// What is done.
#[derive(Debug, Clone, PartialEq)]
pub enum Act {
    /// A folder is made.
    Folder(PathBuf),
    /// A file comes to another place. Paths are absolute, so that the list means the same in every working folder.
    File { how: Transfer, from: PathBuf, to: PathBuf, class: String, confidence: f32 },
}

/// The list that is written.
pub struct List(Log);

impl List {
    /// A new list in `folder`, beside those of earlier runs.
    pub fn create(folder: &Path) -> crate::Result<Self> {
        let place = (1..).map(|number| place(folder, number)).find(|path| path.symlink_metadata().is_err());
        Ok(List(Log::create(&place.unwrap_or_default(), &COLUMNS)?))
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// Writes acts, which may be done after that.
    pub fn announce(&mut self, acts: &[Act]) -> crate::Result<()> {
        let rows = acts.iter().map(row).collect::<crate::Result<Vec<_>>>()?;
        Ok(self.0.append(rows)?)
    }
}

/// The lists of earlier runs in a folder.
pub fn earlier(folder: &Path) -> Vec<PathBuf> {
    (1..).map(|number| place(folder, number)).take_while(|path| path.symlink_metadata().is_ok()).collect()
}

fn place(folder: &Path, number: usize) -> PathBuf {
    match number {
        1 => folder.join(format!("{NAME}.csv")),
        n => folder.join(format!("{NAME}-{n}.csv")),
    }
}

/// The acts of a list.
pub fn read(path: &Path) -> crate::Result<Vec<Act>> {
    let rows = Log::read(path, &COLUMNS)?;
    let act = |(number, row): (usize, Vec<Vec<u8>>)| {
        act(row).map_err(|what| Failure::Error(format!("{}: row {}: {what}", path.shown(), number + 1)))
    };
    rows.into_iter().enumerate().map(act).collect()
}

fn row(act: &Act) -> crate::Result<Vec<Vec<u8>>> {
    Ok(match act {
        Act::Folder(path) => vec![FOLDER.into(), Vec::new(), bytes(path)?, Vec::new(), Vec::new()],
        Act::File { how, from, to, class, confidence } => {
            let confidence = confidence.to_string().into_bytes();
            vec![how.name().into(), bytes(from)?, bytes(to)?, class.clone().into_bytes(), confidence]
        }
    })
}

fn act(row: Vec<Vec<u8>>) -> Result<Act, String> {
    let Ok([action, from, to, class, confidence]) = <[Vec<u8>; 5]>::try_from(row) else {
        return Err("expected five cells".into());
    };
    let action = String::from_utf8_lossy(&action).into_owned();
    let (from, to) = (path(from)?, path(to)?);
    if !to.is_absolute() {
        return Err(format!("expected an absolute path. Received: {}", to.shown()));
    }
    if action == FOLDER {
        return Ok(Act::Folder(to));
    }
    let how = Transfer::named(&action)
        .ok_or_else(|| format!("expected copy, link, move or folder. Received: {}", action.shown()))?;
    if !from.is_absolute() {
        return Err(format!("expected an absolute path. Received: {}", from.shown()));
    }
    let confidence = String::from_utf8_lossy(&confidence).parse().map_err(|_| "expected a probability")?;
    Ok(Act::File { how, from, to, class: String::from_utf8_lossy(&class).into_owned(), confidence })
}

/// A path as bytes that [`path`] reads again.
#[cfg(unix)]
fn bytes(path: &Path) -> crate::Result<Vec<u8>> {
    use std::os::unix::ffi::OsStrExt;
    Ok(path.as_os_str().as_bytes().to_vec())
}

#[cfg(not(unix))]
fn bytes(path: &Path) -> crate::Result<Vec<u8>> {
    let text = path.to_str().ok_or_else(|| {
        Failure::Error(format!(
            "expected a path that is Unicode. Received: {}. Rename the file.",
            path.shown()
        ))
    })?;
    Ok(text.as_bytes().to_vec())
}

#[cfg(unix)]
fn path(bytes: Vec<u8>) -> Result<PathBuf, String> {
    use std::os::unix::ffi::OsStringExt;
    Ok(std::ffi::OsString::from_vec(bytes).into())
}

#[cfg(not(unix))]
fn path(bytes: Vec<u8>) -> Result<PathBuf, String> {
    String::from_utf8(bytes).map(PathBuf::from).map_err(|_| "expected a path in UTF-8".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_read_as_it_was_written_and_has_a_name_of_its_own() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        let acts = [
            Act::Folder(at("cats")),
            Act::File {
                how: Transfer::Move,
                from: at("a \"b\",\n.jpg"),
                to: at("cats/=1.jpg"),
                class: "cats".into(),
                confidence: 0.9375,
            },
        ];
        let Ok(mut list) = List::create(dir.path()) else { panic!("no list") };
        assert!(list.announce(&acts).is_ok());
        assert!(matches!(read(list.path()), Ok(read) if read == acts));
        let Ok(other) = List::create(dir.path()) else { panic!("no list") };
        assert_eq!(other.path(), at("sorted-2.csv"));
        assert_eq!(earlier(dir.path()), [at("sorted.csv"), at("sorted-2.csv")]);
        std::fs::write(at("wrong.csv"), "action,from,to,class,confidence\nmove,a,b,c,1\n").unwrap();
        assert!(matches!(read(&at("wrong.csv")), Err(Failure::Error(text)) if text.contains("absolute")));
    }
}

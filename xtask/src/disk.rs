//! Whether the disk has room for what a command builds.

use std::path::Path;
use std::process::Command;

use crate::process::output;

const GIB: f64 = (1u64 << 30) as f64;

/// What to say where fewer than `needed` GiB are free at `folder`.
pub fn too_full(folder: &Path, needed: f64) -> Option<String> {
    too_little(free(folder)?, needed, folder)
}

fn too_little(free: f64, needed: f64, folder: &Path) -> Option<String> {
    (free < needed).then(|| format!("{free:.1} GiB of disk are free at {}", folder.display()))
}

/// GiB that may be written at `folder`, where the system's `df` tells.
fn free(folder: &Path) -> Option<f64> {
    // The columns of POSIX: file system, size, used, available, share, mount point; in 1024 bytes.
    let said = output(Command::new("df").arg("-Pk").arg(folder))?;
    available(&said)
}

fn available(said: &str) -> Option<f64> {
    let columns: Vec<&str> = said.lines().nth(1)?.split_whitespace().collect();
    let size = columns.iter().position(|column| column.parse::<u64>().is_ok())?;
    columns.get(size + 2)?.parse::<f64>().ok().map(|kib| kib * 1024.0 / GIB)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_free_is_read_from_the_fourth_column() {
        let said = "Filesystem 1024-blocks Used Available Capacity Mounted on\n\
                    /dev/some disk 264000000 40000000 52428800 43% /home/some one\n";
        assert_eq!(available(said), Some(50.0));
        assert_eq!(available("df: no such folder\n"), None);
    }

    #[test]
    fn a_line_is_said_only_where_it_is_too_little() {
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        assert_eq!(too_little(12.0, 12.0, here), None);
        let line = too_little(11.94, 12.0, here).unwrap();
        assert!(line.starts_with("11.9 GiB of disk are free at "), "{line}");
        // A system without `df` says nothing.
        assert_eq!(too_full(here, 1e9).is_some(), free(here).is_some());
    }
}

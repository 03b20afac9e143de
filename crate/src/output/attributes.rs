//! What a file that replaces another one takes over from it.

use std::fs::{File, Metadata};
use std::path::Path;

/// Gives `new` the permissions of the file that it replaces, and its owner, group and extended attributes (access
/// control lists are some) where the system permits.
///
/// # Errors
/// Where the permissions cannot be set.
pub(super) fn keep(old: &Path, about: &Metadata, new: &File) -> std::io::Result<()> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::{fchown, MetadataExt, PermissionsExt};
        let mine = new.metadata()?;
        let mut mode = about.mode() & 0o7777;
        if (mine.uid(), mine.gid()) != (about.uid(), about.gid()) {
            let owned = fchown(new, Some(about.uid()), Some(about.gid()));
            // An ordinary user may still give it to a group of theirs.
            if owned.is_err() && fchown(new, None, Some(about.gid())).is_err() {
                // What the old group was allowed is not meant for another group.
                mode &= 0o707;
            }
            if owned.is_err() {
                mode &= 0o777;
            }
        }
        new.set_permissions(std::fs::Permissions::from_mode(mode))?;
        #[cfg(target_os = "linux")]
        extended(old, new);
    }
    let _ = (old, about, new);
    Ok(())
}

/// Copies extended attributes as far as that goes.
#[cfg(target_os = "linux")]
fn extended(old: &Path, new: &File) {
    use rustix::fs::{fsetxattr, getxattr, listxattr, XattrFlags};
    /// The longest list of names, and the longest value, that Linux has.
    const LIMIT: usize = 1 << 16;
    let mut names = vec![0; LIMIT];
    let Ok(length) = listxattr(old, &mut names[..]) else { return };
    let mut value = vec![0; LIMIT];
    for name in names[..length].split(|&byte| byte == 0).filter(|name| !name.is_empty()) {
        let Ok(name) = std::str::from_utf8(name) else { continue };
        // Capabilities and the like belong to a content.
        if !name.starts_with("user.") && name != "system.posix_acl_access" {
            continue;
        }
        if let Ok(length) = getxattr(old, name, &mut value[..]) {
            let _ = fsetxattr(new, name, &value[..length], XattrFlags::empty());
        }
    }
}

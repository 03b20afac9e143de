//! What may lie where an output is to go.

use crate::program::{Stage, Work, MODEL, ONNX};
use crate::sandbox::set_mode;
use crate::Fallible;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::Command;
use transfer::Show;

/// What may become of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Allowed {
    /// An error, and nothing changes.
    Refused,
    /// The result is there afterwards.
    Written,
    /// One or the other.
    Either,
}
use Allowed::{Either, Refused, Written};

/// Something that lies at an output.
pub struct Thing {
    pub name: &'static str,
    /// The output, as the command is told.
    pub output: &'static str,
    /// The file that holds the result where one is written.
    pub target: &'static str,
    pub unforced: Allowed,
    pub forced: Allowed,
    /// Whether only root can make it.
    pub needs_root: bool,
    pub make: fn(&Setup) -> Fallible<()>,
}

/// Where a thing is made.
pub struct Setup<'a> {
    pub stage: &'a Stage<'a>,
    pub work: Work,
}

impl Setup<'_> {
    fn path(&self, name: &str) -> std::path::PathBuf {
        self.stage.folder.join(name)
    }

    /// A file of the kind that the command writes, of an earlier run.
    fn own(&self) -> &'static str {
        if self.work == Work::Train {
            MODEL
        } else {
            ONNX
        }
    }

    fn copy(&self, from: &str, to: &str) -> Fallible<()> {
        std::fs::copy(self.path(from), self.path(to)).map_err(|e| format!("cannot copy {from}: {e}"))?;
        self.stage.sandbox.give(&self.path(to))
    }

    fn link(&self, target: &str, name: &str) -> Fallible<()> {
        symlink(target, self.path(name)).map_err(|e| format!("cannot link {name}: {e}"))
    }

    fn hard_link(&self, from: &str, to: &str) -> Fallible<()> {
        std::fs::hard_link(self.path(from), self.path(to)).map_err(|e| format!("cannot link {to}: {e}"))
    }

    fn folder(&self, name: &str) -> Fallible<()> {
        let path = self.path(name);
        std::fs::create_dir(&path).map_err(|e| format!("cannot create {}: {e}", path.shown()))?;
        self.stage.sandbox.give(&path)
    }

    fn fifo(&self, name: &str) -> Fallible<()> {
        node(&[], &self.path(name), "p")?;
        self.stage.sandbox.give(&self.path(name))
    }

    /// The null device, under a name of its own.
    fn device(&self, name: &str) -> Fallible<()> {
        node(&["--mode", "666"], &self.path(name), "c 1 3")
    }

    fn socket(&self, name: &str) -> Fallible<()> {
        UnixListener::bind(self.path(name)).map(drop).map_err(|e| format!("cannot make a socket: {e}"))
    }
}

fn node(options: &[&str], path: &Path, kind: &str) -> Fallible<()> {
    let output = Command::new("mknod").args(options).arg(path).args(kind.split(' ')).output();
    match output {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => Err(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
        Err(e) => Err(format!("cannot start mknod: {e}")),
    }
}

/// `output` and `target` are the same.
fn thing(
    name: &'static str,
    output: &'static str,
    (unforced, forced): (Allowed, Allowed),
    make: fn(&Setup) -> Fallible<()>,
) -> Thing {
    Thing { name, output, target: output, unforced, forced, needs_root: false, make }
}

/// Everything that is tried with a command that writes.
pub fn things(work: Work) -> Vec<Thing> {
    let mut all = files(work);
    all.extend(special());
    all.extend(links(work));
    all.extend(inputs(work));
    all.extend(names());
    all
}

/// Regular files, and what hinders writing them.
fn files(work: Work) -> Vec<Thing> {
    // Models and ONNX files are this program's own, each at the place of the other, too.
    let other = if work == Work::Train { ONNX } else { "other.safetensors" };
    vec![
        thing("nothing", "new", (Written, Written), |_| Ok(())),
        thing("an empty file", "empty", (Either, Written), |at| at.stage.put("empty", b"")),
        thing("a text", "text", (Refused, Written), |at| at.stage.put("text", b"three years of work\n")),
        thing("a photograph", "holiday.png", (Refused, Written), |_| Ok(())),
        thing(
            "a file of its own",
            if work == Work::Train { MODEL } else { ONNX },
            (Written, Written),
            |_| Ok(()),
        ),
        thing("a file of its own of the other kind", other, (Either, Written), |at| match at.work {
            Work::Train => Ok(()),
            _ => at.copy(MODEL, "other.safetensors"),
        }),
        thing("a private file of its own", "private", (Written, Written), |at| {
            at.copy(at.own(), "private")?;
            set_mode(&at.path("private"), 0o600)
        }),
        thing("a read-only file of its own", "guarded", (Either, Either), |at| {
            at.copy(at.own(), "guarded")?;
            set_mode(&at.path("guarded"), 0o444)
        }),
        thing("a file of its own in a read-only folder", "closed/file", (Refused, Refused), |at| {
            at.folder("closed")?;
            at.copy(at.own(), "closed/file")?;
            set_mode(&at.path("closed"), 0o555)
        }),
        thing("nothing in a read-only folder", "closed/file", (Refused, Refused), |at| {
            at.folder("closed")?;
            set_mode(&at.path("closed"), 0o555)
        }),
        thing("a file with a second name", "first", (Written, Written), |at| {
            at.copy(at.own(), "first")?;
            at.hard_link("first", "second")
        }),
    ]
}

/// What is no regular file.
fn special() -> Vec<Thing> {
    let never = (Refused, Refused);
    vec![
        thing("a folder", "folder", never, |at| at.folder("folder")),
        thing("a FIFO", "fifo", never, |at| at.fifo("fifo")),
        thing("a socket", "socket", never, |at| at.socket("socket")),
        Thing { needs_root: true, ..thing("a device", "device", never, |at| at.device("device")) },
    ]
}

fn links(work: Work) -> Vec<Thing> {
    let never = (Refused, Refused);
    let own = if work == Work::Train { MODEL } else { ONNX };
    vec![
        Thing {
            target: own,
            ..thing("a link to a file of its own", "link", (Written, Written), |at| at.link(at.own(), "link"))
        },
        Thing {
            target: own,
            ..thing("a link to a link", "link", (Written, Written), |at| {
                at.folder("deeper")?;
                at.link(&format!("../{}", at.own()), "deeper/link")?;
                at.link("deeper/link", "link")
            })
        },
        Thing {
            target: "notes.txt",
            ..thing("a link to a text", "link", (Refused, Written), |at| at.link("notes.txt", "link"))
        },
        thing("a link to a folder", "link", never, |at| at.link("photos", "link")),
        thing("a link to a FIFO", "link", never, |at| {
            at.fifo("fifo")?;
            at.link("fifo", "link")
        }),
        Thing {
            needs_root: true,
            ..thing("a link to a device", "link", never, |at| {
                at.device("device")?;
                at.link("device", "link")
            })
        },
        Thing {
            target: "not-yet",
            ..thing("a link to nothing", "link", (Written, Written), |at| at.link("not-yet", "link"))
        },
        thing("a link into a folder that is missing", "link", never, |at| at.link("missing/file", "link")),
        thing("a link to itself", "link", never, |at| at.link("link", "link")),
        thing("a circle of links", "link", never, |at| {
            at.link("back", "link")?;
            at.link("link", "back")
        }),
    ]
}

/// What the command itself reads.
fn inputs(work: Work) -> Vec<Thing> {
    let never = (Refused, Refused);
    if work == Work::Train {
        return vec![
            thing("one of its photographs", "photos/rings/0.png", never, |_| Ok(())),
            thing(
                "one of its photographs, in another spelling",
                "photos/../photos/rings/0.png",
                never,
                |_| Ok(()),
            ),
            thing("a link to one of its photographs", "link", never, |at| {
                at.link("photos/rings/0.png", "link")
            }),
            thing("a second name of one of its photographs", "second", (Refused, Either), |at| {
                at.hard_link("photos/rings/0.png", "second")
            }),
            thing("a new file in a class folder", "photos/rings/new", never, |_| Ok(())),
        ];
    }
    vec![
        thing("the model that is read", MODEL, never, |_| Ok(())),
        thing(
            "the model that is read, in another spelling",
            "photos/../model.safetensors",
            never,
            |_| Ok(()),
        ),
        thing("a link to the model that is read", "link", never, |at| at.link(MODEL, "link")),
        thing("a second name of the model that is read", "second", never, |at| at.hard_link(MODEL, "second")),
    ]
}

/// What cannot be the name of a file.
fn names() -> Vec<Thing> {
    let never = (Refused, Refused);
    let nothing: fn(&Setup) -> Fallible<()> = |_| Ok(());
    vec![
        thing("no name", "", never, nothing),
        thing("this folder", ".", never, nothing),
        thing("the folder above", "..", never, nothing),
        thing("the name of a folder that is missing", "missing/", never, nothing),
        thing("a file in a folder that is missing", "missing/file", never, nothing),
        thing("a file below a file", "notes.txt/file", never, nothing),
        thing("/dev/null", "/dev/null", never, nothing),
        thing("/dev/stdout", "/dev/stdout", never, nothing),
        thing("/dev/full", "/dev/full", never, nothing),
    ]
}

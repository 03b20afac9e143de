//! The one door for files that a user names as output: models, weights, ONNX files, tables, figures, reports.
//!
//! A user's path may name anything, and writing must lose nothing of theirs. So every such path is an
//! [`OutputFile`], and these rules hold for all of them:
//!
//! | what stands at the path | what happens |
//! |---|---|
//! | nothing | the file is made, and the folders above it |
//! | an empty file | it is replaced |
//! | a file of the same kind that this program wrote | it is replaced |
//! | any other file, or a write-protected one | an error, unless [`OutputFile::overwrite`] |
//! | a folder, a device, a FIFO, a socket | an error, always |
//! | a symbolic link | it stays, and the rules hold for what it leads to |
//! | a file that is being read, or anything in a folder of photographs, where these were named | an error, always |
//!
//! What this program wrote is known by content: a model, weights, a report and the photographs kept beside a model name
//! it in their metadata, an ONNX file names it as producer, a page names it as generator, a figure has it in a text
//! chunk, and a table has exactly the columns of the table that is to be written.
//!
//! A file appears whole or not at all. It is written beside its place, under a name that starts with a dot and ends
//! in `.partial`, and renamed. A file that is replaced hands its permissions on, and its owner and extended
//! attributes where the system permits. Hard links to it keep the old content. What is there is looked at when
//! the partial file is opened and again in the moment in which it is renamed.
//!
//! | file | what it holds |
//! |---|---|
//! | `file.rs` | what a user asks for, and the rules |
//! | `place.rs` | where a path leads: links, folders, devices |
//! | `format.rs` | whether a file is one that this program wrote |
//! | `partial.rs` | the file beside its place: locked while it is written, gone when it is not wanted |
//! | `reserved.rs` | a partial file that waits for its content |
//! | `writing.rs` | reserving, writing, renaming |
//! | `folders.rs` | the folder that a file lies in |
//! | `scratch.rs` | a file without a name, for what does not fit into memory |
//! | `attributes.rs` | permissions, owner and extended attributes |
//! | `tree.rs` | a new folder of links and copies, whole or not at all |
//! | `table.rs` | tables as CSV |
//! | `log.rs` | a table that grows line by line, on disk before what a line announces is done |
//! | `new_place.rs` | copies, links and moves of a user's files to places where nothing is |

mod attributes;
mod file;
pub(crate) mod folders;
mod format;
mod log;
mod new_place;
pub(crate) mod partial;
mod place;
mod reserved;
mod scratch;
mod table;
pub(crate) mod tree;
mod writing;

pub use file::OutputFile;
#[cfg(feature = "plot")]
pub(crate) use format::with_png_marker;
pub(crate) use format::{Format, PAGE_START};
pub use log::Log;
pub use new_place::{remove_unfinished_copy, same_content, Transfer};
pub use partial::remove_unfinished;
pub(crate) use scratch::scratch_file;
pub(crate) use table::encode as encode_csv;

//! (being written)

mod extract;
pub(crate) mod files;
mod get_file;
mod hash;
mod http;
mod lock;
mod roots;

pub use extract::{extract_zip, MAX_BYTES, MAX_ENTRIES, MAX_RATIO};
pub use get_file::{get_file, GetFile};
pub use hash::{content_digest, sha256_file};
pub use roots::data_root;

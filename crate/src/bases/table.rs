//! The registry as a table.

use super::{Base, Origin, Source};
use std::fmt::Write;

/// The registry as a table in Markdown; `docs/bases.md` holds it.
pub fn table() -> String {
    let mut text = "| name | network | images | top-1 | parameters | licence | weights |\n".to_owned();
    text += "|---|---|---|---|---|---|---|\n";
    for base in Base::all() {
        let parameters: usize =
            base.network().variables().iter().map(|(_, shape)| shape.iter().product::<usize>()).sum();
        let sources: Vec<String> = base.sources.iter().map(said).collect();
        let top1 = base.top1.map_or("not published".to_owned(), |top1| format!("{top1:.1} %"));
        let _ = writeln!(
            text,
            "| `{}` | {} | {} px | {top1} | {:.1} M | {} | {} |",
            base.name,
            base.title,
            base.image_size,
            parameters as f64 / 1e6,
            base.licence,
            sources.join("; or ")
        );
    }
    text
}

/// A source in words.
fn said(source: &Source) -> String {
    let mut text = match source.from {
        Origin::Package { package, .. } => format!("PyPI package `{package}`"),
        Origin::Address(address) => format!("<{address}>"),
    };
    if let Some(bytes) = source.bytes {
        let _ = write!(text, " ({:.1} MB)", bytes as f64 / 1e6);
    }
    text
}

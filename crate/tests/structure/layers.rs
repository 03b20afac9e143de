//! Modules use only what stands below them in the table of layers in ARCHITECTURE.md.

use std::collections::BTreeMap;
use std::path::Path;

use crate::imports::Crate;

const START: &str = "<!-- table of layers -->";
const END: &str = "<!-- end of the table of layers -->";

/// The page, from the table on.
fn page() -> String {
    let project = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let page = std::fs::read_to_string(project.join("ARCHITECTURE.md")).unwrap();
    let from = page.find(START).expect("ARCHITECTURE.md has a table of layers");
    let to = page.find(END).expect("the table of layers has an end");
    page[from..to].to_owned()
}

/// The rows of the table, the lowest layer first: names of modules.
fn table(page: &str) -> Vec<Vec<String>> {
    let rows = page.lines().filter(|line| line.starts_with("| ") && line.contains('`'));
    let names = |row: &str| {
        row.split('|').nth(1).unwrap_or_default().split('`').skip(1).step_by(2).map(str::to_owned).collect()
    };
    let mut rows: Vec<Vec<String>> = rows.map(names).collect();
    rows.reverse();
    rows
}

/// The layers as a picture (SVG), the highest one on top: a row for each layer, a box for each module.
fn picture(rows: &[Vec<String>]) -> String {
    const ROW: usize = 38;
    const BOX: usize = 28;
    const LEFT: usize = 50;
    let wide = |name: &str| 9 * name.len() + 24;
    let widths = rows.iter().map(|row| row.iter().map(|name| wide(name) + 12).sum::<usize>());
    let (width, height) = (LEFT + widths.max().unwrap_or(0) + 8, ROW * rows.len() + 10);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" \
         height=\"{height}\" font-family=\"monospace\" font-size=\"14\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n\
         <path d=\"M24 10V{} M16 {} l8 12 l8 -12\" fill=\"none\" stroke=\"#666666\" stroke-width=\"2\"/>\n\
         <text x=\"12\" y=\"{}\" transform=\"rotate(-90 12 {})\" text-anchor=\"middle\" fill=\"#666666\">uses</text>\n",
        height - 12,
        height - 24,
        height / 2,
        height / 2
    );
    for (i, row) in rows.iter().rev().enumerate() {
        let (y, mut x) = (ROW * i + 8, LEFT);
        for name in row {
            let w = wide(name);
            svg += &format!(
                "<rect x=\"{x}\" y=\"{y}\" width=\"{w}\" height=\"{BOX}\" rx=\"6\" fill=\"#e8eef7\" stroke=\"#4c78a8\"/>\n\
                 <text x=\"{}\" y=\"{}\" text-anchor=\"middle\" fill=\"#1f2933\">{name}</text>\n",
                x + w / 2,
                y + 19
            );
            x += w + 12;
        }
    }
    svg + "</svg>\n"
}

/// Imports that the table forbids, as `file uses module`.
fn upward(source: &Crate, rows: &[Vec<String>]) -> Vec<String> {
    let level: BTreeMap<&str, usize> =
        rows.iter().enumerate().flat_map(|(i, row)| row.iter().map(move |name| (name.as_str(), i))).collect();
    let mut found = Vec::new();
    for module in source.modules().filter(|module| !module.is_empty()) {
        let own = level.get(module[0].as_str());
        for used in source.used_by(module).into_iter().filter(|used| used[0] != module[0]) {
            let fits = matches!((own, level.get(used[0].as_str())), (Some(own), Some(below)) if below < own);
            if !fits {
                found.push(format!("{} uses {}", module.join("/"), used.join("/")));
            }
        }
    }
    found
}

#[test]
fn modules_use_only_lower_layers() {
    let source = Crate::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"));
    let rows = table(&page());
    for module in source.modules().filter(|module| !module.is_empty()) {
        assert!(
            rows.iter().any(|row| row.contains(&module[0])),
            "{} is missing in the table of layers",
            module[0]
        );
    }
    let found = upward(&source, &rows);
    assert!(found.is_empty(), "the table of layers in ARCHITECTURE.md forbids {found:#?}");
}

#[test]
fn the_picture_is_drawn_from_the_table() {
    let drawn = picture(&table(&page()));
    let kept = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/layers.svg");
    if std::fs::read_to_string(&kept).ok().as_ref() != Some(&drawn) {
        let new = Path::new(env!("CARGO_TARGET_TMPDIR")).join("layers.svg");
        std::fs::write(&new, drawn).unwrap();
        panic!("docs/layers.svg is not what the table says: copy {new:?} to it");
    }
}

#[test]
fn an_upward_import_is_found() {
    let rows = table("| modules |\n| `high` |\n| `middle`, `beside` |\n| `low` |\n");
    let files = [
        ("lib.rs", "pub use high::Thing;"),
        ("high.rs", "use crate::low; use crate::middle;"),
        ("middle.rs", "use crate::low::f;\nuse crate::beside::g;"),
        ("beside.rs", ""),
        ("low/mod.rs", ""),
        ("low/deep.rs", "fn f() -> crate::Thing { todo!() }"),
    ];
    let source = Crate::of(files.map(|(path, text)| (path.to_owned(), text.to_owned())));
    assert_eq!(upward(&source, &rows), ["low/deep uses high", "middle uses beside"]);
}

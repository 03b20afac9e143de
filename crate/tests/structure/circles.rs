//! No files that use each other in a circle.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::imports::{Crate, Module};

/// A way from a module back to itself, if there is one.
fn circle(source: &Crate) -> Option<Vec<String>> {
    let uses: BTreeMap<&Module, BTreeSet<Module>> =
        source.modules().map(|module| (module, source.used_by(module))).collect();
    let mut done: BTreeSet<&Module> = BTreeSet::new();
    uses.keys().find_map(|start| {
        let mut way = Vec::new();
        walk(start, &uses, &mut way, &mut done)
    })
}

fn walk<'a>(
    module: &'a Module,
    uses: &'a BTreeMap<&'a Module, BTreeSet<Module>>,
    way: &mut Vec<&'a Module>,
    done: &mut BTreeSet<&'a Module>,
) -> Option<Vec<String>> {
    if let Some(at) = way.iter().position(|seen| *seen == module) {
        let names = way[at..].iter().copied().chain([module]).map(|module| module.join("/"));
        return Some(names.collect());
    }
    if done.contains(module) {
        return None;
    }
    way.push(module);
    let found = uses.get(module).into_iter().flatten().find_map(|next| walk(next, uses, way, done));
    way.pop();
    done.insert(module);
    found
}

#[test]
fn no_files_use_each_other_in_a_circle() {
    let project = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    for folder in ["kernels/src", "crate/src", "cli/src"] {
        let source = Crate::read(&project.join(folder));
        assert!(source.modules().count() > 10, "{folder}");
        assert_eq!(circle(&source), None, "{folder}: what each of two files needs belongs into a third");
    }
}

#[test]
fn a_circle_is_found() {
    let files = [
        ("a.rs", "use crate::b::f;"),
        ("b.rs", "use super::c;"),
        ("c.rs", "fn g() { crate::a::h(); }"),
        ("lib.rs", ""),
    ];
    let source = Crate::of(files.map(|(path, text)| (path.to_owned(), text.to_owned())));
    assert_eq!(circle(&source).unwrap(), ["a", "b", "c", "a"]);
}

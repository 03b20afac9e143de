//! Which file uses which, read from `use` lines and paths. Unit tests do not count.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::sources;

/// Module path below the crate's root, such as `["data", "listing"]`.
pub type Module = Vec<String>;

/// The files of a crate.
pub struct Crate {
    /// The code of each module, without comments, texts and unit tests.
    code: BTreeMap<Module, String>,
    /// Names that each module imports: name, path, whether it is handed on (`pub use`).
    uses: BTreeMap<Module, Vec<Import>>,
}

struct Import {
    name: String,
    path: Vec<String>,
    handed_on: bool,
}

impl Crate {
    /// Reads the crate whose sources are in `folder`.
    pub fn read(folder: &Path) -> Self {
        Self::of(sources(folder).into_iter().map(|path| {
            let name = path.strip_prefix(folder).unwrap().to_string_lossy().replace('\\', "/");
            (name, std::fs::read_to_string(&path).unwrap())
        }))
    }

    /// The crate of these files: path below the source folder, text.
    pub fn of(files: impl IntoIterator<Item = (String, String)>) -> Self {
        let mut code = BTreeMap::new();
        for (path, text) in files {
            // Programs that start from `main.rs` have nobody above them; `host` is the emulator of the tests.
            if path.ends_with("tests.rs") || path.contains("/host/") || path == "main.rs" {
                continue;
            }
            let mut module: Module = path.trim_end_matches(".rs").split('/').map(str::to_owned).collect();
            if matches!(module.last().map(String::as_str), Some("mod" | "lib")) {
                module.pop();
            }
            code.insert(module, without_texts(&text));
        }
        let uses = code.iter().map(|(module, code)| (module.clone(), imports(code))).collect();
        Crate { code, uses }
    }

    /// The modules that have a file.
    pub fn modules(&self) -> impl Iterator<Item = &Module> {
        self.code.keys()
    }

    /// The modules that `module` uses. What it only hands on does not count.
    pub fn used_by(&self, module: &Module) -> BTreeSet<Module> {
        let own =
            self.uses[module].iter().filter(|import| !import.handed_on).map(|import| import.path.clone());
        let inline = inline_paths(&self.code[module]);
        let found = own.chain(inline).filter_map(|path| self.resolve(module, &path, 0));
        found.filter(|found| found != module && !found.is_empty()).collect()
    }

    /// The module whose file defines what `path` leads to from `module`.
    fn resolve(&self, module: &Module, path: &[String], depth: usize) -> Option<Module> {
        let ups = path.iter().take_while(|part| *part == "super").count();
        let (mut at, rest) = match path.first()?.as_str() {
            "crate" => (Vec::new(), &path[1..]),
            "self" => (module.clone(), &path[1..]),
            "super" => (module[..module.len().checked_sub(ups)?].to_vec(), &path[ups..]),
            first => {
                let child = [&module[..], &[first.to_owned()]].concat();
                self.code.contains_key(&child).then_some((module.clone(), path))?
            }
        };
        for part in rest {
            let child = [&at[..], std::slice::from_ref(part)].concat();
            if self.code.contains_key(&child) {
                at = child;
                continue;
            }
            let import = self.uses.get(&at).and_then(|uses| uses.iter().find(|import| import.name == *part));
            return match import {
                Some(import) if depth < 8 => self.resolve(&at, &import.path, depth + 1),
                _ => Some(at),
            };
        }
        Some(at)
    }
}

/// Without unit tests, comments and string literals.
fn without_texts(text: &str) -> String {
    let end = ["#[cfg(test)]\nmod ", "#[cfg(all(test"].iter().filter_map(|start| text.find(start)).min();
    let mut code = String::new();
    for line in text[..end.unwrap_or(text.len())].lines() {
        let mut literal = false;
        let mut characters = line.chars().peekable();
        while let Some(c) = characters.next() {
            match c {
                '\\' if literal => drop(characters.next()),
                '"' => literal = !literal,
                '/' if !literal && characters.peek() == Some(&'/') => break,
                c if !literal => code.push(c),
                _ => {}
            }
        }
        code.push('\n');
    }
    // Imports of tests alone.
    let mut lines: Vec<&str> = code.lines().collect();
    for i in 1..lines.len() {
        if lines[i - 1].trim() == "#[cfg(test)]" && lines[i].contains("use ") {
            lines[i] = "";
        }
    }
    lines.join("\n")
}

/// The statements that begin with `use`, whole, and whether they hand on.
fn statements(code: &str) -> Vec<(&str, bool)> {
    let mut found = Vec::new();
    let mut at = 0;
    for line in code.split_inclusive('\n') {
        let start = at;
        at += line.len();
        let words = line.trim_start();
        let handed_on = words.starts_with("pub");
        let rest = match words.strip_prefix("pub") {
            Some(rest) => rest
                .trim_start_matches(|c: char| c == '(' || c == ')' || c.is_alphabetic() || c == ':')
                .trim_start(),
            None => words,
        };
        // `pub(in crate::x) use` has a blank in its parentheses.
        let rest = rest.rsplit_once(") ").map_or(rest, |(_, rest)| rest);
        if !rest.starts_with("use ") {
            continue;
        }
        let end = code[start..].find(';').map_or(code.len(), |i| start + i);
        let from = start + code[start..end].find("use ").unwrap_or(0) + 4;
        found.push((&code[from..end], handed_on));
    }
    found
}

fn imports(code: &str) -> Vec<Import> {
    let mut found = Vec::new();
    for (statement, handed_on) in statements(code) {
        let mut paths = Vec::new();
        tree(statement, &[], &mut paths);
        found.extend(paths.into_iter().map(|(name, path)| Import { name, path, handed_on }));
    }
    found
}

/// Takes `a::{b, c as d}` apart.
fn tree(text: &str, before: &[String], found: &mut Vec<(String, Vec<String>)>) {
    let text = text.trim();
    let parts = |text: &str| {
        text.split("::")
            .map(|part| part.trim().to_owned())
            .filter(|part| !part.is_empty())
            .collect::<Vec<_>>()
    };
    if let (Some(open), Some(close)) = (text.find('{'), text.rfind('}')) {
        let head = [before, &parts(&text[..open])].concat();
        let (mut depth, mut from) = (0, open + 1);
        for (i, c) in text.char_indices().take_while(|(i, _)| *i <= close).skip_while(|(i, _)| *i <= open) {
            match c {
                '{' => depth += 1,
                '}' if i < close => depth -= 1,
                ',' | '}' if depth == 0 => {
                    if !text[from..i].trim().is_empty() {
                        tree(&text[from..i], &head, found);
                    }
                    from = i + 1;
                }
                _ => {}
            }
        }
        return;
    }
    let (path, alias) = text.split_once(" as ").map_or((text, None), |(path, alias)| (path, Some(alias)));
    let mut path = [before, &parts(path)].concat();
    if path.last().is_some_and(|last| last == "self") {
        path.pop();
    }
    let Some(last) = path.last().cloned() else { return };
    found.push((alias.map_or(last, |alias| alias.trim().to_owned()), path));
}

/// Paths such as `crate::data::listing::list` outside of `use`.
fn inline_paths(code: &str) -> Vec<Vec<String>> {
    let mut code = code.to_owned();
    for (statement, _) in statements(&code.clone()) {
        code = code.replacen(statement, "", 1);
    }
    let mut found = Vec::new();
    for start in ["crate::", "super::"] {
        for (at, _) in code.match_indices(start) {
            let before = code[..at].chars().next_back();
            let visibility = code[..at].ends_with("(in ") || before == Some('$');
            if visibility || before.is_some_and(|c| c.is_alphanumeric() || c == ':' || c == '_') {
                continue;
            }
            let end = code[at..].find(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':'));
            let path = &code[at..end.map_or(code.len(), |end| at + end)];
            found.push(path.split("::").filter(|part| !part.is_empty()).map(str::to_owned).collect());
        }
    }
    found
}

#[test]
fn paths_lead_to_the_files_that_define_what_they_name() {
    let files = [
        ("lib.rs", "mod a;\nmod b;\npub use a::Thing;"),
        ("a/mod.rs", "mod inner;\npub use inner::Thing;\npub(crate) use inner::{other as second, Third};"),
        ("a/inner.rs", "pub struct Thing; // crate::c::no\nlet text = \"crate::c::no\";"),
        ("b.rs", "use crate::{a::second, Thing};\nfn f() { crate::a::Third; }\n#[cfg(test)]\nmod tests { use crate::c; }"),
        ("c.rs", "use super::b;"),
    ];
    let source = Crate::of(files.map(|(path, text)| (path.to_owned(), text.to_owned())));
    let used = |name: &str| {
        let used = source.used_by(&vec![name.to_owned()]);
        used.iter().map(|module| module.join("/")).collect::<Vec<_>>()
    };
    assert_eq!(used("b"), ["a/inner"]);
    assert_eq!(used("c"), ["b"]);
    assert_eq!(used("a"), Vec::<String>::new());
}

//! Reads a table of changes. Nothing that it says is trusted.

use std::collections::HashMap;
use std::path::{Component, Path, PathBuf};

use super::fix::Action;
use crate::data::Lines;
use crate::thousands::thousands;
use crate::{input, Error, Result, Show};

/// The longest table in bytes.
const LONGEST: u64 = 64 << 20;
/// The most rows: as many as a table of labels may have.
const MOST_ROWS: usize = 1_000_000;
/// The longest path and the longest name of a set or class, in bytes.
const LONGEST_PATH: usize = 4096;
const LONGEST_NAME: usize = 255;

/// A row: which photograph, and what is done with it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Row {
    /// Its line in the table, from 1.
    pub line: u64,
    /// Below the checked folder.
    pub file: PathBuf,
    pub action: Action,
}

/// Reads the columns `file`, `action` and `to` of a table; others may be there, in any order.
///
/// # Errors
/// Where the table cannot be read, a column is missing, or a row makes no sense: the error names its line.
pub(super) fn read(path: &Path) -> Result<Vec<Row>> {
    let too_large = || {
        Error::Data(format!(
            "{} is longer than {} MiB. Expected a table of changes, as `transfer check --fix` writes it.",
            path.shown(),
            LONGEST >> 20
        ))
    };
    let bytes = input::read_or("cannot read the table of changes", path, LONGEST, too_large)?;
    parse(&bytes).map_err(|what| Error::Data(format!("{}: {what}", path.shown())))
}

fn parse(bytes: &[u8]) -> Result<Vec<Row>, String> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(bytes);
    let header = reader.headers().map_err(|e| said(&e))?.clone();
    let column = |name: &str| {
        let places: Vec<usize> = header
            .iter()
            .enumerate()
            .filter(|(_, h)| h.trim().eq_ignore_ascii_case(name))
            .map(|(i, _)| i)
            .collect();
        match places[..] {
            [one] => Ok(one),
            [] => Err(format!(
                "expected the columns file, action and to in the first line. Received: {}",
                header.iter().take(10).collect::<Vec<_>>().join(",").shown()
            )),
            _ => Err(format!("expected one column {name}. Received {}", places.len())),
        }
    };
    let (file, action, to) = (column("file")?, column("action")?, column("to")?);
    let (mut rows, mut lines): (Vec<Row>, HashMap<PathBuf, u64>) = Default::default();
    let mut at = Lines::new(bytes);
    for record in reader.records() {
        let record = record.map_err(|e| said(&e))?;
        let line = at.of(record.position().map_or(0, csv::Position::byte) as usize);
        let cell = |place: usize| record.get(place).map(unquoted).unwrap_or_default();
        if record.iter().all(|cell| cell.trim().is_empty()) {
            continue;
        }
        let in_line = |what: String| format!("line {line}: {what}");
        if rows.len() == MOST_ROWS {
            return Err(in_line(format!("expected at most {} rows. Received more", thousands(MOST_ROWS))));
        }
        let file = inner_path(cell(file)).map_err(in_line)?;
        let action = parsed_action(cell(action), cell(to)).map_err(in_line)?;
        if let Some(before) = lines.insert(file.clone(), line) {
            return Err(in_line(format!(
                "expected each file once. Received {} in line {before}, too. Remove one of them",
                file.shown()
            )));
        }
        rows.push(Row { line, file, action });
    }
    Ok(rows)
}

fn said(error: &csv::Error) -> String {
    match error.kind() {
        csv::ErrorKind::Utf8 { pos, .. } => {
            let line = pos.as_ref().map_or(0, csv::Position::line);
            format!("line {line}: expected text in UTF-8. Save the table as \"CSV UTF-8\"")
        }
        _ => format!("it is no table of comma-separated values: {error}"),
    }
}

/// A cell without the `'` that keeps spreadsheets from computing it: see [`csv_cell`](crate::csv_cell).
fn unquoted(cell: &str) -> &str {
    match cell.strip_prefix('\'') {
        Some(rest) if rest.starts_with(['=', '+', '-', '@', '\t', '\r', '\n']) => rest,
        _ => cell,
    }
}

/// A path that stays below the folder that it is relative to.
fn inner_path(text: &str) -> Result<PathBuf, String> {
    let wrong = |what: &str| {
        Err(format!(
            "expected a path below the checked folder in the column file. Received `{}`, {what}",
            shortened(text)
        ))
    };
    if text.is_empty() {
        return wrong("which is empty");
    }
    if text.len() > LONGEST_PATH || text.contains('\0') {
        return wrong("which is no path of a file");
    }
    let path = Path::new(text);
    let inner = path.components().all(|part| matches!(part, Component::Normal(_)));
    match inner && !text.ends_with('/') {
        true => Ok(path.components().collect()),
        false => {
            wrong("which leads out of it or is no file: neither a leading `/` nor `.` nor `..` may be in it")
        }
    }
}

fn parsed_action(action: &str, to: &str) -> Result<Action, String> {
    let target = |what: &str| match is_name(to) {
        true => Ok(to.to_owned()),
        false => Err(format!(
            "expected the name of a {what} in the column `to` for {}. Received `{}`",
            action.shown(),
            shortened(to)
        )),
    };
    match action.trim().to_ascii_lowercase().as_str() {
        "" | "keep" => Ok(Action::Keep),
        "drop" => Ok(Action::Drop),
        "move" => Ok(Action::Move(target("set (train, validation or test)")?)),
        "relabel" => Ok(Action::Relabel(target("class")?)),
        _ => Err(format!(
            "expected keep, drop, move or relabel in the column action. Received `{}`",
            shortened(action)
        )),
    }
}

/// Whether this is the name of one visible folder.
fn is_name(text: &str) -> bool {
    let mut parts = Path::new(text).components();
    let one = matches!(parts.next(), Some(Component::Normal(_))) && parts.next().is_none();
    one && text.len() <= LONGEST_NAME
        && !text.starts_with('.')
        && !text.contains(['/', '\\', '\0', '\n', '\r'])
}

fn shortened(text: &str) -> String {
    let start: String = text.chars().take(80).collect();
    let more = if start.len() < text.len() { "…" } else { "" };
    format!("{}{more}", start.shown())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(table: &str) -> String {
        parse(table.as_bytes()).unwrap_err()
    }

    #[test]
    fn rows_are_read_with_any_order_of_columns_line_ends_and_a_byte_order_mark() {
        let table = "\u{feff}to,Action,note,file\r\n,drop,x,cats/1.jpg\r\n\"dogs\",relabel,,\"a, b/\"\"2\"\".jpg\"\r\n,,,\r\n\
                     train,MOVE,,val/c.jpg\r\n,,,'=d.jpg\r\n";
        let rows = parse(table.as_bytes()).unwrap();
        let expected = [
            (2, "cats/1.jpg", Action::Drop),
            (3, "a, b/\"2\".jpg", Action::Relabel("dogs".into())),
            (5, "val/c.jpg", Action::Move("train".into())),
            (6, "=d.jpg", Action::Keep),
        ];
        let found: Vec<_> =
            rows.iter().map(|r| (r.line, r.file.to_str().unwrap(), r.action.clone())).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn hostile_tables_are_refused_with_the_line() {
        let with = |file: &str, action: &str, to: &str| {
            error(&format!("file,action,to\nok.jpg,keep,\n{file},{action},{to}\n"))
        };
        for file in ["../x.jpg", "/etc/passwd", "a/../../b.jpg", "./a.jpg", "a/", "", "a\0.jpg"] {
            let text = with(file, "drop", "");
            assert!(text.contains("line 3") && text.contains("below the checked folder"), "{file}: {text}");
        }
        for to in ["", "..", "a/b", ".hidden", "/abs", "a\\b"] {
            assert!(with("a.jpg", "relabel", to).contains("name of a class"), "{to}");
            assert!(with("a.jpg", "move", to).contains("name of a set"), "{to}");
        }
        assert!(with("a.jpg", "delete", "").contains("keep, drop, move or relabel"));
        assert!(with("ok.jpg", "drop", "").contains("in line 2, too"));
        assert!(error("file,to\na,b\n").contains("expected the columns"));
        assert!(error("file,file,action,to\n").contains("one column file"));
        assert!(error("").contains("expected the columns"));
        assert!(parse(b"file,action,to\n\xff.jpg,drop,\n")
            .unwrap_err()
            .contains("line 2: expected text in UTF-8"));
        assert!(with("a\u{1b}[2J/../b", "drop", "").contains("\\u{1b}"), "escapes are shown, not printed");
    }
}

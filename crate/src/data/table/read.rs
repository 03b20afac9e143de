//! A table of labels: each line is checked, and an error names it.

use super::header::Header;
use super::reading::{Entries, Lines, Reading, Row};
use crate::data::layout::Part;
use crate::data::names::counted;
use crate::progress::{check_stop, say};
use crate::{input, Error, Result, Show};
use csv::{ByteRecord, ReaderBuilder, Terminator};
use std::path::{Path, PathBuf};

/// The longest table that is read, in bytes.
pub(super) const MAX_BYTES: u64 = 256 << 20;
/// A table that names photographs and their labels; made by [`LabelTable::read`].
///
/// ```text
/// file,label,split,group
/// img/1.jpg,cats,train,monday
/// img/2.jpg,dogs;cats,test,tuesday
/// ```
///
/// The first line names the columns, in any order and case; `split` and `group` may be missing, and other columns are
/// not used. `docs/labels.md` describes the format.
#[derive(Debug, Clone)]
pub struct LabelTable {
    pub(super) path: PathBuf,
    /// The names of the classes, sorted.
    pub(super) class_names: Vec<String>,
    /// Each different set of labels: positions of names.
    pub(super) cells: Vec<Vec<u32>>,
    /// By file, as `a/b.jpg` in Unicode's normalisation form C: the path as it is written, and the rest.
    pub(super) rows: Vec<(String, Row)>,
    pub(super) has_split: bool,
    pub(super) has_group: bool,
    multi_label: bool,
}

impl LabelTable {
    /// Reads a table of comma-separated values in UTF-8, of at most 1,000,000 photographs and 256 MiB. Photographs are
    /// not looked at.
    ///
    /// # Errors
    /// [`Error::Io`] where it cannot be read. [`Error::Data`] with the number of the line where a column is missing, a
    /// path is absolute or leads out of the folder, a label is empty, a file is there twice with different entries, or
    /// text is not UTF-8.
    pub fn read(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let bytes = input::patiently(|| input::read(path, MAX_BYTES))
            .map_err(|e| Error::io("cannot read the table of labels", path, e))?;
        let bytes = bytes.ok_or_else(|| {
            Error::Data(format!(
                "{}: expected a table of at most {} MiB. Received a longer file. Divide it.",
                path.shown(),
                MAX_BYTES >> 20
            ))
        })?;
        Self::parse(path, &bytes)
    }

    /// The same for bytes that were read from `path`.
    pub(crate) fn parse(path: &Path, bytes: &[u8]) -> Result<Self> {
        let at = |line: u64, what: String| Error::Data(format!("{}, line {line}: {what}", path.shown()));
        if bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff") {
            return Err(at(1, "expected text in UTF-8. Received UTF-16. Save the table as UTF-8.".into()));
        }
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        let mut reader = ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .terminator(Terminator::CRLF)
            .from_reader(bytes);
        let mut record = ByteRecord::new();
        let mut reading = Reading::default();
        let (mut header, mut lines): (Option<Header>, _) = (None, Lines::new(bytes));
        while reader.read_byte_record(&mut record).map_err(|e| at(1, format!("cannot be read: {e}")))? {
            let line = lines.of(record.position().map_or(0, csv::Position::byte) as usize);
            let Some(header) = &header else {
                header = Some(Header::of(&record).map_err(|what| at(line, what))?);
                continue;
            };
            reading.row(header, &record, line).map_err(|what| at(line, what))?;
            if line.is_multiple_of(4096) {
                check_stop("The reading of the table")?;
            }
        }
        let Some(header) = header else {
            return Err(at(
                1,
                "expected a line file,label and then a line for each photograph. Received nothing.".into(),
            ));
        };
        if reading.rows.is_empty() {
            return Err(at(1, "expected a line for each photograph behind the first. Received none.".into()));
        }
        if reading.repeated > 0 {
            say(format!(
                "{}: {} again what was said before, and count once.",
                path.shown(),
                match reading.repeated {
                    1 => "1 line says".to_owned(),
                    n => format!("{} say", counted(n, "line")),
                }
            ));
        }
        let Entries { class_names, cells, rows, several } = reading.finish();
        Ok(LabelTable {
            path: path.to_owned(),
            class_names,
            cells,
            rows,
            has_split: header.split.is_some(),
            has_group: header.group.is_some(),
            multi_label: several,
        })
    }

    /// Number of photographs.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The paths of its photographs below their folder, sorted, in Unicode's normalisation form C and with `/` between
    /// folders.
    pub(crate) fn files(&self) -> impl Iterator<Item = &str> {
        self.rows.iter().map(|(file, _)| file.as_str())
    }

    /// The names of the classes, sorted.
    pub fn class_names(&self) -> &[String] {
        &self.class_names
    }

    /// Whether a photograph may have several labels, or none: where one has, or [`multi_label`](Self::multi_label) says
    /// so.
    pub fn is_multi_label(&self) -> bool {
        self.multi_label
    }

    /// Whether it has a column `split`.
    pub fn has_split(&self) -> bool {
        self.has_split
    }

    /// Takes it for a table of several labels a photograph although each happens to have one.
    ///
    /// # Errors
    /// [`Error::Data`] where one label a photograph is asked for and one has several, or none.
    pub fn multi_label(mut self, yes: bool) -> Result<Self> {
        let several = |row: &&(String, Row)| self.cells[row.1.cell as usize].len() != 1;
        if let Some((_, row)) =
            self.rows.iter().filter(several).min_by_key(|(_, row)| row.line).filter(|_| !yes)
        {
            return Err(Error::Data(format!(
                "{}, line {}: expected one label for each photograph. Received {}.",
                self.path.shown(),
                row.line,
                counted(self.cells[row.cell as usize].len(), "label")
            )));
        }
        self.multi_label = yes;
        Ok(self)
    }

    /// The photographs of one part, by the column `split`: `train`, `validation` or `test`.
    ///
    /// # Errors
    /// [`Error::Invalid`] where `part` is none of these; [`Error::Data`] where there is no such column, or no photograph
    /// of this part.
    pub fn split(mut self, part: &str) -> Result<Self> {
        let wanted = Part::named(part).ok_or_else(|| {
            Error::Invalid(format!(
                "expected the split train, validation or test. Received: {}",
                part.shown()
            ))
        })?;
        self.rows.retain(|(_, row)| row.split == Some(wanted));
        match self.rows.is_empty() {
            false => Ok(self),
            true => Err(Error::Data(format!(
                "{}: expected photographs whose split is {}. Received {}.",
                self.path.shown(),
                part.shown(),
                if self.has_split { "none" } else { "no column split" }
            ))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::reading::MAX_ROWS;
    use super::*;

    fn table(text: &[u8]) -> Result<LabelTable> {
        LabelTable::parse(Path::new("labels.csv"), text)
    }

    fn refused(text: &[u8]) -> String {
        table(text).unwrap_err().to_string()
    }

    #[test]
    fn order_of_lines_line_ends_quotes_and_a_byte_order_mark_do_not_matter() {
        let plain = table(b"file,label\na/1.jpg,cat\n\"b, c.jpg\",dog\nd.jpg,cat\n").unwrap();
        let other =
            table(b"\xef\xbb\xbfLabel , FILE\r\ncat,./d.jpg\r\n\r\ndog,\"b, c.jpg\"\r\n cat ,a//1.jpg")
                .unwrap();
        let entries = |table: &LabelTable| -> Vec<(String, Vec<u32>)> {
            table
                .rows
                .iter()
                .map(|(file, row)| (file.clone(), table.cells[row.cell as usize].clone()))
                .collect()
        };
        assert_eq!(entries(&plain), entries(&other));
        assert_eq!(plain.class_names(), ["cat", "dog"]);
        assert!(!plain.is_multi_label() && !plain.has_split());
        assert_eq!(other.rows[2].1.line, 2);
    }

    #[test]
    fn several_labels_or_none_make_a_table_of_several() {
        let found = table(b"file,label\n1.jpg,dog;cat\n2.jpg,;\n3.jpg,cat; dog\n4.jpg,cow\n").unwrap();
        assert!(found.is_multi_label());
        assert_eq!(found.class_names(), ["cat", "cow", "dog"]);
        assert_eq!(found.cells, [vec![], vec![0, 2], vec![1]]);
        let error = found.multi_label(false).unwrap_err().to_string();
        assert!(error.contains("line 2: expected one label"), "{error}");
        assert!(table(b"file,label\n1.jpg,a\n").unwrap().multi_label(true).unwrap().is_multi_label());
    }

    #[test]
    fn a_file_twice_counts_once_or_is_refused_with_both_lines() {
        assert_eq!(table(b"file,label\n1.jpg,a\n./1.jpg,a\n").unwrap().len(), 1);
        let composed = "file,label\ncaf\u{e9}.jpg,a\ncafe\u{301}.jpg,a\n";
        assert_eq!(table(composed.as_bytes()).unwrap().len(), 1);
        let text = refused(b"file,label\n1.jpg,a\n2.jpg,a\n1.jpg,b\n");
        assert!(text.contains("line 4: 1.jpg was in line 2 with other labels"), "{text}");
        let text = refused(b"file,label,split\n1.jpg,a,train\n1.jpg,a,test\n");
        assert!(text.contains("other splits"), "{text}");
        let text = refused(b"file,label,group\n1.jpg,a,x\n1.jpg,a,y\n");
        assert!(text.contains("other groups"), "{text}");
    }

    #[test]
    fn what_no_line_may_be_is_refused_with_its_number() {
        let cases: [(&[u8], &str); 14] = [
            (b"file,label\n../1.jpg,a\n", "line 2: expected a path below the folder"),
            (b"file,label\na/../../1.jpg,a\n", "without `..`"),
            (b"file,label\nok.jpg,a\n/etc/1.jpg,a\n", "line 3: expected a path relative"),
            (b"file,label\n1.jpg,\n", "line 2: expected a label. Received an empty one"),
            (b"file,label\n1.jpg,a;;b\n", "between `;`"),
            (b"file,label\n,a\n", "expected the path of a photograph"),
            (b"file,label\n.,a\n", "expected the path of a photograph"),
            (b"file,label\n1.jpg,a,b\n", "expected 2 fields, as in the first line. Received 3"),
            (b"file,label\n1.jpg,a\0b\n", "without NUL"),
            (b"file,label\n1\xff.jpg,a\n", "expected a path in UTF-8"),
            (
                b"file,label,split\n1.jpg,a,dev\n",
                "expected the split train, validation or test. Received: \"dev\"",
            ),
            (b"file,label\n", "expected a line for each photograph"),
            (b"", "Received nothing"),
            (b"\xff\xfef\0i\0", "UTF-16"),
        ];
        for (bytes, expected) in cases {
            let text = refused(bytes);
            assert!(text.contains(expected) && text.contains("labels.csv, line"), "{text}");
        }
        let open = format!("file,label\n\"1.jpg,a\n{}", "2.jpg,b\n".repeat(1000));
        assert!(refused(open.as_bytes()).contains("line 2: expected fields of at most 4096 bytes"));
    }

    #[test]
    fn a_table_of_too_many_photographs_is_refused_at_its_line() {
        let mut text = String::from("file,label\n");
        for i in 0..=MAX_ROWS {
            text += &format!("{i}.jpg,a\n");
        }
        let error = refused(text.as_bytes());
        assert!(error.contains("line 1000002: expected at most 1,000,000 photographs"), "{error}");
    }

    #[test]
    fn photographs_without_a_group_are_one_each() {
        let found = table(b"file,label,group\n1.jpg,a,x\n2.jpg,a,\n3.jpg,b,\n4.jpg,b, x\n").unwrap();
        let groups: Vec<u32> = found.rows.iter().map(|(_, row)| row.group).collect();
        assert_eq!(groups[0], groups[3]);
        assert!(groups[1] != groups[2] && groups[1] != groups[0]);
    }
}

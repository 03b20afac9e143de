//! Which column of a table of labels is which, by their names.

use crate::Show;
use csv::ByteRecord;

/// The positions of the columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    pub file: usize,
    pub label: usize,
    pub split: Option<usize>,
    pub group: Option<usize>,
    /// How many there are.
    pub columns: usize,
}

impl Header {
    /// Finds them. The error follows `line 1: `.
    pub fn of(record: &ByteRecord) -> Result<Self, String> {
        let names: Vec<String> =
            record.iter().map(|name| String::from_utf8_lossy(name).trim().to_lowercase()).collect();
        let shown: Vec<String> = names.iter().take(10).map(|name| name.shown().to_string()).collect();
        let find = |wanted: &str| {
            let mut places = (0..names.len()).filter(|&i| names[i] == wanted);
            match (places.next(), places.next()) {
                (first, None) => Ok(first),
                _ => Err(format!("expected one column `{wanted}`. Received several")),
            }
        };
        let need = |wanted: &str| {
            find(wanted)?.ok_or_else(|| {
                let separated = match names.as_slice() {
                    [one] if one.contains([';', '\t', '|']) => " Separate the columns by commas.",
                    _ => " The first line names the columns: file,label, and split and group if there are some.",
                };
                format!("expected a column `{wanted}`. Received: {}.{separated}", shown.join(", "))
            })
        };
        Ok(Header {
            file: need("file")?,
            label: need("label")?,
            split: find("split")?,
            group: find("group")?,
            columns: names.len(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(names: &[&str]) -> Result<Header, String> {
        Header::of(&ByteRecord::from(names.to_vec()))
    }

    #[test]
    fn columns_are_found_by_name_in_any_order_and_case() {
        let found = header(&[" Group", "notes", "LABEL ", "File"]).unwrap();
        assert_eq!(found, Header { file: 3, label: 2, split: None, group: Some(0), columns: 4 });
    }

    #[test]
    fn what_is_missing_or_there_twice_is_named_and_other_separators_are_seen() {
        assert!(header(&["file", "class"]).unwrap_err().contains("column `label`. Received: file, class."));
        assert!(header(&["file", "label", "FILE"]).unwrap_err().contains("one column `file`"));
        for line in ["file;label", "file\tlabel"] {
            assert!(header(&[line]).unwrap_err().contains("by commas"), "{line}");
        }
    }
}

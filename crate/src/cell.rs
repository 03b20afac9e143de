//! Text in tables that a spreadsheet may open.

use std::borrow::Cow;

/// A cell of a CSV table. Spreadsheets compute what begins with `=`, `+`, `-`, `@`, a tab or a line break, also in
/// names of files and classes that somebody else chose; such a cell gets a leading `'`. Plain numbers stay as they are.
///
/// ```
/// use transfer::csv_cell;
/// assert_eq!(&*csv_cell(b"=1+1"), b"'=1+1");
/// assert_eq!(&*csv_cell(b"-12.5"), b"-12.5");
/// assert_eq!(&*csv_cell(b"cats"), b"cats");
/// ```
pub fn csv_cell(text: &[u8]) -> Cow<'_, [u8]> {
    let computes = matches!(text.first(), Some(b'=' | b'+' | b'-' | b'@' | b'\t' | b'\r' | b'\n'));
    match computes && !is_number(text) {
        true => [b"'", text].concat().into(),
        false => text.into(),
    }
}

/// Digits with a sign, a point, an exponent; no infinity, no NaN.
fn is_number(text: &[u8]) -> bool {
    let digits = text.iter().all(|b| b.is_ascii_digit() || b".eE+-".contains(b));
    digits && std::str::from_utf8(text).is_ok_and(|text| text.parse::<f64>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_spreadsheet_would_compute_is_text_and_numbers_stay_numbers() {
        for text in
            ["=1", "+cmd|' /C calc'!A0", "-1+1", "@SUM(A1)", "\t=1", "\r=1", "-", "+", "-inf", "=", "-1-1"]
        {
            assert_eq!(&*csv_cell(text.as_bytes()), [b"'", text.as_bytes()].concat(), "{text:?}");
        }
        for text in ["", "a=1", "-1", "+0.5", "-1e-7", "0.25", "'=1", "\u{fffd}=", "photo -1.jpg"] {
            assert_eq!(&*csv_cell(text.as_bytes()), text.as_bytes(), "{text:?}");
        }
    }
}

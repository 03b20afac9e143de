//! Predictions as a table, as JSON lines and as CSV.

use std::io::Write;

use serde_json::json;
use transfer::deploy::Prediction;

use crate::args::PredictFormat;

/// Writes predictions one by one; memory does not grow with their number.
pub struct Writer {
    format: PredictFormat,
    /// How many classes are named for each.
    top: usize,
    /// Of the longest name of a class, in characters.
    width: usize,
    /// Whether the head was written.
    begun: bool,
}

impl Writer {
    pub fn new(format: PredictFormat, top: usize, classes: &[String]) -> Self {
        let names = classes.iter().map(|name| plain(name).chars().count());
        let width = names.max().unwrap_or(0).clamp("class".len(), 40);
        Writer { format, top: top.min(classes.len()), width, begun: false }
    }

    /// The head, where the format has one.
    fn begin(&self, out: &mut impl Write) -> std::io::Result<()> {
        match self.format {
            PredictFormat::Table => {
                let width = self.width;
                writeln!(out, "confidence  {:<width$}  file", "class")
            }
            PredictFormat::Jsonl => Ok(()),
            PredictFormat::Csv => {
                write!(out, "file,class,confidence")?;
                for rank in 2..=self.top {
                    write!(out, ",class_{rank},confidence_{rank}")?;
                }
                writeln!(out)
            }
        }
    }

    /// One prediction, as one line; the head before the first.
    pub fn write(&mut self, out: &mut impl Write, prediction: &Prediction) -> std::io::Result<()> {
        if !self.begun {
            self.begin(out)?;
            self.begun = true;
        }
        let file = prediction.path.to_string_lossy();
        let top = prediction.top(self.top);
        match self.format {
            PredictFormat::Table => {
                let (name, width) = (plain(&prediction.class_name), self.width);
                let confidence = 100.0 * prediction.confidence;
                write!(out, "{confidence:>8.1} %  {name:<width$}  {}", plain(&file))?;
                let others =
                    top.iter().skip(1).map(|(name, p)| format!("{} {:.1} %", plain(name), 100.0 * p));
                let others: Vec<String> = others.collect();
                match others.is_empty() {
                    true => writeln!(out),
                    false => writeln!(out, "  ({})", others.join(", ")),
                }
            }
            PredictFormat::Jsonl => {
                let top: Vec<_> =
                    top.iter().map(|(name, p)| json!({ "class": name, "probability": p })).collect();
                let line = json!({
                    "file": file,
                    "class": prediction.class_name,
                    "confidence": prediction.confidence,
                    "top": top,
                });
                writeln!(out, "{line}")
            }
            PredictFormat::Csv => {
                write!(out, "{}", cell(&file))?;
                for (name, p) in &top {
                    write!(out, ",{},{p}", cell(name))?;
                }
                writeln!(out)
            }
        }
    }
}

/// Somebody's text for a line of a terminal: it must not break the line or paint the screen.
pub fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{FFFD}' } else { c }).collect()
}

/// A cell of CSV, quoted where it has to be (RFC 4180).
fn cell(text: &str) -> String {
    match text.contains([',', '"', '\n', '\r']) {
        true => format!("\"{}\"", text.replace('"', "\"\"")),
        false => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(format: PredictFormat, top: usize) -> String {
        let names = ["cats", "dogs, wet", "eels"].map(String::from);
        let prediction = Prediction {
            path: "a \"b\"\n.jpg".into(),
            class_name: "dogs, wet".into(),
            label: 1,
            confidence: 0.75,
            probabilities: vec![0.125, 0.75, 0.125],
            class_names: names.to_vec().into(),
        };
        let mut out = Vec::new();
        let mut writer = Writer::new(format, top, &names);
        writer.write(&mut out, &prediction).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn each_format_has_one_line_a_file_whatever_its_name() {
        let table = written(PredictFormat::Table, 2);
        assert_eq!(
            table,
            "confidence  class      file\n    75.0 %  dogs, wet  a \"b\"\u{FFFD}.jpg  (cats 12.5 %)\n"
        );
        let line: serde_json::Value = serde_json::from_str(&written(PredictFormat::Jsonl, 2)).unwrap();
        assert_eq!(line["file"], "a \"b\"\n.jpg");
        assert_eq!((&line["class"], &line["confidence"]), (&json!("dogs, wet"), &json!(0.75)));
        assert_eq!(line["top"][1], json!({ "class": "cats", "probability": 0.125 }));
        assert_eq!(written(PredictFormat::Jsonl, 9).lines().count(), 1);
        assert_eq!(
            written(PredictFormat::Csv, 9),
            "file,class,confidence,class_2,confidence_2,class_3,confidence_3\n\
             \"a \"\"b\"\"\n.jpg\",\"dogs, wet\",0.75,cats,0.125,eels,0.125\n"
        );
        assert!(written(PredictFormat::Csv, 1).starts_with("file,class,confidence\n"));
    }
}

//! Predictions as a table, as JSON lines and as CSV.

use std::io::{Error, Write};
use std::path::Path;

use base64::Engine;
use csv::ByteRecord;
use serde_json::{json, Map, Value};
use transfer::train::Prediction;
use transfer::{csv_cell, Show};

use crate::args::PredictFormat;

/// Between two labels, as in a table of labels; alone where a photograph has none.
const SEPARATOR: &str = ";";

/// Writes predictions one by one; memory does not grow with their number.
pub struct Writer {
    format: PredictFormat,
    /// How many classes are named for each.
    top: usize,
    /// Of the longest name of a class, in characters.
    width: usize,
    /// Whether it is said of each file why it is unknown, if it is.
    unknown: bool,
    /// Whether the head was written.
    begun: bool,
    /// For a model of several labels a photograph: above which probability a photograph has each.
    thresholds: Vec<f32>,
}

/// In the place of a class.
const UNKNOWN: &str = "unknown";

impl Writer {
    pub fn new(format: PredictFormat, top: usize, classes: &[String], unknown: bool) -> Self {
        let names = classes.iter().map(|name| name.shown().to_string().chars().count());
        let least = if unknown { UNKNOWN.len() } else { "class".len() };
        let width = names.max().unwrap_or(0).clamp(least, 40);
        Writer { format, top: top.min(classes.len()), width, unknown, begun: false, thresholds: Vec::new() }
    }

    /// Names the labels above their thresholds in place of the most probable class, where there are thresholds.
    pub fn thresholds(self, thresholds: Vec<f32>) -> Self {
        Writer { thresholds, ..self }
    }

    /// Whether the head is written, where the format has one.
    pub fn with_head(self, yes: bool) -> Self {
        Writer { begun: !yes, ..self }
    }

    fn several(&self) -> bool {
        !self.thresholds.is_empty()
    }

    /// The head, where the format has one.
    fn begin(&self, out: &mut impl Write) -> std::io::Result<()> {
        match self.format {
            PredictFormat::Table => {
                let width = self.width;
                match self.several() {
                    true => writeln!(out, "labels  file"),
                    false => writeln!(out, "confidence  {:<width$}  file", "class"),
                }
            }
            PredictFormat::Jsonl => Ok(()),
            PredictFormat::Csv => {
                if self.several() {
                    return line(out, &ByteRecord::from(vec!["file", "labels", "probabilities"]));
                }
                let mut head = ["file", "class", "confidence"].map(String::from).to_vec();
                for rank in 2..=self.top {
                    head.extend([format!("class_{rank}"), format!("confidence_{rank}")]);
                }
                if self.unknown {
                    head.extend(["best_class", "reason"].map(String::from));
                }
                line(out, &ByteRecord::from(head))
            }
        }
    }

    /// One prediction, as one line; the head before the first.
    pub fn write(&mut self, out: &mut impl Write, prediction: &Prediction) -> std::io::Result<()> {
        if !self.begun {
            self.begin(out)?;
            self.begun = true;
        }
        if self.several() {
            return write_labels(out, self.format, prediction, &self.thresholds);
        }
        let top = prediction.top(self.top);
        let reason = prediction.unknown.as_ref().map(ToString::to_string);
        let class = if reason.is_some() { UNKNOWN } else { &prediction.class_name };
        match self.format {
            PredictFormat::Table => {
                let (name, width) = (class.shown(), self.width);
                let confidence = 100.0 * prediction.confidence;
                write!(out, "{confidence:>8.1} %  {name:<width$}  {}", prediction.path.shown())?;
                let others =
                    top.iter().skip(1).map(|(name, p)| format!("{} {:.1} %", name.shown(), 100.0 * p));
                let mut others: Vec<String> = others.collect();
                if let Some(reason) = reason {
                    others.insert(0, format!("{} {confidence:.1} %", prediction.class_name.shown()));
                    others.push(reason);
                }
                match others.is_empty() {
                    true => writeln!(out),
                    false => writeln!(out, "  ({})", others.join(", ")),
                }
            }
            PredictFormat::Jsonl => {
                let top: Vec<_> =
                    top.iter().map(|(name, p)| json!({ "class": name, "probability": p })).collect();
                let mut said = Map::new();
                insert_file(&mut said, &prediction.path);
                said.insert("class".into(), class.into());
                said.insert("confidence".into(), prediction.confidence.into());
                said.insert("top".into(), top.into());
                if self.unknown {
                    said.insert("unknown".into(), reason.is_some().into());
                    said.insert("reason".into(), reason.into());
                }
                writeln!(out, "{}", Value::from(said))
            }
            PredictFormat::Csv => {
                let mut record = ByteRecord::new();
                record.push_field(&csv_cell(prediction.path.as_os_str().as_encoded_bytes()));
                for (rank, (name, p)) in top.iter().enumerate() {
                    record.push_field(&csv_cell(if rank == 0 { class } else { name }.as_bytes()));
                    record.push_field(p.to_string().as_bytes());
                }
                if self.unknown {
                    record.push_field(&csv_cell(prediction.class_name.as_bytes()));
                    record.push_field(reason.unwrap_or_default().as_bytes());
                }
                line(out, &record)
            }
        }
    }
}

/// One prediction as one line: the labels above their thresholds, the most probable first.
fn write_labels(
    out: &mut impl Write,
    format: PredictFormat,
    prediction: &Prediction,
    thresholds: &[f32],
) -> std::io::Result<()> {
    let above = prediction.labels_above(thresholds);
    let names: Vec<&str> = above.iter().map(|(name, _)| name.as_str()).collect();
    let names = if names.is_empty() { SEPARATOR.to_owned() } else { names.join(SEPARATOR) };
    match format {
        PredictFormat::Table => {
            let labels: Vec<String> =
                above.iter().map(|(name, p)| format!("{} {:.1} %", name.shown(), 100.0 * p)).collect();
            let labels = if labels.is_empty() { "(none)".to_owned() } else { labels.join(", ") };
            writeln!(out, "{labels}  {}", prediction.path.shown())
        }
        PredictFormat::Jsonl => {
            let mut said = Map::new();
            insert_file(&mut said, &prediction.path);
            said.insert("labels".into(), above.iter().map(|(name, _)| Value::from(name.as_str())).collect());
            let all = prediction.class_names.iter().zip(&prediction.probabilities);
            said.insert(
                "probabilities".into(),
                all.map(|(name, p)| (name.clone(), Value::from(*p))).collect(),
            );
            writeln!(out, "{}", Value::from(said))
        }
        PredictFormat::Csv => {
            let mut record = ByteRecord::new();
            record.push_field(&csv_cell(prediction.path.as_os_str().as_encoded_bytes()));
            record.push_field(&csv_cell(names.as_bytes()));
            let all: Vec<String> = above.iter().map(|(_, p)| p.to_string()).collect();
            record.push_field(all.join(SEPARATOR).as_bytes());
            line(out, &record)
        }
    }
}

/// A file's path as JSON: as text in `file`, and where it is not UTF-8 also in `file_bytes`, in base64, since then
/// the text has replacement characters.
pub fn insert_file(said: &mut Map<String, Value>, path: &Path) {
    said.insert("file".into(), path.to_string_lossy().into());
    if path.to_str().is_none() {
        let bytes = path.as_os_str().as_encoded_bytes();
        said.insert("file_bytes".into(), base64::engine::general_purpose::STANDARD.encode(bytes).into());
    }
}

/// One line of CSV (RFC 4180).
fn line(out: &mut impl Write, record: &ByteRecord) -> std::io::Result<()> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_byte_record(record).map_err(Error::from)?;
    out.write_all(&writer.into_inner().map_err(|e| Error::other(e.to_string()))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prediction(path: impl AsRef<Path>, names: [&str; 3]) -> Prediction {
        let names = names.map(String::from);
        Prediction {
            path: path.as_ref().into(),
            class_name: names[1].clone(),
            label: 1,
            confidence: 0.75,
            probabilities: vec![0.125, 0.75, 0.125],
            class_names: names.to_vec().into(),
            unknown: None,
        }
    }

    fn written(format: PredictFormat, top: usize, prediction: &Prediction) -> Vec<u8> {
        let mut out = Vec::new();
        let mut writer = Writer::new(format, top, &prediction.class_names, prediction.unknown.is_some());
        writer.write(&mut out, prediction).unwrap();
        out
    }

    fn text(format: PredictFormat, top: usize, prediction: &Prediction) -> String {
        String::from_utf8(written(format, top, prediction)).unwrap()
    }

    #[test]
    fn each_format_has_one_line_a_file_whatever_its_name() {
        let odd = prediction("a \"b\"\n.jpg", ["cats", "dogs, wet", "eels"]);
        assert_eq!(
            text(PredictFormat::Table, 2, &odd),
            "confidence  class      file\n    75.0 %  dogs, wet  a \"b\"\\n.jpg  (cats 12.5 %)\n"
        );
        let line: Value = serde_json::from_str(&text(PredictFormat::Jsonl, 2, &odd)).unwrap();
        assert_eq!(line["file"], "a \"b\"\n.jpg");
        assert_eq!((&line["class"], &line["confidence"]), (&json!("dogs, wet"), &json!(0.75)));
        assert_eq!(line["top"][1], json!({ "class": "cats", "probability": 0.125 }));
        assert!(line.get("file_bytes").is_none());
        assert_eq!(text(PredictFormat::Jsonl, 9, &odd).lines().count(), 1);
        assert_eq!(
            text(PredictFormat::Csv, 9, &odd),
            "file,class,confidence,class_2,confidence_2,class_3,confidence_3\n\
             \"a \"\"b\"\"\n.jpg\",\"dogs, wet\",0.75,cats,0.125,eels,0.125\n"
        );
        assert!(text(PredictFormat::Csv, 1, &odd).starts_with("file,class,confidence\n"));
    }

    #[test]
    fn an_unknown_photograph_has_its_reason_and_its_most_probable_class() {
        let why = transfer::model::Unknown::FarFromTraining { share: 0.002 };
        let odd = Prediction { unknown: Some(why), ..prediction("a.jpg", ["cats", "dogs", "eels"]) };
        let reason = "unlike the training photographs: only 0.2 % of known ones are as far from them";
        assert_eq!(
            text(PredictFormat::Table, 2, &odd),
            format!("confidence  class    file\n    75.0 %  unknown  a.jpg  (dogs 75.0 %, cats 12.5 %, {reason})\n")
        );
        let line: Value = serde_json::from_str(&text(PredictFormat::Jsonl, 1, &odd)).unwrap();
        assert_eq!((&line["class"], &line["unknown"]), (&json!("unknown"), &json!(true)));
        assert_eq!((&line["top"][0]["class"], &line["reason"]), (&json!("dogs"), &json!(reason)));
        assert_eq!(
            text(PredictFormat::Csv, 2, &odd),
            format!(
                "file,class,confidence,class_2,confidence_2,best_class,reason\n\
                 a.jpg,unknown,0.75,cats,0.125,dogs,{reason}\n"
            )
        );
        // Beside it, one that is known.
        let mut out = Vec::new();
        let mut writer = Writer::new(PredictFormat::Jsonl, 1, &odd.class_names, true);
        writer.write(&mut out, &Prediction { unknown: None, ..odd }).unwrap();
        let line: Value = serde_json::from_slice(&out).unwrap();
        assert_eq!(
            (&line["class"], &line["unknown"], &line["reason"]),
            (&json!("dogs"), &json!(false), &Value::Null)
        );
    }

    #[test]
    fn a_spreadsheet_computes_no_name_and_a_terminal_acts_on_none() {
        let hostile = prediction("=cmd|' /C calc'!A0", ["-1", "@home\u{1b}[2J", "+1+1"]);
        let table = text(PredictFormat::Csv, 3, &hostile);
        let line = table.lines().nth(1).unwrap();
        assert_eq!(line, "'=cmd|' /C calc'!A0,'@home\u{1b}[2J,0.75,-1,0.125,'+1+1,0.125");
        assert!(!text(PredictFormat::Table, 3, &hostile).contains('\u{1b}'));
    }

    #[cfg(unix)]
    #[test]
    fn a_path_that_is_not_utf_8_comes_out_whole() {
        use std::os::unix::ffi::OsStrExt;
        let bytes = b"photos/a\xff\xfe.jpg";
        let odd = prediction(std::ffi::OsStr::from_bytes(bytes), ["a", "b", "c"]);
        let line: Value = serde_json::from_str(&text(PredictFormat::Jsonl, 1, &odd)).unwrap();
        assert_eq!(line["file"], "photos/a\u{fffd}\u{fffd}.jpg");
        let encoded = line["file_bytes"].as_str().unwrap();
        assert_eq!(base64::engine::general_purpose::STANDARD.decode(encoded).unwrap(), bytes);
        let table = written(PredictFormat::Csv, 1, &odd);
        assert!(table.windows(bytes.len()).any(|part| part == bytes));
        assert!(text(PredictFormat::Table, 1, &odd).contains(r"photos/a\xff\xfe.jpg"));
    }
}

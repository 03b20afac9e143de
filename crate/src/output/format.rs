//! Whether a file is one that this program wrote, by its content.

use std::fs::File;
use std::io::{Read, Result as IoResult};

use serde_json::Value;

/// What is written.
#[derive(Debug, Clone)]
pub(crate) enum Format {
    /// What `Model::save` writes.
    Model,
    /// Weights alone, as safetensors.
    Weights,
    /// What `Model::export_onnx` writes.
    Onnx,
    /// A figure as PNG.
    #[cfg_attr(not(feature = "plot"), allow(dead_code))]
    Figure,
    /// The numbers of a run, as JSON.
    Report,
    /// A page in HTML that reports on a model.
    Page,
    /// Features and thumbnails of training photographs.
    Neighbours,
    /// A table whose first line is one of these.
    Table(Vec<String>),
}

/// The longest header of a safetensors file that is looked at.
const MAX_HEADER: u64 = 16 << 20;
/// The longest report and the longest first line of a table that are looked at.
const MAX_TEXT: u64 = 16 << 20;
/// What stands before the version in the text chunk of a figure, and behind it.
const PNG_KEY: &[u8] = b"Software\0transfer ";
const PNG_MAGIC: &[u8] = b"\x89PNG\r\n\x1a\n";
/// Signature and first chunk (IHDR), which are as long in every PNG file.
const PNG_START: usize = 8 + 12 + 13;
/// What each page starts with, up to the version.
pub(crate) const PAGE_START: &str =
    "<!doctype html>\n<html lang=\"en\">\n<meta name=\"generator\" content=\"transfer ";
/// What this program calls itself where a format has room for it.
const WRITER: &str = "transfer ";

impl Format {
    /// In words, with an article.
    pub fn name(&self) -> &'static str {
        match self {
            Format::Model => "a model",
            Format::Weights => "a file of weights",
            Format::Onnx => "an ONNX file",
            Format::Figure => "a figure",
            Format::Report => "a report",
            Format::Page => "a page",
            Format::Neighbours => "a file of training photographs",
            Format::Table(_) => "a table with the same columns",
        }
    }

    /// The room in bytes that is kept free for such a file. A model of ten classes has 9.1 MB.
    pub fn room(&self) -> u64 {
        match self {
            Format::Model | Format::Weights | Format::Onnx => 10 << 20,
            Format::Figure | Format::Report | Format::Page | Format::Neighbours | Format::Table(_) => 0,
        }
    }

    /// Whether this program wrote the file, which is read from its start.
    pub fn is_written_here(&self, file: &mut File) -> IoResult<bool> {
        match self {
            Format::Model => names_writer(file, "model"),
            Format::Neighbours => names_writer(file, "neighbours"),
            Format::Weights => Ok(metadata(file)?.is_some_and(|about| {
                // A model and a checkpoint have an entry of their own.
                is_writer(&about["written_by"]) && about["model"].is_null() && about["checkpoint"].is_null()
            })),
            Format::Onnx => {
                let start = start_of(file, 13)?;
                // Field 1 is the version of the format, field 2 the producer, field 3 follows.
                let producer = start.get(2..);
                Ok(start.first() == Some(&0x08) && producer == Some(b"\x12\x08transfer\x1a".as_slice()))
            }
            Format::Figure => {
                let start = start_of(file, PNG_START as u64 + 8 + PNG_KEY.len() as u64)?;
                Ok(start.starts_with(PNG_MAGIC) && start.ends_with(PNG_KEY))
            }
            Format::Report => {
                let report: Option<Value> = serde_json::from_slice(&start_of(file, MAX_TEXT)?).ok();
                // Those of the first version do not name their writer.
                let keys = ["data_set_why", "history", "peak_rss_bytes", "test_errors"];
                Ok(report.is_some_and(|report| {
                    is_writer(&report["written_by"]) || keys.iter().all(|key| report.get(key).is_some())
                }))
            }
            Format::Page => Ok(start_of(file, PAGE_START.len() as u64)? == PAGE_START.as_bytes()),
            Format::Table(headers) => {
                let longest = headers.iter().map(String::len).max().unwrap_or(0);
                let start = start_of(file, longest as u64 + 2)?;
                let line = start.split(|&byte| byte == b'\n').next().unwrap_or_default();
                let line = line.strip_suffix(b"\r").unwrap_or(line);
                Ok(line.len() < start.len() && headers.iter().any(|header| line == header.as_bytes()))
            }
        }
    }
}

/// Whether the metadata of a safetensors file has JSON under `key` that names this program.
fn names_writer(file: &mut File, key: &str) -> IoResult<bool> {
    let about = metadata(file)?;
    let text = about.as_ref().and_then(|about| about[key].as_str());
    let value: Option<Value> = text.and_then(|text| serde_json::from_str(text).ok());
    Ok(value.is_some_and(|value| is_writer(&value["written_by"])))
}

fn is_writer(value: &Value) -> bool {
    value.as_str().is_some_and(|writer| writer.starts_with(WRITER))
}

fn start_of(file: &mut File, length: u64) -> IoResult<Vec<u8>> {
    let mut bytes = Vec::new();
    file.by_ref().take(length).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The metadata of a safetensors file; `None` where it is another kind of file.
fn metadata(file: &mut File) -> IoResult<Option<Value>> {
    let Ok(length) = <[u8; 8]>::try_from(start_of(file, 8)?) else { return Ok(None) };
    let length = u64::from_le_bytes(length);
    if length > MAX_HEADER {
        return Ok(None);
    }
    let header: Option<Value> = serde_json::from_slice(&start_of(file, length)?).ok();
    Ok(header.map(|mut header| header["__metadata__"].take()))
}

/// A PNG file with a text chunk that names this program. Bytes of another kind stay as they are.
#[cfg(feature = "plot")]
pub(crate) fn with_png_marker(png: Vec<u8>) -> Vec<u8> {
    if !png.starts_with(PNG_MAGIC) || png.len() < PNG_START {
        return png;
    }
    let mut chunk = b"tEXt".to_vec();
    chunk.extend(PNG_KEY);
    chunk.extend(env!("CARGO_PKG_VERSION").as_bytes());
    let mut check = flate2::Crc::new();
    check.update(&chunk);
    let (start, rest) = png.split_at(PNG_START);
    let length = (chunk.len() as u32 - 4).to_be_bytes();
    [start, &length, &chunk, &check.sum().to_be_bytes(), rest].concat()
}

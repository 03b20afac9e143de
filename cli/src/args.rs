//! What can be asked for, as clap reads it; the comments are what `--help` says.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// Train an image classifier on your own photographs, and use it.
///
/// It starts from MobileNetV2, which has seen a million photographs. A few dozen of each of your classes
/// are enough.
#[derive(Debug, Parser)]
#[command(name = "transfer", version, after_help = EXAMPLES)]
pub struct Program {
    /// Say nothing but results and errors
    #[arg(short, long, global = true)]
    pub quiet: bool,
    #[command(subcommand)]
    pub command: Command,
}

const EXAMPLES: &str = "\
Examples:
  transfer train my_photos                     my_photos/cats/…, my_photos/dogs/…
  transfer evaluate model.safetensors more_photos
  transfer predict model.safetensors holiday/ cat.jpg
  transfer predict model.safetensors 'in/*.jpg' --format jsonl > classes.jsonl
  transfer export model.safetensors --output model.onnx

Exit codes:
  0    done
  1    something failed; or, in `evaluate`, `predict` and `train --strict`, photographs were left out
  2    wrong usage
  130  interrupted (Ctrl-C); `train` has said how to go on

Environment:
  TRANSFER_WEIGHTS   the weights of MobileNetV2, instead of looking in data/ and downloading them
  TRANSFER_THREADS   how many threads compute; without it one for each processor";

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Train a classifier on a folder of class folders
    Train(Train),
    /// Measure a model on photographs whose classes are known
    Evaluate(Evaluate),
    /// Tell the classes of image files
    Predict(Predict),
    /// Write a model as an ONNX file, for ONNX Runtime and other programs
    Export(Export),
    /// Show what a model is
    Summary(Summary),
}

/// Train a classifier on a folder of class folders.
///
/// DIR holds one folder for each class, named after it, with its photographs. Where DIR has `train`, and the class
/// folders lie in that, it is the training set, and `validation` and `test` beside it are taken as they are; `training`,
/// `valid`, `val` and `testing` mean the same. Without a validation set a part of each class is set aside, always the
/// same one. What is an image is decided by content; hidden files are left out, and everything else that is left out is
/// named.
///
/// A photograph that cannot be decoded is left out. The last line of the output says how many were, and they are listed
/// with their reasons in a table beside the model, MODEL.left_out.csv (columns file and reason; a name that a
/// spreadsheet would compute, because it begins with `=`, `+`, `-` or `@`, has a `'` in front). A photograph that cannot
/// be read from its disk ends the training.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  transfer train my_photos
  transfer train my_photos --epochs 20 --output birds.safetensors
  transfer train digits --epochs 10 --fine-tune-at 100 --no-flip
  transfer train my_photos --validation other_photos --image-size 224
  transfer train 20000_photos --no-cache        memory stays below 400 MB

Ctrl-C keeps what was learned: a checkpoint is written, and the same command goes on from it. A second
Ctrl-C ends at once.")]
pub struct Train {
    /// The folder with the class folders
    pub dir: PathBuf,
    /// Where the model goes; model.safetensors without it. An earlier model of this program is replaced
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Replace whatever file is there; never a photograph, nor anything in a folder of photographs
    #[arg(long)]
    pub force: bool,
    /// How often all photographs are looked at while fine-tuning, after the new head has been trained; 0 trains
    /// the head alone. More help where photographs are many, or look like no photographs
    #[arg(short, long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(0..=10_000))]
    pub epochs: u32,
    /// The first layer that is fine-tuned, by name or number from 0 to 153. Lower ones help where pictures look
    /// like no photographs, and take longer
    #[arg(long, value_name = "LAYER", default_value = "block_14_expand")]
    pub fine_tune_at: String,
    /// The highest learning rate of fine-tuning
    #[arg(long, value_name = "RATE", default_value_t = 1e-4)]
    pub learning_rate: f32,
    /// Let each class count alike, however many photographs it has
    #[arg(long)]
    pub balanced: bool,
    /// Mirror no image: for letters, digits, left and right shoes
    #[arg(long)]
    pub no_flip: bool,
    /// Height and width that photographs are resized to, in pixels: `160`, or `120x160`. More sees finer
    /// details and takes longer
    #[arg(long, default_value = "224", value_parser = image_size)]
    pub image_size: (usize, usize),
    /// Seed of everything random but the split
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Another folder of class folders, to validate with instead of a part of DIR
    #[arg(long, value_name = "DIR")]
    pub validation: Option<PathBuf>,
    /// The part of each class that is set aside for validation
    #[arg(long, value_name = "PART", default_value_t = transfer::data::VALIDATION_PART, value_parser = part,
          conflicts_with = "validation")]
    pub validation_split: f32,
    /// The class folders to use, separated by commas, where not each folder in DIR is a class
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub classes: Vec<String>,
    /// In which precision frozen layers compute; bf16 is faster where the processor has it
    #[arg(long, value_enum, default_value_t = Precision::F32)]
    pub precision: Precision,
    /// Photographs in a step
    #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u32).range(1..=4096))]
    pub batch_size: u32,
    /// The part of each class, from 0 to 1, that may be left out because it cannot be decoded; more is an error. One
    /// photograph of a class may always be left out unless this is 0, all of a class never
    #[arg(long, value_name = "PART", default_value_t = 0.1, value_parser = left_out)]
    pub max_left_out: f32,
    /// End with exit code 1 where a photograph was left out; the model is written all the same
    #[arg(long)]
    pub strict: bool,
    /// Keep no decoded photographs in memory: slower, and memory does not grow with their number
    #[arg(long)]
    pub no_cache: bool,
    /// A folder for checkpoints, in which each training gets one of its own; they stay. Without it they lie beside
    /// the model, in a hidden folder, until it is done
    #[arg(long, value_name = "DIR")]
    pub checkpoints: Option<PathBuf>,
}

/// Measure a model on photographs whose classes are known.
///
/// A photograph that cannot be decoded is left out and named on standard error; the exit code is 1 then.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  transfer evaluate model.safetensors more_photos
  transfer evaluate model.safetensors more_photos --format json | jq .accuracy")]
pub struct Evaluate {
    /// A model that `transfer train` wrote
    pub model: PathBuf,
    /// A folder of class folders with the names of the model's classes; some may be missing
    pub dir: PathBuf,
    /// How to say it
    #[arg(long, value_enum, default_value_t = ReportFormat::Text)]
    pub format: ReportFormat,
    /// Photographs that are computed at a time; fewer where the model's images are large, so that memory stays small
    #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u32).range(1..=4096))]
    pub batch_size: u32,
    /// The part of each class, from 0 to 1, that may be left out because it cannot be decoded; more is an error. One
    /// photograph of a class may always be left out unless this is 0, all of a class never
    #[arg(long, value_name = "PART", default_value_t = 0.1, value_parser = left_out)]
    pub max_left_out: f32,
}

/// Tell the classes of image files.
///
/// Files are read one after the other, however many there are, and each result is written as soon as it is
/// known. A file that cannot be read or decoded is named on standard error and passed over; the exit code is 1
/// then, at the end.
///
/// CSV: a name that a spreadsheet would compute, because it begins with `=`, `+`, `-`, `@` or a tab, has a `'` in front.
/// JSON lines: a file whose name is not UTF-8 has the field `file_bytes` besides `file`, its path in base64.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  transfer predict model.safetensors cat.jpg
  transfer predict model.safetensors holiday/ --format csv > holiday.csv
  transfer predict model.safetensors 'in/*.jpg' --top 3
  transfer predict model.safetensors in/ --format jsonl | jq -r 'select(.confidence < 0.6).file'")]
pub struct Predict {
    /// A model that `transfer train` wrote
    pub model: PathBuf,
    /// Image files; folders, of which all images are taken, also in sub-folders, and other files are counted and
    /// named; and patterns such as `in/*.jpg`
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// How to say it
    #[arg(long, value_enum, default_value_t = PredictFormat::Table)]
    pub format: PredictFormat,
    /// How many classes are named for each file, the most probable first
    #[arg(long, value_name = "K", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    pub top: u32,
}

/// Write a model as an ONNX file, for ONNX Runtime and other programs.
///
/// Preprocessing is part of it: its input `images` takes grey levels 0..255 as float32 (batch, height, width,
/// 3), and its outputs are `logits` and `probabilities`. The names of the classes are in its properties.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  transfer export model.safetensors --output model.onnx")]
pub struct Export {
    /// A model that `transfer train` wrote
    pub model: PathBuf,
    /// Where the ONNX file goes. An earlier ONNX file of this program is replaced
    #[arg(short, long, value_name = "FILE", default_value = "model.onnx")]
    pub output: PathBuf,
    /// Replace whatever file is there; never the model that is read
    #[arg(long)]
    pub force: bool,
}

/// Show what a model is: its classes, what it expects of images, its layers.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  transfer summary model.safetensors")]
pub struct Summary {
    /// A model that `transfer train` wrote
    pub model: PathBuf,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Precision {
    F32,
    Bf16,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ReportFormat {
    Text,
    Json,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum PredictFormat {
    /// For people: confidence, class and file
    Table,
    /// One JSON object a line
    Jsonl,
    /// Comma-separated values, with a head
    Csv,
}

fn image_size(text: &str) -> Result<(usize, usize), String> {
    let (h, w) = text.split_once(['x', 'X']).unwrap_or((text, text));
    let side = |s: &str| s.trim().parse().ok().filter(|n| (32..=4096).contains(n));
    match (side(h), side(w)) {
        (Some(h), Some(w)) => Ok((h, w)),
        _ => Err("expected 32 to 4096 pixels, such as 160, or height and width, such as 120x160".into()),
    }
}

fn part(text: &str) -> Result<f32, String> {
    let part = text.parse().ok().filter(|&part: &f32| part > 0.0 && part < 1.0);
    part.ok_or_else(|| "expected a number between 0 and 1, both excluded, such as 0.2".into())
}

fn left_out(text: &str) -> Result<f32, String> {
    let part = text.parse().ok().filter(|part: &f32| (0.0..=1.0).contains(part));
    part.ok_or_else(|| "expected a number from 0 to 1, such as 0.1".into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_arguments_are_consistent() {
        Program::command().debug_assert();
    }

    #[test]
    fn sizes_and_parts_are_read_or_refused() {
        assert_eq!(image_size("160"), Ok((160, 160)));
        assert_eq!(image_size("120x96"), Ok((120, 96)));
        for wrong in ["", "31", "4097", "160x", "x160", "1e2", "-160", "160x160x3"] {
            assert!(image_size(wrong).is_err(), "{wrong}");
        }
        assert_eq!(part("0.25"), Ok(0.25));
        for wrong in ["0", "1", "nan", "-0.1", "half"] {
            assert!(part(wrong).is_err(), "{wrong}");
        }
        assert_eq!((left_out("0"), left_out("1")), (Ok(0.0), Ok(1.0)));
        for wrong in ["1.01", "nan", "-0.1", "10%"] {
            assert!(left_out(wrong).is_err(), "{wrong}");
        }
    }
}

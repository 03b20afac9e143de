//! The arguments, as clap reads them. The comments are the texts of `--help`.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use transfer::bases::Base;
use transfer::data::Fit;

pub use crate::check_args::Check;
pub use crate::export_args::Export;
pub use crate::serve_args::Serve;
pub use crate::sort_args::Sort;
use crate::values::{folds, image_size, left_out, part, share, time, unknown, Unknown};

/// Train an image classifier on your own photographs, and use it.
///
/// Training starts from a network that was trained on more than a million photographs (ImageNet): MobileNetV2, or another
/// one that `transfer bases` lists. A few dozen photographs of each class are enough.
#[derive(Debug, Parser)]
#[command(name = "transfer", version, after_help = EXAMPLES)]
pub struct Program {
    /// Print only results and errors
    #[arg(short, long, global = true)]
    pub quiet: bool,
    #[command(subcommand)]
    pub command: Command,
}

const EXAMPLES: &str = "\
Examples:
  transfer train my_photos                     my_photos/cats/…, my_photos/dogs/…
  transfer check my_photos                     duplicates, wrong labels, outliers
  transfer evaluate model.safetensors more_photos
  transfer predict model.safetensors holiday/ cat.jpg
  transfer predict model.safetensors 'in/*.jpg' --format jsonl > classes.jsonl
  transfer sort model.safetensors holiday sorted
  transfer serve model.safetensors --open      a page to drop photographs on
  transfer export model.safetensors --output model.onnx
  transfer predict --imagenet cat.jpg          without training: ImageNet's 1,000 classes

Exit codes:
  0    done
  1    something failed; or, in `evaluate`, `predict` and `train --strict`, photographs were left out
  2    wrong usage
  129  ended by SIGHUP (the terminal was closed)
  130  ended by Ctrl-C (SIGINT)
  143  ended by SIGTERM

After one of these three signals `train` writes a checkpoint and prints the command that continues from it.
A second signal ends any command at once. Signals that were ignored when the program started (`nohup`,
`trap '' INT`) stay ignored.

Environment:
  TRANSFER_WEIGHTS   weight file of the base, or its folder (default: in the download folder, or downloaded)
  TRANSFER_THREADS   number of threads that compute (default: one for each processor)
  TRANSFER_DEVICE    what `--device auto` means: cpu, cuda or cuda:N (default: a GPU if it can be used)";

#[derive(Debug, Subcommand)]
pub enum Command {
    Train(Train),
    Check(Check),
    Evaluate(Evaluate),
    Predict(Predict),
    Sort(Sort),
    Serve(Serve),
    Export(Export),
    Summary(Summary),
    Bases(Bases),
}

/// Train a classifier on a folder of class folders.
///
/// DIR holds one folder for each class, named after the class, with its photographs. If DIR has a folder `train` that
/// holds the class folders, this is the training set, and the folders `validation` and `test` beside it are the
/// validation set and the test set. The names `training`, `valid`, `val` and `testing` work too. Without a validation
/// set, a part of each class is set aside, always the same one. The content of a file decides whether it is an image.
/// Hidden files are left out; everything else that is left out is named.
///
/// A report, MODEL.report.html, shows curves, the confusion matrix, the photographs that were taken for another class and
/// more; it is one file that loads nothing. It holds small copies of the photographs. MODEL.neighbours.safetensors holds
/// small copies of up to 2,000 photographs of the training, of which `transfer serve` shows those that look most like
/// another photograph. With `--no-thumbnails` the report has none, and this file is not written.
///
/// A photograph that cannot be decoded is left out. The last line of the output gives the number of photographs that
/// were left out, and the table MODEL.left_out.csv beside the model lists them (columns file and reason; a name that
/// begins with `=`, `+`, `-` or `@` gets a `'` in front, so that no spreadsheet computes it). A photograph that cannot
/// be read from disk ends the training.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  transfer train my_photos
  transfer train my_photos --epochs 20 --output birds.safetensors
  transfer train digits --epochs 10 --fine-tune-at 100 --no-flip
  transfer train my_photos --validation other_photos --image-size 192
  transfer train my_photos --base efficientnet_lite0
  transfer train my_photos --features dinov2_small.onnx
  transfer train 20000_photos --no-cache        memory stays below 400 MB
  transfer train photos --labels labels.csv     the table says which photograph shows what

Ctrl-C (or SIGTERM, or SIGHUP) writes a checkpoint and ends the training; the same command continues from it. A
second Ctrl-C ends at once.")]
pub struct Train {
    /// Folder with the class folders
    pub dir: PathBuf,
    /// File for the model (default: model.safetensors). An earlier model of this program is replaced
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Replace any file at the place of the model, but never a file in a folder of photographs
    #[arg(long)]
    pub force: bool,
    /// Network that training starts from, by its name in `transfer bases`
    #[arg(short, long, value_name = "NAME", default_value = Base::DEFAULT, value_parser = base,
          conflicts_with = "features")]
    pub base: BaseName,
    #[command(flatten)]
    pub start: crate::features::Features,
    /// Number of fine-tuning epochs, after the head has been trained; 0 trains the head alone. By default 3 to 6, more
    /// for fewer photographs, and 0 for fewer than 100
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u32).range(0..=10_000))]
    pub epochs: Option<u32>,
    /// How long head and fine-tuning may take, about: `60s`, `10m`, `2h`. Where the epochs would take longer there are
    /// fewer; how many depends on the machine
    #[arg(long, value_name = "TIME", value_parser = time, conflicts_with = "features")]
    pub time: Option<std::time::Duration>,
    /// First layer to fine-tune, by name or by number (`transfer summary` of a model lists them). By default the first of
    /// the last three blocks: block_14_expand of MobileNetV2. A lower layer helps with images unlike photographs, and
    /// makes training slower
    #[arg(long, value_name = "LAYER", conflicts_with = "features")]
    pub fine_tune_at: Option<String>,
    /// Highest learning rate of fine-tuning. By default 0.0001 for fewer than 1,000 photographs, and 0.0003 for more
    #[arg(long, value_name = "RATE", conflicts_with = "features")]
    pub learning_rate: Option<f32>,
    /// Part of the way from the head alone (0) to the fine-tuned weights (1) that is kept. By default photographs that are
    /// held out of fine-tuning decide it, and may decide for 0
    #[arg(long, value_name = "FRACTION", value_parser = share, conflicts_with = "features")]
    pub share: Option<f32>,
    /// Decide in a trial on half of the photographs how much of fine-tuning is kept, and then fine-tune on all of them. Takes
    /// longer and makes fewer errors. Without it, the photographs that are held out to decide are not fine-tuned on. Changes
    /// nothing for fewer than 400 photographs
    #[arg(long, conflicts_with_all = ["features", "share"])]
    pub refit: bool,
    /// Weight the classes equally, whatever their number of photographs
    #[arg(long)]
    pub balanced: bool,
    /// Do not mirror images: for letters, digits, left and right shoes
    #[arg(long)]
    pub no_flip: bool,
    /// Height and width that photographs are resized to, in pixels: `160`, or `120x160`. Larger images show finer
    /// details and make training slower. By default the size that the base was trained on: 224 for MobileNetV2; with
    /// --features the size that the ONNX file or the JSON beside it states, or 224
    #[arg(long, visible_alias = "features-size", value_name = "PIXELS", value_parser = image_size)]
    pub image_size: Option<(usize, usize)>,
    /// Number of folds in which the head is cross-validated, on the features that are computed in any case: it tells
    /// how good a head is on photographs that it did not see. 0 does not cross-validate
    #[arg(long, value_name = "K", default_value_t = 5, value_parser = folds)]
    pub folds: u32,
    /// What happens to photographs of another aspect ratio than the images: `squash` stretches them, `crop` cuts off
    /// what lies outside of the middle, `pad` puts grey around them. The model's other commands do the same
    #[arg(long, value_enum, default_value_t = FitArgument::Squash)]
    pub fit: FitArgument,
    /// Seed of all random numbers except those of the validation split
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
    /// Folder of class folders to use as the validation set, instead of a part of DIR
    #[arg(long, value_name = "DIR")]
    pub validation: Option<PathBuf>,
    /// Table with the labels of the photographs in DIR, instead of class folders: comma-separated values with the columns
    /// `file` (a path below DIR) and `label`, and if there are some `split` (train, validation, test) and `group`
    /// (photographs that stay on one side of a split). A photograph may have several labels, `cat;dog`, or none, `;`
    #[arg(long, value_name = "FILE", conflicts_with = "validation")]
    pub labels: Option<PathBuf>,
    /// Fraction of each class that is set aside for validation
    #[arg(long, value_name = "FRACTION", default_value_t = transfer::data::VALIDATION_PART,
          value_parser = part, conflicts_with = "validation")]
    pub validation_split: f32,
    #[command(flatten)]
    pub grouping: crate::check_args::Grouping,
    /// Class folders to use, separated by commas; by default each folder in DIR is a class
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub classes: Vec<String>,
    /// Precision in which frozen layers compute; bf16 is faster and needs a processor with AMX or
    /// AVX512-BF16, or a GPU; tf32 needs a GPU
    #[arg(long, value_enum, default_value_t = Precision::F32)]
    pub precision: Precision,
    /// Precision in which layers that train multiply during training, on a CPU; bf16 is faster and needs a processor with
    /// AMX or AVX512-BF16. On a GPU, --precision is for all layers
    #[arg(long, value_enum, default_value_t = TrainPrecision::F32)]
    pub train_precision: TrainPrecision,
    /// Batch size: number of photographs in a training step. By default it is 32, and 16 where
    /// `--refit` counts
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=4096))]
    pub batch_size: Option<u32>,
    /// Number of photographs whose gradients are computed at a time and then added to those of the batch: a step takes
    /// less memory, and gives the same bits for any number of processes that `mpirun` starts. By default a batch is
    /// computed as a whole, by several processes in quarters, and with `--no-cache` on a CPU 8 photographs at a time
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=4096))]
    pub micro_batch: Option<u32>,
    /// Fraction of each class, from 0 to 1, that may be left out because it cannot be decoded; more is an error.
    /// Above 0, one photograph of each class may always be left out, but never all of a class
    #[arg(long, value_name = "FRACTION", default_value_t = 0.1, value_parser = left_out)]
    pub max_left_out: f32,
    /// End with exit code 1 if any photograph was left out; the model is still written
    #[arg(long)]
    pub strict: bool,
    /// Do not keep decoded photographs in memory: slower, but memory does not grow with their number
    #[arg(long)]
    pub no_cache: bool,
    #[command(flatten)]
    pub report: crate::html_report::Report,
    /// Folder for checkpoints, in which each training has a folder of its own; checkpoints stay. By default they are
    /// in a hidden folder beside the model, and are removed when the model is saved
    #[arg(long, value_name = "DIR")]
    pub checkpoints: Option<PathBuf>,
    #[command(flatten)]
    pub computing: crate::device::Computing,
}

impl Train {
    /// Photographs of a batch of the data set; of a step, too, unless `--refit` makes it smaller.
    pub fn images_in_a_batch(&self) -> u32 {
        self.batch_size.unwrap_or(32)
    }

    /// What checkpoints note of the first layer to fine-tune.
    pub fn fine_tune_at_noted(&self) -> &str {
        match &self.fine_tune_at {
            Some(layer) => layer,
            // As earlier versions noted it.
            None if self.base.0.name == Base::DEFAULT && self.start.features.is_none() => "block_14_expand",
            None => "the last three blocks",
        }
    }
}

/// Evaluate a model on photographs whose classes are known.
///
/// Prints accuracy, loss, a report for each class and the confusion matrix, and writes the same with photographs and
/// figures as a page beside the model, MODEL.evaluation.html. A photograph that cannot be decoded is left
/// out and named on standard error, and the exit code is 1.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  transfer evaluate model.safetensors more_photos
  transfer evaluate model.safetensors more_photos --format json | jq .accuracy")]
pub struct Evaluate {
    /// Model file that `transfer train` wrote
    pub model: PathBuf,
    /// Folder of class folders, named after the model's classes; some may be missing
    pub dir: PathBuf,
    /// Table with the labels of the photographs in DIR, as in `train`
    #[arg(long, value_name = "FILE")]
    pub labels: Option<PathBuf>,
    /// With a table that has a column `split`: the part to evaluate on, `train`, `validation` or `test`. By default all
    /// photographs of the table
    #[arg(long, value_name = "PART", requires = "labels")]
    pub split: Option<String>,
    /// Output format
    #[arg(long, value_enum, default_value_t = ReportFormat::Text)]
    pub format: ReportFormat,
    /// Number of photographs computed at a time; fewer are used if the model's images are large, to limit memory
    #[arg(long, value_name = "N", default_value_t = 32,
          value_parser = clap::value_parser!(u32).range(1..=4096))]
    pub batch_size: u32,
    /// Fraction of each class, from 0 to 1, that may be left out because it cannot be decoded; more is an error.
    /// Above 0, one photograph of each class may always be left out, but never all of a class
    #[arg(long, value_name = "FRACTION", default_value_t = 0.1, value_parser = left_out)]
    pub max_left_out: f32,
    #[command(flatten)]
    pub report: crate::html_report::Report,
    #[command(flatten)]
    pub features: crate::features::FeaturesFile,
    #[command(flatten)]
    pub computing: crate::device::Computing,
}

/// Predict the classes of image files.
///
/// Files are read one after the other, and each result is written as soon as it is known. A file that cannot be read or
/// decoded is named on standard error and skipped, and the exit code is 1.
///
/// CSV: a name that begins with `=`, `+`, `-`, `@` or a tab gets a `'` in front, so that no spreadsheet computes it.
/// JSON lines: a path that is not UTF-8 has the field `file_bytes` (base64) besides `file`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  transfer predict model.safetensors cat.jpg
  transfer predict model.safetensors holiday/ --format csv > holiday.csv
  transfer predict model.safetensors 'in/*.jpg' --top 3
  transfer predict model.safetensors in/ --format jsonl | jq -r 'select(.confidence < 0.6).file'
  transfer predict --imagenet cat.jpg           no model: the 1,000 classes of ImageNet")]
pub struct Predict {
    /// Model file that `transfer train` wrote; none with --imagenet
    #[arg(value_name = "MODEL")]
    pub model: PathBuf,
    /// Image files, folders, or patterns such as `in/*.jpg`. Of a folder, all images are used, also those in
    /// sub-folders; other files are counted and named
    #[arg(required_unless_present = "imagenet", value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// Use no model of yours, but a network as it was published, for the 1,000 classes of ImageNet. Prints the five most
    /// probable classes of each file
    #[arg(long)]
    pub imagenet: bool,
    /// With --imagenet: the network, by its name in `transfer bases`
    #[arg(short, long, value_name = "NAME", requires = "imagenet", default_value = "efficientnet_lite0",
          value_parser = base)]
    pub base: BaseName,
    /// Output format
    #[arg(long, value_enum, default_value_t = PredictFormat::Table)]
    pub format: PredictFormat,
    /// Whether a photograph that is probably none of the classes is called `unknown`, with the reason: `on`, `off`, or
    /// the fraction of known photographs that may wrongly be called so, such as 0.01. `on` is 0.05 for models of
    /// `transfer train`. A model of an earlier version calls none unknown
    #[arg(long, value_name = "WHEN", default_value = "on", value_parser = unknown)]
    pub unknown: Unknown,
    /// Number of classes to print for each file, the most probable first. By default 1, with --imagenet 5
    #[arg(long, value_name = "K", value_parser = clap::value_parser!(u32).range(1..))]
    pub top: Option<u32>,
    #[command(flatten)]
    pub features: crate::features::FeaturesFile,
    #[command(flatten)]
    pub computing: crate::device::Computing,
}

/// Show the classes, the image size, the base and the layers of a model.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  transfer summary model.safetensors")]
pub struct Summary {
    /// Model file that `transfer train` wrote
    pub model: PathBuf,
    #[command(flatten)]
    pub features: crate::features::FeaturesFile,
}

/// List the networks that training can start from.
///
/// For each: its name for `--base`, what it is, the image size that it was trained on, the part of ImageNet's photographs
/// that it names right at first as its publisher says, the number of its parameters in millions, and the licence of its
/// weights. Weights are searched in the download folder, and downloaded when they are first used.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  transfer bases --format json | jq -r '.[].name'")]
pub struct Bases {
    /// Output format
    #[arg(long, value_enum, default_value_t = ReportFormat::Text)]
    pub format: ReportFormat,
}

/// A network of the registry.
#[derive(Debug, Clone, Copy)]
pub struct BaseName(pub &'static Base);

fn base(text: &str) -> Result<BaseName, String> {
    Base::named(text).map(BaseName).map_err(|e| e.to_string())
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Precision {
    F32,
    Tf32,
    Bf16,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum TrainPrecision {
    F32,
    Bf16,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum FitArgument {
    Squash,
    Crop,
    Pad,
}

impl From<FitArgument> for Fit {
    fn from(asked: FitArgument) -> Self {
        match asked {
            FitArgument::Squash => Fit::Squash,
            FitArgument::Crop => Fit::Crop,
            FitArgument::Pad => Fit::Pad,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ReportFormat {
    Text,
    Json,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum PredictFormat {
    /// A table of confidence, class and file
    Table,
    /// One JSON object for each line
    Jsonl,
    /// Comma-separated values, with a header line
    Csv,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_arguments_are_consistent() {
        Program::command().debug_assert();
    }
}

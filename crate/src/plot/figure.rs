//! A finished picture with its caption.

use crate::Show;
use std::io::Write;

use base64::engine::general_purpose::STANDARD;
use base64::Engine;

use crate::output::Format;
use crate::{Error, OutputFile, Result};

/// A finished picture (PNG) with its caption.
///
/// As a notebook cell's last expression it shows itself. The caption is one line of text that holds
/// the numbers that the picture shows.
///
/// ```
/// use transfer::plot::{learning_curves, Figure, LearningCurves};
///
/// let one_epoch = LearningCurves { accuracy: vec![0.9], loss: vec![0.3], ..Default::default() };
/// let figure: Figure = learning_curves(&one_epoch)?;
/// assert_eq!(figure.caption(), "learning curves: 1 epoch, accuracy 0.9000, loss 0.3000");
/// assert_eq!(&figure.png()[1..4], b"PNG");
///
/// let folder = tempfile::tempdir().unwrap();
/// figure.save(folder.path().join("curves.png"))?;
/// # Ok::<(), transfer::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Figure {
    png: Vec<u8>,
    caption: String,
    width: u32,
    height: u32,
}

impl Figure {
    pub(super) fn new(png: Vec<u8>, caption: String, width: u32, height: u32) -> Self {
        Figure { png, caption: caption.shown().to_string(), width, height }
    }

    /// The picture as the bytes of a PNG file.
    pub fn png(&self) -> &[u8] {
        &self.png
    }

    /// One line with the numbers that the picture shows.
    pub fn caption(&self) -> &str {
        &self.caption
    }

    /// Width in pixels.
    pub fn width(&self) -> u32 {
        self.width
    }

    /// Height in pixels.
    pub fn height(&self) -> u32 {
        self.height
    }

    /// Writes the picture to a PNG file, whole or not at all, and makes the folders above it where they are missing.
    /// An earlier figure of this program is replaced; any other file only with [`OutputFile::overwrite`].
    ///
    /// # Errors
    /// [`Error::Plot`] where the name ends like another kind of picture's, [`Error::Invalid`] where the path may
    /// not be written, [`Error::Io`] where it cannot be; a file that was there before is then still whole.
    pub fn save(&self, file: impl Into<OutputFile>) -> Result<()> {
        let file = file.into();
        let extension = file.path().extension().map(|e| e.to_string_lossy().to_lowercase());
        if let Some(other) = extension.filter(|e| e != "png") {
            return Err(Error::Plot(format!(
                "a figure is saved as PNG. Expected a name that ends in .png, received {} (.{})",
                file.path().shown(),
                other.shown()
            )));
        }
        file.write(&Format::Figure, |out| out.write_all(&self.png))
    }

    /// Prints the figure in the form in which the notebook's kernel takes pictures from a program's
    /// standard output. The kernel calls this for a cell's last expression.
    pub fn evcxr_display(&self) {
        let mut out = std::io::stdout().lock();
        // There is nobody to tell when standard output is closed.
        let _ = out.write_all(self.evcxr_content().as_bytes());
        let _ = out.flush();
    }

    /// What [`evcxr_display`](Self::evcxr_display) prints: the PNG in base64 and the caption as
    /// plain text, each between a line that names its kind and a line that ends it.
    ///
    /// ```
    /// # use transfer::plot::{learning_curves, LearningCurves};
    /// # let curves = LearningCurves { accuracy: vec![0.9], loss: vec![0.3], ..Default::default() };
    /// let content = learning_curves(&curves)?.evcxr_content();
    /// assert!(content.starts_with("EVCXR_BEGIN_CONTENT image/png\niVBORw0KGgo"));
    /// assert!(content.ends_with("\nEVCXR_END_CONTENT\n"));
    /// # Ok::<(), transfer::Error>(())
    /// ```
    pub fn evcxr_content(&self) -> String {
        format!(
            "EVCXR_BEGIN_CONTENT image/png\n{}\nEVCXR_END_CONTENT\n\
             EVCXR_BEGIN_CONTENT text/plain\n{}\nEVCXR_END_CONTENT\n",
            STANDARD.encode(&self.png),
            self.caption
        )
    }
}

impl std::fmt::Debug for Figure {
    /// The caption and sizes; a PNG's bytes tell a reader nothing.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Figure { png, caption, width, height } = self;
        write!(f, "Figure({caption:?}, {width} x {height} pixels, PNG of {} bytes)", png.len())
    }
}

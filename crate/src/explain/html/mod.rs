//! A report on a model as one HTML file, to be looked at in a browser.
//!
//! | file | what it holds |
//! |---|---|
//! | `content.rs` | what a report holds |
//! | `gather.rs` | the numbers and the pictures, from a model and a data set |
//! | `labels.rs` | what is said of several labels a photograph |
//! | `pictures.rs` | photographs as small JPEG files: one sheet of thumbnails, or one thumbnail; the worst ones with heat maps |
//! | `document.rs` | the whole file |
//! | `parts.rs` | tables and figures as HTML |
//! | `chart.rs` | curves as SVG |
//! | `page.css`, `page.js` | how it looks; clicking through the confusion matrix, and the map |
//!
//! The file loads nothing. Each number of it has its full value in an attribute: `data-name="accuracy"
//! data-value="0.9731"`.

mod chart;
mod content;
mod document;
mod gather;
mod labels;
mod parts;
mod pictures;

pub use content::HtmlReport;
pub use gather::HtmlReportOptions;
pub(super) use pictures::thumbnail;

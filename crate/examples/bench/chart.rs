//! The bar chart of `bench/results.json`.

use crate::{Arguments, Result};

/// Draws `results=` to `to=`.
pub fn chart(arguments: &Arguments) -> Result<()> {
    let _ = (arguments.text("results")?, arguments.text("to")?);
    Err("no chart yet".into())
}

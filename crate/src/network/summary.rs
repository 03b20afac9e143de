//! The table that Keras' `model.summary()` prints.

use std::fmt;

use crate::thousands::thousands;

/// One row: a layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SummaryRow {
    /// Name of the layer.
    pub name: String,
    /// Its class, as in `Conv2D`.
    pub class: String,
    /// Shape of its output, as in `(None, 5, 5, 1280)`.
    pub output_shape: String,
    /// Number of its parameters.
    pub parameters: usize,
    /// How many of them train now.
    pub trainable: usize,
    /// Layers whose outputs it takes; shown where a layer has several.
    pub inputs: Vec<String>,
}

/// A model's layers and parameter counts; shown as a table by `println!`, and in a notebook as the
/// last expression of a cell.
#[derive(Clone, PartialEq, Eq)]
pub struct Summary {
    /// Name of the model.
    pub name: String,
    /// Its layers in order.
    pub rows: Vec<SummaryRow>,
    /// Number of variables that train now.
    pub trainable_variables: usize,
}

impl Summary {
    /// Number of all parameters.
    pub fn parameters(&self) -> usize {
        self.rows.iter().map(|r| r.parameters).sum()
    }

    /// Number of the parameters that train now.
    pub fn trainable_parameters(&self) -> usize {
        self.rows.iter().map(|r| r.trainable).sum()
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let layers: Vec<String> = self.rows.iter().map(|r| format!("{} ({})", r.name, r.class)).collect();
        let width = |title: &str, cells: &mut dyn Iterator<Item = usize>| {
            cells.max().unwrap_or(0).max(title.len()) + 2
        };
        let first = width("Layer (type)", &mut layers.iter().map(String::len));
        let second = width("Output Shape", &mut self.rows.iter().map(|r| r.output_shape.len()));
        let (third, fourth) = (11, 13);
        let line = "─".repeat(first + second + third + fourth + 1);
        writeln!(f, "Model: \"{}\"", self.name)?;
        writeln!(f, "{line}")?;
        writeln!(
            f,
            " {:first$}{:second$}{:>third$}{:>fourth$}",
            "Layer (type)", "Output Shape", "Param #", "Trainable #"
        )?;
        writeln!(f, "{}", line.replace('─', "═"))?;
        for (row, layer) in self.rows.iter().zip(&layers) {
            let (parameters, trains) = (thousands(row.parameters), thousands(row.trainable));
            write!(f, " {layer:first$}{:second$}{parameters:>third$}{trains:>fourth$}", row.output_shape)?;
            if row.inputs.len() > 1 {
                write!(f, "   {}", row.inputs.join(" + "))?;
            }
            writeln!(f)?;
        }
        writeln!(f, "{line}")?;
        let (all, trainable) = (self.parameters(), self.trainable_parameters());
        let mib = |n: usize| n as f64 * 4.0 / f64::from(1 << 20);
        writeln!(f, "Total params: {} ({:.2} MiB)", thousands(all), mib(all))?;
        writeln!(
            f,
            "Trainable params: {} ({:.2} MiB) in {} variables",
            thousands(trainable),
            mib(trainable),
            self.trainable_variables
        )?;
        write!(f, "Non-trainable params: {} ({:.2} MiB)", thousands(all - trainable), mib(all - trainable))
    }
}

impl fmt::Debug for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

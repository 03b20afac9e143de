//! The bar chart of `bench/results.json`: medians of every contender, where they were measured.

use serde_json::Value;
use transfer::plot::{bar_chart, Bar, Bars};

use crate::{Arguments, Result};

/// Draws `results=` to `to=`; draws nothing where nothing was measured.
pub fn chart(arguments: &Arguments) -> Result<()> {
    let path = arguments.text("results")?;
    let text = std::fs::read_to_string(path).map_err(|e| format!("cannot read {path}: {e}"))?;
    let results: Value = serde_json::from_str(&text).map_err(|e| format!("cannot use {path}: {e}"))?;
    let sections = &results["sections"];
    let panels: Vec<Bars> = [forward(sections), train(sections, 1), train(sections, 2), whole(sections)]
        .into_iter()
        .flatten()
        .collect();
    if panels.is_empty() {
        eprintln!("{path} has no figures to draw yet");
        return Ok(());
    }
    Ok(bar_chart(&panels)?.save(transfer::OutputFile::new(arguments.text("to")?).overwrite(true))?)
}

fn runs(section: &Value) -> &[Value] {
    section["runs"].as_array().map_or(&[], Vec::as_slice)
}

/// Medians of several measurements of one contender: ours takes part in each pairing.
#[derive(Default)]
struct Medians(Vec<(String, bool, Vec<f64>)>);

impl Medians {
    fn add(&mut self, name: &str, ours: bool, value: Option<f64>) {
        let Some(value) = value else { return };
        match self.0.iter_mut().find(|(known, ..)| known == name) {
            Some((.., values)) => values.push(value),
            None => self.0.push((name.to_owned(), ours, vec![value])),
        }
    }

    /// The panel, best first; `None` where there is nothing to compare.
    fn panel(self, title: String, unit: &str, more_is_better: bool) -> Option<Bars> {
        let bar = |(name, ours, mut values): (String, bool, Vec<f64>)| {
            values.sort_by(f64::total_cmp);
            Bar { name, value: values[values.len() / 2], ours }
        };
        let mut bars: Vec<Bar> = self.0.into_iter().map(bar).collect();
        bars.sort_by(|a, b| a.value.total_cmp(&b.value));
        if more_is_better {
            bars.reverse();
        }
        (bars.len() > 1).then(|| Bars { title, unit: unit.to_owned(), bars })
    }
}

fn name_of_ours(precision: &Value) -> &'static str {
    match precision.as_str() {
        Some("bf16") => "this crate, bf16",
        Some("bf16 throughout") => "this crate, all bf16",
        _ => "this crate",
    }
}

fn forward(sections: &Value) -> Option<Bars> {
    let runs: Vec<&Value> = runs(&sections["forward"]).iter().filter(|r| r["batch"] == 32).collect();
    let threads = runs.iter().filter_map(|r| r["threads"].as_u64()).max()?;
    let mut medians = Medians::default();
    for run in runs.into_iter().filter(|r| r["threads"] == threads) {
        medians.add(name_of_ours(&run["precision"]), true, run["ours"]["median"].as_f64());
        medians.add(run["peer"].as_str()?, false, run["theirs"]["median"].as_f64());
    }
    medians.panel(format!("Forward, batch 32, {threads} threads"), "images/s, more is better", true)
}

fn train(sections: &Value, phase: u64) -> Option<Bars> {
    let mut medians = Medians::default();
    for run in runs(&sections["train"]).iter().filter(|r| r["phase"] == phase) {
        medians.add(name_of_ours(&run["precision"]), true, run["ours"]["median"].as_f64());
        if run["precision"] == "f32" {
            medians.add(run["peer"].as_str()?, false, run["theirs"]["median"].as_f64());
        }
    }
    let what = if phase == 1 { "the head" } else { "fine-tuning from layer 100" };
    medians.panel(format!("Training step, {what}"), "ms with input pipeline, less is better", false)
}

fn whole(sections: &Value) -> Option<Bars> {
    let mut medians = Medians::default();
    for run in runs(&sections["whole"]) {
        let (name, ours) = match run["contender"].as_str()? {
            "ours" => ("this crate", true),
            "ours bf16" => ("this crate, bf16", true),
            "ours bf16 throughout" => ("this crate, all bf16", true),
            other => (other, false),
        };
        medians.add(name, ours, run["seconds"].as_f64());
    }
    medians.panel("The whole tutorial".into(), "seconds, less is better", false)
}

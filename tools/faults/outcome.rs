//! What came of a scenario, and the table of all.

use std::fmt;

/// What came of a scenario.
pub enum Outcome {
    /// The fault happened, as `control` shows, this many times.
    Done { tries: usize, control: String, failures: Vec<String> },
    /// This machine cannot produce it.
    Skipped(String),
    /// The scenario itself did not work, so that nothing is known.
    Broken(String),
}

impl Outcome {
    pub fn broken(what: String) -> Self {
        Outcome::Broken(what)
    }

    /// Nothing went wrong; a skipped scenario is no failure, nor a success.
    pub fn is_well(&self) -> bool {
        match self {
            Outcome::Done { failures, .. } => failures.is_empty(),
            Outcome::Skipped(_) => true,
            Outcome::Broken(_) => false,
        }
    }

    /// Tries, how many of them were survived, and a remark.
    fn columns(&self) -> (usize, String, String) {
        match self {
            Outcome::Done { tries, control, failures } => {
                let survived = tries.saturating_sub(failures.len());
                let failed = failures.first().map(|first| format!("; **failed**: {}", start_of(first)));
                let failed = failed.unwrap_or_default();
                (*tries, survived.to_string(), format!("{control}{failed}"))
            }
            Outcome::Skipped(why) => (0, "skipped".into(), why.clone()),
            Outcome::Broken(what) => (0, "not known".into(), what.clone()),
        }
    }
}

/// As much of a text as a table can take; all of it is in the JSON.
fn start_of(text: &str) -> String {
    const LENGTH: usize = 300;
    match text.char_indices().nth(LENGTH) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (tries, survived, remark) = self.columns();
        write!(f, "{tries} tries, survived: {survived} ({remark})")
    }
}

/// All outcomes as a Markdown table.
pub fn table(outcomes: &[(String, Outcome)]) -> String {
    let mut table = "| scenario | tries | survived | the fault was real |\n|---|---:|---:|---|\n".to_owned();
    for (name, outcome) in outcomes {
        let (tries, survived, remark) = outcome.columns();
        let remark = remark.replace('|', "\\|").replace('\n', " ");
        table += &format!("| {name} | {tries} | {survived} | {remark} |\n");
    }
    table
}

/// All outcomes as JSON, with every failure.
pub fn json(outcomes: &[(String, Outcome)]) -> String {
    let rows = outcomes.iter().map(|(name, outcome)| {
        let (tries, survived, remark) = outcome.columns();
        let (state, failures) = match outcome {
            Outcome::Done { failures, .. } => ("done", failures.clone()),
            Outcome::Skipped(_) => ("skipped", Vec::new()),
            Outcome::Broken(what) => ("broken", vec![what.clone()]),
        };
        serde_json::json!({
            "scenario": name, "state": state, "tries": tries, "survived": survived.parse::<usize>().unwrap_or(0),
            "remark": remark, "failures": failures,
        })
    });
    let all = serde_json::json!({ "scenarios": rows.collect::<Vec<_>>() });
    serde_json::to_string_pretty(&all).unwrap_or_default() + "\n"
}

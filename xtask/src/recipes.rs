//! `cargo xtask recipes`: how good `fine_tune` is on other photographs than those that it was made with, beside the head
//! alone, the recipe of before, and other tools' recipes from the same weights.
//!
//! What is measured, and how, is in `bench/recipes/` and `tools/recipes.rs`. Not part of the tests: with the other tools
//! it takes hours.

use std::path::PathBuf;

use crate::bench::environment;
use crate::process::{command, run};
use crate::project::Project;
use crate::step::step;
use crate::{locks, Result};

const USAGE: &str =
    "expected `cargo xtask recipes ARCHIVES [--side N] [--seeds N] [--draws N] [--peers NAMES] [PART …]`";

/// What was asked for.
struct Asked {
    archives: PathBuf,
    side: String,
    seeds: String,
    draws: String,
    peers: Vec<String>,
    parts: Vec<String>,
}

impl Asked {
    fn read(arguments: &[&str]) -> Result<Self> {
        let mut asked = Asked {
            archives: PathBuf::new(),
            side: "160".into(),
            seeds: "3".into(),
            draws: "3".into(),
            peers: vec!["fastai".into(), "keras".into()],
            parts: Vec::new(),
        };
        let mut words = arguments.iter();
        while let Some(&word) = words.next() {
            let mut value = || words.next().map(|v| (*v).to_owned()).ok_or(format!("{word}: {USAGE}"));
            match word {
                "--side" => asked.side = value()?,
                "--seeds" => asked.seeds = value()?,
                "--draws" => asked.draws = value()?,
                "--peers" => {
                    asked.peers = value()?.split(',').filter(|n| !n.is_empty()).map(str::to_owned).collect()
                }
                _ if word.starts_with('-') => return Err(format!("{word}: {USAGE}")),
                _ if asked.archives.as_os_str().is_empty() => asked.archives = word.into(),
                _ => asked.parts.push(word.to_owned()),
            }
        }
        match asked.archives.is_dir() {
            true => Ok(asked),
            false => Err(format!("ARCHIVES is no folder: {USAGE}")),
        }
    }
}

/// Makes the data sets, runs all recipes on them, and prints the table.
pub fn recipes(arguments: &[&str]) -> Result<()> {
    let asked = Asked::read(arguments)?;
    let archives =
        std::path::absolute(&asked.archives).map_err(|e| format!("{}: {e}", asked.archives.display()))?;
    let project = Project::find()?;
    let build = ["build", "--quiet", "--release", "--package", "transfer-tools", "--bin", "recipes"];
    step("this side of the comparison", "a few minutes at first", || {
        run(command("cargo").args(build), "building this side")
    })?;
    let python = environment(&project, "recipes-venv", &locks::RECIPES)?;
    let folder = project.root.join("target").join("recipes");
    std::fs::create_dir_all(&folder).map_err(|e| format!("cannot make {}: {e}", folder.display()))?;
    let (sets, results) = (folder.join("sets"), folder.join("results.jsonl"));
    let script = |name: &str| {
        let mut script = command(&python);
        script.env("PYTHONDONTWRITEBYTECODE", "1").arg("bench/recipes/".to_owned() + name);
        script
    };
    step("the data sets", "a minute", || {
        run(script("sets.py").arg(&archives).arg(&folder).arg(&asked.draws), "making the data sets")
    })?;
    let program = project.root.join("target").join("release").join("recipes");
    let mut ours = command(&program);
    run(ours.arg(&sets).arg(&results).args([&asked.side, &asked.seeds]).args(&asked.parts), "training")?;
    let weights = folder.join("weights.safetensors");
    run(command(&program).arg("weights").arg(&weights), "writing the weights")?;
    for peer in &asked.peers {
        let mut theirs = script("peers.py");
        theirs.arg(&sets).arg(&results).arg(&weights).args([&asked.side, &asked.seeds, peer]);
        run(theirs.args(&asked.parts), peer)?;
    }
    run(script("table.py").arg(&results), "making the table")
}

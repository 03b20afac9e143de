//! Our side of `cargo xtask bench`: a program that times itself when it is told to.
//!
//! ```text
//! bench-side export  folder=F                              weights, images and lists of files for all sides
//! bench-side forward folder=F batch=32 threads=2           features of the exported images; base=NAME weights=FILE
//!                                                          for another network of the registry
//! bench-side fit     folder=F phase=1 threads=2            epochs of training
//! bench-side step    folder=F phase=1 threads=2            steps with the loader, and on a batch in memory
//! bench-side whole   folder=F threads=2                    the whole tutorial
//! bench-side peak    folder=F threads=2 cache=on           both phases, for the peak memory
//! bench-side single  folder=F threads=2 photographs=500   one photograph after the other, from bytes to its class
//! bench-side load    files=DIR threads=2 phase=1           passes over a folder, cache off
//! bench-side chart   results=bench/results.json to=X.png   the bar chart
//! ```
//!
//! Each takes `precision=f32` (the default), `bf16`, which is that of the frozen part, or `bf16-all`, which is also that
//! of layers that train. But for `export` and `chart`, a program says one line of JSON when it is ready and then answers
//! each line of standard input with one of JSON, so that several can take turns; `{"unavailable": why}` says that this
//! machine or this version cannot do it. What else there is to say goes to standard error.

mod chart;
mod export;
mod forward;
mod precision;
mod single;
mod training;

use std::collections::HashMap;
use std::io::{BufRead, Write};
use std::sync::Arc;

use serde_json::{json, Value};

/// Errors are for a person to read.
type Result<T, E = Box<dyn std::error::Error>> = std::result::Result<T, E>;

/// What was given on the command line.
pub struct Arguments(HashMap<String, String>);

impl Arguments {
    fn parse(words: impl Iterator<Item = String>) -> Result<Self> {
        let pair = |word: String| match word.split_once('=') {
            Some((name, value)) => Ok((name.to_owned(), value.to_owned())),
            None => Err(format!("expected arguments like name=value. Received: {word}").into()),
        };
        Ok(Arguments(words.map(pair).collect::<Result<_>>()?))
    }

    /// A value that must be given.
    pub fn text(&self, name: &str) -> Result<&str> {
        let value = self.0.get(name).map(String::as_str);
        value.ok_or_else(|| format!("expected an argument {name}=…; none was given").into())
    }

    /// A value, or what stands for it.
    pub fn text_or<'a>(&'a self, name: &str, default: &'a str) -> &'a str {
        self.0.get(name).map_or(default, String::as_str)
    }

    /// A number, or what stands for it.
    pub fn number(&self, name: &str, default: usize) -> Result<usize> {
        let Some(text) = self.0.get(name) else { return Ok(default) };
        text.parse().map_err(|_| format!("expected a number for {name}. Received: {text}").into())
    }
}

fn main() -> Result<()> {
    transfer::progress::set_reporter(Some(Arc::new(|line: &str| eprintln!("{line}"))));
    let mut words = std::env::args().skip(1);
    let what = words.next().unwrap_or_default();
    let arguments = Arguments::parse(words)?;
    match what.as_str() {
        "export" => return export::export(&arguments),
        "chart" => return chart::chart(&arguments),
        _ => {}
    }
    transfer::threads::set_threads(arguments.number("threads", 1)?);
    if let Err(why) = precision::check(&arguments) {
        return say(&json!({ "unavailable": why }));
    }
    match what.as_str() {
        "forward" => forward::answer(&arguments),
        "fit" => training::fit(&arguments),
        "step" => training::step(&arguments),
        "whole" => training::whole(&arguments),
        "peak" => training::peak(&arguments),
        "load" => training::load(&arguments),
        "single" => single::answer(&arguments),
        other => {
            Err(format!("`{other}` is nothing that can be timed; the first lines of this file list what is")
                .into())
        }
    }
}

/// Says one line of JSON to whoever drives this program.
fn say(value: &Value) -> Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{value}")?;
    Ok(out.flush()?)
}

/// Says that it is ready, and answers each line of standard input until there are no more.
pub fn serve(mut answer: impl FnMut(&[&str]) -> Result<Value>) -> Result<()> {
    say(
        &json!({ "ready": true, "versions": { "transfer": env!("CARGO_PKG_VERSION") }, "device": device()? }),
    )?;
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        let words: Vec<&str> = line.split_whitespace().collect();
        say(&answer(&words)?)?;
    }
    Ok(())
}

fn device() -> Result<String> {
    Ok(transfer::Device::auto()?.to_string())
}

/// The error for a line that is no request.
pub fn unknown(request: &[&str]) -> Box<dyn std::error::Error> {
    format!("`{}` is not a request that this program answers", request.join(" ")).into()
}

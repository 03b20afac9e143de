//! `cargo xtask mpi --speed`: what two processes gain, each with one thread on a processor of its own.
//! `cargo xtask mpi --model`: what more machines would gain, and how well that is predicted for two.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use super::model::{Measured, Network};
use super::{finish, Tools, WATCHDOG};
use crate::process::{on_path, run};
use crate::project::Project;
use crate::step::step;
use crate::{owned, Result};

/// Each is measured so many times, in turns; the best counts.
const ROUNDS: usize = 3;

/// What is measured: its name, its unit, and whether less is better.
const FIGURES: [(&str, &str, bool); 3] =
    [("phase1", "ms a step", true), ("phase2", "ms a step", true), ("features", "photographs/s", false)];

/// Delay of the networks that are modelled, in microseconds.
const DELAY: f64 = 20.0;

type Figures = BTreeMap<String, f64>;

/// The program `team-speed`, and what it needs.
struct Meter<'a> {
    tools: &'a Tools,
    taskset: PathBuf,
    program: PathBuf,
    photographs: PathBuf,
}

impl<'a> Meter<'a> {
    fn new(project: &Project, tools: &'a Tools) -> Result<Self> {
        let taskset = on_path("taskset", &project.root)
            .ok_or("expected `taskset`, which Linux has, to keep a process on a processor")?;
        let folder = project.root.join("target/mpi/speed");
        owned::empty_folder(&folder, &[])?;
        step("the program `team-speed`", "a few minutes at first", || {
            let mut build = tools.command("cargo");
            build.args(["build", "--quiet", "--release", "-p", "transfer-tools", "--bin", "team-speed"]);
            run(build.args(["--features", "mpi"]), "building team-speed with MPI")
        })?;
        let (program, photographs) = (folder.join("team-speed"), folder.join("photographs"));
        std::fs::copy(project.root.join("target/release/team-speed"), &program)
            .map_err(|e| format!("cannot copy team-speed: {e}"))?;
        let mut make = tools.mpirun();
        make.args(["-n", "1"]).arg(&program).arg("make").arg(&photographs);
        run(&mut make, "drawing photographs")?;
        Ok(Meter { tools, taskset, program, photographs })
    }

    fn measure(&self, mut command: Command, options: &[&str], what: &str) -> Result<Figures> {
        command.arg("measure").arg(&self.photographs).args(options);
        figures(command.env("TRANSFER_THREADS", "1").stdin(Stdio::null()), what)
    }

    /// One process, on this processor.
    fn alone(&self, processor: usize, options: &[&str]) -> Result<Figures> {
        // By `mpirun`, which knows where its libraries are.
        let mut mpirun = self.tools.mpirun();
        mpirun.args(["--bind-to", "none", "-n", "1"]).arg(&self.taskset);
        mpirun.args(["-c", &processor.to_string()]).arg(&self.program);
        self.measure(mpirun, options, "one process")
    }

    /// Two processes that share the work, each on a processor of its own.
    fn two(&self, options: &[&str]) -> Result<Figures> {
        let mut mpirun = self.tools.mpirun();
        mpirun.args(["--bind-to", "core", "-n", "2"]).arg(&self.program);
        self.measure(mpirun, options, "two processes")
    }

    /// Two processes that know nothing of each other, at the same time; the slower one counts.
    fn apart(&self, options: &[&str]) -> Result<Figures> {
        let (here, there) = std::thread::scope(|scope| {
            let there = scope.spawn(|| self.alone(1, options));
            let here = self.alone(0, options);
            (here, there.join().unwrap_or_else(|_| Err("measuring panicked".to_owned())))
        });
        Ok(slower(here?, there?))
    }
}

/// Measures, and prints a table. `options` go to `team-speed measure`.
pub fn speed(project: &Project, tools: &Tools, options: &[&str]) -> Result<()> {
    let meter = Meter::new(project, tools)?;
    let (mut one, mut apart, mut two) = (Figures::new(), Figures::new(), Figures::new());
    for round in 1..=ROUNDS {
        step(&format!("round {round} of {ROUNDS}"), "two minutes", || {
            better(&mut one, meter.alone(0, options)?);
            better(&mut two, meter.two(options)?);
            better(&mut apart, meter.apart(options)?);
            Ok(())
        })?;
    }
    print_table([&one, &apart, &two]);
    Ok(())
}

/// Predicts steps of phase 2 on many machines, and compares with two processes and an emulated network.
pub fn model(project: &Project, tools: &Tools) -> Result<()> {
    let meter = Meter::new(project, tools)?;
    let networks = [0.5, 1.0, 2.0, 10.0].map(|gbit| Network { gbit, delay: 1e-6 * DELAY });
    let (mut one, mut two) = (Figures::new(), Figures::new());
    let mut emulated = vec![Figures::new(); networks.len()];
    for round in 1..=ROUNDS {
        step(&format!("round {round} of {ROUNDS}"), "four minutes", || {
            // As many photographs as each of two processes has of a batch of 32.
            better(&mut one, meter.alone(0, &["--batch", "16"])?);
            better(&mut two, meter.two(&[])?);
            for (network, figures) in networks.iter().zip(&mut emulated) {
                let (gbit, delay) = (network.gbit.to_string(), DELAY.to_string());
                better(figures, meter.two(&["--gbit", &gbit, "--delay", &delay])?);
            }
            Ok(())
        })?;
    }
    let of = |figures: &Figures, name: &str| figures.get(name).copied().unwrap_or(f64::NAN);
    let buckets = (0..).map_while(|k| {
        let size = two.get(&format!("phase2-size-{k}"))?;
        Some((*size, 1e-3 * of(&two, &format!("phase2-early-{k}"))))
    });
    let measured = Measured { alone: 1e-3 * of(&one, "phase2"), buckets: buckets.collect() };
    println!("\nA step of 16 photographs by one process: {:.1} ms. Gradients:\n", 1e3 * measured.alone);
    println!("| bucket | MB | ms before the last one |\n|---|---:|---:|");
    for (k, (bytes, early)) in measured.buckets.iter().enumerate() {
        println!("| {k} | {:.2} | {:.1} |", 1e-6 * bytes, 1e3 * early);
    }
    println!("\n| two processes, network | predicted ms | measured ms | difference |\n|---|---:|---:|---:|");
    for (network, figures) in networks.iter().zip(&emulated) {
        let (predicted, found) = (1e3 * measured.step(2, *network), of(figures, "phase2"));
        let difference = 100.0 * (predicted / found - 1.0);
        println!(
            "| {} Gbit/s, {DELAY} us | {predicted:.1} | {found:.1} | {difference:+.0} % |",
            network.gbit
        );
    }
    println!("\n| machines | 10 Gbit/s | 100 Gbit/s |\n|---|---:|---:|");
    for machines in [4, 16, 64] {
        let [ten, hundred] =
            [10.0, 100.0].map(|gbit| measured.efficiency(machines, Network { gbit, delay: 1e-6 * DELAY }));
        println!("| {machines} | {ten:.3} | {hundred:.3} |");
    }
    Ok(())
}

/// What a process says of itself.
fn figures(command: &mut Command, what: &str) -> Result<Figures> {
    let output = finish(command, WATCHDOG, what)?;
    if !output.status.success() {
        return Err(format!(
            "{what} failed ({}): {}",
            output.status,
            String::from_utf8_lossy(&output.stderr)
        ));
    }
    let text = String::from_utf8_lossy(&output.stdout);
    let of_line = |line: &str| {
        let (name, value) = line.split_once(' ')?;
        Some((name.to_owned(), value.parse().ok()?))
    };
    Ok(text.lines().filter_map(of_line).collect())
}

fn less_is_better(name: &str) -> bool {
    FIGURES.iter().all(|(known, _, less)| *less || *known != name)
}

/// Keeps the better one of each figure.
fn better(best: &mut Figures, found: Figures) {
    for (name, value) in found {
        let less = less_is_better(&name);
        let kept = best.entry(name).or_insert(value);
        *kept = if less { kept.min(value) } else { kept.max(value) };
    }
}

/// The worse one of each figure: two processes are done when both are.
fn slower(mut a: Figures, b: Figures) -> Figures {
    for (name, value) in b {
        let less = less_is_better(&name);
        let kept = a.entry(name).or_insert(value);
        *kept = if less { kept.max(value) } else { kept.min(value) };
    }
    a
}

fn print_table([one, apart, two]: [&Figures; 3]) {
    let of = |figures: &Figures, name: &str| figures.get(name).copied().unwrap_or(f64::NAN);
    println!("\n| | one process | two processes | gain | two that share nothing |");
    println!("|---|---:|---:|---:|---:|");
    for (name, unit, less) in FIGURES {
        let (a, b, c) = (of(one, name), of(two, name), of(apart, name));
        let gain = if less { a / b } else { b / a };
        let most = if less { 2.0 * a / c } else { 2.0 * c / a };
        println!("| {name}, {unit} | {a:.1} | {b:.1} | {gain:.2} | {most:.2} |");
    }
    println!();
    for phase in ["phase1", "phase2"] {
        let figure = |what: &str| of(two, &format!("{phase}-{what}"));
        println!(
            "{phase}: a process sends {:.2} MB a step in {:.0} exchanges, which take {:.1} ms, waiting for the other \
             process included",
            1e-6 * figure("bytes"),
            figure("exchanges"),
            figure("exchanging")
        );
    }
}

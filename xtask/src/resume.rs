//! `cargo xtask resume`: trainings that are killed at random moments and started again. Each must end, bit
//! for bit, where an unbroken one does, and leave nothing behind. The training is `tools/resume/`.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use crate::process::{command, run};
use crate::project::Project;
use crate::step::duration;
use crate::Result;

/// A training whose every start is killed would never end.
const MOST_KILLS: u64 = 3;

/// How many trainings were killed and resumed, and how many of them ended as they should.
pub struct Survived {
    pub tries: usize,
    pub survived: usize,
    /// Kills by the phase that they fell in.
    pub kills: [usize; 2],
}

/// `cargo xtask resume [TRIES]`.
pub fn resume(arguments: &[&str]) -> Result<()> {
    let tries = match arguments {
        [] => 50,
        [n] => {
            n.parse().map_err(|_| format!("expected a number of tries, as in `resume 50`. Received: {n}"))?
        }
        more => return Err(format!("expected at most one number. Received: {}", more.join(" "))),
    };
    let start = Instant::now();
    let outcome = kill_and_resume(&Project::find()?, tries)?;
    let [first, second] = outcome.kills;
    println!(
        "{} of {} trainings ended bit for bit where an unbroken one does, after {first} kills in phase 1 and {second} \
         in phase 2 ({})",
        outcome.survived,
        outcome.tries,
        duration(start.elapsed().as_secs_f64())
    );
    match outcome.survived == outcome.tries {
        true => Ok(()),
        false => Err("a training that was killed and resumed did not end where an unbroken one does".into()),
    }
}

/// Kills and resumes `tries` trainings, each one to three times; 1, 2 or 3 threads compute, another number
/// at each start.
pub fn kill_and_resume(project: &Project, tries: usize) -> Result<Survived> {
    run(
        command("cargo").args(["build", "--quiet", "--workspace", "--bin", "resume"]),
        "building the training",
    )?;
    let program = project.root.join("target/debug").join(format!("resume{}", std::env::consts::EXE_SUFFIX));
    let folder = Folder::new(project.root.join("target/xtask/resume"))?;
    let pictures = folder.0.join("pictures");
    run(Command::new(&program).arg("make").arg(&pictures).stdout(Stdio::null()), "drawing pictures")?;
    let training = Training { program, pictures };

    let unbroken = digest(&training.finish(None, 1)?)?;
    let start = Instant::now();
    let kept = digest(&training.finish(Some(&folder.0.join("unbroken")), 1)?)?;
    let whole = start.elapsed();
    if kept != unbroken {
        return Err(format!("checkpoints alone change the training: {kept} instead of {unbroken}"));
    }
    let (mut random, mut outcome) = (Random(1), Survived { tries, survived: 0, kills: [0, 0] });
    for number in 0..tries {
        let checkpoints = folder.0.join(format!("try {number}"));
        let wanted = 1 + random.below(MOST_KILLS);
        let (mut killed, mut starts) = (0, 0);
        while killed < wanted && starts < 20 {
            starts += 1;
            let after = whole.mul_f64(random.below(1000) as f64 / 1000.0);
            let threads = 1 + random.below(3);
            match training.kill(&checkpoints, threads, after)? {
                Moment::Phase(phase) => {
                    outcome.kills[phase] += 1;
                    killed += 1;
                }
                // Killed before the training began: nothing is tested by that.
                Moment::TooEarly => {}
                // It was done before the moment came. Without a kill before, once more from the start.
                Moment::TooLate if killed == 0 => {
                    let _ = std::fs::remove_dir_all(&checkpoints);
                }
                Moment::TooLate => break,
            }
        }
        if killed == 0 {
            return Err(format!("try {number}: no kill fell into the training, which takes {whole:?}"));
        }
        let found = training.finish(Some(&checkpoints), 1 + random.below(3)).and_then(|text| digest(&text));
        let leftovers = leftovers(&checkpoints);
        match (&found, leftovers.is_empty()) {
            (Ok(found), true) if *found == unbroken => outcome.survived += 1,
            _ => println!("try {number} failed: {found:?} instead of {unbroken}; left behind: {leftovers:?}"),
        }
        let _ = std::fs::remove_dir_all(&checkpoints);
    }
    match outcome.kills.contains(&0) && tries >= 10 {
        true => Err(format!("expected kills in both phases. Received: {:?}", outcome.kills)),
        false => Ok(outcome),
    }
}

struct Training {
    program: PathBuf,
    pictures: PathBuf,
}

enum Moment {
    TooEarly,
    /// Number of the phase, from 0.
    Phase(usize),
    TooLate,
}

impl Training {
    fn start(&self, checkpoints: Option<&Path>, threads: u64) -> Result<Child> {
        let mut child = Command::new(&self.program);
        child.arg("train").arg(&self.pictures).args(checkpoints);
        child.env("TRANSFER_THREADS", threads.to_string()).stdout(Stdio::piped()).stderr(Stdio::piped());
        child.spawn().map_err(|e| format!("cannot start {}: {e}", self.program.display()))
    }

    /// What a whole training says.
    fn finish(&self, checkpoints: Option<&Path>, threads: u64) -> Result<String> {
        let output = wait(self.start(checkpoints, threads)?)?;
        match output.status.success() {
            true => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
            false => Err(format!("a training failed: {}", String::from_utf8_lossy(&output.stderr).trim())),
        }
    }

    /// Starts it, kills it after a while, and tells where that was.
    fn kill(&self, checkpoints: &Path, threads: u64, after: Duration) -> Result<Moment> {
        let mut child = self.start(Some(checkpoints), threads)?;
        std::thread::sleep(after);
        let _ = child.kill();
        let output = wait(child)?;
        let said = String::from_utf8_lossy(&output.stdout);
        if output.status.success() {
            return Ok(Moment::TooLate);
        }
        // What failed by itself failed for a reason, and that is not what was asked for.
        if output.status.code().is_some() {
            return Err(format!("a training failed: {}", String::from_utf8_lossy(&output.stderr).trim()));
        }
        if checkpoints.join("phase 2").is_dir()
            && (said.contains("Epoch 2/2") || said.contains("All 2 epochs"))
        {
            return Ok(Moment::Phase(1));
        }
        Ok(if checkpoints.join("phase 1").is_dir() { Moment::Phase(0) } else { Moment::TooEarly })
    }
}

fn wait(child: Child) -> Result<Output> {
    child.wait_with_output().map_err(|e| format!("cannot wait for a training: {e}"))
}

fn digest(said: &str) -> Result<String> {
    let line = said.lines().find_map(|line| line.strip_prefix("digest "));
    line.map(str::to_owned).ok_or_else(|| format!("a training ended without a digest: {said}"))
}

/// What lies beside the two checkpoints, the lock and the marker of each phase, as paths.
fn leftovers(checkpoints: &Path) -> Vec<PathBuf> {
    let entries =
        |folder: PathBuf| folder.read_dir().into_iter().flatten().flatten().map(|entry| entry.path());
    let name = |path: &Path| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let mut all: Vec<PathBuf> =
        ["phase 1", "phase 2"].iter().flat_map(|phase| entries(checkpoints.join(phase))).collect();
    all.retain(|path| ![".lock", ".transfer-checkpoints"].contains(&name(path).as_str()));
    match all.len() == 4 && all.iter().all(|path| name(path).starts_with("checkpoint-")) {
        true => Vec::new(),
        false => all,
    }
}

/// SplitMix64, so that moments differ from try to try and not from run to run.
struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % n
    }
}

/// A folder that is new, and goes away.
struct Folder(PathBuf);

impl Folder {
    fn new(path: PathBuf) -> Result<Self> {
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).map_err(|e| format!("cannot create {}: {e}", path.display()))?;
        Ok(Folder(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

//! What several processes gain, and what a network would leave of it.
//!
//! ```text
//! team-speed make FOLDER                       draws photographs
//! [mpirun -n N] team-speed measure FOLDER      times the tutorial's phases and the frozen forward pass
//!     [--batch N] [--micro-batch N] [--epochs N] [--gbit X --delay US]
//! ```
//!
//! `measure` prints milliseconds a step of both phases of the tutorial (batches of 32 photographs of 160x160) and
//! photographs a second of the features that `fine_tune` solves for, decoding included. `--gbit` and `--delay` emulate a
//! network: each exchange takes the time that it would take there, if that is longer than it takes here.
//! `cargo xtask mpi --speed` runs it with one and with two processes, and prints a table. `cargo xtask mpi --model`
//! predicts from its figures what more machines give.

#[path = "../../crate/tests/common/random_weights.rs"]
mod random_weights;

use std::path::Path;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use image::{Rgb, RgbImage};
use transfer::augment::{RandomFlip, RandomRotation, Sequential};
use transfer::prelude::*;
use transfer::random::Rng;
use transfer::team::Team;
use transfer::Result;

const SIDE: usize = 160;
const PHOTOGRAPHS: u32 = 320;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match words.as_slice() {
        ["make", folder] => make(Path::new(folder)),
        ["measure", folder, options @ ..] => match Options::new(options) {
            Ok(options) => with_team(Path::new(folder), &options),
            Err(text) => Err(transfer::Error::Invalid(text)),
        },
        other => Err(transfer::Error::Invalid(format!(
            "expected `make FOLDER` or `measure FOLDER [--batch N] [--micro-batch N] [--epochs N] [--gbit X \
             --delay US]`. \
             Received: {other:?}"
        ))),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

struct Options {
    batch: usize,
    micro_batch: usize,
    epochs: usize,
    link: Option<Link>,
}

impl Options {
    fn new(words: &[&str]) -> Result<Self, String> {
        let mut options = Options { batch: 32, micro_batch: 8, epochs: 4, link: None };
        let mut link = Link { gbit: f64::INFINITY, delay: 0.0 };
        for pair in words.chunks(2) {
            let &[name, value] = pair else { return Err(format!("expected a value of {pair:?}")) };
            let number: f64 =
                value.parse().map_err(|_| format!("{name} expected a number. Received: {value}"))?;
            match name {
                "--batch" => options.batch = number as usize,
                "--micro-batch" => options.micro_batch = number as usize,
                "--epochs" => options.epochs = number as usize,
                "--gbit" => link.gbit = number,
                "--delay" => link.delay = 1e-6 * number,
                _ => return Err(format!("{name} is none of the options")),
            }
        }
        options.link = (link.gbit.is_finite() || link.delay > 0.0).then_some(link);
        Ok(options)
    }
}

/// Noisy stripes in two directions, as JPEG files of 320x240 pixels.
fn make(folder: &Path) -> Result<()> {
    let failed = |e: &dyn std::fmt::Display| transfer::Error::Data(format!("cannot draw: {e}"));
    for (class, name) in ["across", "along"].into_iter().enumerate() {
        std::fs::create_dir_all(folder.join(name)).map_err(|e| failed(&e))?;
        for number in 0..PHOTOGRAPHS / 2 {
            let mut chance = Rng::new(&[class as u64, u64::from(number)]);
            let shift = chance.below(40) as u32;
            let picture = RgbImage::from_fn(320, 240, |x, y| {
                let noise = chance.below(60) as u8;
                let inside = ((if class == 0 { x } else { y } + shift) / 20).is_multiple_of(2);
                Rgb(if inside { [noise, 90 + noise, 190] } else { [180 + noise, 150, 30 + noise] })
            });
            picture.save(folder.join(name).join(format!("{number}.jpg"))).map_err(|e| failed(&e))?;
        }
    }
    Ok(())
}

#[cfg(feature = "mpi")]
fn with_team(folder: &Path, options: &Options) -> Result<()> {
    if transfer::environment::processes().is_none() {
        return measure(folder, options, None);
    }
    let mpi = transfer::team::Mpi::new()?;
    match measure(folder, options, Some(mpi.team())) {
        Ok(()) => {
            mpi.finish();
            Ok(())
        }
        Err(error) => {
            eprintln!("error: {error}");
            mpi.abort(1)
        }
    }
}

#[cfg(not(feature = "mpi"))]
fn with_team(folder: &Path, options: &Options) -> Result<()> {
    measure(folder, options, None)
}

fn measure(folder: &Path, options: &Options, team: Option<Arc<dyn Team>>) -> Result<()> {
    let is_first = team.as_ref().is_none_or(|team| team.rank() == 0);
    let sent = Arc::new(Sent::default());
    let team = team.filter(|team| team.size() > 1).map(|inner| -> Arc<dyn Team> {
        Arc::new(Network { inner, link: options.link, sent: sent.clone() })
    });
    transfer::progress::set_reporter(Some(Arc::new(|_: &str| {})));
    let all = ImageDatasetOptions::default().image_size(SIDE, SIDE).batch_size(options.batch).seed(1);
    let photographs = image_dataset_from_directory(folder, all)?;
    let mut base = MobileNetV2::with_weights((SIDE, SIDE, 3), &random_weights::random_weights())?;
    base.set_trainable(false);
    let augmentation = Sequential::new().add(RandomFlip::horizontal()).add(RandomRotation::new(0.2)).seed(3);
    let chain = Model::chain().then(augmentation).then(Rescaling::new(1.0 / 127.5, -1.0)).then(base);
    let chain = chain.then(GlobalAveragePooling2D).then(Dropout::new(0.2)).then(Dense::new(1));
    let mut model = chain.seed(4).build()?;
    model.set_team(team);
    // Nothing is kept, so that each pass decodes and computes.
    model.set_feature_cache_bytes(0);
    let mut best = f64::INFINITY;
    for _ in 0..3 {
        let start = Instant::now();
        model.predict(&photographs)?;
        best = best.min(start.elapsed().as_secs_f64());
    }
    if is_first {
        println!("features {:.1}", photographs.len() as f64 / best);
    }
    let photographs = photographs.cache();
    for phase in ["phase1", "phase2"] {
        if phase == "phase2" {
            model.base_model_mut().fine_tune_at(100)?;
            model.compile(RmsProp::new(1e-5), Loss::BinaryCrossentropy)?;
        } else {
            model.compile(Adam::new(1e-4), Loss::BinaryCrossentropy)?;
        }
        let fit = FitOptions::epochs(1).micro_batch(options.micro_batch);
        // Fills the cache of photographs, and memory.
        model.fit(&photographs, fit)?;
        sent.reset();
        let before = computing();
        let fit = FitOptions::epochs(options.epochs).micro_batch(options.micro_batch);
        let history = model.fit(&photographs, fit)?;
        let steps = photographs.cardinality() as f64;
        let mut milliseconds: Vec<f64> = history.seconds.iter().map(|s| 1e3 * s / steps).collect();
        milliseconds.sort_by(f64::total_cmp);
        if is_first {
            println!("{phase} {:.2}", milliseconds[0]);
            println!("{phase}-median {:.2}", milliseconds[milliseconds.len() / 2]);
            println!(
                "{phase}-computing {:.2}",
                1e3 * (computing() - before) / (steps * options.epochs as f64)
            );
            sent.say(phase, steps * options.epochs as f64);
        }
    }
    Ok(())
}

/// Seconds that the threads of this process have computed, all together.
fn computing() -> f64 {
    #[cfg(unix)]
    {
        let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: the clock writes into `time` alone.
        unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &mut time) };
        time.tv_sec as f64 + 1e-9 * time.tv_nsec as f64
    }
    #[cfg(not(unix))]
    f64::NAN
}

/// A network between processes.
#[derive(Debug, Clone, Copy)]
struct Link {
    /// Gbit/s in each direction.
    gbit: f64,
    /// Seconds until the first byte arrives.
    delay: f64,
}

/// What a process sent.
#[derive(Debug, Default)]
struct Sent {
    bytes: AtomicU64,
    exchanges: AtomicU64,
    /// Nanoseconds within exchanges, waiting for other processes included.
    time: AtomicU64,
    /// When each exchange began, and what it sent.
    begun: Mutex<Vec<(Instant, usize)>>,
}

impl Sent {
    fn reset(&self) {
        [&self.bytes, &self.exchanges, &self.time].iter().for_each(|x| x.store(0, Ordering::Relaxed));
        self.begun().clear();
    }

    fn begun(&self) -> std::sync::MutexGuard<'_, Vec<(Instant, usize)>> {
        self.begun.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn say(&self, phase: &str, steps: f64) {
        let [bytes, exchanges, time] =
            [&self.bytes, &self.exchanges, &self.time].map(|x| x.load(Ordering::Relaxed) as f64 / steps);
        println!("{phase}-bytes {bytes:.0}");
        println!("{phase}-exchanges {exchanges:.1}");
        println!("{phase}-exchanging {:.2}", 1e-6 * time);
        self.say_buckets(phase, exchanges as usize);
    }

    /// Of each bucket of gradients its bytes, and how many milliseconds before the last one it was there. Of the
    /// exchanges of a step the first and the last are about other things, and each bucket has two.
    fn say_buckets(&self, phase: &str, exchanges: usize) {
        let (begun, buckets) = (self.begun(), exchanges.saturating_sub(2) / 2);
        let steps: Vec<_> = begun.chunks_exact(exchanges.max(1)).collect();
        if buckets > 0 {
            // From the last bucket to the last exchange: what did not travel beside the computing.
            let last = |step: &&[(Instant, usize)]| {
                step[exchanges - 1].0.duration_since(step[exchanges - 3].0).as_secs_f64()
            };
            let mut behind: Vec<f64> = steps.iter().map(last).collect();
            behind.sort_by(f64::total_cmp);
            println!("{phase}-behind {:.2}", 1e3 * behind[behind.len() / 2]);
        }
        for bucket in 0..buckets {
            let early = |step: &&[(Instant, usize)]| {
                let [this, last] = [bucket, buckets - 1].map(|bucket| step[1 + 2 * bucket].0);
                last.duration_since(this).as_secs_f64()
            };
            let mut early: Vec<f64> = steps.iter().map(early).collect();
            early.sort_by(f64::total_cmp);
            println!("{phase}-early-{bucket} {:.3}", 1e3 * early[early.len() / 2]);
            println!("{phase}-size-{bucket} {}", steps[0][1 + 2 * bucket].1 + steps[0][2 + 2 * bucket].1);
        }
    }
}

/// A team whose exchanges are counted, and take as long as over a network.
#[derive(Debug)]
struct Network {
    inner: Arc<dyn Team>,
    link: Option<Link>,
    sent: Arc<Sent>,
}

impl Team for Network {
    fn rank(&self) -> usize {
        self.inner.rank()
    }

    fn size(&self) -> usize {
        self.inner.size()
    }

    fn send(&self, to: usize, message: &[u8]) -> Result<()> {
        self.inner.send(to, message)
    }

    fn receive(&self, from: usize) -> Result<Vec<u8>> {
        self.inner.receive(from)
    }

    fn exchange(&self, out: &[(usize, &[u8])], into: &mut [(usize, &mut [u8])]) -> Result<()> {
        let begin = Instant::now();
        let bytes = out.iter().map(|(_, message)| message.len()).sum::<usize>();
        self.sent.begun().push((begin, bytes));
        if self.link.is_some() {
            // The network has nothing to do before the other side is there.
            let ready: Vec<(usize, &[u8])> = out.iter().map(|(to, _)| (*to, &[0u8][..])).collect();
            let mut theirs = vec![[0u8; 1]; into.len()];
            let mut from: Vec<(usize, &mut [u8])> =
                into.iter().map(|(from, _)| *from).zip(theirs.iter_mut().map(|byte| &mut byte[..])).collect();
            self.inner.exchange(&ready, &mut from)?;
        }
        let start = Instant::now();
        self.inner.exchange(out, into)?;
        if let Some(Link { gbit, delay }) = self.link {
            let received = into.iter().map(|(_, message)| message.len()).sum::<usize>();
            let lasts = delay + 8.0 * bytes.max(received) as f64 / (1e9 * gbit);
            std::thread::sleep(Duration::from_secs_f64(lasts).saturating_sub(start.elapsed()));
        }
        self.sent.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        self.sent.exchanges.fetch_add(1, Ordering::Relaxed);
        self.sent.time.fetch_add(begin.elapsed().as_nanos() as u64, Ordering::Relaxed);
        Ok(())
    }
}

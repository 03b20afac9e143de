//! Running the real program, pictures to train it on, and models that need no training.
#![allow(dead_code)] // Each test file uses a part.

use std::path::Path;
use std::process::{Command, Output};

use image::{Rgb, RgbImage};
use transfer::prelude::*;
use transfer::random::Rng;

#[path = "../../../crate/tests/common/random_weights.rs"]
pub mod random_weights;

/// The program, without a terminal and with few threads.
pub fn transfer() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_transfer"));
    command.env_remove("TRANSFER_REPORT").env("TRANSFER_THREADS", "2");
    hears_signals(&mut command);
    command
}

/// A copy of the program, made by another process: a file that this one had open to write could not be started as long
/// as a child that another test forks meanwhile has it, too.
pub fn copy_of_program(to: &Path) {
    let copied = Command::new("cp").arg(env!("CARGO_BIN_EXE_transfer")).arg(to).status();
    assert!(copied.expect("cp starts").success(), "{to:?}");
}

/// Gives a program the signals in their default form: who runs the tests in the background or with `nohup` has some
/// of them ignored, and the program keeps that.
#[cfg_attr(not(unix), expect(unused_variables))]
pub fn hears_signals(command: &mut Command) {
    #[cfg(unix)]
    {
        use std::os::unix::process::CommandExt;
        let reset = || {
            for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGHUP] {
                // SAFETY: `signal` may be called between fork and exec, and these numbers are signals.
                unsafe { libc::signal(signal, libc::SIG_DFL) };
            }
            Ok(())
        };
        // SAFETY: the closure makes nothing but system calls.
        unsafe { command.pre_exec(reset) };
    }
}

/// Runs it with these arguments in `dir`.
pub fn run(dir: &Path, arguments: &[&str]) -> Output {
    transfer().current_dir(dir).args(arguments).output().expect("the program starts")
}

pub fn code(output: &Output) -> i32 {
    output.status.code().unwrap_or(-1)
}

pub fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).expect("standard output is UTF-8")
}

pub fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Runs it and expects it to succeed.
pub fn succeed(dir: &Path, arguments: &[&str]) -> String {
    let output = run(dir, arguments);
    assert_eq!(code(&output), 0, "{arguments:?}: {}", stderr(&output));
    stdout(&output)
}

pub const SHAPES: [&str; 3] = ["circle", "square", "triangle"];

/// One shape of class `class`: colours, place, size, turn and noise are random.
pub fn shape(class: usize, key: u64, side: u32) -> RgbImage {
    let mut rng = Rng::new(&[class as u64, key]);
    let mut within = |from: f32, to: f32| from + (to - from) * rng.uniform();
    let colour = [within(0.0, 255.0), within(0.0, 255.0), within(0.0, 255.0)];
    // The ground differs from the shape by at least 90 grey levels in one of the colours.
    let mut ground = [within(0.0, 255.0), within(0.0, 255.0), within(0.0, 255.0)];
    ground[1] =
        if colour[1] > 127.0 { within(0.0, colour[1] - 90.0) } else { within(colour[1] + 90.0, 255.0) };
    let full = side as f32;
    let radius = within(0.2, 0.35) * full;
    let (x0, y0) = (within(radius, full - radius), within(radius, full - radius));
    let turn = within(-0.3, 0.3);
    let noise: Vec<f32> = (0..side * side * 3).map(|_| within(-20.0, 20.0)).collect();
    RgbImage::from_fn(side, side, |x, y| {
        let (dx, dy) = (x as f32 + 0.5 - x0, y as f32 + 0.5 - y0);
        let (u, v) = (dx * turn.cos() + dy * turn.sin(), dy * turn.cos() - dx * turn.sin());
        let inside = match class {
            0 => u.hypot(v) < radius,
            1 => u.abs().max(v.abs()) < 0.85 * radius,
            // Apex above, base below.
            _ => v < 0.7 * radius && v > -radius && u.abs() < 0.55 * (v + radius),
        };
        let at = ((y * side + x) * 3) as usize;
        let of = |c: usize| {
            let value = if inside { colour[c] } else { ground[c] };
            (value + noise[at + c]).clamp(0.0, 255.0) as u8
        };
        Rgb([of(0), of(1), of(2)])
    })
}

/// Black and white points at random, which are none of the shapes.
pub fn noise(side: u32) -> RgbImage {
    let mut rng = Rng::new(&[side.into(), 99]);
    RgbImage::from_fn(side, side, |_, _| Rgb([255 * rng.below(2) as u8; 3]))
}

/// `each` pictures of every shape, in a folder a class.
pub fn shapes(dir: &Path, each: u64, first: u64, side: u32) {
    for (class, name) in SHAPES.iter().enumerate() {
        let folder = dir.join(name);
        std::fs::create_dir_all(&folder).expect("the folder can be made");
        for i in first..first + each {
            shape(class, i, side)
                .save(folder.join(format!("{i:05}.png")))
                .expect("the picture can be written");
        }
    }
}

/// Weights of the whole network that nothing has trained, as a file for `TRANSFER_WEIGHTS`.
pub fn untrained_weights(path: &Path) {
    let none = Default::default();
    transfer::weights::write_safetensors(path, &random_weights::random_weights(), &none).unwrap();
}

/// A model of the shapes that has learned nothing, as a file; it needs no trained weights.
pub fn untrained_model(path: &Path) {
    let base = MobileNetV2::with_weights((32, 32, 3), &random_weights::random_weights()).unwrap();
    let chain = Model::chain().then(Rescaling::new(1.0 / 127.5, -1.0)).then(base);
    let mut model = chain.then(GlobalAveragePooling2D).then(Dense::new(3).seed(1)).build().unwrap();
    model.base_model_mut().set_trainable(false);
    model.set_class_names(&SHAPES).unwrap();
    model.save(path).unwrap();
}

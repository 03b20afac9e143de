//! Which signal ends which command, with which exit code, and what is left behind.

use std::os::unix::process::{CommandExt, ExitStatusExt};
#[cfg(target_os = "linux")]
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::common::{self, code, shape, shapes, stderr, untrained_model, untrained_weights};
use super::{read_until, send, started, to_the_end};

/// Waits for a program that must end soon; a hang fails.
fn ended(child: &mut Child) -> std::process::ExitStatus {
    let start = Instant::now();
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status;
        }
        if start.elapsed() > Duration::from_secs(120) {
            child.kill().unwrap();
            child.wait().unwrap();
            panic!("it does not end");
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

const TRAIN: [&str; 8] =
    ["train", "shapes", "--image-size", "32", "--batch-size", "4", "--epochs=20", "--no-report"];

/// A folder with photographs of three shapes, and weights that nothing has trained.
fn to_train_in() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    shapes(&dir.path().join("shapes"), 12, 0, 64);
    untrained_weights(&dir.path().join("weights.safetensors"));
    dir
}

#[test]
fn sigterm_and_sighup_leave_a_checkpoint_too_and_have_exit_codes_of_their_own() {
    for (signal, expected) in [(libc::SIGTERM, 143), (libc::SIGHUP, 129)] {
        let dir = to_train_in();
        let mut command = common::transfer();
        command.current_dir(dir.path()).env("TRANSFER_WEIGHTS", dir.path().join("weights.safetensors"));
        let (mut child, mut said) = started(command.args(TRAIN), "Epoch ");
        send(&child, signal);
        let rest = to_the_end(&mut said);
        assert_eq!(ended(&mut child).code(), Some(expected), "{rest}");
        assert!(rest.contains("Interrupted. This command continues"), "{rest}");
    }
}

#[test]
fn a_signal_that_was_ignored_when_the_program_started_stays_ignored() {
    let dir = to_train_in();
    // As `nohup` and `trap '' INT HUP` do it.
    let mut command = Command::new("sh");
    let script = r#"trap '' INT HUP; exec "$0" "$@""#;
    command.current_dir(dir.path()).args(["-c", script, env!("CARGO_BIN_EXE_transfer")]).args(TRAIN);
    command.env_remove("TRANSFER_REPORT").env("TRANSFER_THREADS", "2");
    command.env("TRANSFER_WEIGHTS", dir.path().join("weights.safetensors"));
    let (mut child, mut said) = started(&mut command, "Epoch ");
    send(&child, libc::SIGINT);
    send(&child, libc::SIGHUP);
    // The first line may have been on its way; after a signal that it heeds there would not be a second one.
    read_until(&mut said, "Epoch ");
    read_until(&mut said, "Epoch ");
    send(&child, libc::SIGTERM);
    let rest = to_the_end(&mut said);
    let code = ended(&mut child).code();
    assert_eq!(code, Some(143), "{rest}");
}

/// Whether the program has told the system what to do about SIGTERM.
#[cfg(target_os = "linux")]
fn listens(child: &Child) -> bool {
    let about = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap_or_default();
    let mask = about.lines().find_map(|line| line.strip_prefix("SigCgt:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .is_some_and(|mask| mask & (1 << (libc::SIGTERM - 1)) != 0)
}

/// Files in the folder that no command is to leave there.
#[cfg(target_os = "linux")]
fn unfinished(dir: &Path) -> Vec<String> {
    let names =
        std::fs::read_dir(dir).unwrap().map(|e| e.unwrap().file_name().to_string_lossy().into_owned());
    names.filter(|name| name.contains("partial")).collect()
}

#[cfg(target_os = "linux")]
#[test]
fn every_command_ends_with_the_code_of_its_signal_and_leaves_no_partial_file() {
    let dir = tempfile::tempdir().unwrap();
    let here = dir.path();
    untrained_model(&here.join("model.safetensors"));
    shapes(&here.join("photos"), 40, 0, 64);
    let commands: [&[&str]; 5] = [
        &["evaluate", "model.safetensors", "photos"],
        &["export", "model.safetensors", "--int8", "--calibrate", "photos", "--max-loss", "100"],
        &["predict", "model.safetensors", "photos"],
        &["export", "model.safetensors", "--output", "model.onnx"],
        &["summary", "model.safetensors"],
    ];
    for arguments in commands {
        let mut hits = 0;
        for attempt in 0.. {
            let mut command = common::transfer();
            command.current_dir(here).args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped());
            let mut child = command.spawn().unwrap();
            while !listens(&child) && child.try_wait().unwrap().is_none() {
                std::hint::spin_loop();
            }
            // One that has ended and was reaped has no number any more.
            if child.try_wait().unwrap().is_none() {
                send(&child, libc::SIGTERM);
            }
            let output = child.wait_with_output().unwrap();
            match output.status.code() {
                Some(143) => hits += 1,
                // It was faster than the signal.
                Some(0) => {}
                _ => panic!("{arguments:?}: {:?} {}", output.status, stderr(&output)),
            }
            assert_eq!(unfinished(here), Vec::<String>::new(), "{arguments:?}");
            if hits == 2 {
                break;
            }
            assert!(attempt < 100, "{arguments:?} is never interrupted");
        }
    }
}

#[test]
fn a_signal_ends_a_command_that_waits_for_whoever_reads_its_output() {
    let dir = tempfile::tempdir().unwrap();
    let here = dir.path();
    untrained_model(&here.join("model.safetensors"));
    std::fs::create_dir(here.join("photos")).unwrap();
    // More results than fit between two programs.
    shape(0, 1, 32).save(here.join("one.png")).unwrap();
    for i in 0..600 {
        let name = format!("{}-{i:04}.png", "x".repeat(200));
        std::fs::hard_link(here.join("one.png"), here.join("photos").join(name)).unwrap();
    }
    let mut command = common::transfer();
    command.current_dir(here).args(["predict", "model.safetensors", "photos", "--format", "jsonl"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut results = std::io::BufReader::with_capacity(1, child.stdout.take().unwrap());
    read_until(&mut results, "\n");
    send(&child, libc::SIGTERM);
    let status = ended(&mut child);
    assert_eq!((status.code(), status.signal()), (Some(143), None));
}

#[test]
fn where_the_system_starts_no_thread_everything_is_computed_without() {
    let dir = tempfile::tempdir().unwrap();
    let here = dir.path();
    untrained_model(&here.join("model.safetensors"));
    shapes(&here.join("photos"), 3, 0, 64);
    // Limits on processes do not hold for root, and a user without rights may not reach the build's folder.
    let program = here.join("transfer");
    common::copy_of_program(&program);
    let everybody = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(here, everybody).unwrap();
    for arguments in [["evaluate", "model.safetensors", "photos"], ["predict", "model.safetensors", "photos"]]
    {
        let usual = common::run(here, &arguments);
        assert_eq!(code(&usual), 0, "{}", stderr(&usual));
        let mut command = Command::new(&program);
        command.current_dir(here).args(arguments).env_remove("TRANSFER_REPORT").env("TRANSFER_THREADS", "2");
        // SAFETY: geteuid has no conditions; the closure makes one system call and allocates nothing.
        unsafe {
            if libc::geteuid() == 0 {
                command.uid(65_534).gid(65_534);
            }
            command.pre_exec(|| {
                let none = libc::rlimit { rlim_cur: 1, rlim_max: 1 };
                match libc::setrlimit(libc::RLIMIT_NPROC, &none) {
                    0 => Ok(()),
                    _ => Err(std::io::Error::last_os_error()),
                }
            });
        }
        let alone = command.output().unwrap();
        let said = stderr(&alone);
        assert_eq!(code(&alone), 0, "{said}");
        assert_eq!(common::stdout(&alone), common::stdout(&usual));
        assert!(said.contains("The system started no thread"), "{said}");
    }
}

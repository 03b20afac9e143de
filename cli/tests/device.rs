//! The option `--device`.

mod common;
#[cfg(feature = "cuda")]
#[path = "../../kernels/src/testing/skipped.rs"]
mod skipped;

use std::path::Path;
use std::process::Output;

use common::{code, stderr, stdout, transfer, untrained_model};

/// A folder with a model and a picture.
fn here() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    untrained_model(&dir.path().join("m.safetensors"));
    common::shapes(&dir.path().join("in"), 1, 0, 40);
    dir
}

fn predicted(here: &Path, device: &[&str], variables: &[(&str, &str)]) -> Output {
    let mut program = transfer();
    program.current_dir(here).args(["predict", "m.safetensors", "in", "--format", "csv"]).args(device);
    program.env_remove("TRANSFER_DEVICE").envs(variables.iter().copied()).output().unwrap()
}

#[test]
fn a_device_is_chosen_by_name_and_another_name_is_wrong_usage() {
    let dir = here();
    for command in ["train", "check", "evaluate", "predict"] {
        let help = common::succeed(dir.path(), &[command, "--help"]);
        assert!(help.contains("--device <DEVICE>") && help.contains("[default: auto]"), "{help}");
    }
    let usual = predicted(dir.path(), &[], &[("TRANSFER_DEVICE", "cpu")]);
    let asked = predicted(dir.path(), &["--device", "cpu"], &[]);
    assert_eq!((code(&usual), code(&asked)), (0, 0), "{}", stderr(&asked));
    assert_eq!(stdout(&usual), stdout(&asked));
    assert_eq!(stderr(&asked), "");
    for name in ["tpu", "cuda:", "cuda:x", "1"] {
        let output = predicted(dir.path(), &["--device", name], &[]);
        assert_eq!((code(&output), stdout(&output)), (2, String::new()), "{name}");
        let said = stderr(&output);
        for part in ["--device", name, "`auto`", "`cpu`", "`cuda`", "`cuda:N`"] {
            assert!(said.contains(part), "{said}");
        }
    }
}

#[test]
fn the_option_goes_before_the_variable() {
    let dir = here();
    let output = predicted(dir.path(), &["--device", "cpu"], &[("TRANSFER_DEVICE", "cuda:7")]);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
}

/// What shows a model and rewrites it needs no GPU, even where the variable asks for one.
#[test]
fn nothing_is_computed_to_show_or_export_a_model() {
    let dir = here();
    for command in [&["summary", "m.safetensors"][..], &["export", "m.safetensors"]] {
        let mut program = transfer();
        let output =
            program.current_dir(dir.path()).args(command).env("TRANSFER_DEVICE", "cuda:7").output().unwrap();
        assert_eq!(code(&output), 0, "{}", stderr(&output));
    }
}

#[cfg(not(feature = "cuda"))]
#[test]
fn a_program_without_gpus_says_how_to_build_one() {
    let dir = here();
    let asked = [("cuda", "--device cuda "), ("cuda:1", "--device cuda:1 ")];
    let by_option = asked.map(|(name, said)| (predicted(dir.path(), &["--device", name], &[]), said));
    let by_variable =
        (predicted(dir.path(), &[], &[("TRANSFER_DEVICE", "cuda:1")]), "TRANSFER_DEVICE=cuda:1 ");
    for (output, said) in by_option.into_iter().chain([by_variable]) {
        assert_eq!((code(&output), stdout(&output)), (1, String::new()));
        let text = stderr(&output);
        for part in ["error: ", said, "cargo install --path cli --features cuda", "--device cpu"] {
            assert!(text.contains(part), "{text}");
        }
    }
    // Each command that computes says so before it does anything else.
    for command in [
        &["train", "in", "--device", "cuda"][..],
        &["check", "in", "--device", "cuda"],
        &["evaluate", "m.safetensors", "in", "--device", "cuda"],
    ] {
        let output = common::run(dir.path(), command);
        assert_eq!((code(&output), stdout(&output)), (1, String::new()), "{command:?}");
        assert!(stderr(&output).contains("--features cuda"), "{}", stderr(&output));
    }
    assert!(!dir.path().join("model.safetensors").exists());
}

/// On the emulated GPU of `cargo xtask cuda-build`, which has two GPUs if a variable says so.
#[cfg(feature = "cuda")]
#[test]
fn a_gpu_is_chosen_by_number_and_predicts_what_the_cpu_does() {
    let dir = here();
    let two = [("TRANSFER_TEST_GPUS", "2")];
    let output = predicted(dir.path(), &["--device", "cuda:1"], &two);
    if !stderr(&output).contains("emulated GPU") {
        return skipped::skipped("TRANSFER_REQUIRE_EMULATED_GPU", stderr(&output).trim());
    }
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    assert!(stderr(&output).contains("Computing on the GPU ") && stderr(&output).contains("(cuda:1, "));
    let on_cpu = predicted(dir.path(), &["--device", "cpu"], &[]);
    let classes = |output: &Output| -> Vec<String> {
        let text = stdout(output);
        text.lines().map(|line| line.split(',').nth(1).unwrap_or_default().to_owned()).collect()
    };
    assert_eq!(classes(&output), classes(&on_cpu));
    assert_eq!(stderr(&on_cpu), "");
    let output = predicted(dir.path(), &["--device", "cuda:2"], &two);
    assert_eq!((code(&output), stdout(&output)), (1, String::new()));
    for part in ["0 to 1", "2 GPUs", "0 is emulated GPU", "Received: 2"] {
        assert!(stderr(&output).contains(part), "{}", stderr(&output));
    }
}

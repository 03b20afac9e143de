//! Choosing a GPU, and what is said where it cannot be used, on the emulated GPU (`crate/src/ops/cuda/host/driver.cpp`):
//! `cargo xtask cuda-build`. Each case is a process of its own, since a process finds its GPU once; variables tell the
//! emulated driver what to be.
#![cfg(feature = "cuda")]

use std::path::Path;
use std::process::Command;

use transfer::prelude::*;
use transfer_kernels::testing::skipped;

#[path = "common/random_weights.rs"]
mod random_weights;

/// What a started process does, one word after the other: names of devices, or `model` for a model on device 1.
const JOB: &str = "TRANSFER_TEST_DEVICES";
/// Where it finds the model.
const MODEL: &str = "TRANSFER_TEST_MODEL";

/// Whether there is an emulated GPU; the test is skipped otherwise.
fn emulated() -> bool {
    let said = match Device::cuda(0) {
        Ok(device) if device.to_string().contains("emulated GPU") => return true,
        Ok(device) => format!("this needs an emulated GPU, and there is {device}"),
        Err(e) => e.to_string(),
    };
    skipped("TRANSFER_REQUIRE_EMULATED_GPU", said);
    false
}

/// The lines that a process prints which asks for these devices, with these variables.
fn asked(devices: &str, variables: &[(&str, &str)]) -> Vec<String> {
    let mut process = Command::new(std::env::current_exe().unwrap());
    process.args(["--exact", "the_started_process", "--nocapture", "--test-threads=1"]);
    let output = process.env(JOB, devices).envs(variables.iter().copied()).output().unwrap();
    let (said, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{variables:?}: {said}\n{errors}");
    said.lines().filter_map(|line| line.strip_prefix("> ").map(str::to_owned)).collect()
}

/// As [`asked`], of one device.
fn answer(device: &str, variables: &[(&str, &str)]) -> String {
    let lines = asked(device, variables);
    assert_eq!(lines.len(), 1, "{lines:?}");
    lines.into_iter().next().unwrap_or_default()
}

#[track_caller]
fn assert_says(said: &str, parts: &[&str]) {
    parts.iter().for_each(|part| assert!(said.contains(part), "{part:?} is missing in {said:?}"));
}

#[test]
fn the_started_process() {
    let Ok(job) = std::env::var(JOB) else { return };
    // Behind what the test program says of the test.
    println!();
    for name in job.split(' ') {
        let said = match name {
            "model" => two_models(Path::new(&std::env::var(MODEL).unwrap())),
            name if name.starts_with("steps:") => steps(&name["steps:".len()..]),
            name => Device::named(name).map(|device| device.to_string()),
        };
        println!("> {}", said.unwrap_or_else(|e| format!("error: {e}")));
    }
}

/// Trains on batches of these sizes, one after the other.
fn steps(sizes: &str) -> Result<String> {
    let mut base = MobileNetV2::on(&Device::cuda(0)?, (64, 64, 3), &random_weights::random_weights())?;
    base.set_trainable(false);
    let chain = Model::chain().then(base).then(GlobalAveragePooling2D).then(Dense::new(1).seed(1));
    let mut model = chain.build()?;
    model.compile(Adam::new(1e-3), Loss::BinaryCrossentropy)?;
    let mut losses = Vec::new();
    for n in sizes.split(',').filter_map(|n| n.parse::<usize>().ok()) {
        let images = ndarray::Array4::from_elem((n, 64, 64, 3), 0.5);
        let labels: Vec<u32> = (0..n as u32).map(|i| i % 2).collect();
        losses.push(model.train_on_batch(&images, &labels)?);
    }
    Ok(format!("trained {} steps", losses.len()))
}

/// Where a model lives that was loaded on a device, and one that was loaded without saying where.
fn two_models(path: &Path) -> Result<String> {
    let first = Model::load_on(path, &Device::cuda(1)?)?;
    let second = Model::load(path)?;
    let on_cpu = Model::load_on(path, &Device::cpu()?)?;
    let devices = [first, second, on_cpu].map(|model| model.base_model().device().to_string());
    Ok(devices.join("; "))
}

#[test]
fn a_gpu_is_chosen_by_its_number_and_one_that_does_not_exist_is_an_error_with_a_list() {
    if !emulated() {
        return;
    }
    let two = [("TRANSFER_TEST_GPUS", "2")];
    for name in ["cuda:0", "cuda", "auto"] {
        let said = answer(name, &[two[0], ("TRANSFER_DEVICE", "auto")]);
        assert_says(&said, &["the GPU emulated GPU (cuda:0, compute capability 9.0, 8 GiB)"]);
    }
    assert_says(&answer("cuda:1", &two), &["the GPU emulated GPU with another name, 1 (cuda:1, "]);
    assert_says(&answer("auto", &[two[0], ("TRANSFER_DEVICE", "cuda:1")]), &["(cuda:1, "]);
    assert_says(&answer("auto", &[two[0], ("TRANSFER_DEVICE", "cpu")]), &["the CPU with "]);
    let parts =
        ["error: ", "0 to 1", "2 GPUs", "Received: 2", "0 is emulated GPU, 1 is emulated GPU with another"];
    assert_says(&answer("cuda:2", &two), &[&parts[..], &["`--device cpu`"]].concat());
    assert_says(&answer("cuda:1", &[]), &["expected 0:", "1 GPU.", "Received: 1", "0 is emulated GPU."]);
    let said = answer("cuda:1", &[("CUDA_VISIBLE_DEVICES", "3")]);
    assert_says(&said, &["1 GPU (CUDA_VISIBLE_DEVICES is \"3\")"]);
}

#[test]
fn a_process_stays_on_the_gpu_that_it_asked_for_first() {
    if !emulated() {
        return;
    }
    let lines = asked(
        "cuda:1 cuda auto cuda:0 cuda:7 cuda:1 cpu",
        &[("TRANSFER_TEST_GPUS", "2"), ("TRANSFER_DEVICE", "auto")],
    );
    for i in [0, 1, 2, 5] {
        assert_says(&lines[i], &["the GPU ", "(cuda:1, "]);
    }
    let parts =
        ["error: ", "GPU 1, emulated GPU with another name, 1.", "GPU 0 expected a process of its own"];
    assert_says(&lines[3], &[&parts[..], &["`cuda:0`", "CUDA_VISIBLE_DEVICES"]].concat());
    assert_says(&lines[4], &["error: ", "0 to 1", "Received: 7"]);
    assert_says(&lines[6], &["the CPU with "]);
    // A number that does not exist is in nobody's way.
    let lines = asked("cuda:7 cuda:1", &[("TRANSFER_TEST_GPUS", "2")]);
    assert_says(&lines[0], &["error: ", "Received: 7"]);
    assert_says(&lines[1], &["(cuda:1, "]);
}

#[test]
fn a_model_is_loaded_where_it_is_asked_for_and_otherwise_where_the_process_computes() {
    if !emulated() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.safetensors");
    let weights = random_weights::random_weights();
    let base = MobileNetV2::on(&Device::cpu().unwrap(), (32, 32, 3), &weights).unwrap();
    let chain = Model::chain().then(base).then(GlobalAveragePooling2D).then(Dense::new(2).seed(1));
    chain.build().unwrap().save(&path).unwrap();
    let said = answer(
        "model",
        &[(MODEL, path.to_str().unwrap()), ("TRANSFER_TEST_GPUS", "2"), ("TRANSFER_DEVICE", "auto")],
    );
    let places: Vec<&str> = said.split("; ").collect();
    assert_eq!(places.len(), 3, "{said}");
    assert_says(places[0], &["(cuda:1, "]);
    assert_says(places[1], &["(cuda:1, "]);
    assert_says(places[2], &["the CPU with "]);
}

#[test]
fn a_gpu_or_a_driver_that_will_not_do_is_told_with_what_to_do() {
    if !emulated() {
        return;
    }
    type Case<'a> = (&'a [(&'a str, &'a str)], &'a [&'a str]);
    let cases: [Case<'_>; 8] = [
        (
            &[("TRANSFER_TEST_DRIVER", "11080")],
            &["the CUDA toolkit 1", "a driver for CUDA 11.8", "Install a newer"],
        ),
        (&[("TRANSFER_TEST_POOLS", "0")], &["expected memory pools", "Received: emulated GPU"]),
        (&[("TRANSFER_TEST_CAPABILITY", "7")], &["compute capability 8.0", "emulated GPU with 7.0"]),
        (
            &[("TRANSFER_TEST_GPUS", "0"), ("CUDA_VISIBLE_DEVICES", "")],
            &["shows no GPU (CUDA_VISIBLE_DEVICES is"],
        ),
        (&[("TRANSFER_TEST_FAILS", "cuInit:100:1")], &["shows no GPU"]),
        (&[("TRANSFER_TEST_FAILS", "cuInit:803:1")], &["restart the machine"]),
        (&[("TRANSFER_TEST_FAILS", "cuInit:34:1")], &["LD_LIBRARY_PATH"]),
        (&[("TRANSFER_TEST_FAILS", "cuInit:999:1")], &["is NVIDIA's driver installed", "nvidia-smi"]),
    ];
    for (variables, parts) in cases {
        let said = answer("cuda", variables);
        assert_says(&said, &[&["error: ", "--device cpu"], parts].concat());
        // Where nobody asked for a GPU, the CPU computes and the reason is kept.
        let said = answer("auto", &[variables, &[("TRANSFER_DEVICE", "auto")]].concat());
        assert_says(&said, &[&["the CPU with ", "(no GPU: "], parts].concat());
    }
}

#[test]
fn a_driver_that_fails_later_is_no_panic() {
    if !emulated() {
        return;
    }
    for (fails, part) in [
        ("cuDevicePrimaryCtxRetain:2:1", "Other programs may hold its memory"),
        ("cuDevicePrimaryCtxRetain:46:1", "Another program may have it for itself"),
        ("cuDevicePrimaryCtxRetain:2:2", "Other programs may hold its memory"),
        ("cuCtxSetCurrent:201:1", "could not be set up"),
        // Here cudarc panics.
        ("cuCtxSetCurrent:201:2", "cudarc 0.9.15 panicked"),
        ("cuEventCreate:2:1", "Other programs may hold its memory"),
        ("cuModuleLoadData:222:1", "load its kernels"),
    ] {
        let said = answer("cuda", &[("TRANSFER_TEST_FAILS", fails)]);
        assert_says(&said, &["error: ", part, "--device cpu"]);
        let said = answer("auto", &[("TRANSFER_TEST_FAILS", fails), ("TRANSFER_DEVICE", "auto")]);
        assert_says(&said, &["the CPU with ", "(no GPU: ", part]);
    }
}

#[test]
fn where_memory_is_short_what_is_kept_for_later_is_given_back_first() {
    if !emulated() {
        return;
    }
    let with = |job: &str, mib: usize| answer(job, &[("TRANSFER_TEST_MEMORY", &mib.to_string())]);
    // The least, to 4 MiB, in which the largest batch can be trained on.
    let enough = (24..80).map(|i| 4 * i).find(|&mib| !with("steps:16,16", mib).starts_with("error"));
    let enough = enough.expect("300 MiB are enough for 16 images of 64x64");
    // Each size leaves behind what is kept for the next batch of that size.
    assert_eq!(with("steps:15,14,13,12,11,10,9,8,16,7,16", enough + 4), "trained 11 steps");
    // What is recorded is given back where another step needs the memory.
    let least = |job: &str| (24..80).map(|i| 4 * i).find(|&mib| !with(job, mib).starts_with("error"));
    let one = least("steps:15").expect("300 MiB are enough");
    for mib in [one.max(enough), one.max(enough) + 8] {
        assert_eq!(with("steps:16,16,16,15,15,16", mib), "trained 6 steps", "{mib} MiB");
    }
    // And there is an end to it, which is told.
    let said = with("steps:16", 80);
    assert_says(&said, &["error: ", "OUT_OF_MEMORY"]);
}

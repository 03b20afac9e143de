//! `--features`: an ONNX file in place of a network of this project.

use std::path::Path;

use crate::common::{code, run, shapes, stderr, succeed};

#[cfg(not(feature = "onnx"))]
#[test]
fn a_program_that_was_built_without_says_how_to_build_one() {
    let dir = tempfile::tempdir().unwrap();
    let here: &Path = dir.path();
    shapes(&here.join("shapes"), 1, 0, 32);
    let output = run(here, &["train", "shapes", "--features", "network.onnx"]);
    let text = stderr(&output);
    assert!(code(&output) == 1 && text.contains("cargo install --path cli --features onnx"), "{text}");
    assert!(succeed(here, &["train", "--help"]).contains("--features-mean"));
}

#[cfg(feature = "onnx")]
mod with_onnx {
    use super::*;
    use crate::common::random_weights::random_weights;
    use crate::common::{noise, stdout};
    use crate::serve::client::Server;
    use serde_json::Value;
    use transfer::prelude::*;

    /// A network of 64 numbers an image, with weights at random, whose input takes grey levels from 0 to 255.
    fn network(path: &Path) {
        let base = MobileNetV2::with_weights((64, 64, 3), &random_weights()).unwrap();
        let chain = Model::chain().then(Rescaling::new(1.0 / 127.5, -1.0)).then(base);
        let model = chain.then(GlobalAveragePooling2D).then(Dense::new(64).seed(1)).build().unwrap();
        model.export_onnx(path).unwrap();
    }

    /// What makes grey levels of the numbers from 0 to 1 that networks usually want.
    const GREY_LEVELS: [&str; 6] = [
        "--features-output",
        "logits",
        "--features-mean",
        "0,0,0",
        "--features-std",
        "0.00392156862745098,0.00392156862745098,0.00392156862745098",
    ];

    fn accuracy(trained: &str) -> f64 {
        let found = trained
            .split_once("validation: accuracy ")
            .and_then(|(_, rest)| rest.split(',').next()?.parse().ok());
        found.unwrap_or_else(|| panic!("{trained}"))
    }

    #[test]
    fn an_onnx_file_is_trained_on_and_all_commands_know_what_to_do_with_the_model() {
        let dir = tempfile::tempdir().unwrap();
        let here = dir.path();
        shapes(&here.join("shapes"), 30, 0, 64);
        shapes(&here.join("more"), 5, 1000, 64);
        network(&here.join("network.onnx"));
        let train = ["train", "shapes", "--output", "m.safetensors", "--features", "network.onnx"];
        let output = run(here, &[&train[..], &GREY_LEVELS].concat());
        let (trained, notes) = (stdout(&output), stderr(&output));
        assert_eq!(code(&output), 0, "{notes}");
        // Three classes; a network that learned nothing tells some of them apart.
        assert!(accuracy(&trained) > 0.4, "{trained}");
        assert!(notes.contains("network.onnx: 64 features of images of 64x64"), "{notes}");
        assert!(notes.contains("Calibration") && notes.contains("Head, solved"), "{notes}");
        let html = std::fs::read_to_string(here.join("m.safetensors.report.html")).unwrap();
        assert!(html.contains("Cross-validation") && !html.contains("Grad-CAM"));

        let summary = succeed(here, &["summary", "m.safetensors"]);
        assert!(
            summary.contains("trained from: network.onnx, SHA-256") && summary.contains("64x64"),
            "{summary}"
        );
        let said = succeed(here, &["evaluate", "m.safetensors", "more", "--format", "json"]);
        let said: Value = serde_json::from_str(&said).unwrap();
        assert_eq!(said["images"], 15);
        let expected = succeed(here, &["predict", "m.safetensors", "more", "--format", "csv"]);
        assert_eq!(expected.lines().count(), 16);
        noise(64).save(here.join("noise.png")).unwrap();
        succeed(here, &["predict", "m.safetensors", "noise.png"]);
        succeed(here, &["sort", "m.safetensors", "more", "sorted"]);
        assert!(here.join("sorted/sorted.csv").is_file());
        let checked =
            succeed(here, &[&["check", "shapes", "--features", "network.onnx"], &GREY_LEVELS[..]].concat());
        assert!(checked.contains("90 photographs"), "{checked}");
        let exported = run(here, &["export", "m.safetensors"]);
        assert!(code(&exported) == 1 && stderr(&exported).contains("another ONNX file"), "{exported:?}");

        // Away from the model it has to be named, and it has to be that file.
        std::fs::rename(here.join("network.onnx"), here.join("shapes.onnx")).unwrap();
        let output = run(here, &["predict", "m.safetensors", "more"]);
        let text = stderr(&output);
        assert!(code(&output) == 1 && text.contains("network.onnx") && text.contains("--features"), "{text}");
        let named = ["predict", "m.safetensors", "more", "--format", "csv", "--features", "shapes.onnx"];
        assert_eq!(succeed(here, &named), expected);
        succeed(here, &["evaluate", "m.safetensors", "more", "--features", "shapes.onnx"]);
        let mut changed = std::fs::read(here.join("shapes.onnx")).unwrap();
        let middle = changed.len() / 2;
        changed[middle] ^= 1;
        std::fs::write(here.join("other.onnx"), changed).unwrap();
        let output = run(here, &["summary", "m.safetensors", "--features", "other.onnx"]);
        assert!(code(&output) == 1 && stderr(&output).contains("another file"), "{output:?}");

        let named = here.join("shapes.onnx");
        let server = Server::start(&here.join("m.safetensors"), &["--features", named.to_str().unwrap()]);
        let picture = std::fs::read(here.join("more/circle/01000.png")).unwrap();
        let mut client = server.connect();
        let answer = client.ask("POST", "/predict?heat_map=1", "Content-Type: image/png\r\n", &picture);
        assert_eq!(answer.status, 200, "{answer:?}");
        let said = answer.json();
        assert!(said["class"].is_string() && said["heat_map"].is_null(), "{said}");
    }

    #[test]
    fn what_is_about_fine_tuning_is_refused_and_so_is_what_is_no_onnx_file() {
        let dir = tempfile::tempdir().unwrap();
        let here = dir.path();
        shapes(&here.join("shapes"), 6, 0, 64);
        network(&here.join("network.onnx"));
        let with = |more: &[&str]| {
            let output = run(here, &[&["train", "shapes", "--features", "network.onnx"], more].concat());
            (code(&output), stderr(&output))
        };
        for more in [
            &["--base", "efficientnet_lite0"][..],
            &["--fine-tune-at", "100"],
            &["--learning-rate", "0.001"],
            &["--share", "0.5"],
            &["--refit"],
            &["--time", "60s"],
        ] {
            let (code, text) = with(more);
            assert!(code == 2 && text.contains("cannot be used with") && text.contains(more[0]), "{text}");
        }
        let (code, text) = with(&["--epochs", "3"]);
        assert!(code == 1 && text.contains("head alone") && text.contains("--epochs"), "{text}");
        let (code, text) = with(&[]);
        assert!(code == 1 && text.contains("several may be features") && text.contains("logits"), "{text}");
        let (code, text) = with(&["--features-output", "logits", "--features-size", "96"]);
        assert!(code == 1 && text.contains("64x64") && text.contains("96x96"), "{text}");
        let (code, text) = with(&["--features-mean", "0.5"]);
        assert!(code == 2 && text.contains("three numbers"), "{text}");
        std::fs::write(here.join("network.onnx"), "no network").unwrap();
        let (code, text) = with(&[]);
        assert!(code == 1 && text.contains("network.onnx") && text.contains("no ONNX file"), "{text}");
        assert!(!here.join("model.safetensors").exists());
    }
}

//! `cargo xtask concurrency`: loom, ThreadSanitizer and Miri on the places where threads meet. What they run is in
//! `concurrency/`.

use crate::process::{command, output, run};
use crate::project::Project;
use crate::step::step;
use crate::Result;

/// loom needs the compiler of the project alone. The two others need a nightly one, with `rust-src` and `miri`; where
/// those are missing they are left out, and said to be.
pub fn concurrency() -> Result<()> {
    let project = Project::find()?;
    let cargo = |toolchain: Option<&str>, target: &str, flags: &str| {
        let mut cargo = command("cargo");
        // `+nightly` is rustup's; a toolchain that the surroundings name would win over it.
        cargo.env_remove("RUSTUP_TOOLCHAIN").args(toolchain).current_dir(&project.root);
        cargo
            .env("RUSTFLAGS", flags)
            .env("CARGO_TARGET_DIR", project.root.join("target/concurrency").join(target));
        cargo
    };
    let package = ["--manifest-path", "concurrency/Cargo.toml"];
    step("loom: every order in which threads can meet", "a minute", || {
        run(cargo(None, "loom", "--cfg loom").args(["test", "--lib", "--release"]).args(package), "loom")
    })?;
    let list = ["component", "list", "--installed", "--toolchain", "nightly"];
    let parts = output(command("rustup").args(list)).unwrap_or_default();
    let host = host()?;
    let lacking = |part: &str| {
        let is_there = parts.lines().any(|line| line.starts_with(part));
        (!is_there).then(|| format!("`rustup component add {part} --toolchain nightly`"))
    };
    match lacking("rust-src") {
        Some(how) => println!("ThreadSanitizer was left out: the nightly compiler has no sources; {how}"),
        None => step("ThreadSanitizer: real threads, many times", "some minutes the first time", || {
            let mut sanitized = cargo(Some("+nightly"), "tsan", "-Zsanitizer=thread");
            run(
                sanitized.args(["test", "--lib", "-Zbuild-std", "--target", &host]).args(package),
                "ThreadSanitizer",
            )
        })?,
    }
    match lacking("miri") {
        Some(how) => println!("Miri was left out: the nightly compiler has none; {how}"),
        None => step("Miri: the same, interpreted", "some minutes the first time", || {
            run(cargo(Some("+nightly"), "miri", "").args(["miri", "test", "--lib"]).args(package), "Miri")
        })?,
    }
    Ok(())
}

/// The platform that this is, as rustc calls it.
fn host() -> Result<String> {
    let about = output(command("rustc").arg("-vV")).unwrap_or_default();
    let host = about.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_owned).ok_or_else(|| "`rustc -vV` does not name its platform".to_owned())
}

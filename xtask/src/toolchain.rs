//! The Rust toolchain: is it one that can build the project?

use std::path::Path;
use std::time::Duration;

use crate::process::{command, output, quietly};
use crate::project::Project;
use crate::step::{is_done, note_done, step};
use crate::Result;

/// Refuses a compiler that cannot build the project, and says what to use instead.
pub fn check() -> Result<String> {
    let told = output(command("rustc").arg("-vV")).ok_or(
        "rustc could not be run: install stable Rust with rustup, or, under conda, create the \
         environment from environment.yml",
    )?;
    let release =
        told.lines().find_map(|line| line.strip_prefix("release: ")).unwrap_or("unknown").to_owned();
    accept(&release)?;
    Ok(told)
}

fn accept(release: &str) -> Result<()> {
    if release.contains("nightly") || release.contains("-dev") {
        // dfdx's build script sees a nightly and switches on features which no longer exist.
        return Err(format!(
            "rustc {release} is a nightly compiler, and dfdx 0.13, on which this project is built, compiles \
             only with a stable one. Use `rustup default stable`, or `cargo +stable xtask …` for once, and \
             unset RUSTUP_TOOLCHAIN where that names a nightly"
        ));
    }
    Ok(())
}

/// Tries to add the sources of the standard library, which help the kernel to name types.
///
/// Nothing here depends on them (each `let` of the notebook whose type comes from std carries its
/// type), so where they can't be had, set-up goes on.
pub fn add_sources(project: &Project, rustc: &str) -> Result<()> {
    let Some(sysroot) = output(command("rustc").args(["--print", "sysroot"])) else { return Ok(()) };
    let stamp = project.stamp("rust-src");
    if Path::new(&sysroot).join("lib/rustlib/src/rust/library").is_dir() || is_done(&stamp, rustc) {
        return Ok(());
    }
    step("sources of the standard library, by rustup", "a few seconds; at most one minute", || {
        let limit = Duration::from_secs(60);
        if !quietly(command("rustup").args(["component", "add", "rust-src"]), limit) {
            println!("    they could not be had; only completion in the notebook misses them");
        }
        note_done(&stamp, rustc)
    })
}

#[cfg(test)]
mod tests {
    use super::accept;

    #[test]
    fn a_stable_compiler_is_accepted_and_a_nightly_one_is_refused_with_the_way_out() {
        assert!(accept("1.95.0").is_ok());
        assert!(accept("1.96.0-beta.2").is_ok());
        let error = accept("1.97.0-nightly").unwrap_err();
        assert!(error.contains("1.97.0-nightly") && error.contains("rustup default stable"), "{error}");
    }
}

//! Interrupts of a notebook's cell, on Linux.
//!
//! Jupyter sends SIGINT to the kernel, the compiler and the process in which cells run. `cargo xtask notebook` starts the
//! kernel with SIGINT ignored, which all of them inherit; this module replaces that in the process that runs cells.
//! Then an interrupt stops long work as [`request_stop`](super::request_stop) does, but in the cell that is running only,
//! and the variables of earlier cells stay. A second interrupt that comes before any work noticed the first ends the
//! process, since the cell then runs code that does not look for interrupts.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::Once;
use std::time::UNIX_EPOCH;

/// The kernel sets this in the process that runs cells.
const RUNS_CELLS: &str = "EVCXR_IS_RUNTIME";

/// When the last interrupt came, in nanoseconds since 1970; 0 where there is none to heed.
static CAME: AtomicI64 = AtomicI64::new(0);
/// Whether work noticed that interrupt.
static NOTICED: AtomicBool = AtomicBool::new(false);

/// Whether the cell that is running was interrupted. The first call starts listening.
pub(super) fn requested() -> bool {
    static LISTENS: Once = Once::new();
    LISTENS.call_once(listen);
    let came = CAME.load(Ordering::Acquire);
    if came == 0 {
        return false;
    }
    if start_of_cell().is_some_and(|start| start <= came) {
        NOTICED.store(true, Ordering::Release);
        return true;
    }
    // It was meant for an earlier cell. One that comes just now has another time and stays.
    let _ = CAME.compare_exchange(came, 0, Ordering::AcqRel, Ordering::Relaxed);
    false
}

/// When the cell that is running was compiled, in nanoseconds since 1970: just before it started. `None` where this
/// process runs no cells.
///
/// The kernel loads each cell as a library of its own, `libcode_1.so`, `libcode_2.so` and so on, and keeps them.
fn start_of_cell() -> Option<i64> {
    let maps = std::fs::read_to_string("/proc/self/maps").ok()?;
    let paths = maps.lines().filter_map(|line| line.find('/').map(|start| Path::new(&line[start..])));
    let cells = paths.filter(|path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with("libcode_") && name.ends_with(".so")
    });
    let compiled = cells.filter_map(|path| std::fs::metadata(path).ok()?.modified().ok());
    let start = compiled.max()?.duration_since(UNIX_EPOCH).ok()?;
    i64::try_from(start.as_nanos()).ok()
}

/// Listens where this process runs cells and nobody else listens.
fn listen() {
    if std::env::var_os(RUNS_CELLS).is_none() || start_of_cell().is_none() {
        return;
    }
    // SAFETY: zeros are a valid value of this plain structure. The first call only fills it in. The second installs a
    // function that stays loaded, because the kernel never unloads a library, and that only does what a handler may.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        let known = libc::sigaction(libc::SIGINT, std::ptr::null(), &mut action) == 0;
        if known && [libc::SIG_IGN, libc::SIG_DFL].contains(&action.sa_sigaction) {
            action.sa_sigaction = interrupted as extern "C" fn(libc::c_int) as libc::sighandler_t;
            action.sa_flags = libc::SA_RESTART;
            libc::sigaction(libc::SIGINT, &action, std::ptr::null_mut());
        }
    }
}

/// Notes an interrupt, or ends the process where the last one was not noticed.
extern "C" fn interrupted(signal: libc::c_int) {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the three calls are safe in a handler, and the first fills in a structure of this function.
    unsafe {
        libc::clock_gettime(libc::CLOCK_REALTIME, &mut now);
        let last = CAME.swap(now.tv_sec * 1_000_000_000 + now.tv_nsec, Ordering::AcqRel);
        if last != 0 && !NOTICED.load(Ordering::Acquire) {
            libc::signal(signal, libc::SIG_DFL);
            libc::raise(signal);
        }
    }
    NOTICED.store(false, Ordering::Release);
}

#[cfg(test)]
mod tests {
    use std::ffi::CString;
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::process::ExitStatusExt;
    use std::path::{Path, PathBuf};
    use std::process::{Command, Output};
    use std::time::Duration;

    use super::requested;

    /// Interrupts concern the whole process, so that each of these tests runs in one of its own.
    fn run_child(name: &str) -> Output {
        let mut child = Command::new(std::env::current_exe().unwrap());
        child.env(super::RUNS_CELLS, "1").args(["--ignored", "--exact", "--test-threads", "1"]);
        child.arg(format!("progress::interrupt::tests::{name}")).output().unwrap()
    }

    /// Loads a library as the kernel loads a cell.
    fn load_cell(folder: &Path, number: usize) {
        // A file's time may lag behind the clock by a tick.
        std::thread::sleep(Duration::from_millis(20));
        let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
        let library =
            maps.lines().find(|line| line.contains("/libgcc_s") || line.contains("/libm.so")).unwrap();
        let cell = folder.join(format!("libcode_{number}.so"));
        std::fs::write(&cell, std::fs::read(&library[library.find('/').unwrap()..]).unwrap()).unwrap();
        let name = CString::new(cell.as_os_str().as_bytes()).unwrap();
        // SAFETY: it is a copy of a library of the system that is loaded in any case.
        let loaded = unsafe { libc::dlopen(name.as_ptr(), libc::RTLD_NOW) };
        assert!(!loaded.is_null(), "{}", cell.display());
        std::thread::sleep(Duration::from_millis(20));
    }

    fn folder() -> PathBuf {
        let folder = std::env::temp_dir().join(format!("transfer-interrupt-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        folder
    }

    fn interrupt() {
        // SAFETY: a signal to this process.
        unsafe { libc::raise(libc::SIGINT) };
    }

    #[test]
    #[ignore = "run by `an_interrupt_stops_the_cell_that_is_running_and_no_later_one`"]
    fn child_with_two_cells() {
        let folder = folder();
        load_cell(&folder, 1);
        assert!(!requested());
        interrupt();
        assert!(requested() && requested(), "all work of the cell stops");
        load_cell(&folder, 2);
        assert!(!requested(), "the interrupt was meant for the cell before");
        interrupt();
        load_cell(&folder, 3);
        assert!(!requested(), "nothing was running in the cell that was interrupted");
        interrupt();
        assert!(requested());
        interrupt();
        assert!(requested(), "the one before was noticed, so that this one ends nothing");
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    #[ignore = "run by `a_second_interrupt_ends_a_cell_that_does_not_look_for_one`"]
    fn child_that_does_not_look() {
        let folder = folder();
        load_cell(&folder, 1);
        assert!(!requested());
        std::fs::remove_dir_all(folder).unwrap();
        interrupt();
        println!("after one");
        interrupt();
        println!("after two");
    }

    #[test]
    fn an_interrupt_stops_the_cell_that_is_running_and_no_later_one() {
        let output = run_child("child_with_two_cells");
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && said.contains("1 passed"), "{said}");
    }

    #[test]
    fn a_second_interrupt_ends_a_cell_that_does_not_look_for_one() {
        let output = run_child("child_that_does_not_look");
        assert_eq!(output.status.signal(), Some(libc::SIGINT), "{output:?}");
    }

    #[test]
    fn elsewhere_an_interrupt_ends_the_process_as_before() {
        let mut child = Command::new(std::env::current_exe().unwrap());
        child.env_remove(super::RUNS_CELLS).args(["--ignored", "--exact", "--test-threads", "1"]);
        let status = child.arg("progress::interrupt::tests::child_without_a_kernel").output().unwrap().status;
        assert_eq!(status.signal(), Some(libc::SIGINT));
    }

    #[test]
    #[ignore = "run by `elsewhere_an_interrupt_ends_the_process_as_before`"]
    fn child_without_a_kernel() {
        // Whoever started the tests may ignore it.
        // SAFETY: a plain system call with a disposition that every system has.
        unsafe { libc::signal(libc::SIGINT, libc::SIG_DFL) };
        assert!(!requested());
        interrupt();
    }
}

//! The tile registers: eight, of 16 rows of 64 bytes. `tdpbf16ps` multiplies 16 rows of 32 bfloat16
//! by 32 rows of 16, the latter in pairs.
//!
//! The compiler's own functions for them are not stable yet, so this is assembly; nothing else in
//! the crate touches these registers. A row that is no multiple of a cache line away from the next
//! makes a load seven times as slow, for which [`padded`](super::padded) is there.

use super::Product;
use std::arch::asm;
use std::arch::x86_64::{__cpuid, __cpuid_count, _xgetbv};
use std::sync::OnceLock;

/// Whether the processor has the tiles, and the system lets this process use them.
pub(super) fn is_available() -> bool {
    static ANSWER: OnceLock<bool> = OnceLock::new();
    *ANSWER.get_or_init(|| has_tiles() && request_permission())
}

fn has_tiles() -> bool {
    const OSXSAVE: u32 = 1 << 27;
    const AMX_BF16_AND_TILE: u32 = 1 << 22 | 1 << 24;
    const TILE_STATE: u64 = 0b11 << 17;
    #[target_feature(enable = "xsave")]
    fn enabled_state() -> u64 {
        // SAFETY: register 0 always exists.
        unsafe { _xgetbv(0) }
    }
    if __cpuid(0).eax < 7 || __cpuid(1).ecx & OSXSAVE == 0 {
        return false;
    }
    // SAFETY: OSXSAVE says that the processor has XSAVE and the system uses it.
    __cpuid_count(7, 0).edx & AMX_BF16_AND_TILE == AMX_BF16_AND_TILE
        && unsafe { enabled_state() } & TILE_STATE == TILE_STATE
}

/// Linux keeps the tiles (8 KB a thread) from processes that did not ask for them.
#[cfg(target_os = "linux")]
fn request_permission() -> bool {
    const ARCH_REQ_XCOMP_PERM: libc::c_ulong = 0x1023;
    const XFEATURE_XTILEDATA: libc::c_ulong = 18;
    // SAFETY: this call only changes what the process may use.
    unsafe { libc::syscall(libc::SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA) == 0 }
}

#[cfg(not(target_os = "linux"))]
fn request_permission() -> bool {
    false
}

/// The layout that `ldtilecfg` reads.
#[repr(C, align(64))]
struct Layout {
    palette: u8,
    start_row: u8,
    reserved: [u8; 14],
    row_bytes: [u16; 16],
    rows: [u8; 16],
}

/// All eight tiles at full size, until this is dropped.
pub(super) struct Tiles(());

impl Tiles {
    pub(super) fn configure() -> Self {
        let (mut row_bytes, mut rows) = ([0; 16], [0; 16]);
        row_bytes[..8].fill(64);
        rows[..8].fill(16);
        let layout = Layout { palette: 1, start_row: 0, reserved: [0; 14], row_bytes, rows };
        // SAFETY: only where `is_available`; the layout is a valid one.
        unsafe { asm!("ldtilecfg [{}]", in(reg) &layout, options(nostack, readonly)) };
        Tiles(())
    }
}

impl Drop for Tiles {
    fn drop(&mut self) {
        // A thread without tiles in use is cheaper to switch.
        // SAFETY: as in `configure`.
        unsafe { asm!("tilerelease", options(nostack, nomem)) };
    }
}

/// # Safety
/// As [`super::product`].
#[inline(always)]
pub(super) unsafe fn whole(
    (a, lda): (*const u16, usize),
    (b, k_tiles): (*const u16, usize),
    bias: *const f32,
    out: &mut Product,
) {
    // SAFETY: reads and writes what the caller promised. A load without an index reads its one row
    // sixteen times: so the sums start as the bias.
    unsafe {
        asm!(
            "tileloadd tmm0, [{bias}]",
            "tileloadd tmm1, [{bias} + 64]",
            "tileloadd tmm2, [{bias}]",
            "tileloadd tmm3, [{bias} + 64]",
            "2:",
            "tileloadd tmm4, [{a} + {lda}]",
            "tileloadd tmm6, [{b} + {line}]",
            "tdpbf16ps tmm0, tmm4, tmm6",
            "tileloadd tmm7, [{b} + {line} + 1024]",
            "tdpbf16ps tmm1, tmm4, tmm7",
            "tileloadd tmm5, [{lower} + {lda}]",
            "tdpbf16ps tmm2, tmm5, tmm6",
            "tdpbf16ps tmm3, tmm5, tmm7",
            "add {a}, 64",
            "add {lower}, 64",
            "add {b}, 2048",
            "dec {k}",
            "jnz 2b",
            "tilestored [{out} + {row}], tmm0",
            "tilestored [{out} + {row} + 64], tmm1",
            "tilestored [{out} + {row} + 2048], tmm2",
            "tilestored [{out} + {row} + 2112], tmm3",
            a = inout(reg) a => _,
            lower = inout(reg) a.wrapping_add(16 * lda) => _,
            b = inout(reg) b => _,
            k = inout(reg) k_tiles => _,
            lda = in(reg) 2 * lda,
            line = in(reg) 64usize,
            row = in(reg) 128usize,
            bias = in(reg) bias,
            out = in(reg) out as *mut Product,
            out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
            out("tmm4") _, out("tmm5") _, out("tmm6") _, out("tmm7") _,
            options(nostack)
        );
    }
}

/// # Safety
/// As [`super::product`].
#[inline(always)]
pub(super) unsafe fn upper_half(
    (a, lda): (*const u16, usize),
    (b, k_tiles): (*const u16, usize),
    bias: *const f32,
    out: &mut Product,
) {
    // SAFETY: as in `whole`.
    unsafe {
        asm!(
            "tileloadd tmm0, [{bias}]",
            "tileloadd tmm1, [{bias} + 64]",
            "2:",
            "tileloadd tmm4, [{a} + {lda}]",
            "tileloadd tmm6, [{b} + {line}]",
            "tdpbf16ps tmm0, tmm4, tmm6",
            "tileloadd tmm7, [{b} + {line} + 1024]",
            "tdpbf16ps tmm1, tmm4, tmm7",
            "add {a}, 64",
            "add {b}, 2048",
            "dec {k}",
            "jnz 2b",
            "tilestored [{out} + {row}], tmm0",
            "tilestored [{out} + {row} + 64], tmm1",
            a = inout(reg) a => _,
            b = inout(reg) b => _,
            k = inout(reg) k_tiles => _,
            lda = in(reg) 2 * lda,
            line = in(reg) 64usize,
            row = in(reg) 128usize,
            bias = in(reg) bias,
            out = in(reg) out as *mut Product,
            out("tmm0") _, out("tmm1") _, out("tmm4") _, out("tmm6") _, out("tmm7") _,
            options(nostack)
        );
    }
}

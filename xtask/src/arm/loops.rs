//! What is in the inner loops of the kernels: instructions counted from the compiler's assembly, and how much of a
//! processor's peak they can reach.

use crate::Result;

/// Kernels by what their names in the assembly hold, and what they are.
const KERNELS: [(&[&str], &str); 6] = [
    (&["4neon", "9pointwise3cpu4Gemm"], "pointwise"),
    (&["4neon", "9pointwise16backward_weights8Gradient"], "pointwise, gradient by the weights"),
    (&["4neon", "9depthwise3cpu4Band"], "depthwise"),
    // No NEON function of its own is in the assembly: its loops are in the caller.
    (&["9depthwise16backward_weights3run0"], "depthwise, gradient by the weights"),
    (&["4neon", "6frozen4rows4Rows"], "expansion and depthwise of a frozen block"),
    (&["4neon", "7conv3x33cpu4Band"], "first convolution"),
];

/// The longest pieces of straight code of each kernel that are shown.
const SHOWN: usize = 6;
/// Fewer multiplications than that are the rest of a row.
const FEWEST: usize = 16;

/// Straight code: instructions that run one after the other.
#[derive(Debug, Default, PartialEq)]
struct Block {
    text: Vec<String>,
}

/// What a block consists of.
#[derive(Debug, Default, PartialEq)]
struct Counted {
    all: usize,
    /// Multiplications with addition of whole vectors.
    fused: usize,
    /// Other instructions that compute with vectors.
    other: usize,
    /// Loads and stores of vectors, and how many registers they fill or empty.
    moved: usize,
    moved_registers: usize,
    /// Accesses to the stack.
    stack: usize,
}

impl Block {
    fn count(&self) -> Counted {
        let mut counted = Counted::default();
        for line in &self.text {
            let (name, operands) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
            counted.all += 1;
            counted.stack += usize::from(operands.contains("[sp"));
            if !operands.split([',', '{', '}', ' ']).any(is_vector) {
                continue;
            }
            match name {
                "fmla" => counted.fused += 1,
                _ if name.starts_with("ld") || name.starts_with("st") => {
                    counted.moved += 1;
                    counted.moved_registers += if name.ends_with('p') { 2 } else { 1 };
                }
                _ => counted.other += 1,
            }
        }
        counted
    }
}

/// Whether an operand is a vector register, whole (`v1.4s`, `q1`) or in part (`d1`, `s1`).
fn is_vector(operand: &str) -> bool {
    let Some(kind) = operand.chars().next().filter(|kind| "vqds".contains(*kind)) else { return false };
    let number: String = operand[kind.len_utf8()..].chars().take_while(char::is_ascii_digit).collect();
    !number.is_empty()
}

/// The blocks of the functions whose names hold all `parts`.
fn blocks(assembly: &str, parts: &[&str]) -> Vec<Block> {
    let mut found = Vec::new();
    let (mut inside, mut block) = (false, Block::default());
    for line in assembly.lines() {
        let line = line.split("//").next().unwrap_or_default().trim();
        let label = line.strip_suffix(':');
        let name = line.split_whitespace().next().unwrap_or_default();
        let ends = label.is_some() || is_branch(name);
        if inside && !ends && !line.is_empty() && !line.starts_with('.') {
            block.text.push(line.to_owned());
        }
        if ends && !block.text.is_empty() {
            found.push(std::mem::take(&mut block));
        }
        if let Some(label) = label.filter(|label| !label.starts_with('.')) {
            inside = parts.iter().all(|part| label.contains(part));
        }
    }
    found
}

fn is_branch(name: &str) -> bool {
    name == "b"
        || name.starts_with("b.")
        || ["br", "bl", "blr", "ret", "cbz", "cbnz", "tbz", "tbnz"].contains(&name)
}

/// Cycles of the Apple M1's fast cores at least: four units for vectors, three for loads, eight instructions at once.
/// A load of two registers counts twice.
fn m1_cycles(counted: &Counted) -> f64 {
    let vectors = (counted.fused + counted.other) as f64 / 4.0;
    let loads = counted.moved_registers as f64 / 3.0;
    let instructions = (counted.all + counted.moved_registers - counted.moved) as f64 / 8.0;
    vectors.max(loads).max(instructions)
}

/// Prints a table of the longest blocks; an error where a kernel is missing. `cycles` asks the model of the Neoverse N1.
pub fn report(assembly: &str, cycles: &dyn Fn(&str) -> Result<f64>) -> Result<()> {
    println!("| kernel | `fmla` | of arithmetic | of all on vectors | loads, stores | on the stack | of N1's peak | of M1's, at most |");
    println!("|---|---|---|---|---|---|---|---|");
    for (parts, what) in KERNELS {
        let mut found: Vec<(Counted, Block)> =
            blocks(assembly, parts).into_iter().map(|block| (block.count(), block)).collect();
        found.retain(|(counted, _)| counted.fused >= FEWEST);
        found.sort_by_key(|(counted, _)| std::cmp::Reverse(counted.fused));
        if found.is_empty() {
            return Err(format!("expected code of the kernel {parts:?} in the assembly, found none"));
        }
        for (counted, block) in found.iter().take(SHOWN) {
            let fused = counted.fused as f64;
            let percent = |of: f64| format!("{:.0} %", 100.0 * fused / of);
            let arithmetic = (counted.fused + counted.other) as f64;
            let n1 = cycles(&block.text.join("\n"))?;
            println!(
                "| {what} | {} | {} | {} | {} | {} | {} | {} |",
                counted.fused,
                percent(arithmetic),
                percent(arithmetic + counted.moved as f64),
                counted.moved,
                counted.stack,
                percent(2.0 * n1),
                percent(4.0 * m1_cycles(counted)),
            );
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ASSEMBLY: &str = "\
_R4neon_4Gemm:
\t.cfi_startproc
.LBB0_1:
\tldp\tq0, q1, [x1], #32
\tldr\tq2, [x2, x3]
\tfmla\tv4.4s, v0.4s, v2.s[0] // a comment
\tfmla\tv5.4s, v1.4s, v2.s[0]
\tstr\tq4, [sp, #16]
\tadd\tx4, x4, #1
\tb.ne\t.LBB0_1
\tret
_R4neon_other:
\tfmla\tv4.4s, v0.4s, v2.s[0]
\tret
";

    #[test]
    fn instructions_of_one_kernel_are_counted() {
        let blocks = blocks(ASSEMBLY, &["4neon", "4Gemm"]);
        assert_eq!(blocks.len(), 1, "{blocks:?}");
        let expected = Counted { all: 6, fused: 2, other: 0, moved: 3, moved_registers: 4, stack: 1 };
        assert_eq!(blocks[0].count(), expected);
    }

    #[test]
    fn registers_for_vectors_are_told_from_others() {
        assert!(["v1.4s", "q31", "d0", "s7"].into_iter().all(is_vector));
        assert!(!["x1", "sp", "w3", "[x2", "#16"].into_iter().any(is_vector));
    }

    #[test]
    fn what_is_missing_is_named() {
        let error = report(ASSEMBLY, &|_| Ok(1.0)).unwrap_err();
        assert!(error.contains("9pointwise3cpu4Gemm"), "{error}");
    }
}

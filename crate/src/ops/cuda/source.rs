//! The kernels' source, in the order in which its parts need each other.
//!
//! The parts do not include each other, since the run-time compiler is given one text; `all.cu`
//! includes them in the same order, for nvcc and for the tests' build.

/// What the run-time compiler is given.
pub(crate) const SOURCE: &str = concat!(
    include_str!("kernels/vector.cuh"),
    include_str!("kernels/number.cuh"),
    include_str!("kernels/window.cuh"),
    include_str!("kernels/reduce.cuh"),
    include_str!("kernels/elementwise.cuh"),
    include_str!("kernels/batch_norm.cuh"),
    include_str!("kernels/depthwise.cuh"),
    include_str!("kernels/depthwise_weights.cuh"),
    include_str!("kernels/first.cuh"),
    include_str!("kernels/product.cuh"),
    include_str!("kernels/pointwise.cuh"),
    include_str!("kernels/expand_depthwise.cuh"),
    include_str!("kernels/pooling.cuh"),
    include_str!("kernels/dropout.cuh"),
    include_str!("kernels/dense.cuh"),
    include_str!("kernels/update.cuh"),
    include_str!("kernels/augment.cuh"),
);

#[cfg(test)]
mod tests {
    use super::SOURCE;

    #[test]
    fn all_parts_are_there_in_the_order_in_which_nvcc_reads_them() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/ops/cuda/kernels");
        let all = std::fs::read_to_string(folder.join("all.cu")).unwrap();
        let names = all.lines().filter_map(|line| line.strip_prefix("#include \"")?.strip_suffix('"'));
        let parts: String = names.map(|name| std::fs::read_to_string(folder.join(name)).unwrap()).collect();
        assert!(!parts.is_empty() && parts == SOURCE, "source.rs and all.cu name different parts");
    }
}

//! The memory of a dfdx CPU tensor as a slice, without a copy.
//!
//! dfdx gives single elements by index and whole copies, and nothing between. Beside the kernels and
//! other vectorised loops, this is the only place with `unsafe`.

use dfdx::prelude::{Cpu, HasShape, Shape, Tensor};

/// The elements of a contiguous tensor in row-major order.
///
/// All tensors of this crate are contiguous: they come from `zeros_like` or `tensor_from_vec` and are
/// never broadcast or permuted. A tensor that is not is a bug here, hence the assertion.
pub(crate) fn slice<S: Shape, T>(t: &Tensor<S, f32, Cpu, T>) -> &[f32] {
    let len = t.shape().num_elements();
    if len == 0 {
        return &[];
    }
    assert_contiguous(t);
    let first: *const f32 = &t[Default::default()];
    // SAFETY: dfdx's `Index` on the CPU returns a reference into the tensor's `Vec<f32>`; index zero
    // is its start. The tensor is contiguous (asserted), so its storage holds at least `len` elements.
    // The slice borrows the tensor, so the storage cannot be dropped or changed meanwhile.
    unsafe { std::slice::from_raw_parts(first, len) }
}

/// Like [`slice`], for writing. Storage that is shared with another tensor is copied first.
pub(crate) fn slice_mut<S: Shape, T>(t: &mut Tensor<S, f32, Cpu, T>) -> &mut [f32] {
    let len = t.shape().num_elements();
    if len == 0 {
        return &mut [];
    }
    assert_contiguous(t);
    let first: *mut f32 = &mut t[Default::default()];
    // SAFETY: as in `slice`; `IndexMut` has made the storage unique (`Arc::make_mut`), and the
    // exclusive borrow of the tensor keeps it so.
    unsafe { std::slice::from_raw_parts_mut(first, len) }
}

/// dfdx keeps a tensor's strides to itself, but not the addresses of its elements: one step along
/// each axis must lead as far as it does in row-major order.
fn assert_contiguous<S: Shape, T>(t: &Tensor<S, f32, Cpu, T>) {
    let shape = t.shape();
    let (dims, strides) = (shape.concrete(), shape.strides());
    let address = |index: S::Concrete| &t[index] as *const f32 as usize;
    let start = address(Default::default());
    for axis in 0..S::NUM_DIMS {
        if dims[axis] > 1 {
            let mut index = S::Concrete::default();
            index[axis] = 1;
            let step = address(index).wrapping_sub(start);
            assert_eq!(step, strides[axis] * 4, "a tensor of shape {dims:?} is not contiguous");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{slice, slice_mut};
    use dfdx::prelude::*;

    #[test]
    fn a_slice_shows_the_tensor_in_row_major_order() {
        let dev = Cpu::default();
        let t = dev.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]);
        assert_eq!(slice(&t), [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
    }

    #[test]
    fn writing_leaves_a_clone_that_shares_the_storage_alone() {
        let dev = Cpu::default();
        let mut t = dev.tensor([1.0, 2.0]);
        let clone = t.clone();
        slice_mut(&mut t)[0] = 9.0;
        assert_eq!(t.array(), [9.0, 2.0]);
        assert_eq!(clone.array(), [1.0, 2.0]);
    }

    #[test]
    #[should_panic(expected = "not contiguous")]
    fn a_permuted_tensor_is_refused() {
        let dev = Cpu::default();
        let t: Tensor<Rank2<3, 2>, f32, _> = dev.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]).permute();
        slice(&t);
    }

    #[test]
    fn an_empty_tensor_is_an_empty_slice() {
        let dev = Cpu::default();
        let t: Tensor<(usize,), f32, _> = dev.zeros_like(&(0,));
        assert!(slice(&t).is_empty());
    }
}

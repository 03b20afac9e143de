// All kernels as one translation unit. crate/src/ops/cuda/source.rs names the same parts in the same
// order, for the compiler that runs when the program does.
#include "vector.cuh"
#include "window.cuh"
#include "reduce.cuh"
#include "elementwise.cuh"
#include "batch_norm.cuh"
#include "depthwise.cuh"
#include "depthwise_weights.cuh"
#include "first.cuh"
#include "pooling.cuh"
#include "dropout.cuh"
#include "update.cuh"
#include "augment.cuh"

// The kernels by name, ready to be launched in the emulation with arguments as a driver gets them: an array
// of addresses of the arguments.
#pragma once

#include "emulation.h"

#include "../kernels/all.cu"

#include <map>
#include <string>
#include <utility>

namespace emulation {

struct Kernel {
    // Whether its threads meet at barriers.
    bool barriers;
    // What its arguments are: P an address, I an int, F a float.
    std::string kinds;
    std::function<void(void**)> run;
};

template <typename T>
constexpr char kind_of() {
    if constexpr (std::is_pointer_v<T>) return 'P';
    if constexpr (std::is_same_v<T, int>) return 'I';
    if constexpr (std::is_same_v<T, float>) return 'F';
}

template <typename... A, size_t... I>
void run_with(void (*entry)(A...), void** arguments, std::index_sequence<I...>) {
    entry(*static_cast<A*>(arguments[I])...);
}

template <typename... A>
Kernel kernel(bool barriers, void (*entry)(A...)) {
    return Kernel{barriers, {kind_of<A>()...}, [entry](void** arguments) {
                      run_with(entry, arguments, std::index_sequence_for<A...>());
                  }};
}

#define PLAIN(name) {#name, kernel(false, name)}
#define WITH_BARRIERS(name) {#name, kernel(true, name)}

inline const std::map<std::string, Kernel> kernels = {
    PLAIN(bias_epilogue),
    PLAIN(relu6_backward),
    PLAIN(add_into),
    PLAIN(multiply),
    PLAIN(multiply_add),
    PLAIN(fold_batch_norm),
    PLAIN(fold_all),
    WITH_BARRIERS(unfold_all),
    WITH_BARRIERS(dense_forward),
    WITH_BARRIERS(head_forward),
    WITH_BARRIERS(dense_backward),
    PLAIN(dense_backward_input),
    WITH_BARRIERS(column_sums),
    WITH_BARRIERS(sum_partials),
    PLAIN(depthwise_forward),
    PLAIN(depthwise_backward_input),
    WITH_BARRIERS(depthwise_backward_weights),
    PLAIN(first_forward),
    PLAIN(first_forward_bf16),
    PLAIN(depthwise_forward_bf16),
    WITH_BARRIERS(pointwise_f32),
    WITH_BARRIERS(pointwise_f32_narrow),
    WITH_BARRIERS(pointwise_f32_deep),
    WITH_BARRIERS(pointwise_tf32_deep),
    WITH_BARRIERS(pointwise_bf16_deep),
    WITH_BARRIERS(pointwise_bf16_last_deep),
    WITH_BARRIERS(pointwise_tf32),
    WITH_BARRIERS(pointwise_tf32_narrow),
    WITH_BARRIERS(pointwise_bf16),
    WITH_BARRIERS(pointwise_bf16_narrow),
    WITH_BARRIERS(pointwise_bf16_last),
    WITH_BARRIERS(pointwise_bf16_last_narrow),
    WITH_BARRIERS(expand_depthwise_f32),
    WITH_BARRIERS(expand_depthwise_tf32),
    WITH_BARRIERS(expand_depthwise_bf16),
    WITH_BARRIERS(first_backward_weights),
    PLAIN(pool_forward),
    PLAIN(pool_backward),
    PLAIN(adam),
    PLAIN(rmsprop),
    PLAIN(adam_all),
    PLAIN(rmsprop_all),
    PLAIN(dropout),
    PLAIN(dropout_backward),
    PLAIN(augment),
};

#undef PLAIN
#undef WITH_BARRIERS

}  // namespace emulation

// What CUDA adds to C++, for a compiler that knows only C++: its words, its vectors, and launches that
// run the threads of a block one after the other, up to each barrier.
//
// Shared memory is static here, since one block runs at a time. Nothing about memory spaces, warps or
// timing is emulated.
#pragma once

#include <sys/types.h>
#include <ucontext.h>

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>
#include <vector>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/common_interface_defs.h>
#endif

#define __host__
#define __device__
#define __global__
#define __shared__ static
#define __align__(bytes) __attribute__((aligned(bytes)))
#define __launch_bounds__(...)

struct alignas(16) float4 {
    float x, y, z, w;
};
inline float4 make_float4(float x, float y, float z, float w) { return float4{x, y, z, w}; }

struct alignas(8) float2 {
    float x, y;
};
inline float2 make_float2(float x, float y) { return float2{x, y}; }
struct alignas(8) uint2 {
    unsigned x, y;
};
inline uint2 make_uint2(unsigned x, unsigned y) { return uint2{x, y}; }

inline unsigned __float_as_uint(float x) {
    unsigned bits;
    std::memcpy(&bits, &x, sizeof(bits));
    return bits;
}
inline float __uint_as_float(unsigned bits) {
    float x;
    std::memcpy(&x, &bits, sizeof(x));
    return x;
}

struct Three {
    unsigned x, y, z;
};
inline Three blockIdx, threadIdx, blockDim, gridDim;

namespace emulation {

[[noreturn]] inline void fail(const char* text) {
    std::fprintf(stderr, "emulation: %s\n", text);
    std::exit(2);
}

// One stack, entered for a thread and left at a barrier or at the thread's end.
struct Fiber {
    static constexpr size_t STACK = 128 * 1024;
    ucontext_t context;
    std::unique_ptr<char[]> stack{new char[STACK]};
    void* fake_stack = nullptr;
    bool done = true;
};

struct State {
    ucontext_t main;
    void* main_fake_stack = nullptr;
    const void* main_stack = nullptr;
    size_t main_size = 0;
    std::vector<Fiber> fibers;
    Fiber* current = nullptr;
    const std::function<void()>* work = nullptr;
};
inline State state;

// Tells the sanitizer that another stack is in use from now on.
inline void leaving(void** keep, const void* stack, size_t size) {
#if defined(__SANITIZE_ADDRESS__)
    __sanitizer_start_switch_fiber(keep, stack, size);
#else
    (void)keep, (void)stack, (void)size;
#endif
}

inline void arrived(void* kept, const void** from, size_t* size) {
#if defined(__SANITIZE_ADDRESS__)
    __sanitizer_finish_switch_fiber(kept, from, size);
#else
    (void)kept, (void)from, (void)size;
#endif
}

inline void enter(Fiber& fiber) {
    state.current = &fiber;
    leaving(&state.main_fake_stack, fiber.stack.get(), Fiber::STACK);
    swapcontext(&state.main, &fiber.context);
    arrived(state.main_fake_stack, nullptr, nullptr);
    state.current = nullptr;
}

inline void body() {
    arrived(nullptr, &state.main_stack, &state.main_size);
    (*state.work)();
    Fiber& fiber = *state.current;
    fiber.done = true;
    // The thread never comes back here: its stack is given up.
    leaving(nullptr, state.main_stack, state.main_size);
    swapcontext(&fiber.context, &state.main);
}

inline void barrier() {
    if (!state.current) fail("a kernel that is listed as one without barriers has one");
    Fiber& fiber = *state.current;
    leaving(&fiber.fake_stack, state.main_stack, state.main_size);
    swapcontext(&fiber.context, &state.main);
    arrived(fiber.fake_stack, &state.main_stack, &state.main_size);
}

// In which order blocks, and threads between barriers, take their turns. What a kernel computes must not
// depend on it.
enum class Order : unsigned { forwards = 0, backwards = 1, mixed = 2 };

inline unsigned place(unsigned i, unsigned count, Order order) {
    if (order == Order::backwards) return count - 1 - i;
    // Every number once: the step is odd and so has no factor in common with a power of two.
    if (order == Order::mixed && (count & (count - 1)) == 0) return (i * 97 + 13) & (count - 1);
    return i;
}

inline Three unravel(unsigned i, Three sides) {
    return Three{i % sides.x, i / sides.x % sides.y, i / sides.x / sides.y};
}

// Runs all threads of a block, which meet at barriers, phase by phase.
inline void run_block_with_barriers(unsigned threads, Order order) {
    while (state.fibers.size() < threads) state.fibers.emplace_back();
    for (unsigned i = 0; i < threads; ++i) {
        Fiber& fiber = state.fibers[i];
        getcontext(&fiber.context);
        fiber.context.uc_stack.ss_sp = fiber.stack.get();
        fiber.context.uc_stack.ss_size = Fiber::STACK;
        fiber.context.uc_link = nullptr;
        fiber.done = false;
        fiber.fake_stack = nullptr;
        makecontext(&fiber.context, body, 0);
    }
    for (bool more = true; more;) {
        unsigned done = 0;
        for (unsigned i = 0; i < threads; ++i) {
            const unsigned thread = place(i, threads, order);
            threadIdx = unravel(thread, blockDim);
            enter(state.fibers[thread]);
            done += state.fibers[thread].done;
        }
        if (done != 0 && done != threads) fail("some threads of a block end where others wait at a barrier");
        more = done == 0;
    }
}

inline void launch(Three grid, Three block, bool barriers, Order order, const std::function<void()>& work) {
    gridDim = grid;
    blockDim = block;
    state.work = &work;
    const unsigned blocks = grid.x * grid.y * grid.z, threads = block.x * block.y * block.z;
    if (blocks == 0 || threads == 0) fail("a launch of nothing");
    if (threads > 1024 || grid.y > 65535 || grid.z > 65535) fail("a launch that a GPU would refuse");
    for (unsigned i = 0; i < blocks; ++i) {
        blockIdx = unravel(place(i, blocks, order), grid);
        if (barriers) {
            run_block_with_barriers(threads, order);
            continue;
        }
        for (unsigned j = 0; j < threads; ++j) {
            threadIdx = unravel(place(j, threads, order), block);
            work();
        }
    }
}

}  // namespace emulation

inline void __syncthreads() { emulation::barrier(); }


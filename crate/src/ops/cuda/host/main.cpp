// The kernels, compiled for the processor, behind a pipe: a program that allocates, launches and reads
// back as it is told on standard input. `emulator.rs` is the other end.
//
// Every number is little-endian. A command is one byte and what it needs:
//   A  length in bytes (u64), contents          a new buffer; buffers are numbered from 0
//   L  name (u32 length, bytes), grid and block (6 u32), order (u32), arguments (u32 count; each a byte
//      and 4 bytes: P buffer, N anything, I int, F float)
//   R  buffer (u32)                             answers with its contents
//   C                                           forgets all buffers
#include "emulation.h"

#include "../kernels/all.cu"

#include <cstdint>
#include <cstring>
#include <map>
#include <string>
#include <tuple>

namespace {

using emulation::fail;

void read(void* to, size_t bytes) {
    if (std::fread(to, 1, bytes, stdin) != bytes) fail("the input ends within a command");
}

template <typename T>
T read() {
    T value;
    read(&value, sizeof(value));
    return value;
}

// Exactly as long as asked for, so that the sanitizer sees one number too many; aligned as a card's.
struct Buffer {
    size_t bytes;
    std::unique_ptr<char, decltype(&std::free)> memory;
};

Buffer allocate(size_t bytes) {
    void* memory = nullptr;
    if (posix_memalign(&memory, 256, bytes) != 0) fail("out of memory");
    return Buffer{bytes, {static_cast<char*>(memory), &std::free}};
}

std::vector<Buffer> buffers;

Buffer& buffer(uint32_t number) {
    if (number >= buffers.size()) fail("a buffer that does not exist");
    return buffers[number];
}

struct Argument {
    char kind;
    uint32_t bits;
};

void convert(const Argument& a, int& to) {
    if (a.kind != 'I') fail("an argument is not the int that the kernel expects");
    std::memcpy(&to, &a.bits, sizeof(to));
}

void convert(const Argument& a, float& to) {
    if (a.kind != 'F') fail("an argument is not the float that the kernel expects");
    std::memcpy(&to, &a.bits, sizeof(to));
}

template <typename T>
void convert(const Argument& a, T*& to) {
    if (a.kind != 'P' && a.kind != 'N') fail("an argument is not the address that the kernel expects");
    to = a.kind == 'N' ? nullptr : reinterpret_cast<T*>(buffer(a.bits).memory.get());
}

struct Kernel {
    bool barriers;
    std::function<std::function<void()>(const std::vector<Argument>&)> bind;
};

template <typename... A>
Kernel kernel(bool barriers, void (*entry)(A...)) {
    return Kernel{barriers, [entry](const std::vector<Argument>& given) -> std::function<void()> {
                      if (given.size() != sizeof...(A)) fail("a launch with too few or too many arguments");
                      std::tuple<A...> arguments;
                      size_t i = 0;
                      std::apply([&](auto&... to) { (convert(given[i++], to), ...); }, arguments);
                      return [entry, arguments] { std::apply(entry, arguments); };
                  }};
}

#define PLAIN(name) {#name, kernel(false, name)}
#define WITH_BARRIERS(name) {#name, kernel(true, name)}

const std::map<std::string, Kernel> kernels = {
    PLAIN(bias_epilogue),
    PLAIN(relu6_backward),
    PLAIN(add),
    PLAIN(add_into),
    PLAIN(axpy),
    PLAIN(multiply),
    PLAIN(multiply_add),
    PLAIN(fold_batch_norm),
    WITH_BARRIERS(unfold_partials),
    WITH_BARRIERS(unfold_finish),
    WITH_BARRIERS(column_sums),
    WITH_BARRIERS(sum_partials),
    PLAIN(depthwise_forward),
    PLAIN(depthwise_backward_input),
    WITH_BARRIERS(depthwise_backward_weights),
    PLAIN(first_forward),
    WITH_BARRIERS(first_backward_weights),
    PLAIN(pool_forward),
    PLAIN(pool_backward),
    PLAIN(adam),
    PLAIN(rmsprop),
    PLAIN(rescale_u8),
    PLAIN(rescale_u16),
    PLAIN(rescale_f32),
    PLAIN(augment_u8),
    PLAIN(augment_u16),
    PLAIN(augment_f32),
};

Three read_three() {
    const uint32_t x = read<uint32_t>(), y = read<uint32_t>(), z = read<uint32_t>();
    return Three{x, y, z};
}

void launch() {
    std::string name(read<uint32_t>(), ' ');
    read(name.data(), name.size());
    const Three grid = read_three(), block = read_three();
    const auto order = static_cast<emulation::Order>(read<uint32_t>());
    std::vector<Argument> arguments(read<uint32_t>());
    for (Argument& a : arguments) {
        a.kind = read<char>();
        a.bits = read<uint32_t>();
    }
    const auto found = kernels.find(name);
    if (found == kernels.end()) fail(("there is no kernel " + name).c_str());
    emulation::launch(grid, block, found->second.barriers, order, found->second.bind(arguments));
}

}  // namespace

int main() {
    for (int command; (command = std::getchar()) != EOF;) {
        if (command == 'A') {
            buffers.push_back(allocate(read<uint64_t>()));
            read(buffers.back().memory.get(), buffers.back().bytes);
        } else if (command == 'L') {
            launch();
        } else if (command == 'R') {
            const Buffer& b = buffer(read<uint32_t>());
            if (std::fwrite(b.memory.get(), 1, b.bytes, stdout) != b.bytes) fail("nobody listens");
            std::fflush(stdout);
        } else if (command == 'C') {
            buffers.clear();
        } else {
            fail("a command that does not exist");
        }
    }
}

// The kernels, compiled for the processor, behind a pipe: a program that allocates, launches and reads
// back as it is told on standard input. `emulator.rs` is the other end.
//
// Every number is little-endian. A command is one byte and what it needs:
//   A  length in bytes (u64), contents          a new buffer; buffers are numbered from 0
//   L  name (u32 length, bytes), grid and block (6 u32), order (u32), arguments (u32 count; each a byte
//      and 4 bytes: P buffer, N anything, I int, F float)
//   W  buffer (u32), offset in bytes (u64), buffer (u32), number (u64)   writes into the first the address of the second
//      plus the number; the number alone where there is no second (2^32 - 1)
//   R  buffer (u32)                             answers with its contents
//   C                                           forgets all buffers
#include "registry.h"

#include <cstdint>
#include <cstring>

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

// Exactly as long as asked for, so that the sanitizer sees one number too many; aligned as a GPU's.
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

Three read_three() {
    const uint32_t x = read<uint32_t>(), y = read<uint32_t>(), z = read<uint32_t>();
    return Three{x, y, z};
}

void launch() {
    std::string name(read<uint32_t>(), ' ');
    read(name.data(), name.size());
    const Three grid = read_three(), block = read_three();
    const auto order = static_cast<emulation::Order>(read<uint32_t>());
    std::string kinds(read<uint32_t>(), ' ');
    // Each in eight bytes, of which the kernel takes what it declares.
    std::vector<uint64_t> values(kinds.size());
    std::vector<void*> arguments;
    for (size_t i = 0; i < kinds.size(); ++i) {
        kinds[i] = read<char>();
        const auto bits = read<uint32_t>();
        if (kinds[i] == 'P') {
            void* address = buffer(bits).memory.get();
            std::memcpy(&values[i], &address, sizeof(address));
        } else {
            std::memcpy(&values[i], &bits, sizeof(bits));
        }
        if (kinds[i] == 'N') kinds[i] = 'P';
        arguments.push_back(&values[i]);
    }
    const auto found = emulation::kernels.find(name);
    if (found == emulation::kernels.end()) fail(("there is no kernel " + name).c_str());
    const emulation::Kernel& kernel = found->second;
    if (kinds != kernel.kinds) fail((name + " takes " + kernel.kinds + " and not " + kinds).c_str());
    emulation::launch(grid, block, kernel.barriers, order, [&] { kernel.run(arguments.data()); });
}

}  // namespace

int main() {
    for (int command; (command = std::getchar()) != EOF;) {
        if (command == 'A') {
            buffers.push_back(allocate(read<uint64_t>()));
            read(buffers.back().memory.get(), buffers.back().bytes);
        } else if (command == 'L') {
            launch();
        } else if (command == 'W') {
            const auto to = read<uint32_t>();
            const auto offset = read<uint64_t>();
            const auto of = read<uint32_t>();
            const uint64_t start = of == UINT32_MAX ? 0 : reinterpret_cast<uint64_t>(buffer(of).memory.get());
            const uint64_t value = start + read<uint64_t>();
            if (offset + sizeof(value) > buffer(to).bytes) fail("an address beyond the end of a buffer");
            std::memcpy(buffer(to).memory.get() + offset, &value, sizeof(value));
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

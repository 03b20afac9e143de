// A GPU that is none: the part of NVIDIA's driver interface that the crate uses, with memory that is the
// processor's and kernels that the emulation runs. `cargo xtask cuda-build` links and runs the crate with
// it, so that all that is not a kernel's speed can be tried without a GPU.
//
// It is stricter than a driver: memory that nobody wrote is NaN, and a kernel or copy that writes beyond the
// end of memory ends the program. Everything is done when a call returns, so it finds no missing waits.
#include "registry.h"

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <mutex>

namespace {

using emulation::fail;

// The driver's numbers for what can go wrong.
enum Result : int { SUCCESS = 0, INVALID_VALUE = 1, OUT_OF_MEMORY = 2, NOT_FOUND = 500 };

// What a test (crate/tests/cuda_device.rs) makes another GPU of it: a number in place of the usual one.
int told(const char* variable, int usual) {
    const char* value = std::getenv(variable);
    return value ? std::atoi(value) : usual;
}

// Bytes behind each piece of memory that must stay as they are.
constexpr size_t GUARD = 256;
constexpr unsigned char UNWRITTEN = 0xff;

struct Memory {
    size_t bytes;
    char* start;
};

std::mutex lock;
// By address.
std::map<uint64_t, Memory> memory;
size_t in_use = 0;

void check_guard(const Memory& m, const std::string& who) {
    for (size_t i = 0; i < GUARD; ++i) {
        if (static_cast<unsigned char>(m.start[m.bytes + i]) != UNWRITTEN) {
            fail((who + " wrote beyond the end of " + std::to_string(m.bytes) + " bytes").c_str());
        }
    }
}

void check_guards(const std::string& who) {
    for (const auto& entry : memory) check_guard(entry.second, who);
}

// Whether these bytes lie in one piece of memory.
bool is_ours(uint64_t address, size_t bytes) {
    auto next = memory.upper_bound(address);
    if (next == memory.begin()) return false;
    const auto& [start, m] = *std::prev(next);
    return address - start + bytes <= m.bytes;
}

int allocate(uint64_t* address, size_t bytes) {
    const std::lock_guard<std::mutex> turn(lock);
    void* start = nullptr;
    // In MiB.
    if (in_use + bytes > static_cast<size_t>(told("TRANSFER_TEST_MEMORY", 8 << 10)) << 20) return OUT_OF_MEMORY;
    in_use += bytes;
    if (posix_memalign(&start, 512, bytes + GUARD) != 0) return OUT_OF_MEMORY;
    std::memset(start, UNWRITTEN, bytes + GUARD);
    *address = reinterpret_cast<uint64_t>(start);
    memory[*address] = Memory{bytes, static_cast<char*>(start)};
    return SUCCESS;
}

int release(uint64_t address) {
    const std::lock_guard<std::mutex> turn(lock);
    const auto found = memory.find(address);
    if (found == memory.end()) return INVALID_VALUE;
    check_guard(found->second, "somebody");
    in_use -= found->second.bytes;
    std::free(found->second.start);
    memory.erase(found);
    return SUCCESS;
}

int copy(void* to, const void* from, size_t bytes, uint64_t ours) {
    const std::lock_guard<std::mutex> turn(lock);
    if (bytes != 0 && !is_ours(ours, bytes)) return INVALID_VALUE;
    std::memmove(to, from, bytes);
    return SUCCESS;
}

// The error that a test wants of a function: TRANSFER_TEST_FAILS=function:error:n, from the n-th call on.
int fails(const char* function) {
    static std::atomic<int> calls{0};
    char name[64];
    int error = 0, first = 0;
    const char* value = std::getenv("TRANSFER_TEST_FAILS");
    if (!value || std::sscanf(value, "%63[^:]:%d:%d", name, &error, &first) != 3) return SUCCESS;
    return std::strcmp(name, function) == 0 && ++calls >= first ? error : SUCCESS;
}

void* pointer(uint64_t address) { return reinterpret_cast<void*>(address); }

int context, event, module_handle;

// Work in the order in which it was put on a stream that records.
using Recording = std::vector<std::function<int()>>;
struct Stream {
    Recording* recording = nullptr;
};

// Does it now, or notes it where the stream records. The null stream never does.
template <typename Work>
int put_on(void* to, Work work) {
    auto* stream = static_cast<Stream*>(to);
    if (stream == nullptr || stream->recording == nullptr) return work();
    stream->recording->push_back(work);
    return SUCCESS;
}

// Runs a kernel with these arguments.
int run(const std::pair<const std::string, emulation::Kernel>* function, Three grid, Three block,
        std::vector<uint64_t> values) {
    const std::lock_guard<std::mutex> turn(lock);
    const auto& [name, kernel] = *function;
    std::vector<void*> arguments;
    for (size_t i = 0; i < kernel.kinds.size(); ++i) {
        arguments.push_back(&values[i]);
        const uint64_t address = values[i];
        if (kernel.kinds[i] != 'P') continue;
        if (address != 0 && !is_ours(address, 4)) {
            fail((name + ": argument " + std::to_string(i) + " is no memory of the GPU").c_str());
        }
        // Whether four numbers at once are aligned is checked where they are read and written.
        if (address % 4 != 0) fail((name + ": argument " + std::to_string(i) + " is not aligned").c_str());
    }
    emulation::launch(grid, block, kernel.barriers, emulation::Order::mixed,
                      [&kernel = kernel, &arguments] { kernel.run(arguments.data()); });
    check_guards(name);
    return SUCCESS;
}

// Column-major, with the transposition of each factor.
int multiply(int op_a, int op_b, int m, int n, int k, float alpha, const float* a, int lda, const float* b, int ldb,
             float beta, float* c, int ldc) {
    const std::lock_guard<std::mutex> turn(lock);
    if (lda < (op_a ? k : m) || ldb < (op_b ? n : k) || ldc < m) return 7;
    const auto whole = [](const float* start, int columns, int leading, int rows) {
        const size_t numbers = static_cast<size_t>(columns - 1) * leading + rows;
        return is_ours(reinterpret_cast<uint64_t>(start), numbers * sizeof(float));
    };
    if (k > 0 && !whole(a, op_a ? m : k, lda, op_a ? k : m)) fail("a product reads beyond its first factor");
    if (k > 0 && !whole(b, op_b ? k : n, ldb, op_b ? n : k)) fail("a product reads beyond its second factor");
    if (!whole(c, n, ldc, m)) fail("a product writes beyond its result");
    // The first factor's columns one after the other.
    std::vector<float> turned(op_a ? size_t(m) * k : 0);
    for (size_t i = 0; i < turned.size(); ++i) turned[i] = a[i % m * lda + i / m];
    std::vector<float> sums(m);
    for (int j = 0; j < n; ++j) {
        std::fill(sums.begin(), sums.end(), 0.0f);
        for (int p = 0; p < k; ++p) {
            const float factor = op_b ? b[size_t(p) * ldb + j] : b[size_t(j) * ldb + p];
            const float* column = op_a ? turned.data() + size_t(p) * m : a + size_t(p) * lda;
            for (int i = 0; i < m; ++i) sums[i] += factor * column[i];
        }
        for (int i = 0; i < m; ++i) {
            float& to = c[size_t(j) * ldc + i];
            // As the library: with a beta of 0 what was there is not read.
            to = alpha * sums[i] + (beta == 0.0f ? 0.0f : beta * to);
        }
    }
    return SUCCESS;
}

// A library of products has a stream, too.
struct Blas {
    void* stream = nullptr;
};

}  // namespace

extern "C" {

int cuInit(unsigned) { return fails("cuInit"); }
int cuDriverGetVersion(int* version) { return *version = told("TRANSFER_TEST_DRIVER", 13000), SUCCESS; }
int cuDeviceGetCount(int* count) { return *count = told("TRANSFER_TEST_GPUS", 1), SUCCESS; }
int cuDeviceGet(int* device, int ordinal) {
    return *device = ordinal, ordinal >= 0 && ordinal < told("TRANSFER_TEST_GPUS", 1) ? SUCCESS : 101;
}
int cuDeviceGetName(char* name, int len, int device) {
    const char* format = device == 0 ? "emulated GPU" : "emulated GPU with another name, %d";
    return std::snprintf(name, len, format, device), SUCCESS;
}
int cuDeviceTotalMem_v2(size_t* bytes, int) { return *bytes = size_t{8} << 30, SUCCESS; }
int cuMemGetInfo_v2(size_t* unused, size_t* total) { return *unused = *total = size_t{8} << 30, SUCCESS; }

int cuDeviceGetAttribute(int* value, int which, int) {
    // Compute capability 9.0, warps of 32, memory pools; that is all that is asked for.
    const int major = told("TRANSFER_TEST_CAPABILITY", 9), pools = told("TRANSFER_TEST_POOLS", 1);
    *value = which == 75 ? major : which == 76 ? 0 : which == 10 ? 32 : which == 115 ? pools : 0;
    return SUCCESS;
}

int cuDevicePrimaryCtxRetain(void** to, int) { return *to = &context, fails("cuDevicePrimaryCtxRetain"); }
int cuDevicePrimaryCtxRelease_v2(int) { return SUCCESS; }
int cuCtxGetCurrent(void** to) { return *to = &context, SUCCESS; }
int cuCtxSetCurrent(void*) { return fails("cuCtxSetCurrent"); }
int cuCtxSynchronize() { return SUCCESS; }

int cuStreamCreate(void** to, unsigned) { return *to = new Stream, SUCCESS; }
int cuStreamDestroy_v2(void* stream) { return delete static_cast<Stream*>(stream), SUCCESS; }
int cuStreamBeginCapture_v2(void* to, int) {
    auto* stream = static_cast<Stream*>(to);
    if (stream == nullptr || stream->recording != nullptr) return INVALID_VALUE;
    return stream->recording = new Recording, SUCCESS;
}
int cuStreamEndCapture(void* from, void** graph) {
    auto* stream = static_cast<Stream*>(from);
    if (stream == nullptr || stream->recording == nullptr) return INVALID_VALUE;
    *graph = stream->recording;
    return stream->recording = nullptr, SUCCESS;
}
int cuGraphInstantiateWithFlags(void** exec, void* graph, unsigned long long) {
    return *exec = new Recording(*static_cast<Recording*>(graph)), SUCCESS;
}
int cuGraphDestroy(void* graph) { return delete static_cast<Recording*>(graph), SUCCESS; }
int cuGraphExecDestroy(void* exec) { return delete static_cast<Recording*>(exec), SUCCESS; }
int cuGraphLaunch(void* exec, void*) {
    for (const auto& work : *static_cast<Recording*>(exec)) {
        if (const int failed = work()) return failed;
    }
    return SUCCESS;
}
int cuStreamSynchronize(void*) { return SUCCESS; }
int cuStreamWaitEvent(void*, void*, unsigned) { return SUCCESS; }
int cuEventCreate(void** to, unsigned) { return *to = &event, fails("cuEventCreate"); }
int cuEventDestroy_v2(void*) { return SUCCESS; }
int cuEventRecord(void*, void*) { return SUCCESS; }
int cuEventSynchronize(void*) { return SUCCESS; }
int cuEventElapsedTime(float* milliseconds, void*, void*) { return *milliseconds = 1.0f, SUCCESS; }

// Of these two only the second allocates nothing; dfdx does so.
int cuMemAlloc_v2(uint64_t* address, size_t bytes) { return bytes == 0 ? INVALID_VALUE : allocate(address, bytes); }
int cuMemAllocAsync(uint64_t* address, size_t bytes, void*) { return allocate(address, bytes); }
int cuMemFree_v2(uint64_t address) { return release(address); }
int cuMemFreeAsync(uint64_t address, void*) { return release(address); }
int cuMemAllocHost_v2(void** to, size_t bytes) { return (*to = std::malloc(bytes)) ? SUCCESS : OUT_OF_MEMORY; }
int cuMemHostAlloc(void** to, size_t bytes, unsigned) { return cuMemAllocHost_v2(to, bytes); }
int cuMemFreeHost(void* from) { return std::free(from), SUCCESS; }

int cuMemcpyHtoD_v2(uint64_t to, const void* from, size_t bytes) { return copy(pointer(to), from, bytes, to); }
int cuMemcpyDtoH_v2(void* to, uint64_t from, size_t bytes) { return copy(to, pointer(from), bytes, from); }
int cuMemcpyDtoD_v2(uint64_t to, uint64_t from, size_t bytes) {
    // Checks both.
    const int readable = copy(pointer(from), pointer(from), bytes, from);
    return readable != SUCCESS ? readable : copy(pointer(to), pointer(from), bytes, to);
}
int cuMemcpyHtoDAsync_v2(uint64_t to, const void* from, size_t bytes, void* stream) {
    return put_on(stream, [=] { return cuMemcpyHtoD_v2(to, from, bytes); });
}
int cuMemcpyDtoHAsync_v2(void* to, uint64_t from, size_t bytes, void* stream) {
    return put_on(stream, [=] { return cuMemcpyDtoH_v2(to, from, bytes); });
}
int cuMemcpyDtoDAsync_v2(uint64_t to, uint64_t from, size_t bytes, void* stream) {
    return put_on(stream, [=] { return cuMemcpyDtoD_v2(to, from, bytes); });
}

int cuMemsetD8_v2(uint64_t to, unsigned char value, size_t bytes) {
    const std::lock_guard<std::mutex> turn(lock);
    if (!is_ours(to, bytes)) return INVALID_VALUE;
    std::memset(pointer(to), value, bytes);
    return SUCCESS;
}
int cuMemsetD8Async(uint64_t to, unsigned char value, size_t bytes, void* stream) {
    return put_on(stream, [=] { return cuMemsetD8_v2(to, value, bytes); });
}

int cuPointerGetAttribute(void* to, int which, uint64_t address) {
    const std::lock_guard<std::mutex> turn(lock);
    const unsigned on_card = 2;
    if (which != 2 || !is_ours(address, 1)) return INVALID_VALUE;
    std::memcpy(to, &on_card, sizeof(on_card));
    return SUCCESS;
}

int cuModuleLoadData(void** module, const void* image) {
    if (const int error = fails("cuModuleLoadData")) return error;
    // Text for a GPU. What runs is the same source, compiled for the processor.
    const std::string text(static_cast<const char*>(image));
    if (text.find(".version") == std::string::npos) return INVALID_VALUE;
    return *module = &module_handle, SUCCESS;
}
int cuModuleUnload(void*) { return SUCCESS; }

int cuModuleGetFunction(void** function, void*, const char* name) {
    const auto found = emulation::kernels.find(name);
    if (found == emulation::kernels.end()) return NOT_FOUND;
    *function = const_cast<void*>(static_cast<const void*>(&*found));
    return SUCCESS;
}

int cuLaunchKernel(const std::pair<const std::string, emulation::Kernel>* function, unsigned grid_x, unsigned grid_y,
                   unsigned grid_z, unsigned x, unsigned y, unsigned z, unsigned, void* stream, void** arguments,
                   void**) {
    // A kernel has its arguments as they are now, also where it runs later.
    std::vector<uint64_t> values;
    for (size_t i = 0; i < function->second.kinds.size(); ++i) {
        uint64_t value = 0;
        std::memcpy(&value, arguments[i], function->second.kinds[i] == 'P' ? 8 : 4);
        values.push_back(value);
    }
    return put_on(stream, [=] { return run(function, Three{grid_x, grid_y, grid_z}, Three{x, y, z}, values); });
}

int cuGetErrorName(int error, const char** name) {
    *name = error == NOT_FOUND       ? "CUDA_ERROR_NOT_FOUND"
            : error == INVALID_VALUE ? "CUDA_ERROR_INVALID_VALUE"
            : error == OUT_OF_MEMORY ? "CUDA_ERROR_OUT_OF_MEMORY"
                                     : "an error";
    return SUCCESS;
}
int cuGetErrorString(int error, const char** text) { return cuGetErrorName(error, text); }

// The library of products, in the plainest way.

int cublasCreate_v2(void** handle) { return *handle = new Blas, SUCCESS; }
int cublasDestroy_v2(void* handle) { return delete static_cast<Blas*>(handle), SUCCESS; }
int cublasSetStream_v2(void* handle, void* stream) { return static_cast<Blas*>(handle)->stream = stream, SUCCESS; }
int cublasSetWorkspace_v2(void*, void*, size_t) { return SUCCESS; }
int cublasSetMathMode(void*, int) { return SUCCESS; }

int cublasSgemm_v2(void* handle, int op_a, int op_b, int m, int n, int k, const float* alpha, const float* a, int lda,
                   const float* b, int ldb, const float* beta, float* c, int ldc) {
    return put_on(static_cast<Blas*>(handle)->stream, [=, alpha = *alpha, beta = *beta] {
        return multiply(op_a, op_b, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
    });
}

}  // extern "C"

// What one core can do at best: vector logic operations a second, and bytes a second read from each level of memory.
// The roofline of docs/benchmarks.md is drawn from its output, one line of CSV for each width of registers.
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace {

constexpr int chains = 8;  // independent ones, so that latency does not matter

double now() {
    using namespace std::chrono;
    return duration<double>(steady_clock::now().time_since_epoch()).count();
}

double larger(double a, double b) { return a > b ? a : b; }

}  // namespace

#if defined(__x86_64__)
namespace sse2 {
#define WIDTH 128
#define REGISTER "x"
#include "peak.inc"
}  // namespace sse2

#pragma GCC push_options
#pragma GCC target("avx2")
namespace avx2 {
#define WIDTH 256
#define REGISTER "x"
#include "peak.inc"
}  // namespace avx2
#pragma GCC pop_options

#pragma GCC push_options
#pragma GCC target("avx512f,prefer-vector-width=512")
namespace avx512 {
#define WIDTH 512
#define REGISTER "v"
#include "peak.inc"
}  // namespace avx512
#pragma GCC pop_options
#else
namespace neon {
#define WIDTH 128
#define REGISTER "w"
#include "peak.inc"
}  // namespace neon
#endif

int main() {
    std::printf("isa,bits,logic_gops,l1_gbs,l2_gbs,memory_gbs\n");
#if defined(__x86_64__)
    sse2::report("sse2");
    if (__builtin_cpu_supports("avx2")) avx2::report("avx2");
    if (__builtin_cpu_supports("avx512f")) avx512::report("avx512");
#else
    neon::report("neon");
#endif
}

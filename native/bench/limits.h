// The limits of one core for the instruction sets of the kernels.
#pragma once
#include <cstddef>
#include <cstring>
#include <string>

#if defined(__x86_64__)
#include <immintrin.h>
#else
#include <arm_neon.h>
#endif

namespace limits {

namespace bytes16 {
constexpr int kBytes = 16;
#define BW_PAIRS _mm_madd_epi16
#define BW_REGISTER __m128i
#include "limits.inc"
}  // namespace bytes16

#if defined(__x86_64__)
#pragma GCC push_options
#pragma GCC target("avx2")
namespace bytes32 {
constexpr int kBytes = 32;
#define BW_PAIRS _mm256_madd_epi16
#define BW_REGISTER __m256i
#include "limits.inc"
}  // namespace bytes32
#pragma GCC target("avx512f,avx512bw,avx512vl,prefer-vector-width=512")
namespace bytes64 {
constexpr int kBytes = 64;
#define BW_PAIRS _mm512_madd_epi16
#define BW_REGISTER __m512i
#include "limits.inc"
}  // namespace bytes64
#pragma GCC pop_options
#endif

struct Limits {
    int lanes, sums;
    void (*multiply_and_add)(int turns);
    void (*multiply_pairs)(int turns);  // of 16-bit integers
    void (*load_all)(const float* x, size_t n);
};

// The limits that bound the kernels of this name.
inline Limits of(const std::string& isa) {
#if defined(__x86_64__)
    if (isa == "avx2") {
        return {8, bytes32::kSums, bytes32::multiply_and_add, bytes32::multiply_pairs, bytes32::load_all};
    }
    if (isa == "avx512") {
        return {16, bytes64::kSums, bytes64::multiply_and_add, bytes64::multiply_pairs, bytes64::load_all};
    }
#endif
    static_cast<void>(isa);
    return {4, bytes16::kSums, bytes16::multiply_and_add, bytes16::multiply_pairs, bytes16::load_all};
}

}  // namespace limits

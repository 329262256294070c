#include "dispatch.h"

#include <cstdlib>
#include <stdexcept>

namespace bw {

std::vector<const Kernels*> available_kernels() {
    std::vector<const Kernels*> found = {&reference_kernels()};
#if !defined(BITWRIGHT_REFERENCE_ONLY)
    found.push_back(&portable_kernels());
#if defined(__x86_64__)
    found.push_back(&sse2_kernels());
    __builtin_cpu_init();
    const auto has_avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi") &&
                          __builtin_cpu_supports("bmi2") && __builtin_cpu_supports("popcnt");
    if (has_avx2) found.push_back(&avx2_kernels());
    if (has_avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl")) {
        found.push_back(&avx512_kernels());
    }
#elif defined(__aarch64__)
    found.push_back(&neon_kernels());
#endif
#endif
    return found;
}

std::vector<std::string> available_isas() {
    std::vector<std::string> names;
    for (const Kernels* kernels : available_kernels()) names.push_back(kernels->name);
    return names;
}

const Kernels& find_kernels(const std::string& name) {
    const char* variable = std::getenv("BITWRIGHT_ISA");
    const std::string wanted = !name.empty() ? name : variable ? variable : "";
    const std::vector<const Kernels*> found = available_kernels();
    if (wanted.empty()) return *found.back();
    std::string names;
    for (const Kernels* kernels : found) {
        if (wanted == kernels->name) return *kernels;
        names += (names.empty() ? "" : ", ") + std::string(kernels->name);
    }
    throw std::invalid_argument((name.empty() ? "BITWRIGHT_ISA" : "isa") + std::string(": expected one of ") + names +
                                ", which this processor can run, found '" + wanted + "'.");
}

}  // namespace bw

// Vectors of float32 and int32 as wide as a register, by the compiler's vector extensions, and whole words of bits.
//
// Included inside the unnamed namespace of one instruction set's translation unit, which has included <cstring>, and
// the intrinsics it has, before. Processors are taken to be little-endian.
#pragma once

#if defined(__AVX512F__)
constexpr int kLanes = 16;
#elif defined(__AVX2__)
constexpr int kLanes = 8;
#else
constexpr int kLanes = 4;
#endif

// In place of the standard library's, whose instances would be shared between instruction sets.
inline int smaller(int a, int b) { return a < b ? a : b; }
inline int larger(int a, int b) { return a > b ? a : b; }

typedef float Floats __attribute__((vector_size(4 * kLanes)));
typedef int32_t Ints __attribute__((vector_size(4 * kLanes)));
typedef uint8_t Bytes __attribute__((vector_size(kLanes)));
typedef int16_t Shorts __attribute__((vector_size(2 * kLanes)));

// The vector type of an element type, so that kernels for both can be written once.
template <class T> struct VectorOf;
template <> struct VectorOf<float> { using type = Floats; };
template <> struct VectorOf<int32_t> { using type = Ints; };
template <> struct VectorOf<uint8_t> { using type = Bytes; };
template <> struct VectorOf<int16_t> { using type = Shorts; };
template <class T> using Vector = typename VectorOf<T>::type;

template <class T> inline Vector<T> load(const T* p) {
    Vector<T> v;
    std::memcpy(&v, p, sizeof v);
    return v;
}

template <class T> inline void store(T* p, Vector<T> v) { std::memcpy(p, &v, sizeof v); }

inline Floats broadcast(float x) { return x - Floats{}; }  // x - 0 is x, for -0 too
inline Ints broadcast(int32_t x) { return x - Ints{}; }

// A number in memory times a vector. With AVX-512 the multiplication itself can spread the number over the lanes.
// Compilers would do so once for several multiplications, by an instruction that competes with them.
#if defined(__AVX512F__)
inline Floats product(const float& x, Floats v) {
    Floats result;
    asm("vmulps %2%{1to16%}, %1, %0" : "=v"(result) : "v"(v), "m"(x));
    return result;
}
#else
inline Floats product(const float& x, Floats v) { return x * v; }
#endif

// Keeps compilers from finishing one sum after another where several are written side by side.
inline void stay_in_order(Floats& v) {
#if defined(__x86_64__)
    asm volatile("" : "+v"(v));
#elif defined(__aarch64__)
    asm volatile("" : "+w"(v));
#endif
}

inline Floats to_floats(Floats v) { return v; }
inline Floats to_floats(Ints v) { return __builtin_convertvector(v, Floats); }
#if defined(__AVX512F__)
inline Ints to_ints(Shorts v) { return Ints(_mm512_cvtepi16_epi32(__m256i(v))); }
#elif defined(__AVX2__)
inline Ints to_ints(Shorts v) { return Ints(_mm256_cvtepi16_epi32(__m128i(v))); }
#else
inline Ints to_ints(Shorts v) { return __builtin_convertvector(v, Ints); }
#endif
inline Floats to_floats(Shorts v) { return to_floats(to_ints(v)); }
inline Shorts to_shorts(Floats v) { return __builtin_convertvector(__builtin_convertvector(v, Ints), Shorts); }
inline Floats to_floats(Bytes v) { return __builtin_convertvector(__builtin_convertvector(v, Ints), Floats); }

// The first n lanes, 0 < n < kLanes; nothing behind them is read or written. Lanes not read are zero.
template <class T> inline Vector<T> load_some(const T* p, int n) {
    Vector<T> v = {};
    for (int i = 0; i < n; i++) v[i] = p[i];
    return v;
}

template <class T> inline void store_some(T* p, Vector<T> v, int n) {
    for (int i = 0; i < n; i++) p[i] = v[i];
}

#if defined(__AVX512F__)
inline __mmask16 first_lanes(int n) { return __mmask16((1u << n) - 1); }
inline Floats load_some(const float* p, int n) { return Floats(_mm512_maskz_loadu_ps(first_lanes(n), p)); }
inline Ints load_some(const int32_t* p, int n) { return Ints(_mm512_maskz_loadu_epi32(first_lanes(n), p)); }
inline void store_some(float* p, Floats v, int n) { _mm512_mask_storeu_ps(p, first_lanes(n), __m512(v)); }
#elif defined(__AVX2__)
inline __m256i first_lanes(int n) {
    static const int32_t lanes[16] = {-1, -1, -1, -1, -1, -1, -1, -1};
    return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(lanes + 8 - n));
}
inline Floats load_some(const float* p, int n) { return Floats(_mm256_maskload_ps(p, first_lanes(n))); }
inline Ints load_some(const int32_t* p, int n) { return Ints(_mm256_maskload_epi32(p, first_lanes(n))); }
inline void store_some(float* p, Floats v, int n) { _mm256_maskstore_ps(p, first_lanes(n), __m256(v)); }
#endif

// Bit i of the result: lane i of x is at least lane i of t. Comparisons with NaN give 0.
#if defined(__AVX512F__)
inline uint32_t at_least(Floats x, Floats t) { return _mm512_cmp_ps_mask(__m512(x), __m512(t), _CMP_GE_OQ); }
inline uint32_t at_least(Ints x, Ints t) { return _mm512_cmpge_epi32_mask(__m512i(x), __m512i(t)); }
#else
inline uint32_t lane_bits(Ints mask) {
#if defined(__AVX2__)
    return uint32_t(_mm256_movemask_ps(__m256(mask)));
#elif defined(__SSE2__)
    return uint32_t(_mm_movemask_ps(__m128(mask)));
#else
    const Ints bit = {1, 2, 4, 8};
    mask &= bit;
    return uint32_t(mask[0] + mask[1] + mask[2] + mask[3]);
#endif
}
inline uint32_t at_least(Floats x, Floats t) { return lane_bits(x >= t); }
inline uint32_t at_least(Ints x, Ints t) { return lane_bits(x >= t); }
#endif

// Eight lanes on every instruction set, where it lacks such registers as several of them: the pixels of a byte of bits.
typedef float EightFloats __attribute__((vector_size(32)));
typedef int32_t EightInts __attribute__((vector_size(32)));

typedef int16_t EightShorts __attribute__((vector_size(16)));

template <class T> struct EightVector;
template <> struct EightVector<int16_t> { using type = EightShorts; };
template <> struct EightVector<float> { using type = EightFloats; };
template <> struct EightVector<int32_t> { using type = EightInts; };
template <class T> using EightOf = typename EightVector<T>::type;

inline EightInts widen(const uint16_t* p) {  // signed numbers of 16 bits
#if defined(__AVX2__)
    return EightInts(_mm256_cvtepi16_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))));
#else
    EightInts v;
    for (int i = 0; i < 8; i++) v[i] = int16_t(p[i]);
    return v;
#endif
}

inline EightFloats eight(float x) { return x - EightFloats{}; }
#if defined(__AVX512VL__)
inline EightFloats to_floats(EightInts v) { return __builtin_convertvector(v, EightFloats); }
inline EightFloats to_floats(EightShorts v) { return to_floats(EightInts(_mm256_cvtepi16_epi32(__m128i(v)))); }
inline EightShorts to_shorts(EightFloats v) {
    return __builtin_convertvector(__builtin_convertvector(v, EightInts), EightShorts);
}
inline uint32_t at_least(EightFloats x, EightFloats t) {
    return _mm256_cmp_ps_mask(__m256(x), __m256(t), _CMP_GE_OQ);
}
#elif !defined(__AVX2__)  // with AVX2 these are Floats, Ints and Shorts
inline EightFloats to_floats(EightInts v) { return __builtin_convertvector(v, EightFloats); }
inline EightFloats to_floats(EightShorts v) { return to_floats(__builtin_convertvector(v, EightInts)); }
inline EightShorts to_shorts(EightFloats v) {
    return __builtin_convertvector(__builtin_convertvector(v, EightInts), EightShorts);
}
inline uint32_t at_least(EightFloats x, EightFloats t) {
    const EightInts mask = x >= t;
    Ints parts[8 / kLanes];
    std::memcpy(parts, &mask, sizeof mask);
    uint32_t bits = 0;
    for (int i = 0; i < 8 / kLanes; i++) bits |= lane_bits(parts[i]) << (i * kLanes);
    return bits;
}
#endif

// The nearest integers of 16 bits, as floats.
template <class V> inline V nearest(V v) {
    const V zero = {}, low = zero - 32768, high = zero + 32767, whole = zero + kWhole;
    v = v > low ? v : low;
    v = v < high ? v : high;
    return (v + whole) - whole;
}

// The same as shorts.
inline EightShorts nearest_shorts(EightFloats v) {
#if defined(__AVX2__)
    // Conversions round to nearest and give INT_MIN for what is out of range, which is right below but not above.
    const __m256i k = _mm256_cvtps_epi32(_mm256_min_ps(__m256(v), _mm256_set1_ps(32767)));
    return EightShorts(_mm_packs_epi32(_mm256_castsi256_si128(k), _mm256_extracti128_si256(k, 1)));
#else
    return to_shorts(nearest(v));
#endif
}

// at_least of eight vectors in a row, the first in the lowest byte.
inline uint64_t at_least_64(const EightFloats* x, EightFloats t) {
#if defined(__AVX2__) && !defined(__AVX512VL__)
    __m256i word[2];
    for (int i = 0; i < 2; i++) {  // to bytes, four vectors at a time; packing goes by halves, hence the permutation
        const auto mask = [&](int k) { return _mm256_cmp_ps(__m256(x[4 * i + k]), __m256(t), _CMP_GE_OQ); };
        const auto pair = [&](int k) {
            return _mm256_packs_epi32(_mm256_castps_si256(mask(k)), _mm256_castps_si256(mask(k + 1)));
        };
        word[i] = _mm256_permutevar8x32_epi32(_mm256_packs_epi16(pair(0), pair(2)),
                                              _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
    }
    return uint32_t(_mm256_movemask_epi8(word[0])) | uint64_t(uint32_t(_mm256_movemask_epi8(word[1]))) << 32;
#else
    uint64_t bits = 0;
    for (int i = 0; i < 8; i++) bits |= uint64_t(at_least(x[i], t)) << (8 * i);
    return bits;
#endif
}

// n floats, short runs at a time: no call, and no byte written behind the last.
inline void copy_floats(float* to, const float* from, int n) {
    if (n < kLanes) {
        for (int i = 0; i < n; i++) to[i] = from[i];
        return;
    }
    for (int i = 0; i + kLanes < n; i += kLanes) store(to + i, load(from + i));
    store(to + n - kLanes, load(from + n - kLanes));
}

// n zeros, of which there are often few.
inline void clear_floats(float* to, int n) {
    static const float zeros[4 * kLanes] = {};
    if (n <= 4 * kLanes) return copy_floats(to, zeros, n);
    std::memset(to, 0, n * sizeof *to);
}

// Lanes 0, 2, 4, ... of a and 1, 3, 5, ... of b, each where it is.
template <class V> inline V alternate(V a, V b) {
    if constexpr (kLanes == 16) {
        return __builtin_shufflevector(a, b, 0, 17, 2, 19, 4, 21, 6, 23, 8, 25, 10, 27, 12, 29, 14, 31);
    } else if constexpr (kLanes == 8) {
        return __builtin_shufflevector(a, b, 0, 9, 2, 11, 4, 13, 6, 15);
    } else {
        return __builtin_shufflevector(a, b, 0, 5, 2, 7);
    }
}

// Lanes 0, 2, 4, ... and then 1, 3, 5, ...
template <class V> inline V evens_first(V v) {
    if constexpr (kLanes == 16) {
        return __builtin_shufflevector(v, v, 0, 2, 4, 6, 8, 10, 12, 14, 1, 3, 5, 7, 9, 11, 13, 15);
    } else if constexpr (kLanes == 8) {
        return __builtin_shufflevector(v, v, 0, 2, 4, 6, 1, 3, 5, 7);
    } else {
        return __builtin_shufflevector(v, v, 0, 2, 1, 3);
    }
}

// The even or the odd lanes of a and of b, one part of 16 bytes after another: one instruction. in_order puts those of a
// before those of b.
template <bool kOdd, class V> inline V every_other(V a, V b) {
    constexpr int i = kOdd, j = i + kLanes;
    if constexpr (kLanes == 16) {
        return __builtin_shufflevector(a, b, i, i + 2, j, j + 2, i + 4, i + 6, j + 4, j + 6, i + 8, i + 10, j + 8, j + 10,
                                       i + 12, i + 14, j + 12, j + 14);
    } else if constexpr (kLanes == 8) {
        return __builtin_shufflevector(a, b, i, i + 2, j, j + 2, i + 4, i + 6, j + 4, j + 6);
    } else {
        return __builtin_shufflevector(a, b, i, i + 2, j, j + 2);
    }
}

template <class V> inline V in_order(V v) {
    if constexpr (kLanes == 16) {
        return __builtin_shufflevector(v, v, 0, 1, 4, 5, 8, 9, 12, 13, 2, 3, 6, 7, 10, 11, 14, 15);
    } else if constexpr (kLanes == 8) {
        return __builtin_shufflevector(v, v, 0, 1, 4, 5, 2, 3, 6, 7);
    } else {
        return v;
    }
}

// Eight bytes as a word; those at or behind `end` are taken for zeros.
inline uint64_t load_word(const uint8_t* p, const uint8_t* end) {
    uint64_t word = 0;
    if (p + 8 <= end) {
        std::memcpy(&word, p, 8);
    } else {
        for (int i = 0; p + i < end; i++) word |= uint64_t(p[i]) << (8 * i);
    }
    return word;
}

// The lowest `bytes` bytes of a word, at most 8.
inline void store_bytes(uint8_t* p, uint64_t word, int bytes) {
    if (bytes == 8) {
        std::memcpy(p, &word, 8);
        return;
    }
    if (bytes & 4) {
        std::memcpy(p, &word, 4);
        p += 4, word >>= 32;
    }
    if (bytes & 2) {
        std::memcpy(p, &word, 2);
        p += 2, word >>= 16;
    }
    if (bytes & 1) *p = uint8_t(word);
}

inline uint64_t low_bits(int n) { return n >= 64 ? ~uint64_t(0) : (uint64_t(1) << n) - 1; }

// Bits [bit, bit + n) of a bit row, n <= 64, as the lowest bits of a word.
inline uint64_t bits_at(const uint8_t* row, const uint8_t* end, size_t bit, int n) {
    const uint8_t* p = row + bit / 8;
    const int shift = int(bit % 8);
    uint64_t word = load_word(p, end) >> shift;
    if (shift + n > 64) word |= uint64_t(p[8]) << (64 - shift);
    return word & low_bits(n);
}

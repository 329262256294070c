// The table of kernels that each instruction set fills in, and what they are told.
//
// Every kernel is exact: it equals the interpreter (src/bitwright/ir/interpret.py) bit for bit, whatever the
// instruction set, the split of its range or the number of threads. Float kernels therefore keep the stated order of
// operations and never contract a multiply and an add (-ffp-contract=off).
//
// Ranges [begin, end) let the planner split the work; parts of a range may run at the same time.
//
// Whoever writes bits writes the zeros around them too: a whole channel of a map up to its stride, and of a vector's row
// the part from `end` to the stride if `end` is the last element. Bit tensors and scratch start at multiples of 64 bytes;
// other tensors may be the caller's arrays, aligned to their elements only.
//
// max(x, y) means x > y ? x : y and min(x, y) means x < y ? x : y wherever float32 values meet, so that zeros of either
// sign and NaN have one outcome; in max_pool_real and its minimum x is the new element and y the one found so far.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "../tensor.h"

namespace bw {

struct ConvArgs {
    Shape in, out;
    Window window;
    int groups = 1;
    const void* weight = nullptr;        // as packed by pack_conv
    const float* bias = nullptr;         // (out) or null
    const float* scale = nullptr;        // (out) or null: what leaves is result * scale + shift, each operation rounded
    const float* shift = nullptr;        // (out) or null
    const float* pixel_scale = nullptr;  // (in), or null: the input is float32; else uint8, and its values are
    const float* pixel_shift = nullptr;  // pixel * scale + shift, each operation rounded; the shift may be null
};

// A convolution of pixels with integers of 16 bits: sum * scale + shift, each operation rounded.
struct PixelConvArgs {
    Shape in, out;
    Window window;
    const int16_t* weight = nullptr;     // in the file's order
    const float* scale = nullptr;        // (out)
    const float* shift = nullptr;        // (out, row_classes, column_classes), or null
    int row_classes = 1, column_classes = 1;
    const int* row_class = nullptr;      // of each row of the output: axis_classes.h
    const int* column_class = nullptr;
    const void* packed = nullptr;        // by pack_pixel_conv
};

struct LinearArgs {
    int in = 0, out = 0;
    const float* weight = nullptr;  // (out, in), row-major
    const float* bias = nullptr;
};

struct PoolArgs {
    Shape in, out;
    Window window;
    bool count_padding = true;          // avg_pool
    const uint8_t* take_min = nullptr;  // max_pool: one byte a channel, or null
};

// How an operand covers a map: it has one number for each element, channel or pixel, or one in all.
enum class Spread { none, by_channel, by_pixel, all };

// Of a Shift: a pixel's class, and how many pixels from here on are of it, 255 standing for all numbers above, too.
struct PixelClass {
    uint8_t index, run;
};

// One step of an elementwise chain, which runs on a channel's pixels while they are in the first-level cache.
struct Step {
    // Fixed-point numbers, of 16 bits in memory: load_fixed, add_fixed and store_fixed are to them what the steps without
    // this ending are to float32; fix_and_store ends a chain.
    enum Op {
        load_real, load_sum, load_pixel, load_fixed, affine, level_sum, add, add_fixed, prelu, clamp, fix, binarize,
        quantize, store, store_fixed, fix_and_store, add_spread, multiply, sigmoid, tanh, shift
    } op;
    const void* source = nullptr;    // load_*, add*, multiply: planar tensor; level_sum: int32 window sums (per group)
    void* target = nullptr;          // binarize: bits; quantize: digits; store: float
    const float* a = nullptr;        // affine: scale; level_sum: step; prelu: slope; binarize: threshold (per channel)
                                     // shift: values, `classes` of them a channel
    const float* b = nullptr;        // affine: shift or null; level_sum: low
    const float* c = nullptr;        // level_sum: shift or null; a, b, c of quantize: thresholds
    size_t plane_bytes = 0;          // quantize: from the low bits to the high ones
    float low = 0, high = 0;         // clamp; fix: 2^fraction and 2^-fraction, *_fixed and fix_and_store too
    int channels_per_group = 1;      // level_sum
    bool one_low = false;            // level_sum: b is the same for all channels
    Spread spread = Spread::none;    // add_spread, multiply
    int classes = 0;                 // shift
    const PixelClass* pixel = nullptr;  // shift: for each pixel
};

constexpr float kWhole = 3 << 22;  // near it float32 holds integers only: adding it rounds

// Constants of src/bitwright/ir/functions.py.
constexpr float kLog2E = 1.44269502f, kLn2High = 0.693145751953125f, kLn2Low = 1.42860677e-06f;
constexpr float kExponential[5] = {0.5f, 0.166665182f, 0.041666206f, 0.00836895406f, 0.00139505975f};

// A chain on the sums of a convolution. Its first step is a load_sum without a source: the convolution itself.
struct Tail {
    const Step* steps;
    int count;
};

// What a Tail of a level_sum, affine steps and a binarize comes to (level_bits.h):
//
//     bit = ((acc << fraction) + term[window sum - lowest] >= threshold[channel]) != flip[channel].
//
// Right for window sums from lowest to highest; where another one occurs, the Tail says what is.
struct LevelBits {
    int32_t lowest = 0, highest = -1;
    bool is_whole = false;  // no others occur
    int fraction = 0;
    int planes = 0;         // that hold every difference of the two sides
    const int32_t* term = nullptr;
    const int32_t* threshold = nullptr;
    const uint8_t* flip = nullptr;
};

// A binary convolution with integer results, or with a threshold on them. Weights are bytes 0 or 1, in the file's
// order (out, in/groups, kh, kw).
struct BinaryConvArgs {
    Shape in, out;
    Window window;
    int groups = 1;
    int input_planes = 1;       // 2: digits
    bool input_signed = true;   // a = 2x-1, else a = x; of digits a = 2q-3
    bool weight_signed = true;  // w = 2b-1, else w = b
    const uint8_t* weight = nullptr;
    const int32_t* threshold = nullptr;  // (out), or null: sums
    const uint8_t* flip = nullptr;       // (out) bytes
    const int32_t* gate = nullptr;       // (out), or null: of digits and signed weights, without a threshold
    bool tail = false;                   // the sums go through a Tail
    const LevelBits* levels = nullptr;   // of that tail, or null; a kernel may do without
    bool window_sum = false;             // weights are all ones, one output channel a group: WindowSum
};

// A convolution made ready for one shape: immutable, so that any number of threads may run it.
// run() = prepare(all), then channels(all). Scratch belongs to the caller, 64-byte aligned, one for each sample in
// flight; prepare fills it for one input and every channels() call may then read it at the same time.
class BinaryConv {
public:
    virtual ~BinaryConv() = default;
    virtual const char* name() const = 0;         // for `bw inspect`: "sliced-list", "four-russians-4", ...
    virtual const char* preparation() const { return nullptr; }  // what prepare makes of the input; null: nothing
    virtual size_t scratch_bytes() const = 0;
    virtual int prepare_units() const = 0;        // independent parts of the preparation
    virtual int channel_units() const = 0;        // independent groups of output channels
    virtual double prepare_share() const = 0;     // of the whole work, roughly: whether threads pay
    virtual void prepare(const uint8_t* in, void* scratch, int begin, int end) const = 0;
    // out: bits in the layout of tensor.h if there is a threshold (whole rows, padding bits zero), a const Tail* if there
    // is a tail, else int32 sums
    virtual void channels(const void* scratch, void* out, int begin, int end) const = 0;
};

struct BinaryLinearArgs {
    int in = 0, out = 0;
    int input_planes = 1;  // as of BinaryConvArgs, and so are these
    bool input_signed = true, weight_signed = true;
    const uint64_t* weight = nullptr;  // (out, words), words = ceil(in / 64) rounded up to 8, zero-filled
    const int32_t* threshold = nullptr;
    const uint8_t* flip = nullptr;
};

struct Kernels {
    const char* name;

    // float32, sums in the order (channel, ky, kx) of multiply then add, taps outside the image left out, bias last
    size_t (*conv_weight_bytes)(const ConvArgs&);
    void (*pack_conv)(const ConvArgs&, const float* weight, void* packed);  // from the file's order, once
    size_t (*conv_copy_bytes)(const ConvArgs&);     // of a copy of the input that conv reads; 0: it needs none
    size_t (*conv_scratch_bytes)(const ConvArgs&);  // for each thread
    void (*conv_fill)(const ConvArgs&, const void* x, float* copy, int begin, int end);  // input channels
    int (*conv_units)(const ConvArgs&);             // independent groups of output channels
    void (*conv)(const ConvArgs&, const void* x, const float* copy, float* y, int begin, int end, void* scratch);

    // the same of pixels, in integers
    size_t (*pixel_conv_bytes)(const PixelConvArgs&);
    void (*pack_pixel_conv)(const PixelConvArgs&, void* packed);  // weights and shifts, once
    size_t (*pixel_conv_scratch_bytes)(const PixelConvArgs&);     // for each thread
    void (*pixel_conv)(const PixelConvArgs&, const uint8_t* x, float* y, int begin, int end, void* scratch);  // rows

    // 16 partial sums, lane l of the elements with index = l mod 16, folded 8, 4, 2, 1; bias last
    void (*linear)(const LinearArgs&, const float* x, float* y, int begin, int end);
    void (*mean)(const float* x, float* y, size_t pixels, int begin, int end);  // the same 16 lanes, then divided

    void (*avg_pool)(const PoolArgs&, const float* x, float* y, int begin, int end);
    void (*max_pool_real)(const PoolArgs&, const float* x, float* y, int begin, int end);
    void (*max_pool_sum)(const PoolArgs&, const int32_t* x, int32_t* y, int begin, int end);
    void (*max_pool_bits)(const PoolArgs&, const uint8_t* x, uint8_t* y, int begin, int end);

    // pixels of channels [begin, end), one after another through all steps; vectors are maps of one pixel a channel,
    // except that their bits are one row (Shape::bits)
    void (*elementwise)(const Shape&, const Step* steps, int count, int begin, int end);
    // int32 sums against thresholds, where no convolution could take them in; begin and end are channels, and for a
    // vector multiples of 8 (or its end)
    void (*threshold)(const Shape&, const int32_t* x, const int32_t* threshold, const uint8_t* flip, uint8_t* y,
                      int begin, int end);
    // bits of pixel >= threshold, `count` thresholds for each channel of the input; begin and end are output channels
    void (*thermometer)(const Shape& in, const uint8_t* x, const int16_t* thresholds, int count, uint8_t* y, int begin,
                        int end);
    void (*decode)(const Shape&, Kind kind, const uint8_t* x, float* y, int begin, int end);
    void (*flatten_bits)(const Shape& in, const uint8_t* x, uint8_t* y);  // a plane of a map to one row

    void (*binary_linear)(const BinaryLinearArgs&, const uint8_t* x, void* y, int begin, int end);  // outputs, as threshold

    // the best convolution for these arguments, or null: then the reference is used, and `bw inspect` says so.
    // `choice` forces one by name ("sliced-list", "four-russians-4", ...); null or empty: by cost.
    std::unique_ptr<BinaryConv> (*binary_conv)(const BinaryConvArgs&, const char* choice);
    // the names that binary_conv takes for these arguments, the cheapest by estimate first
    std::vector<std::string> (*binary_conv_names)(const BinaryConvArgs&);
};

const Kernels& reference_kernels();
const Kernels& portable_kernels();
#if defined(__x86_64__)
const Kernels& sse2_kernels();
const Kernels& avx2_kernels();
const Kernels& avx512_kernels();
#elif defined(__aarch64__)
const Kernels& neon_kernels();
#endif

}  // namespace bw

// Bit-sliced binary convolution: what its planner (ordinary code) hands to its kernels (one copy per instruction set).
//
// A bit of a register stands for one output pixel, so a row of bits is one input position (channel, ky, kx) seen from
// many output pixels at once. Rows are summed by carry-save adders into planes: plane j holds bit j of every pixel's
// count. With P the count over the filter's ones and S the count over all positions, every accumulator is
//
//     z = factor * u + rest,     u = P (weights 0/1) or 2P - S (weights -1/+1),
//
// where factor is 2 for inputs -1/+1, else 1, and rest is a constant of the filter and of the taps that lie inside the
// image. The kernels sum planes and add constants; what the constants are is the planner's business.
//
// Of digits, whose codes have a low and a high bit, both planes are counted by one program, and P = 2 P(high) + P(low).
// A gated convolution needs the accumulators of both planes, each as if its input were -1/+1.
#pragma once
#include "kernels.h"
#include "lanes.h"
#include "responses.h"

#define BW_INLINE inline __attribute__((always_inline))

namespace bw {

// Rows residue, residue + row_step, ... of the image, from the `first`-th on (which may lie above the image).
struct SlicedPlane {
    int residue, first, rows;
    uint32_t offset;  // bytes from the copy of a kernel column
};

// Output channels that are summed together: one filter, or several that share the work (four-Russians).
struct SlicedUnit {
    uint32_t program;  // index of its first word
    int filters;
    int first;  // its first output slot; slot s holds the channels target[s * pieces], ...
    int group;
};

struct SlicedView {
    int input_planes;     // 2: digits
    size_t plane_scratch;  // bytes from the scratch of the low plane to that of the high one

    // Copies of the input: for every kernel column, the pixels that the output pixels read there.
    int in_channels, in_height, in_width, in_pitch;
    size_t in_stride, in_bytes;
    int out_height, out_width, out_pitch;
    int row_step, column_step;
    int columns;
    const int* shift;  // output pixel x reads input pixel x * column_step + shift[column]
    int planes;
    const SlicedPlane* plane;
    size_t column_bytes, channel_bytes;
    const uint8_t* column_mask;  // by column, mask_bytes each: pixels inside the image; null: copy row by row
    size_t mask_bytes;
    int prepare_channels;  // of one unit of the preparation

    // A panel holds the rows of one block side by side. Without panels the blocks read the copies themselves.
    bool panels;
    int taps;
    const uint32_t* tap_offset;  // from the copies of a channel

    // A block is as many output pixels as a register has bits, or as one of several pieces has.
    int blocks, pieces, piece_bytes;
    size_t block_base, block_step, zeros;  // zeros: a row without ones, from the start of a block
    const uint8_t* valid;                  // of every block: bits that are pixels
    const int* block_pattern;              // of every block: index into lane_constant, or -1

    // A program is a list of words: for each class the counts of rows (a multiple of 4), then the offsets of the rows,
    // as many per row as there are pieces. Classes that complement carry two counts and the planes they start with.
    const uint32_t* program;
    const SlicedUnit* unit;
    const uint32_t* totals;  // by group, the index of the program that sums all positions; null: not needed
    const int* target;
    bool complementing;  // classes of positions by equal weights, counted as mismatches
    bool subtract;       // u needs S, or the sum of all classes
    int counter_planes, class_planes, total_planes;
    int count_shift, total_shift;  // 0 or 1: counts doubled

    // Constants of a slot: a mask to invert by, then `width` planes; as words, or as planes of a block.
    int width;
    const uint32_t* constant;
    const uint8_t* lane_constant;  // [pattern][slot]
    int slots;

    const uint32_t* gate;       // of a slot, `width` planes of the negated gate, as words; null: no gate, or
    const uint8_t* lane_gate;   // as planes of a block, if that has pieces

    bool sums;  // results are integers
    bool tail;  // which go through a Tail
    bool one_group;
    const LevelBits* levels;  // what the Tail comes to, if results are bits by these (and no integers); or null
    size_t out_stride, out_pixels, map_bytes;
    const int* byte_pixel;  // first pixel of every byte of the output map
};

// One register width of an instruction set.
struct SlicedIsa {
    int bytes;
    bool lists_only;       // no four-Russians, no pieces, no channels in the lanes
    double row, overhead;  // time for a row, and for what comes with every list; 1: of 256 bits with AVX2
    void (*prepare)(const SlicedView&, const uint8_t* in, uint8_t* scratch, int begin, int end);
    void (*channels)(const SlicedView&, const uint8_t* scratch, void* out, int begin, int end);
    void (*lanes_prepare)(const LanesView&, const uint8_t* in, uint8_t* scratch, int begin, int end);
    void (*lanes_channels)(const LanesView&, const uint8_t* scratch, void* out, int begin, int end);
    void (*add_responses)(const ResponsesView&, const uint8_t* scratch, void* out, int begin, int end);  // or null
};

// Plans a convolution for the best of the register widths; null if it is beyond the kernels' limits.
std::unique_ptr<BinaryConv> make_sliced(const BinaryConvArgs&, const char* choice, const SlicedIsa* isas, int count);

// The names that make_sliced takes as a choice, the cheapest by estimate first; before them `first`, if it is not null.
std::vector<std::string> sliced_names(const BinaryConvArgs&, const char* first, const SlicedIsa* isas, int count);

}  // namespace bw

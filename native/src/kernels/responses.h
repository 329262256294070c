// Binary convolution by shared responses: what its planner hands to its kernels.
//
// Where the kernels of a layer, a filter's weights for one channel, are few patterns, each channel's responses to all
// of them are computed once, and a filter adds up one of them for each channel. Of the s ones that a window holds, a
// pattern with z zeros sees p at its ones. Since 2p - s and s are both even or both odd,
//
//     response = p - s / 2 + z / 2,     both halves rounded down,
//
// is one of at most six numbers from 0 on, for up to nine taps. So it is held in four bits, and three of them may be
// added before anything overflows. Over all channels, with P and S the counts of sliced.h and constants left aside,
//
//     2P - S = 2 * responses - (s % 2, added up),     P = responses + (s / 2, added up),
//
// and what is added up on the right is the same for all filters: it is the response to one more pattern.
#pragma once
#include <cstddef>
#include <cstdint>

namespace bw {

constexpr int kMostPatterns = 64;
constexpr int kMostPatternTaps = 9;
constexpr int kResponseBytes = 32;         // of a block of 64 output pixels
constexpr int kResponseSubsets = 8;        // of three taps
constexpr int kResponseTable = 26 * 1024;  // bytes, of a chunk: most of a first-level cache
constexpr int kResponseFilters = 64;       // of a unit of the work

struct ResponsesView {
    int channels, taps, patterns, blocks;
    size_t channel_bytes;  // of the copies of the input, as in sliced.h
    const uint32_t* tap_offset;
    const uint16_t* subset;   // by pattern, where the kernel has the sums over its ones: of taps 0-2, 3-5 and 6-8
    const uint32_t* surplus;  // by pattern, what the kernel takes off: 4 - z / 2, in both halves of four bytes
    bool weight_signed;

    // Channels are added up in chunks whose responses fit the first-level cache: for each channel those to all
    // patterns, then the shared one; behind them a row of zeros.
    int chunk;

    // Of every chunk, of every filter: offsets of the responses into the chunk's table, a multiple of three.
    int filters;
    const uint16_t* program;
    const uint16_t* shared_program;  // of every chunk

    // Results: number * factor + constant, where a threshold asks for the sign of the sum.
    const int* block_pattern;  // of every block, as constants depend on the taps inside the image
    const int16_t* constant;   // [pattern][filter], 64 numbers each in the kernel's order
    const uint8_t* invert;     // of every filter, whether a bit is 1 where the sign is negative
    int factor;
    bool sums, tail;
    size_t out_stride, out_pixels, map_bytes;
    const int* byte_pixel;  // as in sliced.h, and so are these
    const uint8_t* valid;
    int out_width;
};

}  // namespace bw

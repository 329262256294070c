// Binary convolution with output channels in the lanes: what its planner hands to its kernels.
//
// A bit of a register stands for one output channel, and a row of bits is the weights of one position (ky, kx, input
// channel). The output pixels are counted in runs of at most eight: the input bits that the pixels of a run read at a
// position are its class, and the rows of every class are summed once for all of them (four-Russians, with the pixels
// in the part that filters play in sliced.h). The weights lie ready; which row is of which class is found out anew for
// every input. A run reads one source for each kernel row, and runs one above the other share them.
#pragma once
#include <cstddef>
#include <cstdint>

namespace bw {

constexpr int kMostLanePixels = 8;         // of a run: a class is a byte
constexpr int kMostLanePositions = 12288;  // of a filter
constexpr int kMostLaneKernelRows = 16;

// What one kernel row of a run reads.
struct LanesSource {
    int columns, rows;  // pixels: bit row * columns + column of a class
    int start;          // the input column of the first pixel at the first kernel column; may be negative
    int row[kMostLanePixels];  // of the input; -1: outside
};

struct LanesRun {
    int pixels;
    int source[kMostLaneKernelRows];   // by kernel row; -1: outside the image
    int pixel[kMostLanePixels];        // of the output; -1: below its end
    int tap_class[kMostLanePixels];
};

struct LanesView {
    int groups, channels, filters;  // channels and filters: of a group
    int in_width, in_pitch;
    size_t in_stride, in_bytes;
    int kernel_rows, columns;
    int column_step, column_dilation;
    bool windows;  // a pixel after the other, and few: one word holds all that a row of a run reads

    int sources, runs;
    const LanesSource* source;
    const LanesRun* run;

    // A block is as many output channels as a register has bits. Its rows, and one of zeros behind them, follow each
    // other; the blocks of a group come one after another.
    int blocks;  // of a group
    const uint8_t* weight;
    size_t block_bytes;

    bool subtract;  // u = 2P - S instead of P, see sliced.h
    int count_shift, total_shift;
    int width;                // planes of a result
    const uint8_t* constant;  // [tap class][group][block]: a mask to invert by, then `width` planes
    bool sums;

    int out_height, out_width, out_pitch;
    size_t out_stride, out_pixels;
    size_t result_bytes;  // of a pixel of a block: bits, or 16-bit numbers
};

}  // namespace bw

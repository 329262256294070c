// Binary convolution with output channels in the lanes: what its planner hands to its kernels.
//
// A bit of a register stands for one output channel, and a row of bits is the weights of one position (ky, kx, input
// channel). The output pixels are counted in runs of at most eight: the positions are sorted into classes by the input
// bits that the pixels of a run read there, and the rows of every class are summed once for all pixels (four-Russians,
// with pixels in the part that filters play in sliced.h). A run reads one source for each kernel row, and shares
// sources with the runs above and below it.
//
// Classes are by equality with what the run's first pixel reads, so that there are half as many: where that pixel reads
// a zero, the complement of the row is added. With D the sum over all classes, D' the sum over those where a pixel
// differs from the first, N and N' the positions of these, S the positions where the pixel reads a one, B the ones of
// the filter, and P those of them where the pixel reads a one,
//
//     D - 2D' + N' - N + B = 2P - S.
//
#pragma once
#include <cstddef>
#include <cstdint>

namespace bw {

constexpr int kMostLanePixels = 8;        // of a run: what they read is a byte
constexpr int kMostLanePositions = 9216;  // of a filter
constexpr int kMostLaneKernelRows = 16;

// What one kernel row of a run reads.
struct LanesSource {
    int columns, rows;         // pixels: bit row * columns + column of what is read at a position
    int start;                 // the input column of the first pixel at the first kernel column; may be negative
    int row[kMostLanePixels];  // of the input; -1: outside
};

struct LanesRun {
    int pixels;
    int source[kMostLaneKernelRows];  // by kernel row; -1: outside the image
    int pixel[kMostLanePixels];       // of the output; -1: below its end
    int constants[kMostLanePixels];   // index of the pixel's constants
};

struct LanesView {
    int groups, channels, filters;  // channels and filters: of a group
    int in_width, in_pitch;
    size_t in_stride, in_bytes;
    int kernel_rows, columns;
    int column_step, column_dilation;
    bool windows;  // every pixel or every other one, and few: one word holds all that a row of a run reads

    int sources, runs;
    const LanesSource* source;
    const LanesRun* run;

    // A block is as many output channels as a register has bits. The rows of the blocks of a strip lie side by side:
    // one fetch from the second-level cache serves as many blocks as a line holds. Each row is followed by its
    // complement, and the last one by a row of zeros.
    int blocks, strips, beside;  // of a group; blocks of a strip
    const uint8_t* weight;       // [group][strip]
    size_t strip_bytes;
    uint32_t row_bytes;

    bool add_ones;         // weights 0/1: S is added, which gives 2P
    bool doubled, halved;  // the kernel's number, on its way to a sum
    int sum_planes;        // of D and D'
    int width;             // planes of a result
    const uint8_t* constant;  // [index][group][block]: a mask to invert by, then `width` planes
    bool sums;  // results are integers
    bool tail;  // which go through a Tail

    int out_height, out_width, out_pitch, map_bytes;
    size_t out_stride, out_pixels;
    size_t result_bytes;     // of a pixel of a block: bits, or 16-bit numbers
    const int* byte_pixel;   // first pixel of every byte of the output map
    const uint8_t* valid;    // of these bytes, the bits that are pixels
};

}  // namespace bw

#include "layout.h"

namespace bw {

Layout layout_of(OpCode code) {
    switch (code) {
        case OpCode::affine: return {0, 0, 2, {f32, f32}, 0b10};
        case OpCode::level_sum: return {0, 0, 3, {f32, f32, f32}, 0b100};
        case OpCode::prelu: return {0, 0, 1, {f32}, 0};
        case OpCode::clamp: return {0, 2, 0, {}, 0};
        case OpCode::binarize: return {1, 0, 1, {f32}, 0};
        case OpCode::threshold: return {1, 0, 2, {i32, bits}, 0};
        case OpCode::conv: return {9, 0, 2, {f32, f32}, 0b10};
        case OpCode::binary_conv: return {10, 0, 2, {bits, i32}, 0b10};
        case OpCode::window_sum: return {9, 0, 0, {}, 0};
        case OpCode::linear: return {0, 0, 2, {f32, f32}, 0b10};
        case OpCode::binary_linear: return {1, 0, 1, {bits}, 0};
        case OpCode::max_pool: return {8, 0, 1, {bits}, 0b1};
        case OpCode::avg_pool: return {9, 0, 0, {}, 0};
        case OpCode::fixed_point: return {1, 0, 0, {}, 0};
        case OpCode::pixel_conv: return {8, 0, 3, {i16, f32, f32}, 0b100};
        case OpCode::quantize: return {0, 0, 1, {f32}, 0};
        case OpCode::thermometer: return {0, 0, 1, {i16}, 0};
        case OpCode::pad_channels: return {2, 0, 0, {}, 0};
        case OpCode::channels: return {0, 0, 1, {i32}, 0};
        case OpCode::unflatten: return {2, 0, 0, {}, 0};
        case OpCode::shift: return {0, 0, 3, {f32, i32, i32}, 0};
        case OpCode::add:
        case OpCode::multiply:
        case OpCode::sigmoid:
        case OpCode::tanh:
        case OpCode::decode:
        case OpCode::mean:
        case OpCode::flatten:
        case OpCode::concat: break;
    }
    return {0, 0, 0, {}, 0};
}

}  // namespace bw

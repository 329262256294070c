#include "chain.h"

#include <algorithm>

#include "builder.h"

namespace bw {
namespace {

void set_fraction(Step& step, const Op& fixed_point) {
    step.low = float(1 << fixed_point.fraction);
    step.high = 1 / step.low;
}

// How an operand covers what it is added to or multiplied with.
Spread spread_of(const Shape& operand, const Shape& all) {
    const bool channels = operand.c == all.c, pixels = operand.h == all.h && operand.w == all.w;
    if (channels) return pixels ? Spread::none : Spread::by_channel;
    return pixels && all.pixels() > 1 ? Spread::by_pixel : Spread::all;
}

}  // namespace

Step& Chain::append(Step::Op op, int source, int target) {
    sources_[count_] = source;
    targets_[count_] = target;
    steps_[count_].op = op;
    return steps_[count_++];
}

Chain::Steps Chain::bind(const Memory& m) const {
    Steps bound = steps_;
    for (int i = 0; i < count_; ++i) {
        if (sources_[i] >= 0) bound[i].source = m.at<const void>(sources_[i]);
        if (targets_[i] >= 0) bound[i].target = m.at<void>(targets_[i]);
    }
    return bound;
}

// Chains can read 16-bit numbers, but not spread or multiply them; other steps cannot.
bool Builder::is_short(int tensor) const {
    if (tensor == 0 || op(tensor - 1).code != OpCode::fixed_point || tensor == model_.output()) return false;
    return std::all_of(readers_[tensor].begin(), readers_[tensor].end(), [&](int reader) {
        const Op& o = op(reader);
        if (o.code == OpCode::multiply || (o.code == OpCode::add && !has_two_mains(model_, o))) return false;
        return is_elementwise(o.code) || makes_bits(o.code);
    });
}

// The class of each pixel of a Shift's map.
const PixelClass* Builder::pixel_classes(const Op& shift) {
    const Shape& shape = shift.out.shape;
    const int32_t *rows = shift.blobs[1].ints(), *columns = shift.blobs[2].ints();
    const int of_row = *std::max_element(columns, columns + shape.w) + 1;
    PixelClass* classes = reinterpret_cast<PixelClass*>(keep(shape.pixels() * sizeof(PixelClass)));
    for (size_t i = shape.pixels(); i-- > 0;) {
        classes[i].index = uint8_t(rows[i / shape.w] * of_row + columns[i % shape.w]);
        const bool goes_on = i + 1 < shape.pixels() && classes[i + 1].index == classes[i].index;
        classes[i].run = uint8_t(goes_on ? std::min(classes[i + 1].run + 1, 255) : 1);
    }
    return classes;
}

Chain Builder::make_chain(const Group& group, size_t first) {
    Chain chain;
    int tail = op(group.ops[first]).inputs[0];
    const Kind kind = model_.type(tail).kind;
    const Step::Op load = kind == Kind::sum     ? Step::load_sum
                          : kind == Kind::pixel ? Step::load_pixel
                          : is_short(tail)      ? Step::load_fixed
                                                : Step::load_real;
    Step& start = chain.append(load, first ? -1 : read(tail));
    if (is_short(tail)) set_fraction(start, op(tail - 1));
    if (first) {
        add_change(kCounts, kFloats);
    } else if (load != Step::load_real) {
        add_change(layout(tail), kFloats);
    }
    for (size_t i = first; i < group.ops.size(); ++i) {
        const int index = group.ops[i];
        const Op& o = op(index);
        switch (o.code) {
            case OpCode::affine: {
                Step& s = chain.append(Step::affine);
                s.a = o.blobs[0].floats(), s.b = o.blobs[1].floats();
                break;
            }
            case OpCode::level_sum: {
                Step& s = chain.append(Step::level_sum, read(o.inputs[1]));
                s.a = o.blobs[0].floats(), s.b = o.blobs[1].floats(), s.c = o.blobs[2].floats();
                s.channels_per_group = o.out.shape.c / input(index, 1).shape.c;
                s.one_low = std::count(s.b, s.b + o.out.shape.c, s.b[0]) == o.out.shape.c;
                break;
            }
            case OpCode::add: {
                const int other = o.inputs[o.inputs[0] == tail ? 1 : 0];
                const Spread spread = spread_of(model_.type(other).shape, o.out.shape);
                const Step::Op add = is_short(other) ? Step::add_fixed : Step::add;
                Step& s = chain.append(spread == Spread::none ? add : Step::add_spread, read(other));
                s.spread = spread;
                if (is_short(other)) set_fraction(s, op(other - 1));
                break;
            }
            case OpCode::multiply: {
                const int other = o.inputs[o.inputs[0] == tail ? 1 : 0];
                Step& s = chain.append(Step::multiply, read(other));
                s.spread = spread_of(model_.type(other).shape, o.out.shape);
                break;
            }
            case OpCode::sigmoid: chain.append(Step::sigmoid); break;
            case OpCode::tanh: chain.append(Step::tanh); break;
            case OpCode::shift: {
                Step& s = chain.append(Step::shift);
                s.a = o.blobs[0].floats();
                s.classes = int(o.blobs[0].elements) / o.out.shape.c;
                s.pixel = pixel_classes(o);
                break;
            }
            case OpCode::fixed_point:
                if (is_short(index + 1) && i + 1 == group.ops.size()) {  // nothing else follows
                    add_change(kFloats, layout(index + 1));
                    set_fraction(chain.append(Step::fix_and_store, -1, write(index + 1)), o);
                    return chain;
                }
                set_fraction(chain.append(Step::fix), o);
                break;
            case OpCode::prelu: chain.append(Step::prelu).a = o.blobs[0].floats(); break;
            case OpCode::clamp: {
                Step& s = chain.append(Step::clamp);
                s.low = o.low, s.high = o.high;
                break;
            }
            case OpCode::quantize: {  // leaves the tail as it is, as does Binarize
                add_change(kFloats, layout(index + 1));
                Step& s = chain.append(Step::quantize, -1, write(index + 1));
                s.a = o.blobs[0].floats(), s.b = s.a + o.out.shape.c, s.c = s.b + o.out.shape.c;
                s.plane_bytes = o.out.shape.plane_bytes();
                continue;
            }
            default:  // Binarize
                add_change(kFloats, layout(index + 1));
                chain.append(Step::binarize, -1, write(index + 1)).a = o.blobs[0].floats();
                continue;
        }
        tail = index + 1;
        if (!is_read_outside(tail, group)) continue;
        Step& s = chain.append(is_short(tail) ? Step::store_fixed : Step::store, -1, write(tail));
        if (!is_short(tail)) continue;
        add_change(kFloats, layout(tail));
        set_fraction(s, o);
    }
    return chain;
}

}  // namespace bw

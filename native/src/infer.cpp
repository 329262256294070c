#include "infer.h"

#include <algorithm>
#include <cmath>
#include <unordered_set>

#include "axis_classes.h"

namespace bw {
namespace {

using std::to_string;

std::string show(const Shape& s) {
    if (s.vector) return "(" + to_string(s.c) + ",)";
    return "(" + to_string(s.c) + ", " + to_string(s.h) + ", " + to_string(s.w) + ")";
}

const char* kind_name(Kind kind) {
    static const char* const names[] = {"REAL", "PIXEL", "SUM", "SIGN", "BIT", "DIGIT"};
    return names[int(kind)];
}

// Infers one op. Members are named as in verify.py.
class Inference {
public:
    Inference(const Model& model, const Op& op) : model_(model), op_(op) {}

    TensorType output_type() {
        switch (op_.code) {
            case OpCode::affine:
                inputs({{Kind::real, Kind::pixel, Kind::sum}});
                per_channel("scale", 0), per_channel("shift", 1);
                return {Kind::real, x().shape};
            case OpCode::level_sum: return level_sum();
            case OpCode::add:
            case OpCode::multiply: return spread();
            case OpCode::sigmoid:
            case OpCode::tanh: inputs({{Kind::real}}); return x();
            case OpCode::shift: return shift();
            case OpCode::channels: return gather();
            case OpCode::unflatten: return unflatten();
            case OpCode::prelu:
                inputs({{Kind::real}});
                per_channel("slope", 0);
                return x();
            case OpCode::clamp:
                inputs({{Kind::real}});
                if (!(std::isfinite(op_.low) && op_.low <= op_.high)) {
                    refuse("a finite low that is not above high",
                           "low " + to_string(op_.low) + ", high " + to_string(op_.high));
                }
                return x();
            case OpCode::binarize:
                inputs({{Kind::real}});
                per_channel("threshold", 0);
                return {bit_kind(), x().shape};
            case OpCode::threshold:
                inputs({{Kind::sum}});
                per_channel("threshold", 0), per_channel("flip", 1);
                return {bit_kind(), x().shape};
            case OpCode::quantize:
                inputs({{Kind::real}});
                check_thresholds();
                return {Kind::digit, x().shape};
            case OpCode::decode:
                inputs({kCodes});
                return {Kind::real, x().shape};
            case OpCode::conv:
                inputs({{Kind::real}});
                return {Kind::real, convolve()};
            case OpCode::binary_conv: {
                inputs({kCodes});
                const Shape shape = convolve();
                count("gate", 1, size_t(shape.c));
                if (op_.blobs[1] && (x().kind != Kind::digit || !op_.is_signed)) {
                    refuse("digits and signed weights for a gate",
                           std::string(kind_name(x().kind)) + (op_.is_signed ? ", signed" : ", not signed"));
                }
                taps(size_t(x().shape.c / op_.groups) * op_.window.kh * op_.window.kw);
                return {Kind::sum, shape};
            }
            case OpCode::window_sum: return window_sum();
            case OpCode::linear:
                inputs({{Kind::real}});
                return {Kind::real, product()};
            case OpCode::binary_linear: {
                inputs({kCodes});
                const Shape shape = product();
                taps(size_t(x().shape.c));
                return {Kind::sum, shape};
            }
            case OpCode::max_pool: {
                inputs({{Kind::real, Kind::sum, Kind::sign, Kind::bit}});
                const Shape shape = slide(true);
                per_channel("take_min", 0);
                return {x().kind, {x().shape.c, shape.h, shape.w, false}};
            }
            case OpCode::avg_pool: {
                inputs({{Kind::real}});
                const Shape shape = slide(true);
                return {Kind::real, {x().shape.c, shape.h, shape.w, false}};
            }
            case OpCode::mean:
                inputs({{Kind::real}});
                rank(false);
                return {Kind::real, {x().shape.c, 1, 1, false}};
            case OpCode::flatten:
                inputs({{Kind::real, Kind::pixel, Kind::sum, Kind::sign, Kind::bit, Kind::digit}});
                rank(false);
                return {x().kind, vector(x().shape.elements())};
            case OpCode::pad_channels: {
                inputs({{Kind::real}});
                range("before", op_.before, 0, kMaxDim), range("after", op_.after, 0, kMaxDim);
                Shape shape = x().shape;
                shape.c = channels(size_t(op_.before) + shape.c + op_.after);
                return {Kind::real, shape};
            }
            case OpCode::concat: return concat();
            case OpCode::fixed_point:
                inputs({{Kind::real}});
                range("fraction", op_.fraction, 0, kMaxFraction);
                return x();
            case OpCode::pixel_conv: return pixel_conv();
            case OpCode::thermometer: {
                inputs({{Kind::pixel}});
                rank(false);
                const Shape& in = x().shape;
                return {Kind::sign, {channels(size_t(in.c) * op_.blobs[0].elements), in.h, in.w, false}};
            }
        }
        refuse("a known op", to_string(int(op_.code)));
    }

private:
    using Kinds = std::vector<Kind>;
    inline static const Kinds kCodes = {Kind::sign, Kind::bit, Kind::digit};

    const TensorType& x(int i = 0) const { return model_.type(op_.inputs[i]); }

    [[noreturn]] void refuse(const std::string& expected, const std::string& found) const {
        throw FormatError(op_.name + " (" + op_name(op_.code) + "): expected " + expected + ", found " + found + ".");
    }

    void inputs(const std::vector<Kinds>& expected) const {
        if (op_.inputs.size() != expected.size()) {
            refuse(to_string(expected.size()) + " inputs", to_string(op_.inputs.size()));
        }
        for (size_t i = 0; i < expected.size(); ++i) {
            std::string names;
            bool found = false;
            for (Kind kind : expected[i]) {
                found = found || kind == x(int(i)).kind;
                names += (names.empty() ? "" : " or ") + std::string(kind_name(kind));
            }
            if (!found) refuse("input " + to_string(i) + " to be " + names, kind_name(x(int(i)).kind));
        }
    }

    void rank(bool vector) const {
        if (x().shape.vector != vector) refuse(vector ? "an input (F,)" : "an input (C, H, W)", show(x().shape));
    }

    void count(const char* field, int blob, size_t elements) const {
        if (op_.blobs[blob] && op_.blobs[blob].elements != elements) {
            refuse(std::string(field) + " of " + to_string(elements) + " elements",
                   to_string(op_.blobs[blob].elements));
        }
    }

    void per_channel(const char* field, int blob) const { count(field, blob, size_t(x().shape.c)); }

    void check_thresholds() const {
        const size_t channels = size_t(x().shape.c);
        count("thresholds", 0, 3 * channels);
        const float* threshold = op_.blobs[0].floats();
        for (size_t i = channels; i < 3 * channels; ++i) {
            if (threshold[i] < threshold[i - channels]) {
                refuse("thresholds that ascend in every channel", "a lower one behind a higher one");
            }
        }
    }

    void range(const std::string& field, int value, int low, int high) const {
        if (value < low || value > high) {
            refuse(field + " from " + to_string(low) + " to " + to_string(high), to_string(value));
        }
    }

    int channels(size_t n) const {
        if (n < 1 || n > size_t(kMaxDim)) refuse("1 to " + to_string(kMaxDim) + " channels", to_string(n));
        return int(n);
    }

    Shape vector(size_t n) const { return {channels(n), 1, 1, true}; }

    void taps(size_t n) const {
        const int most = x().kind == Kind::digit ? kMaxTaps / 3 : kMaxTaps;
        if (n > size_t(most)) refuse("at most " + to_string(most) + " taps in one sum", to_string(n));
    }

    Kind bit_kind() const {
        if (op_.kind != Kind::sign && op_.kind != Kind::bit) refuse("the kind SIGN or BIT", to_string(int(op_.kind)));
        return op_.kind;
    }

    void groups() const {
        if (op_.groups < 1 || x().shape.c % op_.groups) {
            refuse("groups that divide the " + to_string(x().shape.c) + " input channels",
                   to_string(op_.groups) + " groups");
        }
    }

    // Positions of a window along one axis of n pixels; with `taps_needed` each has a tap inside.
    int positions(const char* axis, int n, int kernel, int stride, int padding, int dilation, bool taps_needed) const {
        range(std::string(axis) + " kernel", kernel, 1, kMaxWindow);
        range(std::string(axis) + " stride", stride, 1, kMaxWindow);
        range(std::string(axis) + " padding", padding, 0, kMaxWindow);
        range(std::string(axis) + " dilation", dilation, 1, kMaxWindow);
        const int span = dilation * (kernel - 1) + 1;
        if (n + 2 * padding < span) {
            refuse("an image that the window fits into",
                   to_string(n) + " pixels for a " + axis + " span of " + to_string(span));
        }
        const int outputs = (n + 2 * padding - span) / stride + 1;
        bool seen = (outputs - 1) * stride - padding < n;
        for (int start = -padding; start < 0 && start < outputs * stride - padding; start += stride) {
            const int first = (-start + dilation - 1) / dilation;
            seen = seen && first < kernel && start + first * dilation < n;
        }
        if (taps_needed && !seen) {
            refuse("a pool whose every window has a tap inside the image", std::string("one without, ") + axis);
        }
        return outputs;
    }

    Shape slide(bool taps_needed = false) const {
        rank(false);
        const Window& w = op_.window;
        return {1, positions("vertical", x().shape.h, w.kh, w.sh, w.ph, w.dh, taps_needed),
                positions("horizontal", x().shape.w, w.kw, w.sw, w.pw, w.dw, taps_needed), false};
    }

    Shape convolve() const {
        Shape shape = slide();
        groups();
        const size_t filter = size_t(x().shape.c / op_.groups) * op_.window.kh * op_.window.kw;
        shape.c = filters(filter);
        if (shape.c % op_.groups) {
            refuse(to_string(op_.groups) + " groups to divide the output channels", to_string(shape.c) + " of them");
        }
        return shape;
    }

    Shape product() const {
        rank(true);
        return {filters(size_t(x().shape.c)), 1, 1, true};
    }

    // Output channels: as many as the weight holds filters of so many elements.
    int filters(size_t filter) const {
        const size_t elements = op_.blobs[0].elements;
        if (elements == 0 || elements % filter) {
            refuse("a weight of filters of " + to_string(filter) + " elements", to_string(elements) + " elements");
        }
        if (op_.code == OpCode::conv || op_.code == OpCode::linear) count("bias", 1, elements / filter);
        return channels(elements / filter);
    }

    TensorType pixel_conv() const {
        inputs({{Kind::pixel}});
        const Shape shape = convolve();
        count("scale", 1, size_t(shape.c));
        const AxisClasses rows = row_classes(x().shape.h, shape.h, op_.window);
        const AxisClasses columns = column_classes(x().shape.w, shape.w, op_.window);
        count("shift", 2, size_t(shape.c) * rows.count() * columns.count());
        return {Kind::real, shape};
    }

    TensorType level_sum() const {
        inputs({{Kind::sum}, {Kind::sum}});
        const Shape acc = x(0).shape, sums = x(1).shape;
        if (sums.h != acc.h || sums.w != acc.w || sums.vector != acc.vector || acc.c % sums.c) {
            refuse("a window sum that fits " + show(acc), show(sums));
        }
        per_channel("step", 0), per_channel("low", 1), per_channel("shift", 2);
        return {Kind::real, acc};
    }

    TensorType window_sum() const {
        inputs({kCodes});
        if (x().shape.vector) {
            const Window& w = op_.window;
            const bool unit = w.kh == 1 && w.kw == 1 && w.sh == 1 && w.sw == 1 && w.ph == 0 && w.pw == 0 &&
                              w.dh == 1 && w.dw == 1 && op_.groups == 1;
            if (!unit) refuse("the 1x1 window and one group for a vector", "another");
            taps(size_t(x().shape.c));
            return {Kind::sum, vector(1)};
        }
        Shape shape = slide();
        groups();
        taps(size_t(x().shape.c / op_.groups) * op_.window.kh * op_.window.kw);
        shape.c = op_.groups;
        return {Kind::sum, shape};
    }

    // The second operand has the first one's shape or is spread over it.
    TensorType spread() const {
        inputs({{Kind::real}, {Kind::real}});
        const Shape &a = x(0).shape, &b = x(1).shape;
        const bool channels = b.c == 1 || b.c == a.c, rank = b.vector || !a.vector;
        const bool pixels = (b.h == 1 && b.w == 1) || (b.h == a.h && b.w == a.w);
        if (!channels || !pixels || !rank) {
            refuse("a second operand of the shape " + show(a) + ", or one for each channel or pixel of it", show(b));
        }
        return x();
    }

    // Classes of rows or columns: how many there are.
    size_t classes(const char* field, int blob, int size) const {
        count(field, blob, size_t(size));
        int most = 0;
        for (int i = 0; i < size; ++i) {
            range(std::string("each of ") + field, op_.blobs[blob].ints()[i], 0, size - 1);
            most = std::max(most, op_.blobs[blob].ints()[i]);
        }
        return size_t(most) + 1;
    }

    TensorType shift() const {
        inputs({{Kind::real}});
        rank(false);
        const size_t rows = classes("rows", 1, x().shape.h), columns = classes("columns", 2, x().shape.w);
        if (rows * columns > size_t(kMaxClasses)) {
            refuse("at most " + to_string(kMaxClasses) + " classes of pixels",
                   to_string(rows) + " x " + to_string(columns));
        }
        count("values", 0, size_t(x().shape.c) * rows * columns);
        return x();
    }

    TensorType gather() const {
        inputs({{Kind::real, Kind::pixel, Kind::sum, Kind::sign, Kind::bit}});
        const Blob& index = op_.blobs[0];
        for (size_t i = 0; i < index.elements; ++i) range("every index", index.ints()[i], 0, x().shape.c - 1);
        TensorType out = x();
        out.shape.c = channels(index.elements);
        return out;
    }

    TensorType unflatten() const {
        inputs({{Kind::real, Kind::pixel, Kind::sum}});
        rank(true);
        range("height", op_.height, 1, kMaxDim), range("width", op_.width, 1, kMaxDim);
        const size_t plane = size_t(op_.height) * size_t(op_.width), elements = size_t(x().shape.c);
        if (elements % plane) {
            refuse("a vector of whole maps of " + to_string(op_.height) + " x " + to_string(op_.width),
                   show(x().shape));
        }
        return {x().kind, {channels(elements / plane), op_.height, op_.width, false}};
    }

    TensorType concat() const {
        if (op_.inputs.size() < 2) refuse("2 to " + to_string(kMaxInputs) + " inputs", to_string(op_.inputs.size()));
        TensorType out = x();
        size_t total = 0;
        for (size_t i = 0; i < op_.inputs.size(); ++i) {
            const TensorType& part = x(int(i));
            const bool fits = part.kind == out.kind && part.shape.h == out.shape.h && part.shape.w == out.shape.w &&
                              part.shape.vector == out.shape.vector;
            if (!fits) {
                refuse("inputs that agree but for their channels with " + std::string(kind_name(out.kind)) + " " +
                           show(out.shape), std::string(kind_name(part.kind)) + " " + show(part.shape));
            }
            total += size_t(part.shape.c);
        }
        out.shape.c = channels(total);
        return out;
    }

    const Model& model_;
    const Op& op_;
};

void check_type(const TensorType& type, const std::string& where) {
    const Shape& s = type.shape;
    for (int n : {s.c, s.h, s.w}) {
        if (n < 1 || n > kMaxDim) {
            throw FormatError(where + ": expected a shape of 1 to " + to_string(kMaxDim) + " each, found " + show(s) +
                              ".");
        }
    }
    // two steps, so that no product overflows
    if (size_t(s.c) * s.h > size_t(kMaxElements) || s.elements() > size_t(kMaxElements)) {
        throw FormatError(where + ": expected at most " + to_string(kMaxElements) + " elements, found the shape " +
                          show(s) + ".");
    }
}

}  // namespace

const char* op_name(OpCode code) {
    static const char* const names[] = {
        "?", "Affine", "LevelSum", "Add", "PReLU", "Clamp", "Binarize", "Threshold", "Decode", "Conv", "BinaryConv",
        "WindowSum", "Linear", "BinaryLinear", "MaxPool", "AvgPool", "Mean", "Flatten", "PadChannels", "Concat",
        "FixedPoint", "Quantize", "PixelConv", "Thermometer", "Multiply", "Sigmoid", "Tanh", "Channels", "Shift",
        "Unflatten"};
    return names[int(code)];
}

void infer(Model& model) {
    if (model.input.kind != Kind::real && model.input.kind != Kind::pixel) {
        throw FormatError(std::string("the graph's input: expected REAL or PIXEL, found ") +
                          kind_name(model.input.kind) + ".");
    }
    check_type(model.input, "the graph's input");
    std::unordered_set<std::string> names = {model.input_name};
    std::vector<bool> read(model.ops.size() + 1);
    for (size_t i = 0; i < model.ops.size(); ++i) {
        Op& op = model.ops[i];
        if (!names.insert(op.name).second) throw FormatError(op.name + ": expected a name of its own, found it twice.");
        for (int tensor : op.inputs) {
            if (tensor < 0 || size_t(tensor) > i) {
                throw FormatError(op.name + ": expected inputs from among the ops before it, found tensor " +
                                  to_string(tensor) + ".");
            }
            read[tensor] = true;
        }
        op.out = Inference(model, op).output_type();
        check_type(op.out, op.name + " (" + op_name(op.code) + "): the output");
    }
    for (size_t tensor = 0; tensor < model.ops.size(); ++tensor) {
        if (!read[tensor]) {
            const std::string& name = tensor ? model.ops[tensor - 1].name : model.input_name;
            throw FormatError(name + ": expected every tensor to be read, found nothing that reads it.");
        }
    }
    const TensorType& out = model.ops.back().out;
    if (out.kind != Kind::real) {
        throw FormatError(model.ops.back().name + ": expected a real output, found " + kind_name(out.kind) + ".");
    }
}

}  // namespace bw

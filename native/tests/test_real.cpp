// The real-valued kernels and those between the layers, of every instruction set that runs here, against the plain
// loops of the reference: random shapes and values, ranges cut anywhere, all bits equal, nothing written outside.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "axis_classes.h"
#include "dispatch.h"
#include "kernels/kernels.h"

namespace {

using namespace bw;

std::mt19937 rng(1);
int failures = 0;

int between(int low, int high) { return std::uniform_int_distribution<int>(low, high)(rng); }
bool chance(double p) { return std::bernoulli_distribution(p)(rng); }

// Values of all sizes; zeros of both signs, and on demand what is not finite.
std::vector<float> reals(size_t n, bool finite = true) {
    const float infinity = std::numeric_limits<float>::infinity();
    const float odd[] = {0.0f, -0.0f, 1.0f, infinity, -infinity, std::nanf("")};
    std::vector<float> v(n);
    for (float& x : v) {
        x = std::normal_distribution<float>()(rng) * std::exp2(float(between(-3, 3)));
        if (chance(0.1)) x = odd[between(0, finite ? 2 : 5)];
    }
    return v;
}

template <class T> std::vector<T> integers(size_t n, int low, int high) {
    std::vector<T> v(n);
    for (T& x : v) x = T(between(low, high));
    return v;
}

std::vector<uint8_t> bit_tensor(const Shape& shape, int planes = 1) {
    const Shape map = shape.bits();
    std::vector<uint8_t> bits(size_t(planes) * map.bit_bytes());
    for (int c = 0; c < planes * map.c; c++) {
        for (int y = 0; y < map.h; y++) {
            for (int x = 0; x < map.w; x++) {
                bits[c * map.stride() + size_t(y) * map.pitch() + x / 8] |= uint8_t(chance(0.5)) << (x % 8);
            }
        }
    }
    return bits;
}

// An output with room behind it that must stay as it is.
template <class T> struct Output {
    static constexpr size_t margin = 64;
    std::vector<T> data;

    explicit Output(size_t n) : data(n + margin) { std::memset(data.data(), 0xa5, data.size() * sizeof(T)); }
    T* get() { return data.data(); }
};

bool same(float a, float b) { return (std::isnan(a) && std::isnan(b)) || std::memcmp(&a, &b, sizeof a) == 0; }
template <class T> bool same(T a, T b) { return a == b; }

template <class T> void compare(const Output<T>& expected, const Output<T>& found, const std::string& what) {
    for (size_t i = 0; i < expected.data.size(); i++) {
        if (same(expected.data[i], found.data[i])) continue;
        std::printf("FAILED %s: element %zu of %zu is %g, expected %g\n", what.c_str(), i,
                    expected.data.size() - Output<T>::margin, double(found.data[i]), double(expected.data[i]));
        failures++;
        return;
    }
}

// Covers [0, n) by parts cut at multiples of `step`, in any order.
void in_parts(int n, int step, const std::function<void(int, int)>& run) {
    std::vector<int> cuts = {0, n};
    for (int i = between(0, 3); i > 0; i--) cuts.push_back(between(0, n) / step * step);
    std::sort(cuts.begin(), cuts.end());
    std::vector<int> order(cuts.size() - 1);
    for (size_t i = 0; i < order.size(); i++) order[i] = int(i);
    std::shuffle(order.begin(), order.end(), rng);
    for (const int i : order) run(cuts[i], cuts[i + 1]);
}

Window random_window(const Shape& in, int largest) {
    for (;;) {
        const int square = between(1, largest), stride = between(1, 2);
        Window w{square, square, stride, stride, between(0, square / 2), 0, 1, 1};
        w.pw = w.ph;
        if (chance(0.4)) {
            w = {between(1, largest), between(1, largest), between(1, 4), between(1, 4), between(0, 3), between(0, 3),
                 between(1, 3), between(1, 3)};
        }
        if (in.h + 2 * w.ph > (w.kh - 1) * w.dh && in.w + 2 * w.pw > (w.kw - 1) * w.dw) return w;
    }
}

Shape slid(const Shape& in, const Window& w, int channels) {
    return {channels, (in.h + 2 * w.ph - (w.kh - 1) * w.dh - 1) / w.sh + 1,
            (in.w + 2 * w.pw - (w.kw - 1) * w.dw - 1) / w.sw + 1};
}

std::string text(const Shape& in, const Window& w) {
    char line[160];
    std::snprintf(line, sizeof line, "%dx%dx%d kernel %dx%d stride %dx%d padding %dx%d dilation %dx%d", in.c, in.h,
                  in.w, w.kh, w.kw, w.sh, w.sw, w.ph, w.pw, w.dh, w.dw);
    return line;
}

void test_conv(const Kernels& k) {
    const Kernels& ref = reference_kernels();
    const int groups = chance(0.4) ? between(1, 5) : 1;
    Shape in{groups * between(1, 4), between(1, 20), between(1, 40)};
    const int filters = chance(0.3) ? 1 : between(1, 20);
    ConvArgs args;
    args.window = random_window(in, 7);
    args.groups = groups;
    args.in = in;
    args.out = slid(in, args.window, groups * filters);
    const size_t taps = size_t(in.c / groups) * args.window.kh * args.window.kw;
    const auto weight = reals(args.out.c * taps), bias = reals(args.out.c), x = reals(in.elements());
    const auto pixels = integers<uint8_t>(in.elements(), 0, 255);
    const auto scale = reals(in.c), shift = reals(in.c);
    const void* input = x.data();
    if (chance(0.7)) args.bias = bias.data();
    if (chance(0.3)) {
        input = pixels.data();
        args.pixel_scale = scale.data();
        if (chance(0.7)) args.pixel_shift = shift.data();
    }
    Output<float> expected(args.out.elements()), found(args.out.elements());
    args.weight = weight.data();
    ref.conv(args, input, nullptr, expected.get(), 0, args.out.c, nullptr);
    void* packed = std::aligned_alloc(64, round_up(k.conv_weight_bytes(args) + 1, 64));
    void* scratch = std::aligned_alloc(64, round_up(k.conv_scratch_bytes(args) + 1, 64));
    k.pack_conv(args, weight.data(), packed);
    args.weight = packed;
    const size_t copy_floats = k.conv_copy_bytes(args) / sizeof(float);
    Output<float> copy(copy_floats);
    if (copy_floats) {
        in_parts(in.c, 1, [&](int begin, int end) { k.conv_fill(args, input, copy.get(), begin, end); });
    }
    in_parts(k.conv_units(args), 1, [&](int begin, int end) {
        k.conv(args, input, copy.get(), found.get(), begin, end, scratch);
    });
    std::free(scratch);
    std::free(packed);
    compare(expected, found, std::string(k.name) + " conv " + text(in, args.window));
}

void test_pixel_conv(const Kernels& k) {
    const Shape in{between(1, 5), between(1, 40), between(1, 90)};
    PixelConvArgs args;
    args.in = in;
    args.window = random_window(in, 7);
    args.out = slid(in, args.window, between(1, 20));
    const int taps = in.c * args.window.kh * args.window.kw, most = std::min(32767, 8421504 / taps);
    const auto weight = integers<int16_t>(size_t(args.out.c) * taps, -most, most);
    const auto x = integers<uint8_t>(in.elements(), chance(0.2) ? 255 : 0, 255);
    const AxisClasses rows = row_classes(in.h, args.out.h, args.window);
    const AxisClasses columns = column_classes(in.w, args.out.w, args.window);
    std::vector<int> row_class(args.out.h), column_class(args.out.w);
    rows.fill(row_class.data(), args.out.h), columns.fill(column_class.data(), args.out.w);
    args.row_class = row_class.data(), args.column_class = column_class.data();
    args.row_classes = rows.count(), args.column_classes = columns.count();
    const auto scale = reals(args.out.c), shift = reals(size_t(args.out.c) * rows.count() * columns.count());
    args.weight = weight.data(), args.scale = scale.data();
    if (chance(0.8)) args.shift = shift.data();
    Output<float> expected(args.out.elements()), found(args.out.elements());
    reference_kernels().pixel_conv(args, x.data(), expected.get(), 0, args.out.h, nullptr);
    void* packed = std::aligned_alloc(64, round_up(k.pixel_conv_bytes(args), 64));
    void* scratch = std::aligned_alloc(64, round_up(k.pixel_conv_scratch_bytes(args), 64));
    k.pack_pixel_conv(args, packed);
    args.packed = packed;
    in_parts(args.out.h, 1, [&](int begin, int end) {
        k.pixel_conv(args, x.data(), found.get(), begin, end, scratch);
    });
    std::free(scratch);
    std::free(packed);
    compare(expected, found, std::string(k.name) + " pixel_conv " + text(in, args.window));
}

void test_sums(const Kernels& k) {
    const int in = between(1, 100), out = between(1, 20);
    const auto weight = reals(size_t(in) * out), x = reals(in), bias = reals(out);
    const LinearArgs args{in, out, weight.data(), chance(0.5) ? bias.data() : nullptr};
    Output<float> expected(out), found(out);
    reference_kernels().linear(args, x.data(), expected.get(), 0, out);
    in_parts(out, 1, [&](int begin, int end) { k.linear(args, x.data(), found.get(), begin, end); });
    compare(expected, found, std::string(k.name) + " linear");
    reference_kernels().mean(weight.data(), expected.get(), size_t(in), 0, out);
    in_parts(out, 1, [&](int begin, int end) { k.mean(weight.data(), found.get(), size_t(in), begin, end); });
    compare(expected, found, std::string(k.name) + " mean");
}

template <class T, class Kernel>
void check_pool(const PoolArgs& args, Kernel ref, Kernel kernel, const std::vector<T>& x, size_t n, std::string what) {
    Output<T> expected(n), found(n);
    ref(args, x.data(), expected.get(), 0, args.out.c);
    in_parts(args.out.c, 1, [&](int begin, int end) { kernel(args, x.data(), found.get(), begin, end); });
    compare(expected, found, what + text(args.in, args.window));
}

void test_pool(const Kernels& k) {
    const Kernels& ref = reference_kernels();
    const int highest = chance(0.2) ? 200 : 20, widest = chance(0.2) ? 300 : 70;
    const Shape in{between(1, 5), between(1, highest), between(1, widest)};
    PoolArgs args;
    args.in = in;
    args.window = random_window(in, 4);
    args.out = slid(in, args.window, in.c);
    args.count_padding = chance(0.5);
    const std::vector<uint8_t> take_min = integers<uint8_t>(in.c, 0, 1);
    const std::string name = k.name;
    const size_t n = args.out.elements();
    check_pool(args, ref.avg_pool, k.avg_pool, reals(in.elements()), n, name + " avg_pool ");
    args.take_min = chance(0.5) ? take_min.data() : nullptr;
    check_pool(args, ref.max_pool_real, k.max_pool_real, reals(in.elements(), false), n, name + " max_pool_real ");
    const auto sums = integers<int32_t>(in.elements(), -9, 9);
    check_pool(args, ref.max_pool_sum, k.max_pool_sum, sums, n, name + " max_pool_sum ");
    const size_t bytes = args.out.bit_bytes();
    check_pool(args, ref.max_pool_bits, k.max_pool_bits, bit_tensor(in), bytes, name + " max_pool_bits ");
}

Shape random_shape() {
    if (chance(0.4)) return {between(1, 300), 1, 1, true};
    if (chance(0.1)) return {between(1, 40), 1, 1};
    return {between(1, 6), between(1, 20), between(1, chance(0.2) ? 200 : 40)};
}

void test_elementwise(const Kernels& k) {
    const Shape shape = random_shape();
    const size_t n = shape.elements(), bytes = shape.bits().bit_bytes();
    const int per_group = between(1, 3), groups = (shape.c + per_group - 1) / per_group;
    const auto real = reals(n, false), other = reals(n, false), a = reals(shape.c), b = reals(shape.c);
    std::vector<float> higher = a, highest;
    for (float& t : higher) t += float(between(0, 2)) / 2;
    highest = higher;
    for (float& t : highest) t += float(between(0, 2)) / 2;
    const auto sums = integers<int32_t>(n, -50000, 50000);
    const auto windows = integers<int32_t>(groups * shape.pixels(), -300, 300);
    const auto pixels = integers<uint8_t>(n, 0, 255);

    std::vector<Step> chain(1);
    chain[0].op = Step::Op(between(Step::load_real, Step::load_pixel));
    const void* sources[] = {real.data(), sums.data(), pixels.data()};
    chain[0].source = sources[chain[0].op - Step::load_real];
    for (int i = between(0, 7); i > 0; i--) {
        Step step{};
        step.op = Step::Op(between(Step::affine, Step::store));
        step.source = step.op == Step::level_sum ? static_cast<const void*>(windows.data()) : other.data();
        step.channels_per_group = per_group;
        step.a = a.data();
        step.b = step.op == Step::level_sum || chance(0.5) ? b.data() : nullptr;
        step.c = chance(0.5) ? b.data() : nullptr;
        if (step.op == Step::quantize) step.b = higher.data(), step.c = highest.data(), step.plane_bytes = bytes;
        step.low = chance(0.5) ? 0.0f : -1.0f;
        step.high = chance(0.5) ? 1.0f : std::numeric_limits<float>::infinity();
        chain.push_back(step);
    }
    Step last{};
    last.op = Step::store;
    chain.push_back(last);

    bool bits = false;
    std::vector<Output<float>> real_out[2];
    std::vector<Output<uint8_t>> bits_out[2];
    for (int turn = 0; turn < 2; turn++) {
        real_out[turn].assign(chain.size(), Output<float>(n));
        bits_out[turn].assign(chain.size(), Output<uint8_t>(2 * bytes));
        for (size_t i = 0; i < chain.size(); i++) {
            if (chain[i].op == Step::store) chain[i].target = real_out[turn][i].get();
            const bool is_written = chain[i].op == Step::binarize || chain[i].op == Step::quantize;
            if (is_written) chain[i].target = bits_out[turn][i].get(), bits = true;
        }
        const Kernels& kernels = turn ? k : reference_kernels();
        in_parts(shape.c, bits && shape.vector ? 8 : 1, [&](int begin, int end) {
            if (begin < end) kernels.elementwise(shape, chain.data(), int(chain.size()), begin, end);
        });
    }
    std::string ops = std::string(k.name) + " elementwise " + text(shape, {}) + " steps";
    for (const Step& step : chain) ops += " " + std::to_string(int(step.op));
    for (size_t i = 0; i < chain.size(); i++) {
        compare(real_out[0][i], real_out[1][i], ops);
        compare(bits_out[0][i], bits_out[1][i], ops);
    }
}

void test_bits(const Kernels& k) {
    const Kernels& ref = reference_kernels();
    const Shape shape = random_shape();
    const std::string name = std::string(k.name) + " " + text(shape, {}) + (shape.vector ? " vector " : " ");
    const size_t bytes = shape.bits().bit_bytes();
    const int step = shape.vector ? 8 : 1;

    const auto sums = integers<int32_t>(shape.elements(), -9, 9), limits = integers<int32_t>(shape.c, -9, 9);
    const auto flip = integers<uint8_t>(shape.c, 0, 1);
    Output<uint8_t> expected(bytes), found(bytes);
    ref.threshold(shape, sums.data(), limits.data(), flip.data(), expected.get(), 0, shape.c);
    in_parts(shape.c, step, [&](int begin, int end) {
        if (begin < end) k.threshold(shape, sums.data(), limits.data(), flip.data(), found.get(), begin, end);
    });
    compare(expected, found, name + "threshold");

    if (!shape.vector) {
        const int count = between(1, 40);
        auto thresholds = integers<int16_t>(count, 0, 256);
        const auto pixels = integers<uint8_t>(shape.elements(), 0, 255);
        const Shape code{shape.c * count, shape.h, shape.w};
        Output<uint8_t> levels(code.bit_bytes()), found_levels(code.bit_bytes());
        ref.thermometer(shape, pixels.data(), thresholds.data(), count, levels.get(), 0, code.c);
        in_parts(code.c, 1, [&](int begin, int end) {
            k.thermometer(shape, pixels.data(), thresholds.data(), count, found_levels.get(), begin, end);
        });
        compare(levels, found_levels, name + "thermometer");
    }

    const auto bits = bit_tensor(shape, 2);
    const Kind kind = Kind(between(int(Kind::sign), int(Kind::digit)));
    Output<float> values(shape.elements()), decoded(shape.elements());
    ref.decode(shape, kind, bits.data(), values.get(), 0, shape.c);
    in_parts(shape.c, step, [&](int begin, int end) {
        if (begin < end) k.decode(shape, kind, bits.data(), decoded.get(), begin, end);
    });
    compare(values, decoded, name + "decode");

    if (shape.vector) return;
    const size_t row = Shape{int(shape.elements()), 1, 1, true}.bits().bit_bytes();
    Output<uint8_t> flat(row), flattened(row);
    ref.flatten_bits(shape, bits.data(), flat.get());
    k.flatten_bits(shape, bits.data(), flattened.get());
    compare(flat, flattened, name + "flatten_bits");
}

}  // namespace

int main(int argc, char** argv) {
    const int rounds = argc > 1 ? std::atoi(argv[1]) : 300;
    for (const Kernels* k : available_kernels()) {
        if (k == &reference_kernels()) continue;
        for (int i = 0; i < rounds; i++) {
            test_conv(*k);
            test_pixel_conv(*k);
            test_sums(*k);
            test_pool(*k);
            test_elementwise(*k);
            test_bits(*k);
        }
        std::printf("%s: %d rounds, %d failures so far\n", k->name, rounds, failures);
    }
    return failures ? 1 : 0;
}

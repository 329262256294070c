// Times of the real-valued kernels and those between the layers, on shapes of the networks in the zoo: the minimum of
// many runs on one thread, for every instruction set that runs here, or the one that is named.
//
// Convolutions are set against the peak of separate multiplications and additions, which their definition asks for;
// what reads each number about once is set against a loop that only loads the same bytes.
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <string>
#include <vector>

#include "axis_classes.h"
#include "dispatch.h"
#include "kernels/kernels.h"
#include "limits.h"

namespace {

using namespace bw;

double microseconds(const std::function<void()>& run) {
    using Clock = std::chrono::steady_clock;
    double best = 1e30;
    const auto deadline = Clock::now() + std::chrono::milliseconds(150);
    while (Clock::now() < deadline) {
        const auto start = Clock::now();
        run();
        const double us = std::chrono::duration<double, std::micro>(Clock::now() - start).count();
        if (us < best) best = us;
    }
    return best;
}

std::vector<float> reals(size_t n) {
    std::vector<float> v(n);
    for (size_t i = 0; i < n; i++) v[i] = float(int(i * 7919 % 2001) - 1000) / 500;
    return v;
}

double peak(const Kernels& k) {
    constexpr int kTurns = 20000;
    const limits::Limits limit = limits::of(k.name);
    const double us = microseconds([&] { limit.multiply_and_add(kTurns); });
    return double(kTurns) * limit.sums * limit.lanes / us / 1e3;
}

// Bytes a nanosecond, read and written, and as a fraction of a loop that loads the n floats.
void report_bytes(const Kernels& k, const std::string& what, const std::vector<float>& x, double bytes,
                  const std::function<void()>& run) {
    const limits::Limits limit = limits::of(k.name);
    const double us = microseconds(run), load = microseconds([&] { limit.load_all(x.data(), x.size()); });
    const double rate = bytes / us / 1e3, most = double(x.size()) * sizeof(float) / load / 1e3;
    std::printf("%-9s %-38s %9.1f us  %6.1f GB/s  %3.0f %%\n", k.name, what.c_str(), us, rate, 100 * rate / most);
}

void bench_conv(const Kernels& k, double peak, const char* name, Shape in, int out, Window w, int groups = 1,
                bool pixels = false) {
    ConvArgs args;
    args.in = in;
    args.window = w;
    args.groups = groups;
    args.out = {out, (in.h + 2 * w.ph - (w.kh - 1) * w.dh - 1) / w.sh + 1,
                (in.w + 2 * w.pw - (w.kw - 1) * w.dw - 1) / w.sw + 1};
    const size_t taps = size_t(in.c / groups) * w.kh * w.kw;
    const auto x = reals(in.elements()), weight = reals(taps * out), scale = reals(in.c);
    const std::vector<uint8_t> bytes(in.elements(), 77);
    if (pixels) args.pixel_scale = args.pixel_shift = scale.data();
    const void* input = pixels ? static_cast<const void*>(bytes.data()) : x.data();
    std::vector<float> copy(k.conv_copy_bytes(args) / sizeof(float)), y(args.out.elements());
    void* packed = std::aligned_alloc(64, round_up(k.conv_weight_bytes(args), 64));
    void* scratch = std::aligned_alloc(64, round_up(k.conv_scratch_bytes(args) + 1, 64));
    k.pack_conv(args, weight.data(), packed);
    args.weight = packed;
    const double us = microseconds([&] {
        if (!copy.empty()) k.conv_fill(args, input, copy.data(), 0, in.c);
        k.conv(args, input, copy.data(), y.data(), 0, k.conv_units(args), scratch);
    });
    std::free(scratch);
    std::free(packed);
    const double rate = double(taps) * double(args.out.elements()) / us / 1e3;
    std::printf("%-9s conv %-33s %9.1f us  %6.1f GMAC/s %3.0f %%\n", k.name, name, us, rate, 100 * rate / peak);
}

void bench_pixel_conv(const Kernels& k, const char* name, Shape in, int out, Window w) {
    constexpr int kTurns = 20000;
    const limits::Limits limit = limits::of(k.name);
    const double turns = microseconds([&] { limit.multiply_pairs(kTurns); });
    const double most = double(kTurns) * limit.sums * limit.lanes * 2 / turns / 1e3;
    PixelConvArgs args;
    args.in = in;
    args.window = w;
    args.out = {out, (in.h + 2 * w.ph - w.kh) / w.sh + 1, (in.w + 2 * w.pw - w.kw) / w.sw + 1};
    const size_t taps = size_t(in.c) * w.kh * w.kw;
    std::vector<int16_t> weight(taps * out);
    for (size_t i = 0; i < weight.size(); i++) weight[i] = int16_t(i * 7919 % 2001);
    const AxisClasses rows = row_classes(in.h, args.out.h, w), columns = column_classes(in.w, args.out.w, w);
    std::vector<int> row_class(args.out.h), column_class(args.out.w);
    rows.fill(row_class.data(), args.out.h), columns.fill(column_class.data(), args.out.w);
    args.row_class = row_class.data(), args.column_class = column_class.data();
    args.row_classes = rows.count(), args.column_classes = columns.count();
    const auto scale = reals(out), shift = reals(size_t(out) * rows.count() * columns.count());
    args.weight = weight.data(), args.scale = scale.data(), args.shift = shift.data();
    const std::vector<uint8_t> x(in.elements(), 77);
    std::vector<float> y(args.out.elements());
    void* packed = std::aligned_alloc(64, round_up(k.pixel_conv_bytes(args), 64));
    void* scratch = std::aligned_alloc(64, round_up(k.pixel_conv_scratch_bytes(args), 64));
    k.pack_pixel_conv(args, packed);
    args.packed = packed;
    const double us = microseconds([&] { k.pixel_conv(args, x.data(), y.data(), 0, args.out.h, scratch); });
    std::free(scratch);
    std::free(packed);
    const double rate = double(taps) * double(args.out.elements()) / us / 1e3;
    std::printf("%-9s pixel_conv %-27s %9.1f us  %6.1f GMAC/s %3.0f %% of %.1f\n", k.name, name, us, rate,
                100 * rate / most, most);
}

void bench_convs(const Kernels& k) {
    const double most = peak(k);
    std::printf("%-9s multiplications and additions: %.1f G/s each\n", k.name, most);
    const Window same{3, 3, 1, 1, 1, 1, 1, 1}, half{3, 3, 2, 2, 1, 1, 1, 1}, stem{7, 7, 2, 2, 3, 3, 1, 1};
    bench_conv(k, most, "7x7/2 3->64 224x224 of uint8", {3, 224, 224}, 64, stem, 1, true);
    bench_pixel_conv(k, "7x7/2 3->64 224x224", {3, 224, 224}, 64, stem);
    bench_pixel_conv(k, "3x3 3->128 32x32", {3, 32, 32}, 128, same);
    bench_pixel_conv(k, "3x3 3->16 32x32", {3, 32, 32}, 16, same);
    bench_pixel_conv(k, "3x3 1->32 28x28", {1, 28, 28}, 32, same);
    bench_conv(k, most, "7x7/2 3->64 224x224", {3, 224, 224}, 64, stem);
    bench_conv(k, most, "3x3 3->128 32x32", {3, 32, 32}, 128, same);
    bench_conv(k, most, "3x3 3->16 32x32", {3, 32, 32}, 16, same);
    bench_conv(k, most, "3x3 1->32 28x28", {1, 28, 28}, 32, same);
    bench_conv(k, most, "3x3 64->64 56x56", {64, 56, 56}, 64, same);
    bench_conv(k, most, "3x3 256->256 14x14", {256, 14, 14}, 256, same);
    bench_conv(k, most, "3x3/2 64->128 56x56", {64, 56, 56}, 128, half);
    bench_conv(k, most, "1x1 64->128 28x28", {64, 28, 28}, 128, {});
    bench_conv(k, most, "1x1 128->256 14x14", {128, 14, 14}, 256, {});
    bench_conv(k, most, "1x1 256->512 7x7", {256, 7, 7}, 512, {});
    bench_conv(k, most, "1x1/2 64->128 56x56", {64, 56, 56}, 128, {1, 1, 2, 2, 0, 0, 1, 1});
    bench_conv(k, most, "3x3 depthwise 32x112x112", {32, 112, 112}, 32, same, 32);
    bench_conv(k, most, "3x3 depthwise 512x14x14", {512, 14, 14}, 512, same, 512);
    bench_conv(k, most, "3x3/2 depthwise 64x112x112", {64, 112, 112}, 64, half, 64);
}

void bench_pools(const Kernels& k) {
    struct Case {
        const char* name;
        Shape in;
        Window window;
    };
    const Case cases[] = {{"2x2/2 128x32x32", {128, 32, 32}, {2, 2, 2, 2, 0, 0, 1, 1}},
                          {"2x2/2 64x56x56", {64, 56, 56}, {2, 2, 2, 2, 0, 0, 1, 1}},
                          {"2x2/2 512x8x8", {512, 8, 8}, {2, 2, 2, 2, 0, 0, 1, 1}},
                          {"3x3/2 64x56x56", {64, 56, 56}, {3, 3, 2, 2, 1, 1, 1, 1}},
                          {"3x3/2 64x112x112", {64, 112, 112}, {3, 3, 2, 2, 1, 1, 1, 1}}};
    for (const Case& c : cases) {
        PoolArgs args;
        args.in = c.in;
        args.window = c.window;
        args.out = {c.in.c, c.in.h / 2, c.in.w / 2};
        const auto x = reals(c.in.elements());
        std::vector<float> y(args.out.elements());
        std::vector<int32_t> sums(c.in.elements()), sums_out(args.out.elements());
        std::vector<uint8_t> bits(c.in.bit_bytes(), 0), bits_out(args.out.bit_bytes());
        const double bytes = double(x.size() + y.size()) * sizeof(float);
        const auto report = [&](const char* kernel, const std::function<void()>& run) {
            report_bytes(k, std::string(kernel) + " " + c.name, x, bytes, run);
        };
        report("avg_pool", [&] { k.avg_pool(args, x.data(), y.data(), 0, c.in.c); });
        report("max_pool_real", [&] { k.max_pool_real(args, x.data(), y.data(), 0, c.in.c); });
        report("max_pool_sum", [&] { k.max_pool_sum(args, sums.data(), sums_out.data(), 0, c.in.c); });
        const double us = microseconds([&] { k.max_pool_bits(args, bits.data(), bits_out.data(), 0, c.in.c); });
        std::printf("%-9s max_pool_bits %-24s %9.1f us\n", k.name, c.name, us);
    }
}

// The tail of a residual block: sums, scale and shift, the shortcut, PReLU, the stream kept, the next signs.
void bench_chain(const Kernels& k, Shape shape) {
    const std::vector<int32_t> sums(shape.elements(), 3), limits(shape.c, 1);
    const auto stream = reals(shape.elements()), a = reals(shape.c), b = reals(shape.c);
    std::vector<float> y(shape.elements());
    std::vector<uint8_t> bits(shape.bits().bit_bytes()), flip(shape.c);
    Step steps[6] = {};
    steps[0].op = Step::load_sum, steps[0].source = sums.data();
    steps[1].op = Step::affine, steps[1].a = a.data(), steps[1].b = b.data();
    steps[2].op = Step::add, steps[2].source = stream.data();
    steps[3].op = Step::prelu, steps[3].a = a.data();
    steps[4].op = Step::store, steps[4].target = y.data();
    steps[5].op = Step::binarize, steps[5].a = b.data(), steps[5].target = bits.data();
    const auto report = [&](const char* kernel, const std::function<void()>& run) {
        const double us = microseconds(run);
        std::printf("%-9s %-13s %4dx%dx%d %s %9.1f us  %6.3f ns each\n", k.name, kernel, shape.c, shape.h, shape.w,
                    shape.vector ? "vector" : "", us, us * 1e3 / double(shape.elements()));
    };
    report("elementwise", [&] { k.elementwise(shape, steps, 6, 0, shape.c); });
    report("threshold", [&] {
        k.threshold(shape, sums.data(), limits.data(), flip.data(), bits.data(), 0, shape.c);
    });
    report("decode", [&] { k.decode(shape, Kind::sign, bits.data(), y.data(), 0, shape.c); });
    if (!shape.vector) {
        std::vector<uint8_t> flat(Shape{int(shape.elements()), 1, 1, true}.bits().bit_bytes());
        report("flatten_bits", [&] { k.flatten_bits(shape, bits.data(), flat.data()); });
        char what[40];
        std::snprintf(what, sizeof what, "mean %dx%dx%d", shape.c, shape.h, shape.w);
        report_bytes(k, what, stream, double(shape.elements()) * sizeof(float),
                     [&] { k.mean(stream.data(), y.data(), shape.pixels(), 0, shape.c); });
    }
}

void bench_thermometer(const Kernels& k, Shape in, int count) {
    std::vector<int16_t> thresholds(count);
    for (int i = 0; i < count; i++) thresholds[i] = int16_t(5 + 8 * i);
    const std::vector<uint8_t> x(in.elements(), 77);
    std::vector<uint8_t> y(Shape{in.c * count, in.h, in.w}.bit_bytes());
    const double us = microseconds([&] {
        k.thermometer(in, x.data(), thresholds.data(), count, y.data(), 0, in.c * count);
    });
    std::printf("%-9s thermometer %dx%dx%d, %d levels %9.1f us\n", k.name, in.c, in.h, in.w, count, us);
}

void bench_linear(const Kernels& k, int in, int out) {
    const auto x = reals(in), weight = reals(size_t(in) * out);
    std::vector<float> y(out);
    const LinearArgs args{in, out, weight.data(), nullptr};
    report_bytes(k, "linear " + std::to_string(in) + "->" + std::to_string(out), weight,
                 double(weight.size()) * sizeof(float), [&] { k.linear(args, x.data(), y.data(), 0, out); });
}

}  // namespace

int main(int argc, char** argv) {
    for (const Kernels* k : available_kernels()) {
        if (k == &reference_kernels() || (argc > 1 && std::string(argv[1]) != k->name)) continue;
        bench_convs(*k);
        bench_thermometer(*k, {3, 32, 32}, 32);
        bench_thermometer(*k, {3, 224, 224}, 32);
        bench_linear(*k, 512, 10);
        bench_linear(*k, 512, 1000);
        bench_pools(*k);
        for (const Shape& shape : {Shape{64, 56, 56}, Shape{128, 28, 28}, Shape{256, 14, 14}, Shape{512, 7, 7},
                                   Shape{16, 32, 32}, Shape{4096, 1, 1, true}}) {
            bench_chain(*k, shape);
        }
    }
}

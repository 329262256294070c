// Times of the real-valued kernels and those between the layers, on shapes of the networks in the zoo: the minimum of
// many runs on one thread, for every instruction set that runs here.
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <string>
#include <vector>

#include "dispatch.h"
#include "kernels/kernels.h"

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

void bench_conv(const Kernels& k, const char* name, Shape in, int out, Window w, int groups = 1) {
    ConvArgs args;
    args.in = in;
    args.window = w;
    args.groups = groups;
    args.out = {out, (in.h + 2 * w.ph - (w.kh - 1) * w.dh - 1) / w.sh + 1,
                (in.w + 2 * w.pw - (w.kw - 1) * w.dw - 1) / w.sw + 1};
    const size_t taps = size_t(in.c / groups) * w.kh * w.kw;
    const auto x = reals(in.elements()), weight = reals(taps * out);
    std::vector<float> packed(k.conv_weight_bytes(args) / sizeof(float)), y(args.out.elements());
    k.pack_conv(args, weight.data(), packed.data());
    args.weight = packed.data();
    void* scratch = std::aligned_alloc(64, round_up(k.conv_scratch_bytes(args) + 1, 64));
    const double us = microseconds([&] { k.conv(args, x.data(), y.data(), 0, out, scratch); });
    std::free(scratch);
    const double macs = double(taps) * double(args.out.elements());
    std::printf("%-9s conv %-34s %9.1f us  %6.1f GMAC/s\n", k.name, name, us, macs / us / 1e3);
}

void bench_convs(const Kernels& k) {
    const Window same{3, 3, 1, 1, 1, 1, 1, 1};
    bench_conv(k, "3x3 3->16 32x32", {3, 32, 32}, 16, same);
    bench_conv(k, "3x3 3->64 32x32", {3, 32, 32}, 64, same);
    bench_conv(k, "3x3 3->128 32x32", {3, 32, 32}, 128, same);
    bench_conv(k, "3x3 1->32 28x28", {1, 28, 28}, 32, same);
    bench_conv(k, "3x3 64->64 56x56", {64, 56, 56}, 64, same);
    bench_conv(k, "3x3 256->256 14x14", {256, 14, 14}, 256, same);
    bench_conv(k, "3x3 256->256 7x7", {256, 7, 7}, 256, same);
    bench_conv(k, "3x3/2 64->128 56x56", {64, 56, 56}, 128, {3, 3, 2, 2, 1, 1, 1, 1});
    bench_conv(k, "7x7/2 3->64 224x224", {3, 224, 224}, 64, {7, 7, 2, 2, 3, 3, 1, 1});
    bench_conv(k, "1x1/2 64->128 56x56", {64, 56, 56}, 128, {1, 1, 2, 2, 0, 0, 1, 1});
    bench_conv(k, "1x1/2 16->32 32x32", {16, 32, 32}, 32, {1, 1, 2, 2, 0, 0, 1, 1});
    bench_conv(k, "1x1 256->512 7x7", {256, 7, 7}, 512, {});
    bench_conv(k, "3x3 depthwise 128 28x28", {128, 28, 28}, 128, same, 128);
}

void bench_pools(const Kernels& k) {
    struct Case {
        const char* name;
        Shape in;
        Window window;
    };
    const Case cases[] = {{"2x2/2 128x32x32", {128, 32, 32}, {2, 2, 2, 2, 0, 0, 1, 1}},
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
        const auto report = [&](const char* kernel, const std::function<void()>& run) {
            std::printf("%-9s %-13s %-25s %9.1f us\n", k.name, kernel, c.name, microseconds(run));
        };
        report("avg_pool", [&] { k.avg_pool(args, x.data(), y.data(), 0, c.in.c); });
        report("max_pool_real", [&] { k.max_pool_real(args, x.data(), y.data(), 0, c.in.c); });
        report("max_pool_sum", [&] { k.max_pool_sum(args, sums.data(), sums_out.data(), 0, c.in.c); });
        report("max_pool_bits", [&] { k.max_pool_bits(args, bits.data(), bits_out.data(), 0, c.in.c); });
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
    report("decode", [&] { k.decode(shape, bits.data(), true, y.data(), 0, shape.c); });
    if (!shape.vector) {
        std::vector<uint8_t> flat(Shape{int(shape.elements()), 1, 1, true}.bits().bit_bytes());
        report("flatten_bits", [&] { k.flatten_bits(shape, bits.data(), flat.data()); });
        report("mean", [&] { k.mean(stream.data(), y.data(), shape.pixels(), 0, shape.c); });
    }
}

void bench_linear(const Kernels& k, int in, int out) {
    const auto x = reals(in), weight = reals(size_t(in) * out);
    std::vector<float> y(out);
    const LinearArgs args{in, out, weight.data(), nullptr};
    const double us = microseconds([&] { k.linear(args, x.data(), y.data(), 0, out); });
    std::printf("%-9s linear %d->%d %9.1f us  %6.1f GMAC/s\n", k.name, in, out, us, double(in) * out / us / 1e3);
}

}  // namespace

int main() {
    for (const Kernels* k : available_kernels()) {
        if (k == &reference_kernels()) continue;
        bench_convs(*k);
        bench_linear(*k, 512, 10);
        bench_linear(*k, 512, 1000);
        bench_pools(*k);
        for (const Shape& shape : {Shape{64, 56, 56}, Shape{128, 28, 28}, Shape{256, 14, 14}, Shape{512, 7, 7},
                                   Shape{16, 32, 32}, Shape{4096, 1, 1, true}}) {
            bench_chain(*k, shape);
        }
    }
}

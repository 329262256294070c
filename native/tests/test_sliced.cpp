// Binary convolutions and linear layers of every instruction set against plain loops, on random shapes.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "dispatch.h"
#include "kernels/kernels.h"

namespace {

using namespace bw;

std::mt19937 rng(12345);

int pick(int low, int high) { return low + int(rng() % unsigned(high - low + 1)); }
template <class T> T any_of(std::initializer_list<T> values) { return values.begin()[rng() % values.size()]; }

struct Aligned {
    explicit Aligned(size_t bytes, uint8_t fill) : size(round_up(bytes, 64) + 64) {
        data = static_cast<uint8_t*>(std::aligned_alloc(64, size));
        std::memset(data, fill, size);
    }
    ~Aligned() { std::free(data); }
    Aligned(const Aligned&) = delete;
    size_t size;
    uint8_t* data;
};

struct Case {
    BinaryConvArgs args;
    std::vector<uint8_t> weight, flip, input;  // input: codes, (c, h, w) bytes
    std::vector<int32_t> threshold, gate, expected;

    std::string describe() const {
        char text[400];
        const Window& w = args.window;
        std::snprintf(text, sizeof text,
                      "in %dx%dx%d out %dx%dx%d kernel %dx%d stride %d,%d padding %d,%d dilation %d,%d groups %d "
                      "input %s weight %s %s%s%s",
                      args.in.c, args.in.h, args.in.w, args.out.c, args.out.h, args.out.w, w.kh, w.kw, w.sh, w.sw, w.ph,
                      w.pw, w.dh, w.dw, args.groups,
                      args.input_planes == 2 ? "digits" : args.input_signed ? "signed" : "0/1",
                      args.weight_signed ? "signed" : "0/1", args.threshold ? "bits" : "sums",
                      gate.empty() ? "" : " gated", args.window_sum ? " window sum" : "");
        return text;
    }
};

// What the input's codes mean: digits, the signs of one of their planes, or bits.
enum class Reading { digits, low, high, signs, bits };

int value_of(Reading reading, int code) {
    switch (reading) {
        case Reading::digits: return 2 * code - 3;
        case Reading::low: return code % 2 ? 1 : -1;
        case Reading::high: return code / 2 ? 1 : -1;
        case Reading::signs: return 2 * code - 1;
        default: return code;
    }
}

// The convolution, straight from its definition.
std::vector<int32_t> sums_of(const Case& c, Reading reading) {
    const BinaryConvArgs& a = c.args;
    const Window& w = a.window;
    const int channels = a.in.c / a.groups, filters = a.out.c / a.groups;
    std::vector<int32_t> sums;
    for (int n = 0; n < a.out.c; n++) {
        for (int oy = 0; oy < a.out.h; oy++) {
            for (int ox = 0; ox < a.out.w; ox++) {
                int sum = 0;
                for (int k = 0; k < channels; k++) {
                    for (int ky = 0; ky < w.kh; ky++) {
                        for (int kx = 0; kx < w.kw; kx++) {
                            const int y = oy * w.sh + ky * w.dh - w.ph, x = ox * w.sw + kx * w.dw - w.pw;
                            if (y < 0 || y >= a.in.h || x < 0 || x >= a.in.w) continue;
                            const int code = c.input[(size_t(n / filters * channels + k) * a.in.h + y) * a.in.w + x];
                            const size_t tap = (size_t(n) * channels + k) * w.kh * w.kw + size_t(ky) * w.kw + kx;
                            const int one = a.window_sum || c.weight[tap];
                            const int value = value_of(reading, code);
                            sum += value * (a.window_sum ? 1 : a.weight_signed ? 2 * one - 1 : one);
                        }
                    }
                }
                sums.push_back(sum);
            }
        }
    }
    return sums;
}

void expect(Case& c) {
    const BinaryConvArgs& a = c.args;
    c.expected = sums_of(c, a.input_planes == 2 ? Reading::digits : a.input_signed ? Reading::signs : Reading::bits);
    if (a.input_planes == 1 || !a.weight_signed || rng() % 3 == 0) return;
    const std::vector<int32_t> high = sums_of(c, Reading::high), low = sums_of(c, Reading::low);
    const int kind = pick(0, 3);
    for (int n = 0; n < a.out.c; n++) {  // mostly a value that occurs, or the next
        const int32_t near = high[n * a.out.pixels() + rng() % a.out.pixels()] + pick(0, 1);
        c.gate.push_back(kind == 0 ? INT32_MAX : any_of({near, near, near, near, INT32_MIN, INT32_MAX}));
    }
    for (size_t i = 0; i < high.size(); i++) {
        c.expected[i] = 2 * high[i] + (high[i] >= c.gate[i / a.out.pixels()] ? low[i] : 0);
    }
}

void set_output(BinaryConvArgs& a) {
    const Window& w = a.window;
    a.out.h = (a.in.h + 2 * w.ph - w.dh * (w.kh - 1) - 1) / w.sh + 1;
    a.out.w = (a.in.w + 2 * w.pw - w.dw * (w.kw - 1) - 1) / w.sw + 1;
}

// Every third input of signs becomes one of digits.
void set_digits(BinaryConvArgs& a) {
    if (a.input_signed && rng() % 3 == 0) a.input_planes = 2;
}

// Every kernel becomes one of the first few, as in Sub-bit networks.
void share_kernels(const BinaryConvArgs& a, std::vector<uint8_t>& weight) {
    const int window = a.window.kh * a.window.kw, kernels = int(weight.size()) / window;
    const int patterns = std::min(kernels, any_of({1, 3, 16, 32, 64}));
    for (int i = patterns; i < kernels; i++) {
        std::copy_n(weight.begin() + pick(0, patterns - 1) * window, window, weight.begin() + i * window);
    }
}

// Weights, input, sums and thresholds for a geometry.
void fill(Case& c, bool few_kernels = false) {
    BinaryConvArgs& a = c.args;
    const int positions = a.in.c / a.groups * a.window.kh * a.window.kw;
    const double density = any_of({0.0, 0.01, 0.1, 0.3, 0.5, 0.9, 1.0});
    for (int i = 0; i < a.out.c * positions; i++) c.weight.push_back(rng() % 100000 < density * 100000);
    if (rng() % 4 == 0) {  // one filter all ones, one all zeros
        for (int i = 0; i < positions; i++) c.weight[i] = 1;
        for (int i = 0; i < positions; i++) c.weight[c.weight.size() - 1 - i] = 0;
    }
    if (few_kernels || rng() % 3 == 0) share_kernels(a, c.weight);
    const double input_density = any_of({0.0, 0.2, 0.5, 0.5, 0.8, 1.0});
    for (size_t i = 0; i < a.in.elements(); i++) {
        const auto bit = [&] { return rng() % 100000 < input_density * 100000; };
        c.input.push_back(uint8_t(bit() + (a.input_planes == 2 && bit() ? 2 : 0)));
    }
    expect(c);
    const bool bits = rng() % 2 && c.gate.empty();
    for (int n = 0; bits && n < a.out.c; n++) {
        // Mostly a value that occurs, or the next: there a mistake by one shows.
        const int32_t near = c.expected[n * a.out.pixels() + rng() % a.out.pixels()] + pick(0, 1);
        const int32_t far = pick(-3 * positions - 2, 3 * positions + 2);
        c.threshold.push_back(any_of({near, near, near, near, far, INT32_MIN, INT32_MAX}));
        c.flip.push_back(rng() % 2);
    }
}

Case random_case(bool small_maps) {
    Case c;
    BinaryConvArgs& a = c.args;
    Window& w = a.window;
    do {
        w.kh = any_of({1, 2, 3, 3, 5, 7});
        w.kw = rng() % 3 ? w.kh : any_of({1, 2, 3, 5, 7});
        w.sh = any_of({1, 1, 2, 3});
        w.sw = rng() % 3 ? w.sh : any_of({1, 2, 3});
        w.dh = any_of({1, 1, 1, 2, 3});
        w.dw = rng() % 3 ? w.dh : pick(1, 3);
        w.ph = rng() % 8 ? pick(0, w.kh) : pick(0, 30);
        w.pw = rng() % 8 ? pick(0, w.kw) : pick(0, 75);
        a.in.h = small_maps ? pick(1, 9) : pick(1, 30);
        a.in.w = small_maps ? pick(1, 9) : (rng() % 8 ? pick(1, 70) : pick(60, 200));
        set_output(a);
    } while (a.in.h + 2 * w.ph < w.dh * (w.kh - 1) + 1 || a.in.w + 2 * w.pw < w.dw * (w.kw - 1) + 1);
    const int kind = pick(0, 5);
    if (kind == 0) {  // depthwise
        a.groups = pick(1, 40);
        a.in.c = a.groups;
        a.out.c = a.groups * pick(1, 3);
    } else {
        a.groups = kind == 1 ? pick(2, 4) : 1;
        a.in.c = a.groups * pick(1, small_maps ? 70 : 30);
        a.out.c = a.groups * pick(1, small_maps ? 70 : 30);
    }
    a.window_sum = rng() % 6 == 0;
    if (a.window_sum) a.out.c = a.groups;
    a.input_signed = rng() % 2;
    a.weight_signed = !a.window_sum && rng() % 2;
    set_digits(a);
    fill(c);
    return c;
}

// What chance would seldom bring: sums of many bits, panels, taps that never lie inside the image, many filters.
Case rare_case(int i) {
    Case c;
    BinaryConvArgs& a = c.args;
    const bool is_signed = i % 2;
    switch (i / 2) {
        case 0: a.in = {700, 5, 6}, a.out.c = 7, a.window = {3, 3, 1, 1, 1, 1, 1, 1}; break;
        case 1: a.in = {720, 4, 9}, a.out.c = 3, a.window = {7, 7, 2, 1, 3, 3, 1, 1}; break;
        case 2: a.in = {150, 20, 31}, a.out.c = 20, a.window = {3, 3, 1, 1, 1, 1, 1, 1}; break;
        case 3: a.in = {130, 9, 70}, a.out.c = 11, a.window = {3, 3, 2, 2, 1, 1, 1, 1}; break;
        case 4: a.in = {2, 1, 1}, a.out.c = 3, a.window = {2, 2, 1, 1, 3, 3, 5, 5}; break;
        case 5: a.in = {40, 7, 7}, a.out.c = 600, a.window = {3, 3, 1, 1, 1, 1, 1, 1}; break;
        case 6: a.in = {600, 5, 9}, a.out.c = 540, a.groups = 2, a.window = {3, 3, 2, 2, 1, 1, 1, 1}; break;
        case 7: a.in = {270, 4, 4}, a.out.c = 257, a.window = {2, 5, 1, 1, 1, 2, 1, 1}; break;
        case 8: a.in = {1536, 3, 4}, a.out.c = 130, a.window = {2, 3, 1, 1, 1, 1, 1, 1}; break;
        case 9: a.in = {130, 9, 9}, a.out.c = 300, a.window = {3, 3, 1, 1, 1, 1, 1, 1}; break;
        default: a.in = {12, 1, 1}, a.out.c = 5, a.window = {1, 1, 1, 1, 0, 0, 1, 1}; break;
    }
    set_output(a);
    a.input_signed = is_signed;
    a.weight_signed = rng() % 2;
    if (is_signed && i / 2 != 9) set_digits(a);
    fill(c, i / 2 == 9);
    return c;
}

std::vector<uint8_t> pack(const Shape& shape, const std::vector<uint8_t>& codes, int planes = 1) {
    std::vector<uint8_t> map(size_t(planes) * shape.bit_bytes(), 0);
    for (int n = 0; n < planes * shape.c; n++) {
        for (int y = 0; y < shape.h; y++) {
            for (int x = 0; x < shape.w; x++) {
                const int bit = codes[(size_t(n % shape.c) * shape.h + y) * shape.w + x] >> (n / shape.c) & 1;
                map[n * shape.stride() + size_t(y) * shape.pitch() + x / 8] |= uint8_t(bit << (x % 8));
            }
        }
    }
    return map;
}

// More positions than kernels with channels in the lanes have lists for, or digits.
bool beyond_lanes(const BinaryConvArgs& a) {
    return a.input_planes > 1 || a.in.c / a.groups * a.window.kh * a.window.kw > 9216;
}

// Whether some tap of some output pixel lies inside the image: with large steps none may.
bool reads_anything(const BinaryConvArgs& a) {
    const auto hits = [](int out, int in, int kernel, int step, int padding, int dilation) {
        for (int i = 0; i < out * kernel; i++) {
            const int at = i / kernel * step + i % kernel * dilation - padding;
            if (at >= 0 && at < in) return true;
        }
        return false;
    };
    const Window& w = a.window;
    return hits(a.out.h, a.in.h, w.kh, w.sh, w.ph, w.dh) && hits(a.out.w, a.in.w, w.kw, w.sw, w.pw, w.dw);
}

// Whether the kernel of shared responses must be there; it may be for more layers, where some taps never lie inside.
bool has_few_patterns(const Kernels& kernels, const Case& c) {
    const BinaryConvArgs& a = c.args;
    const int window = a.window.kh * a.window.kw;
    const std::string isa = kernels.name;
    if (a.groups > 1 || a.input_planes > 1 || a.window_sum || window > 9) return false;
    if ((isa != "avx2" && isa != "avx512") || !reads_anything(a)) return false;
    std::set<std::vector<uint8_t>> patterns;
    for (auto at = c.weight.begin(); at < c.weight.end(); at += window) patterns.insert({at, at + window});
    return patterns.size() <= 64;
}

// Runs in pieces, in reverse order, into memory that is not clear; true where everything agrees.
bool check(const Kernels& kernels, Case& c, const std::string& choice, std::string& used) {
    BinaryConvArgs& a = c.args;
    a.weight = c.weight.data();
    a.threshold = c.threshold.empty() ? nullptr : c.threshold.data();
    a.flip = c.flip.empty() ? nullptr : c.flip.data();
    a.gate = c.gate.empty() ? nullptr : c.gate.data();
    const std::unique_ptr<BinaryConv> conv = kernels.binary_conv(a, choice.c_str());
    if (!conv) {
        if (choice == "window-sum") return !a.window_sum || a.threshold || a.tail;
        if (choice == "shared-responses") return !has_few_patterns(kernels, c);
        if (choice.rfind("channel-lanes", 0) == 0) return a.window_sum || beyond_lanes(a);
        // runs of one and of six filters are for signed weights
        return !a.weight_signed && (choice == "four-russians-1" || choice == "four-russians-6");
    }
    used = conv->name();
    const std::vector<uint8_t> packed = pack(a.in, c.input, a.input_planes);
    // Exactly as large as the input: reading beyond it is an error a sanitizer finds.
    uint8_t* in = static_cast<uint8_t*>(std::aligned_alloc(64, packed.size()));
    std::memcpy(in, packed.data(), packed.size());
    Aligned scratch(conv->scratch_bytes(), 0xA5);
    const size_t out_bytes = a.threshold ? a.out.bit_bytes() : 4 * a.out.elements();
    Aligned out(out_bytes, 0x5A);
    for (int end = conv->prepare_units(); end > 0;) {
        const int begin = std::max(0, end - pick(1, 5));
        conv->prepare(in, scratch.data, begin, end);
        end = begin;
    }
    for (int end = conv->channel_units(); end > 0;) {
        const int begin = std::max(0, end - pick(1, 5));
        conv->channels(scratch.data, out.data, begin, end);
        end = begin;
    }
    bool same = true;
    if (a.threshold) {
        std::vector<uint8_t> bits;
        for (size_t i = 0; i < c.expected.size(); i++) {
            const size_t n = i / a.out.pixels();
            bits.push_back((c.expected[i] >= c.threshold[n]) != bool(c.flip[n]));
        }
        same = std::memcmp(pack(a.out, bits).data(), out.data, out_bytes) == 0;
    } else {
        same = std::memcmp(c.expected.data(), out.data, out_bytes) == 0;
    }
    for (size_t i = out_bytes; i < out.size; i++) same = same && out.data[i] == 0x5A;
    std::free(in);
    return same;
}

// The names listed for a layer are those that it can be made by, first the one that is chosen where none is named.
bool check_names(const Kernels& kernels, const BinaryConvArgs& args) {
    const std::vector<std::string> names = kernels.binary_conv_names(args);
    for (const std::string& name : names) {
        const std::unique_ptr<BinaryConv> conv = kernels.binary_conv(args, name.c_str());
        if (!conv || conv->name() != name) return false;
    }
    return !names.empty() && kernels.binary_conv(args, nullptr)->name() == names[0];
}

bool check_linear(const Kernels& kernels) {
    BinaryLinearArgs a;
    a.in = pick(1, 1500);
    a.out = pick(1, 70);
    a.input_signed = rng() % 2;
    a.weight_signed = rng() % 2;
    if (a.input_signed && rng() % 2) a.input_planes = 2;
    const size_t words = round_up((size_t(a.in) + 63) / 64, 8);
    std::vector<uint64_t> x(2 * words, 0), weight(words * a.out, 0);
    std::vector<int32_t> sums(a.out, 0), threshold;
    std::vector<uint8_t> flip, bits;
    for (int k = 0; k < a.in; k++) {
        x[k / 64] |= uint64_t(rng() % 2) << (k % 64);
        x[words + k / 64] |= uint64_t(rng() % 2) << (k % 64);
    }
    const Reading reading = a.input_planes == 2 ? Reading::digits : a.input_signed ? Reading::signs : Reading::bits;
    for (int n = 0; n < a.out; n++) {
        for (int k = 0; k < a.in; k++) {
            const auto bit = [&](size_t row) { return int(x[row + k / 64] >> (k % 64) & 1); };
            const int w = rng() % 2, code = bit(0) + (a.input_planes == 2 ? 2 * bit(words) : 0);
            weight[n * words + k / 64] |= uint64_t(w) << (k % 64);
            sums[n] += value_of(reading, code) * (a.weight_signed ? 2 * w - 1 : w);
        }
        threshold.push_back(sums[n] + pick(-1, 1));
        flip.push_back(rng() % 2);
        bits.push_back((sums[n] >= threshold[n]) != bool(flip[n]));
    }
    a.weight = weight.data();
    const bool as_bits = rng() % 2;
    if (as_bits) {
        a.threshold = threshold.data();
        a.flip = flip.data();
    }
    Aligned out(4 * a.out + 64, 0x5A);
    const int middle = a.out / 2 / 8 * 8;
    kernels.binary_linear(a, reinterpret_cast<const uint8_t*>(x.data()), out.data, middle, a.out);
    kernels.binary_linear(a, reinterpret_cast<const uint8_t*>(x.data()), out.data, 0, middle);
    if (!as_bits) return std::memcmp(out.data, sums.data(), 4 * a.out) == 0;
    const std::vector<uint8_t> packed = pack(Shape{1, 1, a.out}, bits);
    return std::memcmp(out.data, packed.data(), packed.size()) == 0;
}

}  // namespace

int main(int argc, char** argv) {
    const int cases = argc > 1 ? std::atoi(argv[1]) : 400;
    std::vector<std::string> choices = {"", "sliced-list", "window-sum", "shared-responses"};
    for (int i = 1; i <= 6; i++) choices.push_back("four-russians-" + std::to_string(i));
    for (int i = 1; i <= 8; i++) choices.push_back("channel-lanes-" + std::to_string(i));
    constexpr int rare = 22;
    int runs = 0, wrong = 0;
    for (int i = 0; i < cases + rare; i++) {
        Case c = i < rare ? rare_case(i) : random_case(i % 2);
        for (const Kernels* kernels : available_kernels()) {
            if (kernels == &reference_kernels()) continue;
            for (const std::string& choice : choices) {
                std::string used;
                runs++;
                if (check(*kernels, c, choice, used)) continue;
                if (wrong++ < 20) {
                    std::printf("WRONG: %s, %s (%s): %s\n", kernels->name, choice.empty() ? "by cost" : choice.c_str(),
                                used.c_str(), c.describe().c_str());
                }
            }
            runs++;
            if (!check_names(*kernels, c.args) && wrong++ < 20) {
                std::printf("WRONG: %s, names: %s\n", kernels->name, c.describe().c_str());
            }
        }
    }
    for (int i = 0; i < 200; i++) {
        for (const Kernels* kernels : available_kernels()) {
            if (kernels == &reference_kernels()) continue;
            runs++;
            if (!check_linear(*kernels) && wrong++ < 20) std::printf("WRONG: %s, linear layer\n", kernels->name);
        }
    }
    std::printf("%d runs, %d wrong\n", runs, wrong);
    return wrong ? 1 : 0;
}

// The reference loop of binary convolutions.
#include <vector>

#include "reference.h"

namespace bw::reference {
namespace {

class ReferenceConv final : public BinaryConv {
public:
    explicit ReferenceConv(const BinaryConvArgs& args) : args_(args) {
        const size_t taps = size_t(args.window.kh) * args.window.kw * (args.in.c / args.groups);
        weight_ = std::make_unique<uint8_t[]>(args.out.c * taps);
        if (args.window_sum) {
            std::memset(weight_.get(), 1, args.out.c * taps);
            args_.weight_signed = false;
        } else {
            std::memcpy(weight_.get(), args.weight, args.out.c * taps);
        }
        args_.weight = weight_.get();
        if (args.threshold) {
            threshold_ = std::make_unique<int32_t[]>(args.out.c);
            flip_ = std::make_unique<uint8_t[]>(args.out.c);
            std::memcpy(threshold_.get(), args.threshold, args.out.c * sizeof(int32_t));
            std::memcpy(flip_.get(), args.flip, args.out.c);
        }
        if (args.gate) gate_.assign(args.gate, args.gate + args.out.c);
    }

    const char* name() const override { return "reference"; }
    size_t scratch_bytes() const override { return sizeof(const uint8_t*); }
    int prepare_units() const override { return 1; }
    int channel_units() const override { return args_.out.c; }
    double prepare_share() const override { return 0; }

    void prepare(const uint8_t* in, void* scratch, int, int) const override {
        *static_cast<const uint8_t**>(scratch) = in;
    }

    void channels(const void* scratch, void* out, int begin, int end) const override {
        const uint8_t* in = *static_cast<const uint8_t* const*>(scratch);
        if (args_.tail) return pass(in, *static_cast<const Tail*>(out), begin, end);
        if (threshold_) clear_bits(args_.out, static_cast<uint8_t*>(out), begin, end);
        for (int o = begin; o < end; ++o) {
            for (size_t pixel = 0; pixel < args_.out.pixels(); ++pixel) {
                const int32_t sum = accumulate(in, o, int(pixel / args_.out.w), int(pixel % args_.out.w));
                if (threshold_) {
                    put_bit(args_.out, static_cast<uint8_t*>(out), o, pixel,
                            (sum >= threshold_[o]) != bool(flip_[o]));
                } else {
                    static_cast<int32_t*>(out)[o * args_.out.pixels() + pixel] = sum;
                }
            }
        }
    }

private:
    void pass(const uint8_t* in, const Tail& tail, int begin, int end) const {
        const size_t pixels = args_.out.pixels();
        std::vector<int32_t> sums(args_.out.elements());
        for (size_t i = begin * pixels; i < end * pixels; ++i) {
            const size_t pixel = i % pixels;
            sums[i] = accumulate(in, int(i / pixels), int(pixel / args_.out.w), int(pixel % args_.out.w));
        }
        std::vector<Step> steps(tail.steps, tail.steps + tail.count);
        steps[0].source = sums.data();
        elementwise(args_.out, steps.data(), tail.count, begin, end);
    }

    int32_t accumulate(const uint8_t* in, int o, int oy, int ox) const {
        const Kind kind = input_kind(args_);
        if (gate_.empty()) return sum_products(in, kind, o, oy, ox);
        const int32_t high = sum_products(in + args_.in.bit_bytes(), Kind::sign, o, oy, ox);
        return 2 * high + (high >= gate_[size_t(o)] ? sum_products(in, Kind::sign, o, oy, ox) : 0);
    }

    int32_t sum_products(const uint8_t* in, Kind kind, int o, int oy, int ox) const {
        const int in_group = args_.in.c / args_.groups, out_group = args_.out.c / args_.groups;
        const size_t taps = size_t(args_.window.kh) * args_.window.kw;
        int32_t sum = 0;
        for (int i = 0; i < in_group; ++i) {
            each_tap(args_.in, args_.window, oy, ox, [&](size_t pixel, int tap) {
                const int channel = o / out_group * in_group + i;
                int code = get_bit(args_.in, in, channel, pixel);
                if (kind == Kind::digit) code += 2 * get_bit(args_.in, in + args_.in.bit_bytes(), channel, pixel);
                const int w = args_.weight[(size_t(o) * in_group + i) * taps + tap];
                sum += value_of(kind, code) * (args_.weight_signed ? 2 * w - 1 : w);
            });
        }
        return sum;
    }

    BinaryConvArgs args_;
    std::unique_ptr<uint8_t[]> weight_, flip_;
    std::unique_ptr<int32_t[]> threshold_;
    std::vector<int32_t> gate_;
};

std::unique_ptr<BinaryConv> binary_conv(const BinaryConvArgs& args, const char* choice) {
    if (choice && *choice && std::strcmp(choice, "reference") != 0) return nullptr;
    return std::make_unique<ReferenceConv>(args);
}

std::vector<std::string> binary_conv_names(const BinaryConvArgs&) { return {"reference"}; }

}  // namespace

void set_binary_conv(Kernels& table) {
    table.binary_conv = binary_conv;
    table.binary_conv_names = binary_conv_names;
}

}  // namespace bw::reference

// Reference loops of pools.
#include "reference.h"

namespace bw::reference {
namespace {

void avg_pool(const PoolArgs& args, const float* x, float* y, int begin, int end) {
    for (int c = begin; c < end; ++c) {
        for (int oy = 0; oy < args.out.h; ++oy) {
            for (int ox = 0; ox < args.out.w; ++ox) {
                float sum = 0;
                int inside = 0;
                each_tap(args.in, args.window, oy, ox, [&](size_t pixel, int) {
                    sum += x[c * args.in.pixels() + pixel];
                    ++inside;
                });
                const int count = args.count_padding ? args.window.kh * args.window.kw : inside;
                y[c * args.out.pixels() + size_t(oy) * args.out.w + ox] = sum / float(count);
            }
        }
    }
}

template <class T>
void max_pool(const PoolArgs& args, const T* x, T* y, int begin, int end) {
    for (int c = begin; c < end; ++c) {
        const bool take_min = args.take_min && args.take_min[c];
        for (int oy = 0; oy < args.out.h; ++oy) {
            for (int ox = 0; ox < args.out.w; ++ox) {
                T best{};
                bool first = true;
                each_tap(args.in, args.window, oy, ox, [&](size_t pixel, int) {
                    const T value = x[c * args.in.pixels() + pixel];
                    if (first || (take_min ? value < best : value > best)) best = value;
                    first = false;
                });
                y[c * args.out.pixels() + size_t(oy) * args.out.w + ox] = best;
            }
        }
    }
}

void max_pool_bits(const PoolArgs& args, const uint8_t* x, uint8_t* y, int begin, int end) {
    clear_bits(args.out, y, begin, end);
    for (int c = begin; c < end; ++c) {
        const bool take_min = args.take_min && args.take_min[c];
        for (int oy = 0; oy < args.out.h; ++oy) {
            for (int ox = 0; ox < args.out.w; ++ox) {
                bool any = false, all = true;
                each_tap(args.in, args.window, oy, ox, [&](size_t pixel, int) {
                    const bool bit = get_bit(args.in, x, c, pixel);
                    any = any || bit;
                    all = all && bit;
                });
                put_bit(args.out, y, c, size_t(oy) * args.out.w + ox, take_min ? all : any);
            }
        }
    }
}

}  // namespace

void set_pools(Kernels& table) {
    table.avg_pool = avg_pool;
    table.max_pool_real = max_pool<float>;
    table.max_pool_sum = max_pool<int32_t>;
    table.max_pool_bits = max_pool_bits;
}

}  // namespace bw::reference

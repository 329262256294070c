// Loads each file named on the command line, and runs what loads if that is little work. Built with sanitizers, which
// end the program when anything goes wrong; a refused file is what is expected. Prints one line for each file.
#include <cstdio>
#include <exception>

#include "engine.h"
#include "loader.h"

namespace {

bool is_little_work(const bw::Engine& engine) {
    double nanoseconds = 0;
    for (const bw::PlanStep& step : engine.plan().steps) {
        for (const bw::Phase& phase : step.phases) nanoseconds += phase.nanoseconds;
    }
    return nanoseconds < 1e5 && engine.plan().arena_bytes < (1 << 24);
}

const char* load_and_run(const char* path) {
    bw::EngineOptions options;
    options.split_above = 0;  // even little work is split between threads
    bw::Engine engine(bw::load_file(path), options);
    if (!is_little_work(engine)) return "loaded";
    const bw::Bytes x = bw::allocate(2 * engine.model().input.bytes());
    std::memset(x.get(), 0, 2 * engine.model().input.bytes());
    std::vector<float> y(2 * engine.model().ops.back().out.shape.elements());
    for (int threads : {1, 2, 3}) engine.run(x.get(), 2, y.data(), threads);
    return "ran";
}

}  // namespace

int main(int count, char** paths) {
    for (int i = 1; i < count; ++i) {
        try {
            std::printf("%s %s\n", load_and_run(paths[i]), paths[i]);
        } catch (const bw::FormatError& error) {
            std::printf("refused %s\n", error.what());
        } catch (const std::bad_alloc&) {
            std::printf("too large %s\n", paths[i]);
        }
    }
}

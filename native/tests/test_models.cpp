// Whole models, run by every instruction set that this processor has and by several threads, against the outputs that
// the interpreter in Python has written: all bits equal.
//
//     test_models FOLDER [ISA]
//
// FOLDER holds N.bw with a batch of inputs N.in and of outputs N.out, as tests/models.py writes them. ISA is the one
// that has to be chosen on this processor if none is named.
#include <algorithm>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "dispatch.h"
#include "engine.h"
#include "loader.h"

namespace {

namespace fs = std::filesystem;

std::vector<char> read(fs::path path, const char* extension) {
    std::ifstream file(path.replace_extension(extension), std::ios::binary);
    return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

// A batch by many threads shares the samples, one sample by many the layers' units.
bool agrees(bw::Engine& engine, const std::vector<char>& in, const std::vector<char>& out) {
    const size_t elements = engine.model().ops.back().out.shape.elements();
    const size_t samples = in.size() / engine.model().input.bytes();
    if (samples == 0 || in.size() % samples || out.size() != samples * 4 * elements) return false;
    const bw::Bytes x = bw::allocate(in.size()), y = bw::allocate(out.size());
    std::memcpy(x.get(), in.data(), in.size());
    for (int threads : {1, 2, 3}) {
        for (size_t n : {samples, size_t(1)}) {
            std::memset(y.get(), 0xA5, out.size());
            engine.run(x.get(), n, reinterpret_cast<float*>(y.get()), threads);
            if (std::memcmp(y.get(), out.data(), out.size() / samples * n) != 0) return false;
        }
    }
    return true;
}

}  // namespace

int main(int count, char** arguments) {
    std::vector<fs::path> models;
    std::error_code unreadable;
    for (const auto& entry : fs::directory_iterator(count > 1 ? arguments[1] : "", unreadable)) {
        if (entry.path().extension() == ".bw") models.push_back(entry.path());
    }
    if (models.empty()) {
        std::printf("expected a folder of models; python tests/models.py FOLDER writes one\n");
        return 1;
    }
    std::sort(models.begin(), models.end());
    int wrong = 0;
    for (const std::string& isa : bw::available_isas()) {
        for (const fs::path& path : models) {
            bw::EngineOptions options;
            options.isa = isa;
            options.split_above = 0;  // even little work is split between threads
            bw::Engine engine(bw::load_file(path), options);
            if (agrees(engine, read(path, ".in"), read(path, ".out"))) continue;
            wrong++;
            std::printf("WRONG: %s, %s\n", isa.c_str(), path.c_str());
        }
        std::printf("%s: %zu models, %d wrong so far\n", isa.c_str(), models.size(), wrong);
    }
    const std::string chosen = bw::find_kernels("").name;
    if (count > 2 && chosen != arguments[2]) {
        std::printf("expected this processor to choose %s, found %s\n", arguments[2], chosen.c_str());
        return 1;
    }
    return wrong ? 1 : 0;
}

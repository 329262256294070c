// The C API over the engine: checks at the door, and no exception beyond it.
#include "../include/bitwright.h"

#include <climits>
#include <new>
#include <stdexcept>
#include <system_error>

#include "dispatch.h"
#include "engine.h"
#include "loader.h"

struct bw_engine {
    bw::Engine engine;
    int threads;
    std::vector<std::string> labels;
};

namespace {

using std::to_string;

constexpr int kMaxThreads = 256;

struct Refusal : std::runtime_error {
    bw_status status;

    Refusal(bw_status status, const std::string& text) : std::runtime_error(text), status(status) {}
};

void require(bool condition, const std::string& text) {
    if (!condition) throw Refusal(BW_INVALID_ARGUMENT, text);
}

template <class Pointer>
void require_pointer(const char* name, Pointer pointer) {
    if (!pointer) throw Refusal(BW_INVALID_ARGUMENT, std::string(name) + ": expected a pointer, found NULL.");
}

// Copies the text, or as many whole characters of it as there is room for.
bw_status report(bw_error* error, bw_status status, const char* text) {
    if (!error) return status;
    size_t size = std::strlen(text);
    if (size >= sizeof error->text) {
        size = sizeof error->text - 1;
        while (size > 0 && (text[size] & 0xC0) == 0x80) --size;
    }
    std::memcpy(error->text, text, size);
    error->text[size] = 0;
    return status;
}

// Does the work of a function of the API.
template <class Work>
bw_status guard(bw_error* error, const Work& work) noexcept {
    try {
        work();
        return report(error, BW_OK, "");
    } catch (const Refusal& refusal) {
        return report(error, refusal.status, refusal.what());
    } catch (const bw::FormatError& found) {
        return report(error, BW_BAD_FILE, found.what());
    } catch (const std::invalid_argument& found) {
        return report(error, BW_INVALID_ARGUMENT, found.what());
    } catch (const std::system_error& found) {
        return report(error, BW_SYSTEM_ERROR, found.what());
    } catch (const std::bad_alloc&) {
        return report(error, BW_OUT_OF_MEMORY, "There is not enough memory.");
    } catch (const std::exception& found) {
        return report(error, BW_INTERNAL_ERROR, found.what());
    } catch (...) {
        return report(error, BW_INTERNAL_ERROR, "An unknown exception.");
    }
}

int checked_threads(int threads, int otherwise) {
    require(threads >= 0 && threads <= kMaxThreads,
            "threads: expected 1 to " + to_string(kMaxThreads) + ", or 0 for the default, found " +
                to_string(threads) + ".");
    return threads ? threads : otherwise;
}

bw_options checked_options(const bw_options* given) {
    bw_options options{};
    if (given) {
        require(given->size == sizeof options, "options: expected a size of " + to_string(sizeof options) +
                                                   " bytes, found " + to_string(given->size) + ".");
        options = *given;
    }
    options.threads = checked_threads(options.threads, 1);
    return options;
}

const std::string* find_meta(const bw::Model& model, const std::string& key) {
    for (const auto& pair : model.meta) {
        if (pair.first == key) return &pair.second;
    }
    return nullptr;
}

std::vector<std::string> split_lines(const std::string& text) {
    std::vector<std::string> lines;
    for (size_t begin = 0, end; begin <= text.size(); begin = end + 1) {
        end = std::min(text.find('\n', begin), text.size());
        lines.push_back(text.substr(begin, end - begin));
    }
    return lines;
}

template <class Load>
bw_status open(const bw_options* given, bw_engine** engine, bw_error* error, const Load& load) noexcept {
    return guard(error, [&] {
        require_pointer("engine", engine);
        const bw_options options = checked_options(given);
        bw::EngineOptions how;
        if (options.isa) how.isa = options.isa;
        how.plan.tune = options.tune;
        bw::Model model = load();
        const std::string* labels = find_meta(model, "labels");
        std::vector<std::string> names = labels ? split_lines(*labels) : std::vector<std::string>();
        *engine = new bw_engine{{std::move(model), how}, options.threads, std::move(names)};
    });
}

bw_tensor tensor_of(const bw::TensorType& type) {
    const bool pixels = type.kind == bw::Kind::pixel;
    const bw::Shape& shape = type.shape;
    return {pixels ? BW_PIXEL : BW_REAL,
            pixels ? BW_UINT8 : BW_FLOAT32,
            shape.vector ? 1 : 3,
            {size_t(shape.c), size_t(shape.h), size_t(shape.w)},
            shape.elements(),
            type.bytes()};
}

const bw::TensorType& output_of(const bw_engine* engine) { return engine->engine.model().ops.back().out; }

// The element of a list, or a refusal that says how many there are.
template <class List>
const auto& at(const char* what, const List& list, size_t index) {
    if (index >= list.size()) {
        throw Refusal(BW_NOT_FOUND, std::string(what) + ": expected an index below " + to_string(list.size()) +
                                        ", found " + to_string(index) + ".");
    }
    return list[index];
}

void check_bytes(const char* name, const bw::TensorType& type, size_t samples, size_t bytes) {
    const size_t each = type.bytes();
    require(bytes / each == samples && bytes % each == 0,
            std::string(name) + ": expected " + to_string(samples) + " samples of " + to_string(each) +
                " bytes, found " + to_string(bytes) + " bytes.");
}

}  // namespace

bw_status bw_open(const char* path, const bw_options* options, bw_engine** engine, bw_error* error) {
    return open(options, engine, error, [&] {
        require_pointer("path", path);
        return bw::load_file(path);
    });
}

bw_status bw_open_memory(const void* data, size_t bytes, const bw_options* options, bw_engine** engine,
                         bw_error* error) {
    return open(options, engine, error, [&] {
        require_pointer("data", data);
        return bw::load_bytes(data, bytes);
    });
}

void bw_close(bw_engine* engine) { delete engine; }

bw_status bw_describe(const bw_engine* engine, bw_description* description, bw_error* error) {
    return guard(error, [&] {
        require_pointer("engine", engine);
        require_pointer("description", description);
        const bw::Engine& e = engine->engine;
        *description = {tensor_of(e.model().input), tensor_of(output_of(engine)), e.kernels().name,
                        engine->threads,            engine->labels.size(),        e.plan().steps.size()};
    });
}

bw_status bw_get_label(const bw_engine* engine, size_t index, const char** label, bw_error* error) {
    return guard(error, [&] {
        require_pointer("engine", engine);
        require_pointer("label", label);
        *label = at("labels", engine->labels, index).c_str();
    });
}

bw_status bw_get_meta(const bw_engine* engine, const char* key, const char** value, bw_error* error) {
    return guard(error, [&] {
        require_pointer("engine", engine);
        require_pointer("key", key);
        require_pointer("value", value);
        const std::string* found = find_meta(engine->engine.model(), key);
        if (!found) throw Refusal(BW_NOT_FOUND, std::string("metadata: the file has no key '") + key + "'.");
        *value = found->c_str();
    });
}

bw_status bw_get_step(const bw_engine* engine, size_t index, bw_step* step, bw_error* error) {
    return guard(error, [&] {
        require_pointer("engine", engine);
        require_pointer("step", step);
        const bw::PlanStep& found = at("steps", engine->engine.plan().steps, index);
        *step = {found.name.c_str(), bw::op_name(found.op), found.kernel.c_str()};
    });
}

bw_status bw_run(bw_engine* engine, const void* input, size_t input_bytes, float* output, size_t output_bytes,
                 size_t samples, int threads, bw_error* error) {
    return guard(error, [&] {
        require_pointer("engine", engine);
        require_pointer("input", input);
        require_pointer("output", output);
        check_bytes("input", engine->engine.model().input, samples, input_bytes);
        check_bytes("output", output_of(engine), samples, output_bytes);
        engine->engine.run(input, samples, output, checked_threads(threads, engine->threads));
    });
}

bw_status bw_get_isa(size_t index, const char** isa, bw_error* error) {
    return guard(error, [&] {
        require_pointer("isa", isa);
        *isa = at("instruction sets", bw::available_kernels(), index)->name;
    });
}

const char* bw_version(void) { return BITWRIGHT_VERSION; }

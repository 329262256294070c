// The engine as the extension module bitwright._native: arrays in, arrays out, checks at the door. The class that users
// meet is in src/bitwright/runtime/engine.py.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/map.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <cerrno>
#include <system_error>

#include "dispatch.h"
#include "engine.h"
#include "loader.h"

namespace nb = nanobind;
using namespace nb::literals;

namespace {

using Input = nb::ndarray<nb::ro, nb::c_contig, nb::device::cpu>;
using Output = nb::ndarray<float, nb::c_contig, nb::device::cpu>;
using Choices = std::map<std::string, std::string>;

nb::tuple shape_of(const bw::Shape& shape) {
    if (shape.vector) return nb::make_tuple(shape.c);
    return nb::make_tuple(shape.c, shape.h, shape.w);
}

template <class Array>
bool is_batch(const Array& x, const bw::Shape& shape) {
    if (x.ndim() != (shape.vector ? 2u : 4u) || x.shape(1) != size_t(shape.c)) return false;
    return shape.vector || (x.shape(2) == size_t(shape.h) && x.shape(3) == size_t(shape.w));
}

void check_input(const bw::Engine& engine, const Input& x) {
    const bw::TensorType& type = engine.model().input;
    const bool pixels = type.kind == bw::Kind::pixel;
    if (x.dtype() != (pixels ? nb::dtype<uint8_t>() : nb::dtype<float>())) {
        throw nb::type_error(pixels ? "x: expected uint8" : "x: expected float32");
    }
    if (!is_batch(x, type.shape)) throw nb::value_error("x: expected a batch of the shape of the engine's input");
}

void check_threads(int threads) {
    if (threads < 1 || threads > 256) throw nb::value_error("threads: expected 1 to 256");
}

void run(bw::Engine& engine, const Input& x, const Output& out, int threads) {
    check_input(engine, x);
    check_threads(threads);
    if (!is_batch(out, engine.model().ops.back().out.shape) || out.shape(0) != x.shape(0)) {
        throw nb::value_error("out: expected as many samples as x, of the shape of the engine's output");
    }
    const nb::gil_scoped_release released;
    engine.run(x.data(), x.shape(0), out.data(), threads);
}

nb::list list_tensors(const std::vector<bw::PlanTensor>& tensors) {
    nb::list listed;
    for (const bw::PlanTensor& tensor : tensors) listed.append(nb::make_tuple(shape_of(tensor.shape), tensor.layout));
    return listed;
}

nb::list describe(const bw::Engine& engine) {
    nb::list steps;
    for (const bw::PlanStep& step : engine.plan().steps) {
        nb::dict d;
        d["name"] = step.name;
        d["op"] = bw::op_name(step.op);
        d["kernel"] = step.kernel;
        d["fused"] = step.fused;
        d["input_shape"] = shape_of(step.in.shape);
        d["output_shape"] = shape_of(step.out.shape);
        d["reads"] = list_tensors(step.reads);
        d["writes"] = list_tensors(step.writes);
        d["changes"] = step.changes;
        d["scratch_bytes"] = step.scratch_bytes;
        steps.append(d);
    }
    return steps;
}

std::vector<bw::Timing> profile(bw::Engine& engine, const Input& x, int runs) {
    check_input(engine, x);
    if (x.shape(0) < 1) throw nb::value_error("x: expected at least one sample");
    if (runs < 1) throw nb::value_error("runs: expected at least 1");
    const nb::gil_scoped_release released;
    return engine.profile(x.data(), runs);
}

bw::Model load_file(const std::string& path) {
    try {
        const nb::gil_scoped_release released;  // a pipe may wait for another thread
        return bw::load_file(path);
    } catch (const std::system_error& error) {
        errno = error.code().value();
        PyErr_SetFromErrnoWithFilename(PyExc_OSError, path.c_str());
        throw nb::python_error();
    }
}

void translate(const std::exception_ptr& error, void*) {
    try {
        std::rethrow_exception(error);
    } catch (const bw::FormatError& e) {
        const nb::object type = nb::module_::import_("bitwright.errors").attr("FormatError");
        PyErr_SetString(type.ptr(), e.what());
    }
}

}  // namespace

NB_MODULE(_native, m) {
    nb::register_exception_translator(translate);
    nb::class_<bw::Engine>(m, "Engine")
        .def("__init__", [](bw::Engine* self, const std::string& path, const std::string& isa, const Choices& choices,
                            double split_above, bool tune, const Choices& known) {
            bw::Model model = load_file(path);
            const nb::gil_scoped_release released;  // tuning takes a while
            new (self) bw::Engine(std::move(model), {isa, {choices, tune, known}, split_above});
        }, "path"_a, "isa"_a = "", "choices"_a = Choices(), "split_above"_a = bw::EngineOptions().split_above,
             "tune"_a = false, "known"_a = Choices())
        .def("__init__", [](bw::Engine* self, const nb::bytes& data, const std::string& isa, const Choices& choices,
                            double split_above) {
            new (self) bw::Engine(bw::load_bytes(data.c_str(), data.size()), {isa, {choices}, split_above});
        }, "data"_a, "isa"_a = "", "choices"_a = Choices(), "split_above"_a = bw::EngineOptions().split_above)
        .def("run", run, "x"_a, "out"_a, "threads"_a = 1)
        .def("describe", describe)
        .def("profile", [](bw::Engine& engine, const Input& x, int runs) {
            nb::list times;
            for (const bw::Timing& t : profile(engine, x, runs)) times.append(nb::make_tuple(t.median, t.least));
            return times;
        }, "x"_a, "runs"_a = 20)
        .def_prop_ro("isa", [](const bw::Engine& e) { return e.kernels().name; })
        .def_prop_ro("input_kind", [](const bw::Engine& e) { return int(e.model().input.kind); })
        .def_prop_ro("input_shape", [](const bw::Engine& e) { return shape_of(e.model().input.shape); })
        .def_prop_ro("output_shape", [](const bw::Engine& e) { return shape_of(e.model().ops.back().out.shape); })
        .def_prop_ro("arena_bytes", [](const bw::Engine& e) { return e.plan().arena_bytes; })
        .def_prop_ro("tuned", [](const bw::Engine& e) { return e.plan().tuned; })
        .def_prop_ro("meta", [](const bw::Engine& e) {
            nb::dict meta;
            for (const auto& pair : e.model().meta) meta[nb::str(pair.first.c_str(), pair.first.size())] = pair.second;
            return meta;
        });
    m.def("available_isas", bw::available_isas);
    m.def("find_isa", [](const std::string& isa) { return bw::find_kernels(isa).name; }, "isa"_a);
}

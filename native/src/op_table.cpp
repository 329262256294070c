#include "op_table.h"

#include "refusal.h"
#include "stored_weight.h"

namespace bw {
namespace {

using std::to_string;

void read_inputs(const OpRecord& r, uint32_t before, Op& op, const std::string& where) {
    if (r.inputs_used < 1 || r.inputs_used > kMaxInputs) {
        refuse(where, "1 to " + to_string(kMaxInputs) + " inputs", to_string(r.inputs_used));
    }
    for (uint32_t i = 0; i < uint32_t(kMaxInputs); ++i) {
        if (i >= r.inputs_used) {
            if (r.inputs[i]) refuse(where, "0 as unused input", to_string(r.inputs[i]));
            continue;
        }
        if (r.inputs[i] > before) {
            refuse(where, "inputs from among the tensors 0 to " + to_string(before) + " before it",
                   to_string(r.inputs[i]));
        }
        op.inputs.push_back(int(r.inputs[i]));
    }
}

void check_unused(const OpRecord& r, const Layout& layout, const std::string& where) {
    for (int i = 0; i < 4; ++i) {
        if (i >= layout.blobs && r.blobs[i] != kNone) {
            refuse(where, "no blob in place " + to_string(i), "blob " + to_string(r.blobs[i]));
        }
        uint32_t raw;
        std::memcpy(&raw, &r.floats[i], sizeof raw);
        if (i >= layout.floats && raw != 0) {
            refuse(where, "0 in the unused number " + to_string(i), to_string(r.floats[i]));
        }
    }
    for (int i = layout.ints; i < 12; ++i) {
        if (r.ints[i] != 0) refuse(where, "0 in the unused field " + to_string(i), to_string(r.ints[i]));
    }
    for (uint8_t byte : r.reserved) {
        if (byte) refuse(where, "zeros at its end", "0x" + hex(&byte, 1, ""));
    }
}

void read_ints(const int32_t* v, Op& op, const std::string& where) {
    const auto flag = [&](const char* field, int32_t value) {
        if (value != 0 && value != 1) refuse(where, std::string(field) + " to be 0 or 1", to_string(value));
        return value == 1;
    };
    switch (op.code) {
        case OpCode::binarize:
        case OpCode::threshold:
            if (v[0] != int(Kind::sign) && v[0] != int(Kind::bit)) {
                refuse(where, "the kind 3 or 4", to_string(v[0]));
            }
            op.kind = Kind(v[0]);
            break;
        case OpCode::conv:
        case OpCode::binary_conv:
        case OpCode::window_sum:
        case OpCode::max_pool:
        case OpCode::avg_pool:
        case OpCode::pixel_conv:
            op.window = {v[0], v[1], v[2], v[3], v[4], v[5], v[6], v[7]};
            if (op.code == OpCode::avg_pool) {
                op.count_padding = flag("count_padding", v[8]);
            } else if (op.code != OpCode::max_pool && op.code != OpCode::pixel_conv) {
                op.groups = v[8];
            }
            if (op.code == OpCode::binary_conv) op.is_signed = flag("signed", v[9]);
            break;
        case OpCode::binary_linear: op.is_signed = flag("signed", v[0]); break;
        case OpCode::fixed_point: op.fraction = v[0]; break;
        case OpCode::unflatten: op.height = v[0], op.width = v[1]; break;
        case OpCode::pad_channels: op.before = v[0], op.after = v[1]; break;
        default: break;
    }
}

}  // namespace

void read_ops(const Parts& parts, Texts& texts, BlobTable& blobs, Model& model) {
    const uint32_t count = parts.header.ops;
    model.ops.reserve(count);
    model.input_name = texts.take_name(0, parts.record<OpRecord>(parts.ops, 0).name, "input");
    for (uint32_t i = 0; i < count; ++i) {
        const auto r = parts.record<OpRecord>(parts.ops, i);
        std::string where = "op " + to_string(i);
        if (r.code < 1 || r.code > kOpCodes || !op_name(OpCode(r.code))) {
            refuse(where, "an opcode from 1 to " + to_string(kOpCodes), to_string(r.code));
        }
        Op op;
        op.code = OpCode(r.code);
        op.name = texts.take_name(r.name, r.name_bytes, where);
        op.note = texts.take(r.note, r.note_bytes, where);
        where = op.name + " (" + op_name(op.code) + ")";
        const Layout layout = layout_of(op.code);
        read_inputs(r, i, op, where);
        check_unused(r, layout, where);
        read_ints(r.ints, op, where);
        op.low = r.floats[0], op.high = r.floats[1];
        for (int place = 0; place < layout.blobs; ++place) {
            if (r.blobs[place] == kNone && (layout.optional >> place & 1)) continue;
            const StoredBlob stored = blobs.take(r.blobs[place], layout.dtypes[place], where);
            op.blobs[place] = decode_blob(stored, op, place, parts.header.version, model, where);
        }
        model.ops.push_back(std::move(op));
    }
}

}  // namespace bw

// The boundary: manifest, tables, and the one place where exceptions become statuses.
#include <grpo/decode.h>
#include <grpo/host.h>
#include <grpo/plugin.h>

#include <cstring>
#include <new>

#include "errors.hpp"
#include "model.hpp"

GRPO_MANIFEST({
  "name": "transformer", "version": "0.1.0", "licence": "Apache-2.0",
  "components": [{
    "interface": "grpo.model/1", "name": "transformer",
    "options": {
      "path": {"type": "string", "format": "path", "required": true, "description": "Hugging Face directory: config.json and safetensors"},
      "dtype": {"type": "string", "default": "float32", "enum": ["float32", "bfloat16"], "description": "type of matrix products; values and gradients are always float32"},
      "device": {"type": "string", "default": "cpu", "enum": ["cpu", "cuda"], "description": "where the model lives"},
      "init": {"type": "string", "default": "checkpoint", "enum": ["checkpoint", "random"], "description": "random needs config.json only"},
      "trainable": {"type": "boolean", "default": true, "description": "false: the parameters are frozen, which saves the memory of their gradients, as a reference model should be"},
      "seed": {"type": "integer", "default": 0, "minimum": 0, "description": "of random weights"},
      "logits_chunk": {"type": "integer", "default": 256, "minimum": 1, "description": "rows of logits held at once"},
      "threads": {"type": "integer", "default": 0, "minimum": 0, "description": "0: as many as there are cores"},
      "kernels": {"type": "string", "default": "auto", "enum": ["auto", "portable"], "description": "portable: LibTorch operations only, the reference for the others"}
    },
    "offers": ["grpo.decode/1"]
  }],
  "requires": {"libtorch": "2.11.0"}
});

namespace grpo::transformer {
namespace {

// Runs body; turns what it throws into a status and a text.
template <typename Body>
grpo_status guarded(const grpo_call* call, const Body& body) {
  const auto fail = [call](grpo_status status, const std::string& text) {
    const std::string whole = "transformer: " + text;
    return call->fail(call, status, whole.data(), static_cast<std::int64_t>(whole.size()));
  };
  try {
    const c10::InferenceMode no_autograd;
    body();
    return GRPO_STATUS_OK;
  } catch (const Refusal& e) {
    return fail(e.status(), e.what());
  } catch (const std::bad_alloc&) {
    return fail(GRPO_STATUS_NO_MEMORY, "no memory");
  } catch (const c10::OutOfMemoryError& e) {
    return fail(GRPO_STATUS_NO_MEMORY, e.what_without_backtrace());
  } catch (const c10::Error& e) {
    const std::string text = e.what_without_backtrace();
    return fail(text.find("allocate memory") == std::string::npos ? GRPO_STATUS_FAILED : GRPO_STATUS_NO_MEMORY, text);
  } catch (const std::exception& e) {
    return fail(GRPO_STATUS_FAILED, e.what());
  } catch (...) {
    return fail(GRPO_STATUS_FAILED, "unknown exception");
  }
}

Model& model_of(void* handle) { return *static_cast<Model*>(handle); }

grpo_status open(const grpo_call* call, const grpo_options* options, void** handle) {
  return guarded(call, [&] {
    *handle = new Model(read_options(options), static_cast<const grpo_metrics*>(call->service(call, GRPO_METRICS_ID)));
  });
}
void close(void* handle) { delete static_cast<Model*>(handle); }

const grpo_model_info* describe(void* handle) { return model_of(handle).info(); }
const grpo_parameter* const* parameters(void* handle, std::int64_t* n) { return model_of(handle).parameters(n); }

grpo_status forward(void* handle, const grpo_call* call, const grpo_forward* a) {
  return guarded(call, [&] { model_of(handle).forward(call, *a); });
}
grpo_status backward(void* handle, const grpo_call* call, const grpo_backward* a) {
  return guarded(call, [&] { model_of(handle).backward(*a); });
}
void drop(void* handle, std::uint64_t ticket) { model_of(handle).drop(ticket); }
grpo_status zero_grad(void* handle, const grpo_call* call) {
  return guarded(call, [&] { model_of(handle).zero_grad(); });
}
grpo_status commit(void* handle, const grpo_call* call, std::int64_t) {
  return guarded(call, [&] { model_of(handle).commit(); });
}
grpo_status export_weights(void* handle, const grpo_call* call, const grpo_tensor_sink* sink) {
  return guarded(call, [&] { model_of(handle).export_weights(call, sink); });
}
grpo_status import_weights(void* handle, const grpo_call* call, std::int64_t, const grpo_tensor_source* source) {
  return guarded(call, [&] { model_of(handle).import_weights(call, source); });
}

// grpo.decode/1
Session& session_of(void* handle) { return *static_cast<Session*>(handle); }

const grpo_decode_info* decode_describe(void*) {
  static const grpo_decode_info info{sizeof info, 0, sampling_honoured, 0};
  return &info;
}
grpo_status session_open(void* model, const grpo_call* call, const grpo_decode_session* wanted, void** session) {
  return guarded(call, [&] { *session = model_of(model).open_session(*wanted).release(); });
}
void session_close(void* session) { delete static_cast<Session*>(session); }
std::int64_t free_tokens(void* session) { return session_of(session).free_tokens(); }
grpo_status prefill(void* session, const grpo_call* call, const grpo_decode_prefill* a) {
  return guarded(call, [&] { session_of(session).prefill(*a, [call] { stop_if_asked(call); }); });
}
grpo_status fork_slots(void* session, const grpo_call* call, const grpo_decode_fork* a) {
  return guarded(call, [&] { session_of(session).fork(*a); });
}
grpo_status assign(void* session, const grpo_call* call, const grpo_decode_assign* a) {
  return guarded(call, [&] { session_of(session).assign(*a); });
}
grpo_status step(void* session, const grpo_call* call, const grpo_decode_step* a) {
  return guarded(call, [&] { session_of(session).step(*a, [call] { stop_if_asked(call); }); });
}
void release(void* session, std::int64_t n, const std::int64_t* slot) { session_of(session).release(n, slot); }

const grpo_decode decode_table = {sizeof(grpo_decode),
                                  0,
                                  decode_describe,
                                  session_open,
                                  session_close,
                                  free_tokens,
                                  prefill,
                                  fork_slots,
                                  assign,
                                  step,
                                  release};

const void* query(void*, const char* id) { return std::strcmp(id, GRPO_DECODE_ID) == 0 ? &decode_table : nullptr; }

const grpo_model model_table = {sizeof(grpo_model), 0,          open,           close,         query,
                                describe,           parameters, forward,        backward,      drop,
                                zero_grad,          commit,     export_weights, import_weights};

}  // namespace
}  // namespace grpo::transformer

GRPO_PLUGIN_ONE(GRPO_MODEL_ID, "transformer", &grpo::transformer::model_table);

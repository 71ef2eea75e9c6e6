// The boundary: the manifest, the author's form of the model, and what LibTorch's exceptions mean.
#include <grpo/model.hpp>

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
      "logits_chunk": {"type": "integer", "default": 0, "minimum": 0, "description": "rows of logits held at once; 0: 256, and 2048 on a GPU"},
      "threads": {"type": "integer", "default": 0, "minimum": 0, "description": "0: as many as there are cores"},
      "activation_gib": {"type": "number", "default": -1, "minimum": -1, "description": "memory in GiB for activations: for those of the rollout, which training then need not compute again, and for those of one forward pass until its backward; what does not fit is computed twice. Below 0: 1.25 times what the parameters take, and 0.25 at least; on a GPU a third of what is free, if that is more"},
      "lora": {"type": "object", "default": {}, "description": "train adapters in place of the weights: {rank, alpha (2 rank), dropout (0), targets (all-linear, or a list of q_proj, k_proj, v_proj, o_proj, gate_proj, up_proj, down_proj), rslora (false)}; a directory that PEFT wrote as `path` goes on with its adapter"},
      "decode_dtype": {"type": "string", "default": "auto", "enum": ["auto", "float32", "bfloat16"], "description": "how decoding on the CPU stores weights (it computes in fp32): auto: as bfloat16 while that loses nothing, which halves what a token reads of a bfloat16 checkpoint; bfloat16: rounded, then sampling/logp_difference tells the price"},
      "matmul": {"type": "string", "default": "auto", "enum": ["auto", "libtorch", "onednn"], "description": "what multiplies fp32 matrices of training on the CPU: LibTorch's library, or oneDNN's, which is faster on processors with AVX-512 that are not Intel's; auto knows, and takes LibTorch's where oneDNN is not installed (Debian: libdnnl2)"},
      "cuda_graphs": {"type": "boolean", "default": true, "description": "on a GPU a decode step is recorded once a call and then launched as one; false: operation by operation (what vLLM calls enforce_eager)"},
      "kernels": {"type": "string", "default": "auto", "enum": ["auto", "portable"], "description": "portable: LibTorch operations only, the reference for the others"}
    },
    "offers": ["grpo.decode/1"]
  }],
  "requires": {"libtorch": "2.11.0"}
});

namespace grpo::transformer {
namespace {

struct DecodeSession {
  std::unique_ptr<Session> own;

  std::int64_t free_tokens() const noexcept { return own->free_tokens(); }
  void prefill(const grpo_decode_prefill& a, const grpo::call& call) {
    own->prefill(a, [&] { call.stop_if_asked(); });
  }
  void fork(const grpo_decode_fork& a, const grpo::call&) { own->fork(a); }
  void assign(const grpo_decode_assign& a, const grpo::call&) { own->assign(a); }
  void step(const grpo_decode_step& a, const grpo::call& call) {
    own->step(a, [&] { call.stop_if_asked(); });
  }
  void release(grpo::span<const std::int64_t> slots) noexcept {
    own->release(static_cast<std::int64_t>(slots.size()), slots.data());
  }
};

class Transformer {
 public:
  Transformer(grpo::options o, const grpo::host& host) : model_(read_options(o.raw()), host) {}

  using scope = c10::InferenceMode;  // gradients are our own work: LibTorch records nothing
  static void translate() {
    try {
      throw;
    } catch (const c10::OutOfMemoryError& e) {
      throw grpo::failure(GRPO_STATUS_NO_MEMORY, e.what_without_backtrace());
    } catch (const c10::Error& e) {  // the CPU's allocator has no type of its own
      const std::string text = e.what_without_backtrace();
      const bool memory = text.find("allocate memory") != std::string::npos;
      throw grpo::failure(memory ? GRPO_STATUS_NO_MEMORY : GRPO_STATUS_FAILED, text);
    }
  }

  const grpo_model_info& info() noexcept { return *model_.info(); }
  grpo::span<const grpo_parameter* const> parameters() const noexcept {
    std::int64_t n = 0;
    const grpo_parameter* const* list = model_.parameters(&n);
    return {list, n};
  }
  std::uint64_t forward(const grpo::forward_pass& a, const grpo::call& call) {
    model_.forward(call, a.raw());
    return a.train() ? *a.raw().ticket : 0;
  }
  void backward(const grpo_backward& a, const grpo::call&) { model_.backward(a); }
  void drop(std::uint64_t ticket) noexcept { model_.drop(ticket); }
  void zero_grad(const grpo::call&) { model_.zero_grad(); }
  void commit(std::int64_t version, const grpo::call&) { model_.commit(version); }
  void export_weights(const grpo_tensor_sink& sink, const grpo::call& call) { model_.export_weights(call, &sink); }
  void import_weights(std::int64_t, const grpo_tensor_source& source, const grpo::call& call) {
    model_.import_weights(call, &source);
  }

  const grpo_decode_info& decoder() const noexcept {
    static constexpr grpo_decode_info info{sizeof info, 0, sampling_honoured, 0};
    return info;
  }
  std::unique_ptr<DecodeSession> open_session(const grpo_decode_session& wanted, const grpo::call&) {
    return std::make_unique<DecodeSession>(DecodeSession{model_.open_session(wanted)});
  }

 private:
  Model model_;
};

}  // namespace
}  // namespace grpo::transformer

GRPO_MODEL(grpo::transformer::Transformer, "transformer");

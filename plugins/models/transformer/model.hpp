// model.hpp: one open model, behind the C tables of plugin.cpp.
#ifndef GRPO_TRANSFORMER_MODEL_HPP
#define GRPO_TRANSFORMER_MODEL_HPP

#include <grpo/decode.h>
#include <grpo/author.hpp>

#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine.hpp"
#include "network.hpp"
#include "replay.hpp"
#include "session.hpp"

namespace grpo::transformer {

// The component's options; see the manifest.
struct Options {
  std::string path, dtype = "float32", device = "cpu", init = "checkpoint", kernels = "auto", decode_dtype = "auto",
                    matmul = "auto";
  std::uint64_t seed = 0;
  std::int64_t logits_chunk = 0, threads = 0;  // 0: by the device; as many as there are cores
  double activation_gib = -1;                  // below 0: by the size of the model
  std::optional<kit::Adapter> adapter;         // wanted, or that of `path`
  std::filesystem::path base, adapter_at;      // where weights are; where an adapter to go on with is, or empty
  bool trainable = true, cuda_graphs = true;
};
Options read_options(const grpo_options* options);

class Model {
 public:
  Model(const Options& options, const grpo::host& host);

  const grpo_model_info* info() noexcept;
  const grpo_parameter* const* parameters(std::int64_t* n) const;

  void forward(const grpo::call& call, const grpo_forward& a);
  void backward(const grpo_backward& a);
  void drop(std::uint64_t ticket);
  void zero_grad();
  void commit(std::int64_t version);
  void export_weights(const grpo_call* call, const grpo_tensor_sink* sink) const { weights_.export_to(call, sink); }
  void import_weights(const grpo_call* call, const grpo_tensor_source* source);

  std::unique_ptr<Session> open_session(const grpo_decode_session& wanted);

 private:
  void describe();
  void changed();
  using Tickets = std::map<std::uint64_t, std::unique_ptr<Activations>>;
  std::unique_ptr<Activations> take_ticket(Tickets::iterator at);
  void report_record(double share);
  std::vector<std::int64_t> recorded_places(const Forest& forest) const;
  void require_trainable(const char* what) const;
  std::unique_ptr<Activations> take_activations();

  Config config_;
  Weights weights_;
  bool fast_;
  bool flash_;
  Network network_;
  bool told_ = false;
  std::uint64_t last_ticket_ = 0, version_ = 0;  // version_ counts commits
  bool drops_;                                   // adapters have dropout
  std::uint64_t seed_, dropout_key_ = 0, dropouts_ = 0;
  std::unique_ptr<Record> record_;      // null: nothing is recorded
  std::unique_ptr<Recorder> recorder_;  // of decode passes; null: none
  EngineModel engine_model_;
  Tickets tickets_;
  std::vector<std::unique_ptr<Activations>> spare_;  // memory of ended tickets

  grpo::host host_;
  grpo_model_info info_{};
  struct Described {
    std::string name;
    std::vector<std::int64_t> shape;
    grpo_tensor value{}, gradient{};
    grpo_parameter parameter{};
  };
  std::vector<std::unique_ptr<Described>> described_;
  std::vector<const grpo_parameter*> parameters_;
};

}  // namespace grpo::transformer

#endif

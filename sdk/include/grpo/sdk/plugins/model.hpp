// model.hpp (host side): a model plugin.
//
//     Model model(registry, "transformer", {{"path", dir}}, {.services = services, .where = "model"});
//     Ticket ticket = model.forward(forest, 1.0, logprob, entropy, true);
//     model.backward(std::move(ticket), dlogprob, dentropy);
//
// All functions belong to the thread that made the object, its destructor too.
#ifndef GRPO_SDK_PLUGINS_MODEL_HPP
#define GRPO_SDK_PLUGINS_MODEL_HPP

#include <grpo/decode.h>
#include <grpo/model.h>

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "grpo/sdk/plugins/forest.hpp"
#include "grpo/sdk/plugins/handle.hpp"

namespace grpo::plugins {

class Model;

// What a training forward leaves for its backward. Given back to the model when it goes out of scope unused, which must
// be before the model goes and on the model's thread.
class Ticket {
 public:
  Ticket() = default;
  Ticket(Ticket&& other) noexcept;
  Ticket& operator=(Ticket&& other) noexcept;
  ~Ticket();
  explicit operator bool() const { return model_ != nullptr; }
  std::int64_t targets() const { return targets_; }

 private:
  friend class Model;
  Ticket(Model* model, std::uint64_t id, std::int64_t targets) : model_(model), id_(id), targets_(targets) {}
  Model* model_ = nullptr;
  std::uint64_t id_ = 0;
  std::int64_t targets_ = 0;
};

// Takes one tensor; it must be read before returning (on a device: enqueued on the tensor's stream).
using TensorVisitor = std::function<void(const std::string& name, const grpo_tensor& tensor)>;

// Gives tensors by name.
class TensorSource {
 public:
  virtual ~TensorSource() = default;
  virtual std::vector<std::string> names() const = 0;
  // Valid until the next get; nullptr: no such name. May throw: the import fails with its text.
  virtual const grpo_tensor* get(const std::string& name) = 0;
};

class Model final : public Handle {
 public:
  Model(Registry& registry, const std::string& name, const nlohmann::json& options, const OpenSettings& settings = {});
  Model(std::shared_ptr<const Component> component, const nlohmann::json& options, const OpenSettings& settings = {});
  ~Model();

  const grpo_model_info& info() const { return *info_; }
  std::int64_t device_peak_bytes() const;  // the most it has held on its device so far; 0: not known
  bool can(std::uint32_t capability) const { return (info_->flags & capability) == capability; }  // GRPO_MODEL_*
  std::span<const grpo_parameter* const> parameters() const;

  // logprob, entropy: [forest.n_targets()], written; entropy empty: not wanted. temperature > 0. A forest deeper than
  // the model takes is flattened for it. train: the ticket is for backward, else it is empty. Throws CallError
  // (no_memory(): try a smaller batch), and grpo::Error if a token or target is out of range, a path is longer than the
  // model's positions, or the model leaves a value NaN.
  Ticket forward(const Forest& forest, double temperature, std::span<float> logprob, std::span<float> entropy,
                 bool train);
  // By the frozen weights alone, of a model that can GRPO_MODEL_ADAPTED: its own reference.
  void forward_base(const Forest& forest, double temperature, std::span<float> logprob);

  // Adds to the gradients. dentropy empty: zero. Ends the ticket, also on failure.
  void backward(Ticket ticket, std::span<const float> dlogprob, std::span<const float> dentropy = {});

  void zero_grad();
  void commit(std::int64_t version);  // values were written; no ticket may be open
  // trained: of a model that is GRPO_MODEL_ADAPTED, its adapters alone; else everything, adapters merged.
  void export_weights(const TensorVisitor& take, bool trained = false);
  void import_weights(std::int64_t version, TensorSource& source);
  // Straight into another side's sink (a sampler's).
  void export_weights(const grpo_tensor_sink* sink, Call& call);

  const grpo_decode* decode() const { return decode_; }  // nullptr: not offered
  const grpo_model* table() const { return table_; }

 private:
  friend class Ticket;
  void start();
  Ticket forward(const Forest& forest, double temperature, std::span<float> logprob, std::span<float> entropy,
                 std::uint32_t flags);
  void drop(std::uint64_t ticket) noexcept;
  const grpo_model* table_ = nullptr;
  const grpo_decode* decode_ = nullptr;
  const grpo_model_info* info_ = nullptr;
  Call call_;
  std::int64_t open_tickets_ = 0;
};

// Elements and bytes of a tensor, and its first byte.
std::int64_t element_count(const grpo_dltensor& tensor);
std::int64_t byte_count(const grpo_dltensor& tensor);
bool is_contiguous(const grpo_dltensor& tensor);
inline char* data_of(const grpo_tensor& tensor) { return static_cast<char*>(tensor.dl.data) + tensor.dl.byte_offset; }

}  // namespace grpo::plugins

#endif

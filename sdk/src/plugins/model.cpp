#include "grpo/sdk/plugins/model.hpp"

#include <algorithm>
#include <cmath>
#include <exception>
#include <limits>
#include <nlohmann/json.hpp>
#include <utility>

#include "released_sizes.hpp"
#include "running.hpp"

namespace grpo::plugins {

Ticket::Ticket(Ticket&& other) noexcept
    : model_(std::exchange(other.model_, nullptr)), id_(other.id_), targets_(other.targets_) {}
Ticket& Ticket::operator=(Ticket&& other) noexcept {
  std::swap(model_, other.model_);
  std::swap(id_, other.id_);
  std::swap(targets_, other.targets_);
  return *this;
}
Ticket::~Ticket() {
  if (model_) model_->drop(id_);
}

Model::Model(Registry& registry, const std::string& name, const nlohmann::json& options, const OpenSettings& settings)
    : Model(registry.load(GRPO_MODEL_ID, name), options, settings) {}

Model::Model(std::shared_ptr<const Component> loaded, const nlohmann::json& options, const OpenSettings& settings)
    : Handle(std::move(loaded), options, settings), call_(services_) {
  try {
    start();
  } catch (...) {
    close();
    throw;
  }
}

void Model::start() {
  table_ = reinterpret_cast<const grpo_model*>(component().table);
  const Running mark(component(), "describe");
  info_ = table_->describe(raw());
  if (!info_) throw Error(component().label() + ": describe gave nothing");
  if (info_->vocabulary <= 0 || info_->max_positions <= 0) {
    throw Error(component().label() + ": describes a vocabulary of " + std::to_string(info_->vocabulary) + " and " +
                std::to_string(info_->max_positions) + " positions");
  }
  if (can(GRPO_MODEL_TRAIN) && (!table_->backward || !table_->drop || !table_->zero_grad || !table_->commit)) {
    throw Error(component().label() + ": says that it trains, but lacks backward, drop, zero_grad or commit");
  }
  decode_ = static_cast<const grpo_decode*>(query(GRPO_DECODE_ID));
  constexpr std::size_t decode_least = released_size<grpo_decode>;
  if (decode_ && decode_->struct_size < decode_least) {
    throw Error(component().label() + ": its table of " GRPO_DECODE_ID " has " + std::to_string(decode_->struct_size) +
                " bytes, at least " + std::to_string(decode_least) + " are due");
  }
}

Model::~Model() { close(); }

std::int64_t Model::device_peak_bytes() const {
  on_own_thread("describe");
  const Running mark(component(), "describe");
  const grpo_model_info* now = table_->describe(raw());
  return now ? now->device_peak_bytes : 0;
}

std::span<const grpo_parameter* const> Model::parameters() const {
  on_own_thread("parameters");
  std::int64_t n = 0;
  const grpo_parameter* const* list = nullptr;
  Call call(services_);
  const Running mark(component(), "parameters");
  call.need(table_->parameters(raw(), call, &n, &list), component(), "parameters");
  return {list, static_cast<std::size_t>(std::max<std::int64_t>(n, 0))};
}

namespace {

void check_ids(std::span<const std::int32_t> ids, std::int64_t vocabulary, const char* what, const Component& who) {
  for (std::size_t i = 0; i < ids.size(); ++i) {
    if (ids[i] >= 0 && ids[i] < vocabulary) continue;
    throw Error(who.label() + ": forward: " + what + " number " + std::to_string(i) + " is " + std::to_string(ids[i]) +
                "; the model's vocabulary has " + std::to_string(vocabulary) +
                " ids. Do tokenizer and model belong together?");
  }
}

void check_values(std::span<const float> values, const char* what, const Component& who) {
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (!std::isnan(values[i])) continue;
    throw Error(who.label() + ": forward: the " + what + " of target " + std::to_string(i) + " of " +
                std::to_string(values.size()) + " is NaN: the weights have diverged, or the model did not fill it in");
  }
}

}  // namespace

Ticket Model::forward(const Forest& forest, double temperature, std::span<float> logprob, std::span<float> entropy,
                      bool train) {
  const std::uint32_t flags = train ? std::uint32_t{GRPO_FORWARD_TRAIN} : 0;
  return forward(forest, temperature, logprob, entropy, flags);
}

void Model::forward_base(const Forest& forest, double temperature, std::span<float> logprob) {
  if (!can(GRPO_MODEL_ADAPTED)) throw Error(component().label() + ": has no adapters, so there is no base beside it");
  forward(forest, temperature, logprob, {}, static_cast<std::uint32_t>(GRPO_FORWARD_BASE));
}

Ticket Model::forward(const Forest& forest, double temperature, std::span<float> logprob, std::span<float> entropy,
                      std::uint32_t flags) {
  const bool train = flags & GRPO_FORWARD_TRAIN;
  on_own_thread("forward");
  const Component& who = component();
  if (static_cast<std::int64_t>(logprob.size()) != forest.n_targets() ||
      (!entropy.empty() && entropy.size() != logprob.size())) {
    throw Error(who.label() + ": forward: " + std::to_string(forest.n_targets()) + " targets, room for " +
                std::to_string(logprob.size()) + " log-probabilities and " + std::to_string(entropy.size()) +
                " entropies");
  }
  if (!(temperature > 0)) throw Error(who.label() + ": forward: the temperature must be over 0");
  if (!entropy.empty() && !can(GRPO_MODEL_ENTROPY))
    throw Error(who.label() + ": gives no entropy, which this run asks for");
  if (train && !can(GRPO_MODEL_TRAIN)) throw Error(who.label() + ": cannot be trained");
  if (train && info_->max_tickets > 0 && open_tickets_ >= info_->max_tickets) {
    throw Error(who.label() + ": " + std::to_string(open_tickets_) +
                " forwards wait for their backward, and it keeps no more");
  }
  if (forest.n_targets() == 0) return {};
  if (forest.longest() > info_->max_positions) {
    throw Error(who.label() + ": forward: a sequence of " + std::to_string(forest.longest()) +
                " tokens; the model has " + std::to_string(info_->max_positions) +
                " positions. Lower the prompt or completion limit");
  }
  check_ids(forest.tokens(), info_->vocabulary, "token", who);
  check_ids(forest.target_token(), info_->vocabulary, "target", who);

  const bool flatten = info_->max_depth > 0 && forest.depth() > info_->max_depth;
  Forest flat;
  if (flatten) flat = forest.flattened(info_->max_depth);
  const Forest& used = flatten ? flat : forest;
  if (info_->max_tokens > 0 && used.n_tokens() > info_->max_tokens) {
    throw CallError(who.label() + ": forward: " + std::to_string(used.n_tokens()) + " tokens; it takes " +
                        std::to_string(info_->max_tokens) + " at once. Lower the token budget of a micro batch",
                    GRPO_STATUS_NO_MEMORY);
  }
  std::ranges::fill(logprob, std::numeric_limits<float>::quiet_NaN());
  std::ranges::fill(entropy, std::numeric_limits<float>::quiet_NaN());
  grpo_forest packed;
  used.fill(packed);
  std::uint64_t ticket = 0;
  grpo_forward arguments{};
  arguments.struct_size = sizeof arguments;
  arguments.flags = flags;
  arguments.forest = &packed;
  arguments.temperature = temperature;
  arguments.n_targets = used.n_targets();
  arguments.target_at = used.target_at().data();
  arguments.target_token = used.target_token().data();
  arguments.logprob = logprob.data();
  arguments.entropy = entropy.empty() ? nullptr : entropy.data();
  arguments.ticket = train ? &ticket : nullptr;
  call_.reset();
  {
    const Running mark(who, "forward");
    call_.need(table_->forward(raw(), call_, &arguments), who, "forward");
  }
  Ticket out;
  if (train) {
    ++open_tickets_;
    out = Ticket(this, ticket, used.n_targets());
  }
  check_values(logprob, "log-probability", who);
  check_values(entropy, "entropy", who);
  return out;
}

void Model::backward(Ticket ticket, std::span<const float> dlogprob, std::span<const float> dentropy) {
  on_own_thread("backward");
  const Component& who = component();
  if (ticket.model_ != this)
    throw Error(who.label() + ": backward: the ticket is not from a training forward of this model");
  if (static_cast<std::int64_t>(dlogprob.size()) != ticket.targets_ ||
      (!dentropy.empty() && dentropy.size() != dlogprob.size())) {
    throw Error(who.label() + ": backward: " + std::to_string(ticket.targets_) + " targets, " +
                std::to_string(dlogprob.size()) + " and " + std::to_string(dentropy.size()) + " derivatives");
  }
  grpo_backward arguments{};
  arguments.struct_size = sizeof arguments;
  arguments.ticket = ticket.id_;
  arguments.dlogprob = dlogprob.data();
  arguments.dentropy = dentropy.empty() ? nullptr : dentropy.data();
  ticket.model_ = nullptr;  // the plugin ends it, also when it fails
  --open_tickets_;
  call_.reset();
  const Running mark(who, "backward");
  call_.need(table_->backward(raw(), call_, &arguments), who, "backward");
}

void Model::drop(std::uint64_t ticket) noexcept {
  --open_tickets_;
  const Running mark(component(), "drop");
  table_->drop(raw(), ticket);
}

void Model::zero_grad() {
  on_own_thread("zero_grad");
  if (!table_->zero_grad) throw Error(component().label() + ": cannot be trained");
  call_.reset();
  const Running mark(component(), "zero_grad");
  call_.need(table_->zero_grad(raw(), call_), component(), "zero_grad");
}

void Model::commit(std::int64_t version) {
  on_own_thread("commit");
  if (!table_->commit) throw Error(component().label() + ": its weights cannot be changed");
  if (open_tickets_ > 0) {
    throw Error(component().label() + ": commit: " + std::to_string(open_tickets_) +
                " forwards still wait for their backward");
  }
  call_.reset();
  const Running mark(component(), "commit");
  call_.need(table_->commit(raw(), call_, version), component(), "commit");
}

void Model::export_weights(const TensorVisitor& take, bool trained) {
  struct Receiver {
    const TensorVisitor& take;
    std::exception_ptr error;
  } receiver{take, nullptr};
  grpo_tensor_sink sink{};
  sink.struct_size = sizeof sink;
  sink.flags = trained ? GRPO_SINK_TRAINED : 0;
  sink.owner = &receiver;
  sink.put = [](const grpo_tensor_sink* s, const grpo_call* call, std::int64_t n,
                const grpo_named_tensor* const* tensors) noexcept -> grpo_status {
    Receiver& r = *static_cast<Receiver*>(s->owner);
    try {
      for (std::int64_t i = 0; i < n; ++i) r.take(tensors[i]->name, *tensors[i]->tensor);
      return GRPO_STATUS_OK;
    } catch (const std::exception& e) {
      r.error = std::current_exception();
      return grpo_fail(call, GRPO_STATUS_FAILED, e.what());
    }
  };
  call_.reset();
  try {
    export_weights(&sink, call_);
  } catch (...) {
    if (receiver.error) std::rethrow_exception(receiver.error);
    throw;
  }
}

void Model::export_weights(const grpo_tensor_sink* sink, Call& call) {
  on_own_thread("export_weights");
  if (!table_->export_weights) throw Error(component().label() + ": gives no weights away");
  const Running mark(component(), "export_weights");
  call.need(table_->export_weights(raw(), call, sink), component(), "export_weights");
}

void Model::import_weights(std::int64_t version, TensorSource& source) {
  on_own_thread("import_weights");
  if (!can(GRPO_MODEL_IMPORT) || !table_->import_weights)
    throw Error(component().label() + ": takes no weights after open");
  struct Giver {
    TensorSource& source;
    std::exception_ptr error;
  } giver{source, nullptr};
  const std::vector<std::string> names = source.names();
  std::vector<const char*> list;
  for (const std::string& name : names) list.push_back(name.c_str());
  list.reserve(1);
  grpo_tensor_source table{};
  table.struct_size = sizeof table;
  table.owner = &giver;
  table.n = static_cast<std::int64_t>(list.size());
  table.names = list.data();
  table.get = [](const grpo_tensor_source* s, const grpo_call* call, const char* name,
                 const grpo_tensor** tensor) noexcept -> grpo_status {
    Giver& g = *static_cast<Giver*>(s->owner);
    try {
      *tensor = g.source.get(name);
      return GRPO_STATUS_OK;
    } catch (const std::exception& e) {
      g.error = std::current_exception();
      return grpo_fail(call, GRPO_STATUS_FAILED, e.what());
    }
  };
  call_.reset();
  const grpo_status status = [&] {
    const Running mark(component(), "import_weights");
    return table_->import_weights(raw(), call_, version, &table);
  }();
  if (giver.error) std::rethrow_exception(giver.error);
  call_.need(status, component(), "import_weights");
}

std::int64_t element_count(const grpo_dltensor& tensor) {
  std::int64_t n = 1;
  for (std::int32_t d = 0; d < tensor.ndim; ++d) n *= tensor.shape[d];
  return n;
}

std::int64_t byte_count(const grpo_dltensor& tensor) {
  return (element_count(tensor) * tensor.bits * tensor.lanes + 7) / 8;
}

bool is_contiguous(const grpo_dltensor& tensor) {
  if (!tensor.strides) return true;
  std::int64_t want = 1;
  for (std::int32_t d = tensor.ndim - 1; d >= 0; --d) {
    if (tensor.shape[d] != 1 && tensor.strides[d] != want) return false;
    want *= tensor.shape[d];
  }
  return true;
}

}  // namespace grpo::plugins

#include "model.hpp"

#include <c10/core/CachingDeviceAllocator.h>
#include <grpo/host.h>
#include <grpo/random.h>

#include "errors.hpp"
#include "flash.hpp"
#include "torch_cuda.hpp"

namespace grpo::transformer {
namespace {

constexpr std::int32_t max_tickets = 8;

at::Device device_of(const Options& o) {
  if (o.device == "cpu") return at::kCPU;
  if (const auto why = torch_cuda::open(); !why.empty()) throw Refusal(GRPO_STATUS_UNSUPPORTED, "device cuda: " + why);
  return at::Device(at::kCUDA, 0);
}

// What is free on the device beside two moments of all parameters; 0 in host memory, and where that cannot be asked.
double free_on_device(const Weights& weights, double parameters) {
  const auto device = weights.device();
  if (!device.is_cuda()) return 0;
  try {
    const auto free = c10::getDeviceAllocator(device.type())->getMemoryInfo(device.index()).first;
    return std::max(0.0, static_cast<double>(free) - 2 * parameters);
  } catch (const c10::Error&) {
    return 0;
  }
}

// By default it grows with the model, whose parameters, gradients and moments take four times what the parameters do.
std::int64_t activation_bytes(const Options& o, const Weights& weights) {
  constexpr double gib = 1 << 30, least = 0.25;
  if (o.activation_gib >= 0) return static_cast<std::int64_t>(o.activation_gib * gib);
  const double parameters = static_cast<double>(weights.layout().parameter_elements) * sizeof(float);
  return static_cast<std::int64_t>(std::max({1.25 * parameters, least * gib, free_on_device(weights, parameters) / 3}));
}

DecodeType decode_type_of(const Options& o) {
  return o.decode_dtype == "auto"      ? DecodeType::automatic
         : o.decode_dtype == "float32" ? DecodeType::float32
                                       : DecodeType::bfloat16;
}

MatmulLibrary matmul_of(const Options& o) {
  return o.matmul == "auto"       ? MatmulLibrary::automatic
         : o.matmul == "libtorch" ? MatmulLibrary::libtorch
                                  : MatmulLibrary::onednn;
}

at::ScalarType type_of(const Options& o) { return o.dtype == "bfloat16" ? at::kBFloat16 : at::kFloat; }

// Threads are set before the first operation, and belong to the calling thread.
Config configure(const Options& o) {
  if (o.threads > 0) at::set_num_threads(static_cast<int>(o.threads));
  return read_config(o.base);
}

grpo_tensor tensor_of(float* data, at::Device device, std::vector<std::int64_t>& shape) {
  grpo_tensor t{};
  t.struct_size = sizeof t;
  t.dl = {data,
          device.is_cuda() ? GRPO_DEVICE_CUDA : GRPO_DEVICE_CPU,
          device.is_cuda() ? device.index() : 0,
          static_cast<std::int32_t>(shape.size()),
          GRPO_TYPE_FLOAT,
          32,
          1,
          shape.data(),
          nullptr,
          0};
  t.stream = device.is_cuda() ? 1 : 0;
  return t;
}

// Where it is expected to work and does not, the log says why.
bool uses_flash(const Config& c, const Weights& w, const grpo::host& host) {
  if (!w.device().is_cuda() || w.compute_type() == at::kFloat) return false;
  const auto why = flash::why_not(w.device(), w.compute_type(), c.heads, c.kv_heads, c.head_dim);
  if (!why.empty()) host.log(GRPO_LOG_WARNING, "flash attention is not used, plain operations take its place: " + why);
  return why.empty();
}

std::unique_ptr<Recorder> recorder_of(const Options& o, const Weights& w, const grpo::host& host) {
  if (!w.device().is_cuda() || !o.cuda_graphs || o.kernels != "auto") return nullptr;
  return make_cuda_recorder(w.device(), [host](const std::string& why) {
    host.log(GRPO_LOG_WARNING, "CUDA graphs are not used, decode steps are launched operation by operation: " + why);
  });
}

}  // namespace

namespace {

// An adapter that is asked for, and one that `path` holds: then the weights are where its configuration says.
void find_adapter(const grpo_options* in, Options& o) {
  grpo_str text;
  if (in->text(in, "lora", &text))
    if (const std::string json(text.data, static_cast<std::size_t>(text.size)); json != "{}")
      o.adapter = kit::parse_adapter(json, "option lora");
  o.base = o.path;
  const auto found = kit::read_adapter(o.path);
  if (!found) return;
  const auto file = (std::filesystem::path(o.path) / kit::adapter_config_file).string();
  require(!o.adapter || (o.adapter->rank == found->rank && o.adapter->targets == found->targets &&
                         o.adapter->scale() == found->scale()),
          file + " has another rank, alpha or targets than option lora; leave lora out, or make it the same");
  const double dropout = o.adapter ? o.adapter->dropout : found->dropout;
  o.adapter = found;
  o.adapter->dropout = dropout;
  o.adapter_at = o.path;
  o.base = found->base.is_absolute() ? found->base : std::filesystem::path(o.path) / found->base;
  if (!std::filesystem::is_directory(o.base)) o.base = found->base;  // as PEFT takes it: from where the process runs
  require(!found->base.empty() && std::filesystem::is_directory(o.base),
          file + ": base_model_name_or_path is \"" + found->base.string() +
              "\", and there is no such directory; write the base model's directory there");
}

}  // namespace

Options read_options(const grpo_options* in) {
  Options o;
  const auto text = [&](const char* key, std::string& to) {
    grpo_str value;
    if (in->text(in, key, &value)) to.assign(value.data, static_cast<std::size_t>(value.size));
  };
  text("path", o.path);
  text("dtype", o.dtype);
  text("device", o.device);
  text("init", o.init);
  text("kernels", o.kernels);
  text("decode_dtype", o.decode_dtype);
  text("matmul", o.matmul);
  o.seed = static_cast<std::uint64_t>(grpo_option_integer(in, "seed", 0));
  o.trainable = grpo_option_integer(in, "trainable", 1) != 0;
  o.cuda_graphs = grpo_option_integer(in, "cuda_graphs", 1) != 0;
  o.logits_chunk = grpo_option_integer(in, "logits_chunk", o.logits_chunk);
  o.threads = grpo_option_integer(in, "threads", o.threads);
  o.activation_gib = grpo_option_number(in, "activation_gib", o.activation_gib);
  require(!o.path.empty(), "option path is missing: the model's Hugging Face directory");
  find_adapter(in, o);
  const auto one_of = [](const char* key, const std::string& value, std::initializer_list<const char*> known) {
    std::string list;
    for (const char* k : known) {
      if (value == k) return;
      list += std::string(list.empty() ? "" : ", ") + k;
    }
    throw Refusal(GRPO_STATUS_INVALID, std::string("option ") + key + " is \"" + value + "\"; it may be " + list);
  };
  one_of("dtype", o.dtype, {"float32", "bfloat16"});
  one_of("device", o.device, {"cpu", "cuda"});
  one_of("init", o.init, {"checkpoint", "random"});
  one_of("kernels", o.kernels, {"auto", "portable"});
  one_of("decode_dtype", o.decode_dtype, {"auto", "float32", "bfloat16"});
  one_of("matmul", o.matmul, {"auto", "libtorch", "onednn"});
  require(o.logits_chunk >= 0, "option logits_chunk is negative");
  if (o.logits_chunk == 0) o.logits_chunk = o.device == "cpu" ? 256 : 2048;
  require(o.threads >= 0, "option threads is negative");
  return o;
}

Model::Model(const Options& o, const grpo::host& host)
    : config_(configure(o)),
      weights_(make_layout(config_, o.adapter), device_of(o), type_of(o), o.trainable),
      fast_(o.kernels == "auto" && o.device == "cpu" && o.dtype == "float32"),
      flash_(o.kernels == "auto" && uses_flash(config_, weights_, host)),
      network_(config_, weights_, fast_, flash_, o.logits_chunk, activation_bytes(o, weights_),
               o.adapter ? o.adapter->dropout : 0, matmul_of(o)),
      drops_(o.adapter && o.adapter->dropout > 0),
      seed_(o.seed),
      // Rounded weights give other activations than those of training.
      record_(fast_ && o.trainable && o.activation_gib != 0 && decode_type_of(o) != DecodeType::bfloat16
                  ? std::make_unique<Record>(config_, activation_bytes(o, weights_))
                  : nullptr),
      recorder_(recorder_of(o, weights_, host)),
      engine_model_{config_, weights_, version_, nullptr, flash_, recorder_.get(), decode_type_of(o), record_.get()},
      host_(host) {
  if (o.init == "random") {
    weights_.randomize(o.seed, config_.init_std);
  } else {
    weights_.load(o.base);
  }
  if (!o.adapter_at.empty())
    weights_.load_adapter(o.adapter_at);
  else if (o.adapter)
    weights_.initialize_adapter(grpo_random_key(o.seed, 1));
  describe();
}

void Model::describe() {
  const auto device = weights_.device();
  info_.struct_size = sizeof info_;
  info_.flags = GRPO_MODEL_ENTROPY | GRPO_MODEL_IMPORT;
  if (weights_.trainable()) info_.flags |= GRPO_MODEL_TRAIN;
  if (weights_.layout().rank > 0) info_.flags |= GRPO_MODEL_ADAPTED;
  info_.vocabulary = config_.vocabulary;
  info_.max_positions = config_.max_positions;
  info_.max_depth = 0;
  info_.max_tickets = max_tickets;
  info_.n_elements = weights_.layout().parameter_elements;
  info_.flops_per_token = weights_.layout().flops_per_token;
  info_.rollout_tokens = record_ ? record_->tokens_kept_whole() : 0;
  info_.device_type = device.is_cuda() ? GRPO_DEVICE_CUDA : GRPO_DEVICE_CPU;
  info_.device_id = device.is_cuda() ? device.index() : 0;
  info_.stream = device.is_cuda() ? 1 : 0;
  for (const auto& p : weights_.layout().parameters) {
    auto d = std::make_unique<Described>();
    d->name = p.name;
    d->shape = p.shape;
    d->value = tensor_of(weights_.value_data() + p.offset, device, d->shape);
    d->parameter.struct_size = sizeof d->parameter;
    d->parameter.name = d->name.c_str();
    d->parameter.value = &d->value;
    if (weights_.trainable() && p.offset >= weights_.layout().trained) {
      d->gradient = tensor_of(weights_.gradient_data(p.offset), device, d->shape);
      d->parameter.gradient = &d->gradient;
    } else {
      d->parameter.flags = GRPO_PARAMETER_FROZEN;
    }
    parameters_.push_back(&d->parameter);
    described_.push_back(std::move(d));
  }
}

const grpo_parameter* const* Model::parameters(std::int64_t* n) const {
  *n = static_cast<std::int64_t>(parameters_.size());
  return parameters_.data();
}

std::unique_ptr<Activations> Model::take_activations() {
  if (spare_.empty()) return std::make_unique<Activations>(weights_.device());
  auto activations = std::move(spare_.back());
  spare_.pop_back();
  return activations;
}

void Model::forward(const grpo::call& call, const grpo_forward& a) {
  const bool train = a.flags & GRPO_FORWARD_TRAIN, base = a.flags & GRPO_FORWARD_BASE;
  if (a.flags & ~static_cast<std::uint32_t>(GRPO_FORWARD_TRAIN | GRPO_FORWARD_BASE))
    throw Refusal(GRPO_STATUS_UNSUPPORTED, "forward has unknown flags");
  require(a.forest != nullptr, "forward has no forest");
  if (train) require_trainable("forward with TRAIN");
  require(!(train && base), "forward with TRAIN and BASE: the base weights are not trained");
  if (base && weights_.layout().rank == 0)
    throw Refusal(GRPO_STATUS_UNSUPPORTED, "forward with BASE: this model was opened without adapters");
  require(!train || a.ticket, "forward with TRAIN has no place for a ticket");
  if (train && tickets_.size() >= static_cast<std::size_t>(max_tickets))
    throw Refusal(GRPO_STATUS_INVALID, std::to_string(max_tickets) + " forwards wait for their backward already");
  auto forest = read_forest(a);
  auto activations = take_activations();
  activations->forest = std::move(forest);
  activations->temperature = a.temperature;
  activations->adapted = !base;
  activations->dropout_key = drops_ && train ? grpo_random_key(dropout_key_, ++dropouts_) : 0;
  const bool as_decoded = record_ && !base && !(drops_ && train);
  activations->places = as_decoded ? recorded_places(activations->forest) : std::vector<std::int64_t>();
  activations->record = activations->places.empty() ? nullptr : record_.get();
  if (record_) record_->rollout_is_over();
  try {
    network_.forward(
        *activations, train, [&call] { call.stop_if_asked(); }, a.logprob, a.entropy);
  } catch (...) {
    spare_.push_back(std::move(activations));
    throw;
  }
  if (train && record_) report_record(activations->record ? record_->share() : 0);
  if (train) {
    if (activations->record) record_->pin();
    *a.ticket = ++last_ticket_;
    tickets_.emplace(last_ticket_, std::move(activations));
  } else {
    spare_.push_back(std::move(activations));
  }
}

// Where all tokens of the forest are recorded; empty if one is not.
std::vector<std::int64_t> Model::recorded_places(const Forest& forest) const {
  std::vector<std::int64_t> places;
  for (std::size_t t = 0; t < forest.token.size(); ++t) {
    const auto before = forest.before[t] < 0
                            ? Record::root
                            : static_cast<std::int32_t>(places[static_cast<std::size_t>(forest.before[t])]);
    const auto place = record_->find(before, forest.token[t]);
    if (place == Record::unknown) return {};
    places.push_back(place);
  }
  return places;
}

void Model::report_record(double share) {
  host_.metric("recorded", share);
  const auto depth = static_cast<std::int64_t>(record_->depth());
  if (told_ || depth == config_.layers) return;
  told_ = true;
  host_.log(GRPO_LOG_INFO, "a rollout has more tokens than the " + std::to_string(record_->tokens_kept_whole()) +
                               " for which activation_gib has room for everything, so the update computes " +
                               std::to_string(config_.layers - depth) + " of " + std::to_string(config_.layers) +
                               " layers again; with more memory, raise model.options.activation_gib");
}

void Model::require_trainable(const char* what) const {
  if (!weights_.trainable())
    throw Refusal(GRPO_STATUS_UNSUPPORTED,
                  std::string(what) + ": this model was opened with trainable: false, so it keeps no gradients");
}

void Model::backward(const grpo_backward& a) {
  require_trainable("backward");
  const auto at = tickets_.find(a.ticket);
  require(at != tickets_.end(), "backward: ticket " + std::to_string(a.ticket) + " is not open (never given, or used)");
  auto activations = take_ticket(at);
  require(a.dlogprob != nullptr || activations->forest.target.empty(), "backward has no dlogprob");
  try {
    network_.backward(*activations, a.dlogprob, a.dentropy);
  } catch (...) {
    spare_.push_back(std::move(activations));
    throw;
  }
  spare_.push_back(std::move(activations));
}

void Model::drop(std::uint64_t ticket) {
  const auto at = tickets_.find(ticket);
  if (at == tickets_.end()) return;
  spare_.push_back(take_ticket(at));
}

std::unique_ptr<Activations> Model::take_ticket(Tickets::iterator at) {
  auto activations = std::move(at->second);
  tickets_.erase(at);
  if (activations->record) record_->unpin();
  return activations;
}

void Model::zero_grad() {
  require_trainable("zero_grad");
  weights_.gradient().zero_();
}

void Model::commit(std::int64_t version) {
  dropout_key_ = grpo_random_key(seed_, static_cast<std::uint64_t>(version));
  dropouts_ = 0;
  require(tickets_.empty(), "commit while " + std::to_string(tickets_.size()) + " tickets are open");
  weights_.refresh();
  changed();
}

// Its peak of memory: the most that LibTorch's allocator has held for tensors on the device, in this process so far.
const grpo_model_info* Model::info() noexcept {
  const auto device = weights_.device();
  if (!device.is_cuda()) return &info_;
  try {
    constexpr auto all = static_cast<std::size_t>(c10::CachingAllocator::StatType::AGGREGATE);
    const auto stats = c10::getDeviceAllocator(device.type())->getDeviceStats(device.index());
    info_.device_peak_bytes = stats.allocated_bytes[all].peak;
  } catch (const c10::Error&) {  // an allocator that counts nothing: the peak stays not known
  }
  return &info_;
}

void Model::import_weights(const grpo_call* call, const grpo_tensor_source* source) {
  require(tickets_.empty(), "import_weights while " + std::to_string(tickets_.size()) + " tickets are open");
  weights_.import_from(call, source);
  changed();
}

// Whatever was derived from the weights no longer holds.
void Model::changed() {
  ++version_;
  if (record_) record_->forget();
}

std::unique_ptr<Session> Model::open_session(const grpo_decode_session& wanted) {
  const auto blocks = Session::blocks_for(wanted);
  const auto longest = std::min(config_.max_positions, blocks * block_tokens);
  return std::make_unique<Session>(
      config_, wanted,
      fast_ ? make_cpu_engine(engine_model_, blocks, longest) : make_portable_engine(engine_model_, blocks),
      record_.get());
}

}  // namespace grpo::transformer

#include "support.hpp"

#include <dlfcn.h>
#include <grpo/plugin.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <stdexcept>
#include <utility>

namespace grpo::test {
namespace {

// Folders are known from the build; a program carried to another machine is told by the environment.
std::string folder(const char* name, const char* built) {
  const char* told = std::getenv(name);
  return told ? told : built;
}

const grpo_model* load() {
  static const grpo_model* const table = [] {
    const std::string path = folder("GRPO_PLUGIN_DIR", GRPO_PLUGIN_DIR) + "/transformer.so";
    void* library = ::dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (!library) throw std::runtime_error(::dlerror());
    const auto entry = reinterpret_cast<grpo_plugin_entry_fn*>(::dlsym(library, "grpo_plugin_entry"));
    static const grpo_host host{
        sizeof host, GRPO_HEADER_REVISION, 1, 1, "test", [](const grpo_host*, const char*, std::int64_t) {}};
    const grpo_plugin* plugin = entry(&host);
    if (!plugin || plugin->n_components != 1) throw std::runtime_error("no plugin");
    return static_cast<const grpo_model*>(plugin->components[0]->table);
  }();
  return table;
}

// grpo_options over a JSON object.
class Options {
 public:
  explicit Options(nlohmann::json json) : json_(std::move(json)), text_(json_.dump()) {
    options_.struct_size = sizeof options_;
    options_.host = this;
    options_.json = {text_.data(), static_cast<std::int64_t>(text_.size())};
    options_.number = [](const grpo_options* o, const char* key, double* value) {
      const auto& json = static_cast<Options*>(o->host)->json_;
      if (!json.contains(key) || !json[key].is_number()) return 0;
      *value = json[key].get<double>();
      return 1;
    };
    options_.integer = [](const grpo_options* o, const char* key, std::int64_t* value) {
      const auto& json = static_cast<Options*>(o->host)->json_;
      if (!json.contains(key) || !(json[key].is_number_integer() || json[key].is_boolean())) return 0;
      *value = json[key].is_boolean() ? json[key].get<bool>() : json[key].get<std::int64_t>();
      return 1;
    };
    options_.text = [](const grpo_options* o, const char* key, grpo_str* value) {
      auto& self = *static_cast<Options*>(o->host);
      if (!self.json_.contains(key) || self.json_[key].is_number() || self.json_[key].is_boolean()) return 0;
      // A list or an object is its JSON.
      auto& text = self.texts_[key];
      text = self.json_[key].is_string() ? self.json_[key].get<std::string>() : self.json_[key].dump();
      *value = {text.c_str(), static_cast<std::int64_t>(text.size())};
      return 1;
    };
  }
  const grpo_options* get() const { return &options_; }

 private:
  nlohmann::json json_;
  std::string text_;
  std::map<std::string, std::string> texts_;
  grpo_options options_{};
};

}  // namespace

Call::Call() {
  call_.struct_size = sizeof call_;
  call_.host = this;
  call_.cancelled = [](const grpo_call* c) {
    auto& self = *static_cast<Call*>(c->host);
    return static_cast<std::int32_t>(self.cancel_after >= 0 && self.cancel_after-- == 0);
  };
  call_.alloc = [](const grpo_call*, std::int64_t) -> void* { return nullptr; };
  call_.fail = [](const grpo_call* c, grpo_status status, const char* text, std::int64_t size) {
    auto& self = *static_cast<Call*>(c->host);
    if (self.error.empty()) self.error.assign(text, static_cast<std::size_t>(size));
    return status;
  };
  call_.progress = [](const grpo_call*, double, double) {};
  metrics_ = {sizeof metrics_, 0, this, [](const grpo_metrics* m, const char* name, double value) {
                static_cast<Call*>(m->host)->metrics[name] = value;
              }};
  call_.service = [](const grpo_call* c, const char* id) -> const void* {
    return std::strcmp(id, GRPO_METRICS_ID) == 0 ? &static_cast<Call*>(c->host)->metrics_ : nullptr;
  };
}

void check(grpo_status status, const Call& call) {
  if (status != GRPO_STATUS_OK) throw std::runtime_error(std::to_string(status) + ": " + call.error);
}

std::int64_t Batch::add(std::int64_t parent_node, const std::vector<std::int32_t>& tokens) {
  token.insert(token.end(), tokens.begin(), tokens.end());
  node_start.push_back(static_cast<std::int64_t>(token.size()));
  parent.push_back(parent_node);
  return static_cast<std::int64_t>(parent.size()) - 1;
}

void Batch::add_scored(const std::vector<std::int32_t>& tokens) {
  const auto begin = static_cast<std::int64_t>(token.size());
  add(-1, tokens);
  for (std::size_t i = 1; i < tokens.size(); ++i) score(begin + static_cast<std::int64_t>(i) - 1, tokens[i]);
}

Model::Model(const nlohmann::json& options) : table_(load()) {
  auto with_threads = options;
  if (!with_threads.contains("threads")) with_threads["threads"] = 1;  // tiny models gain nothing from a team
  const Options o(with_threads);
  check(table_->open(open_, o.get(), &handle_), open_);
}

Model::~Model() { table_->close(handle_); }

std::string open_error(const nlohmann::json& options) {
  try {
    Model model(options);
  } catch (const std::runtime_error& e) {
    return e.what();
  }
  return "";
}

Scores Model::forward(const Batch& b, std::uint32_t flags) {
  grpo_forest forest{};
  forest.struct_size = sizeof forest;
  forest.n_tokens = static_cast<std::int64_t>(b.token.size());
  forest.n_nodes = static_cast<std::int64_t>(b.parent.size());
  forest.token = b.token.data();
  forest.node_start = b.node_start.data();
  forest.parent = b.parent.data();
  Scores s;
  s.logprob.assign(b.target_at.size(), -1);
  s.entropy.assign(b.target_at.size(), -1);
  grpo_forward a{};
  a.struct_size = sizeof a;
  a.flags = flags;
  a.forest = &forest;
  a.temperature = b.temperature;
  a.n_targets = static_cast<std::int64_t>(b.target_at.size());
  a.target_at = b.target_at.data();
  a.target_token = b.target_token.data();
  a.logprob = s.logprob.data();
  a.entropy = s.entropy.data();
  a.ticket = flags & GRPO_FORWARD_TRAIN ? &s.ticket : nullptr;
  const Call call;
  check(table_->forward(handle_, call, &a), call);
  s.metrics = std::exchange(open_.metrics, {});
  return s;
}

void Model::backward(std::uint64_t ticket, const std::vector<float>& dlogprob, const std::vector<float>& dentropy) {
  grpo_backward a{};
  a.struct_size = sizeof a;
  a.ticket = ticket;
  a.dlogprob = dlogprob.data();
  a.dentropy = dentropy.empty() ? nullptr : dentropy.data();
  const Call call;
  check(table_->backward(handle_, call, &a), call);
}

void Model::zero_grad() {
  const Call call;
  check(table_->zero_grad(handle_, call), call);
}

void Model::commit(std::int64_t version) {
  const Call call;
  check(table_->commit(handle_, call, version), call);
}

std::span<const grpo_parameter* const> Model::parameters() {
  const Call call;
  std::int64_t n = 0;
  const grpo_parameter* const* list = nullptr;
  check(table_->parameters(handle_, call, &n, &list), call);
  return {list, static_cast<std::size_t>(n)};
}

std::map<std::string, std::vector<float>> Model::read(bool gradient) {
  std::map<std::string, std::vector<float>> out;
  const auto list = parameters();
  for (std::size_t i = 0; i < list.size(); ++i) {
    if (gradient && !list[i]->gradient) continue;  // frozen
    const auto& dl = (gradient ? list[i]->gradient : list[i]->value)->dl;
    std::int64_t size = 1;
    for (int d = 0; d < dl.ndim; ++d) size *= dl.shape[d];
    std::vector<float> values(static_cast<std::size_t>(size));
    std::memcpy(values.data(), static_cast<const char*>(dl.data) + dl.byte_offset, values.size() * sizeof(float));
    out.emplace(list[i]->name, std::move(values));
  }
  return out;
}

std::map<std::string, std::vector<float>> Model::gradients() { return read(true); }
std::map<std::string, std::vector<float>> Model::values() { return read(false); }

Session::Session(Model& model, std::int64_t slots, std::int64_t tokens)
    : table_(model.decode()), vocabulary_(model.info().vocabulary) {
  const grpo_decode_session wanted{sizeof wanted, 0, slots, tokens};
  const Call call;
  check(table_.session_open(model.handle(), call, &wanted, &handle_), call);
}

Session::~Session() { table_.session_close(handle_); }

void Session::prefill(const std::vector<std::int64_t>& slots, const std::vector<std::vector<std::int32_t>>& tokens,
                      std::uint32_t flags) {
  std::vector<std::int64_t> start{0};
  std::vector<std::int32_t> packed;
  for (const auto& part : tokens) {
    packed.insert(packed.end(), part.begin(), part.end());
    start.push_back(static_cast<std::int64_t>(packed.size()));
  }
  grpo_decode_prefill a{};
  a.struct_size = sizeof a;
  a.flags = flags;
  a.n = static_cast<std::int64_t>(slots.size());
  a.slot = slots.data();
  a.start = start.data();
  a.token = packed.data();
  const Call call;
  check(table_.prefill(handle_, call, &a), call);
}

void Session::fork(std::int64_t from, const std::vector<std::int64_t>& to) {
  const std::vector<std::int64_t> froms(to.size(), from);
  const grpo_decode_fork a{sizeof a, 0, static_cast<std::int64_t>(to.size()), froms.data(), to.data()};
  const Call call;
  check(table_.fork(handle_, call, &a), call);
}

void Session::assign(const std::vector<std::int64_t>& slots, const std::vector<std::uint64_t>& keys,
                     const grpo_sampling& sampling) {
  const std::vector<const grpo_sampling*> list(slots.size(), &sampling);
  const grpo_decode_assign a{sizeof a,     0,           static_cast<std::int64_t>(slots.size()),
                             slots.data(), keys.data(), list.data()};
  const Call call;
  check(table_.assign(handle_, call, &a), call);
}

void Session::release(const std::vector<std::int64_t>& slots) {
  table_.release(handle_, static_cast<std::int64_t>(slots.size()), slots.data());
}

std::vector<Session::Row> Session::step(const std::vector<std::int64_t>& slots, std::int64_t room,
                                        const std::vector<std::int32_t>& force, std::uint32_t flags, bool logits) {
  const std::size_t n = slots.size(), width = static_cast<std::size_t>(room);
  std::vector<std::int32_t> token(n * width, -1), count(n, -1), ended(n, -1);
  std::vector<float> logprob(n * width), sampled(n * width), z(logits ? n * static_cast<std::size_t>(vocabulary_) : 0);
  grpo_decode_step a{};
  a.struct_size = sizeof a;
  a.flags = flags;
  a.n = static_cast<std::int64_t>(n);
  a.room = room;
  a.slot = slots.data();
  a.force = force.empty() ? nullptr : force.data();
  a.token = token.data();
  a.count = count.data();
  a.ended = ended.data();
  a.logprob = logprob.data();
  a.logprob_sampled = sampled.data();
  a.logits = logits ? z.data() : nullptr;
  const Call call;
  check(table_.step(handle_, call, &a), call);
  std::vector<Row> rows(n);
  for (std::size_t i = 0; i < n; ++i) {
    const auto begin = static_cast<std::ptrdiff_t>(i * width), end = begin + count[i];
    rows[i].token.assign(token.begin() + begin, token.begin() + end);
    rows[i].logprob.assign(logprob.begin() + begin, logprob.begin() + end);
    rows[i].logprob_sampled.assign(sampled.begin() + begin, sampled.begin() + end);
    rows[i].ended = ended[i];
    if (logits)
      rows[i].logits.assign(z.begin() + static_cast<std::ptrdiff_t>(i) * vocabulary_,
                            z.begin() + static_cast<std::ptrdiff_t>(i + 1) * vocabulary_);
  }
  return rows;
}

std::vector<Session::Row> Session::run(std::vector<std::int64_t> slots, std::int64_t room) {
  std::vector<Row> all(slots.size());
  std::vector<std::size_t> index(slots.size());
  for (std::size_t i = 0; i < index.size(); ++i) index[i] = i;
  while (!slots.empty()) {
    const auto rows = step(slots, room);
    std::vector<std::int64_t> live;
    std::vector<std::size_t> live_index;
    for (std::size_t i = 0; i < rows.size(); ++i) {
      auto& to = all[index[i]];
      to.token.insert(to.token.end(), rows[i].token.begin(), rows[i].token.end());
      to.logprob.insert(to.logprob.end(), rows[i].logprob.begin(), rows[i].logprob.end());
      to.logprob_sampled.insert(to.logprob_sampled.end(), rows[i].logprob_sampled.begin(),
                                rows[i].logprob_sampled.end());
      to.ended = rows[i].ended;
      if (rows[i].ended == GRPO_FINISH_NONE) {
        live.push_back(slots[i]);
        live_index.push_back(index[i]);
      }
    }
    slots = live;
    index = live_index;
  }
  return all;
}

grpo_sampling sampling(double temperature, std::int32_t max_new) {
  grpo_sampling s{};
  s.struct_size = sizeof s;
  s.temperature = temperature;
  s.max_new = max_new;
  return s;
}

std::vector<std::int32_t> random_tokens(std::mt19937& random, std::size_t n) {
  std::vector<std::int32_t> out(n);
  for (auto& t : out) t = static_cast<std::int32_t>(random() % 128);
  return out;
}

std::filesystem::path models() { return std::filesystem::path(folder("GRPO_TEST_DATA", GRPO_TEST_DATA)) / "models"; }

std::vector<std::string> model_names() {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(models()))
    names.push_back(entry.path().filename().string());
  std::sort(names.begin(), names.end());
  return names;
}

nlohmann::json golden(const std::string& name) {
  std::ifstream file(models() / name / "golden.json");
  return nlohmann::json::parse(file);
}

}  // namespace grpo::test

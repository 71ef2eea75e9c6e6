#include "host.hpp"

#include <dlfcn.h>

#include <atomic>
#include <cstdlib>
#include <map>
#include <stdexcept>

namespace rewards_test {
namespace {

struct Call : grpo_call {
  explicit Call(int cancel_after) : grpo_call{}, left(cancel_after) {
    struct_size = sizeof(grpo_call);
    host = this;
    cancelled = [](const grpo_call* c) -> int32_t {
      auto& self = *static_cast<Call*>(c->host);
      return self.left >= 0 && self.left-- <= 0;
    };
    alloc = [](const grpo_call* c, int64_t size) -> void* {
      auto& self = *static_cast<Call*>(c->host);
      self.memory.emplace_back(static_cast<std::size_t>(size) + 1, '\0');
      return self.memory.back().data();
    };
    fail = [](const grpo_call* c, grpo_status status, const char* text, int64_t size) {
      auto& self = *static_cast<Call*>(c->host);
      if (self.error.empty()) self.error.assign(text, static_cast<std::size_t>(size));
      return status;
    };
    progress = [](const grpo_call*, double, double) {};
    service = [](const grpo_call*, const char*) -> const void* { return nullptr; };
  }
  std::atomic<int> left;
  std::vector<std::vector<char>> memory;
  std::string error;
};

grpo_str str(const std::string& s) { return {s.c_str(), static_cast<int64_t>(s.size())}; }

const nlohmann::json* find(const grpo_options* o, const char* key) {
  const auto& j = *static_cast<const nlohmann::json*>(o->host);
  const auto it = j.find(key);
  return it == j.end() ? nullptr : &*it;
}

}  // namespace

int32_t Reward::text(const grpo_options* o, const char* key, grpo_str* value) {
  const auto* v = find(o, key);
  if (!v || !v->is_string()) return 0;
  *value = str(v->get_ref<const std::string&>());
  return 1;
}

Reward::Reward(const std::string& library, nlohmann::json options, const std::string& component)
    : options_(std::move(options)) {
  const std::string path = GRPO_PLUGIN_DIR "/" + library + ".so";
  void* so = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (!so) throw std::runtime_error(dlerror());
  auto* entry = reinterpret_cast<grpo_plugin_entry_fn*>(dlsym(so, "grpo_plugin_entry"));
  if (!entry) throw std::runtime_error(path + ": no entry");
  static grpo_host host{};
  host.struct_size = sizeof host;
  host.header_revision = GRPO_HEADER_REVISION;
  host.abi_min = host.abi_max = GRPO_ABI;
  host.name = "test";
  host.refuse = [](const grpo_host*, const char*, int64_t) {};
  const grpo_plugin* plugin = entry(&host);
  if (!plugin) throw std::runtime_error(path + ": refused");
  const std::string wanted = component.empty() ? library.substr(library.find('_') + 1) : component;
  for (std::uint32_t i = 0; i < plugin->n_components; ++i)
    if (wanted == plugin->components[i]->name) component_ = plugin->components[i];
  if (!component_) throw std::runtime_error(path + ": no component " + wanted);

  grpo_options o{};
  o.struct_size = sizeof o;
  o.host = &options_;
  texts_.push_back(std::make_unique<std::string>(options_.dump()));
  o.json = str(*texts_.back());
  o.number = [](const grpo_options* self, const char* key, double* value) -> int32_t {
    const auto* v = find(self, key);
    if (!v || !v->is_number()) return 0;
    *value = v->get<double>();
    return 1;
  };
  o.integer = [](const grpo_options* self, const char* key, int64_t* value) -> int32_t {
    const auto* v = find(self, key);
    if (!v || !(v->is_boolean() || v->is_number_integer())) return 0;
    *value = v->is_boolean() ? v->get<bool>() : v->get<int64_t>();
    return 1;
  };
  o.text = text;
  Call call(-1);
  if (table().open(&call, &o, &handle_) != GRPO_STATUS_OK) throw std::runtime_error(call.error);
}

Reward::~Reward() { table().close(handle_); }

std::vector<Scored> Reward::score_group(const std::vector<Sample>& samples) const {
  return score(samples, -1, nullptr, true);
}

std::vector<Scored> Reward::score(const std::vector<Sample>& samples, int cancel_after, grpo_status* status,
                                  bool one_group) const {
  const std::size_t n = samples.size();
  std::vector<grpo_str> empty(n, {"", 0}), truth, completion, message(n, {"", 0});
  std::vector<int64_t> row(n), index(n, 0), prompt_start(n + 1, 0), completion_start{0};
  std::vector<int32_t> finish(n, GRPO_FINISH_STOP), ids;
  for (std::size_t i = 0; i < n; ++i) {
    row[i] = one_group ? 0 : static_cast<int64_t>(n - 1 - i);  // rows in another order than samples
    index[i] = one_group ? static_cast<int64_t>(i) : 0;
    truth.push_back(str(samples[one_group ? 0 : n - 1 - i].truth));
    completion.push_back(str(samples[i].completion));
    if (samples[i].ids.empty()) ids.resize(ids.size() + static_cast<std::size_t>(samples[i].tokens), 1);
    ids.insert(ids.end(), samples[i].ids.begin(), samples[i].ids.end());
    completion_start.push_back(static_cast<int64_t>(ids.size()));
  }
  for (auto* list : {&truth, &completion}) list->reserve(n + 1);  // no array of a batch is NULL, also where it is empty
  ids.reserve(ids.size() + 1);
  for (auto* list : {&row, &index}) list->reserve(n + 1);
  finish.reserve(n + 1);
  empty.reserve(n + 1);
  grpo_reward_batch b{};
  b.struct_size = sizeof b;
  b.n_samples = static_cast<int64_t>(n);
  b.n_rows = one_group ? 1 : b.n_samples;
  b.prompt = b.messages = empty.data();
  b.ground_truth = truth.data();
  b.prompt_start = prompt_start.data();
  b.row = row.data();
  b.index = index.data();
  b.completion = completion.data();
  b.finish = finish.data();
  b.completion_start = completion_start.data();
  b.completion_ids = ids.data();

  std::vector<double> score(n, NAN);
  score.reserve(n + 1);
  std::vector<int32_t> state(n, GRPO_SAMPLE_OK);
  struct Components {
    std::size_t n;
    std::map<std::string, std::vector<double>> columns;
  } components{n, {}};
  grpo_reward_result r{};
  r.struct_size = sizeof r;
  r.host = &components;
  r.score = score.data();
  r.status = state.data();
  r.message = message.data();
  r.component = [](const grpo_reward_result* self, const char* name) {
    auto& c = *static_cast<Components*>(self->host);
    return c.columns.try_emplace(name, c.n, NAN).first->second.data();
  };
  Call call(cancel_after);
  const grpo_status done = table().score(handle_, &call, &b, &r);
  if (status) *status = done;
  if (!status && done != GRPO_STATUS_OK) throw std::runtime_error("score: " + call.error);

  std::vector<Scored> out(n);
  for (std::size_t i = 0; i < n; ++i) {
    out[i] = {score[i], state[i], std::string(message[i].data, static_cast<std::size_t>(message[i].size)), {}};
    out[i].components = nlohmann::json::object();
    for (const auto& [name, column] : components.columns)
      if (!std::isnan(column[i])) out[i].components[name] = column[i];
  }
  return out;
}

Scored Reward::score(const std::string& completion, const std::string& truth, int tokens) const {
  return score(std::vector<Sample>{{completion, truth, tokens}}).front();
}

}  // namespace rewards_test

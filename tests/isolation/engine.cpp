// Samplers with an engine of their own, which "generates" from the key and its weights: `fixed` has weights from the
// start, `engine` takes them from the host. A token is prompt sum + key + index + weight sum, so everything that
// crosses counts.
#include <fcntl.h>
#include <grpo/random.h>
#include <grpo/sampler.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <set>
#include <string>
#include <vector>

GRPO_MANIFEST({"name": "engines", "version": "1.0.0", "licence": "MIT", "components": [
  {"interface": "grpo.sampler/1", "name": "fixed", "options": {
    "crash_after": {"type": "integer", "default": 0, "description": "completions, once, while the marker is not there"},
    "marker": {"type": "string", "default": ""}}},
  {"interface": "grpo.sampler/1", "name": "engine", "options": {
    "crash_after": {"type": "integer", "default": 0}, "marker": {"type": "string", "default": ""}}}]});

namespace {

struct sampler {
  grpo_sampler_info info{};
  grpo_tensor_sink sink{};
  std::int64_t crash_after = 0, delivered = 0, version = -1, coming = 0;
  double weights = 0, new_weights = 0;
  std::string marker;
  std::mutex mutex;
  std::set<std::uint64_t> cancelled;

  bool is_cancelled(std::uint64_t id) {
    std::lock_guard lock(mutex);
    return cancelled.count(id) != 0;
  }
};
sampler& self(void* handle) { return *static_cast<sampler*>(handle); }

grpo_status put(const grpo_tensor_sink* sink, const grpo_call* call, std::int64_t n,
                const grpo_named_tensor* const* tensors) {
  auto& s = self(sink->owner);
  for (std::int64_t i = 0; i < n; ++i) {
    const grpo_dltensor& t = tensors[i]->tensor->dl;
    if (t.type != GRPO_TYPE_FLOAT || t.bits != 32) return grpo_fail(call, GRPO_STATUS_UNSUPPORTED, "fp32 only");
    std::int64_t elements = 1;
    for (std::int32_t d = 0; d < t.ndim; ++d) elements *= t.shape[d];
    for (std::int64_t k = 0; k < elements; ++k) s.new_weights += static_cast<const float*>(t.data)[k];
    s.new_weights += static_cast<double>(std::strlen(tensors[i]->name));
  }
  return GRPO_STATUS_OK;
}

template <bool Updates>
grpo_status open(const grpo_call*, const grpo_options* options, void** handle) {
  auto* s = new sampler;
  s->info.struct_size = sizeof s->info;
  s->info.flags = Updates ? GRPO_SAMPLER_UPDATES : 0;
  s->info.sampling = GRPO_SAMPLING_TOP_K | GRPO_SAMPLING_STOP_TEXT;
  s->info.logprob_kind = GRPO_LOGPROB_TEMPERED;
  s->info.max_positions = 64;
  s->sink.struct_size = sizeof s->sink;
  s->sink.owner = s;
  s->sink.put = put;
  s->crash_after = grpo_option_integer(options, "crash_after", 0);
  grpo_str marker{"", 0};
  options->text(options, "marker", &marker);
  s->marker.assign(marker.data, static_cast<std::size_t>(marker.size));
  *handle = s;
  return GRPO_STATUS_OK;
}

void maybe_crash(sampler& s) {
  if (s.crash_after == 0 || s.delivered++ != s.crash_after) return;
  const int fd = ::open(s.marker.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (fd >= 0) std::abort();
}

grpo_status sample(sampler& s, const grpo_call* call, const grpo_feed* feed, const grpo_request& q, std::int64_t i) {
  maybe_crash(s);
  std::int64_t sum = 0;
  for (std::int64_t k = 0; k < q.n_prompt; ++k) sum += q.prompt[k];
  for (std::int32_t k = 0; k < q.sampling->n_stop; ++k) sum += q.sampling->stop[k];
  for (std::int32_t k = 0; k < q.sampling->n_stop_text; ++k) sum += q.sampling->stop_text[k].data[0];
  sum += q.sampling->top_k + static_cast<std::int64_t>(grpo_random_key(q.key, static_cast<std::uint64_t>(i)) % 100);
  sum += static_cast<std::int64_t>(s.weights);
  std::vector<std::int32_t> ids;
  std::vector<float> logprob;
  std::int32_t finish = GRPO_FINISH_LENGTH;
  // A prompt that begins with 7 makes a completion that only a cancel ends.
  for (std::int32_t k = 0; q.prompt[0] == 7 || k < q.sampling->max_new; ++k) {
    if (call->cancelled(call)) return GRPO_STATUS_CANCELLED;
    if (s.is_cancelled(q.id)) {
      finish = GRPO_FINISH_CANCELLED;
      break;
    }
    if (k < q.sampling->max_new) {
      ids.push_back(static_cast<std::int32_t>(sum) + k);
      logprob.push_back(-0.5f * static_cast<float>(k));
    } else {
      ::usleep(1000);
    }
  }
  ids.reserve(1);
  logprob.reserve(1);
  grpo_completion c{};
  c.struct_size = sizeof c;
  c.request = q.id;
  c.index = i;
  c.n = static_cast<std::int64_t>(ids.size());
  c.ids = ids.data();
  c.finish = finish;
  c.logprob_kind = GRPO_LOGPROB_TEMPERED;
  c.logprob = logprob.data();
  c.version = s.version;
  return feed->deliver(feed, call, &c);
}

grpo_status generate(void* handle, const grpo_call* call, const grpo_feed* feed) {
  auto& s = self(handle);
  for (;;) {
    const grpo_request* q = nullptr;
    const grpo_status status = feed->next(feed, call, 10'000'000, &q);
    if (status == GRPO_STATUS_END) return GRPO_STATUS_OK;
    if (call->cancelled(call)) return GRPO_STATUS_CANCELLED;
    if (status == GRPO_STATUS_AGAIN) continue;
    if (status != GRPO_STATUS_OK) return status;
    const std::int64_t n = q->n_samples;
    for (std::int64_t i = 0; i < n; ++i)
      if (const grpo_status done = sample(s, call, feed, *q, i); done != GRPO_STATUS_OK) return done;
  }
}

grpo_status update_begin(void* handle, const grpo_call*, std::int64_t version, const grpo_tensor_sink** sink) {
  auto& s = self(handle);
  s.coming = version;
  s.new_weights = 0;
  *sink = &s.sink;
  return GRPO_STATUS_OK;
}
grpo_status update_end(void* handle, const grpo_call* call, std::int32_t accept) {
  auto& s = self(handle);
  if (s.coming == 13) return grpo_fail(call, GRPO_STATUS_FAILED, "no thirteenth version");
  if (accept) s.weights = s.new_weights, s.version = s.coming;
  return GRPO_STATUS_OK;
}

template <bool Updates>
grpo_sampler make() {
  grpo_sampler t{};
  t.struct_size = sizeof t;
  t.open = open<Updates>;
  t.close = [](void* handle) { delete static_cast<sampler*>(handle); };
  t.describe = [](void* handle) -> const grpo_sampler_info* { return &self(handle).info; };
  t.generate = generate;
  t.cancel = [](void* handle, std::uint64_t id) {
    auto& s = self(handle);
    std::lock_guard lock(s.mutex);
    s.cancelled.insert(id);
  };
  if (Updates) t.update_begin = update_begin, t.update_end = update_end;
  return t;
}
const grpo_sampler fixed_table = make<false>(), engine_table = make<true>();

const grpo_component components[] = {{sizeof(grpo_component), 0, GRPO_SAMPLER_ID, "fixed", &fixed_table},
                                     {sizeof(grpo_component), 0, GRPO_SAMPLER_ID, "engine", &engine_table}};
const grpo_component* const list[] = {&components[0], &components[1]};

}  // namespace

GRPO_PLUGIN(list);

// Rewards with one planted bug each, for `plugins fuzz` to find.
#include <cstdlib>
#include <grpo/reward.hpp>
#include <limits>
#include <string>

GRPO_MANIFEST({"name": "planted", "version": "1.0.0", "licence": "MIT", "components": [
  {"interface": "grpo.reward/1", "name": "good", "options": {
    "limit": {"type": "integer", "default": 8, "minimum": 1, "maximum": 64}}},
  {"interface": "grpo.reward/1", "name": "crashes"}, {"interface": "grpo.reward/1", "name": "hangs"},
  {"interface": "grpo.reward/1", "name": "leaves_nan"}, {"interface": "grpo.reward/1", "name": "leaves"},
  {"interface": "grpo.reward/1", "name": "by_order"}, {"interface": "grpo.reward/1", "name": "by_batch"},
  {"interface": "grpo.reward/1", "name": "remembers"}, {"interface": "grpo.reward/1", "name": "secret"},
  {"interface": "grpo.reward/1", "name": "overruns"},
  {"interface": "grpo.reward/1", "name": "opens_badly", "options": {
    "mode": {"type": "string", "enum": ["strict", "loose"], "default": "strict"}}}]});

namespace {

bool holds(const grpo::sample& s, const char* word) { return s.completion().find(word) != std::string_view::npos; }

struct good {
  double limit;
  explicit good(grpo::options o) : limit(double(o.integer("limit", 8))) {}
  grpo::score operator()(const grpo::sample& s) const {
    if (s.truth().empty()) return grpo::not_applicable;
    s.component("size", double(s.completion().size()));
    return double(s.completion().size()) > limit ? 0 : 1;
  }
};

template <class Bug>
struct with {
  explicit with(grpo::options) {}
  grpo::score operator()(const grpo::sample& s) const { return Bug()(s); }
};
struct crash {  // on a particular word
  double operator()(const grpo::sample& s) const {
    if (holds(s, "<|unlikely|>")) std::abort();
    return 1;
  }
};
struct hang {  // while it looks for the end of a box that has none
  double operator()(const grpo::sample& s) const {
    const auto at = s.completion().find("\\boxed{");
    volatile std::size_t end = at;
    while (at != std::string_view::npos && s.completion().find('}', at) == std::string_view::npos) end = end + 1;
    return 1;
  }
};
struct not_a_number {  // 0 / 0 for a text without a digit
  double operator()(const grpo::sample& s) const {
    double digits = 0, sum = 0;
    for (const char c : s.completion())
      if (c >= '0' && c <= '9') ++digits, sum += c - '0';
    return sum / digits;
  }
};
struct leave {
  double operator()(const grpo::sample& s) const {
    if (s.truncated() && s.num_tokens() > 3) std::exit(0);
    return 1;
  }
};
struct secret {  // on a text that is nowhere in the library
  double operator()(const grpo::sample& s) const {
    std::uint64_t hash = 14695981039346656037u;
    for (const char c : s.completion()) hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211u;
    if (hash == 7990903566698749617u) std::abort();
    return 1;
  }
};

// The whole table, for what a class cannot do.
template <grpo_status (*Score)(const grpo_reward_batch*, const grpo_reward_result*)>
constexpr grpo_reward table_of() {
  grpo_reward t{};
  t.struct_size = sizeof t;
  t.open = [](const grpo_call*, const grpo_options*, void** handle) -> grpo_status {
    return *handle = nullptr, GRPO_STATUS_OK;
  };
  t.close = [](void*) {};
  t.score = [](void*, const grpo_call*, const grpo_reward_batch* b, const grpo_reward_result* r) {
    return Score(b, r);
  };
  return t;
}
grpo_status order(const grpo_reward_batch* b, const grpo_reward_result* r) {  // a longest one, the first of them
  std::int64_t longest = 0;
  for (std::int64_t i = 0; i < b->n_samples; ++i) {
    r->score[i] = b->completion[i].size >= longest ? 1 : 0;
    longest = std::max(longest, b->completion[i].size);
  }
  return GRPO_STATUS_OK;
}
grpo_status batch(const grpo_reward_batch* b, const grpo_reward_result* r) {  // against the mean of whatever is there
  double mean = 0;
  for (std::int64_t i = 0; i < b->n_samples; ++i) mean += double(b->completion[i].size);
  for (std::int64_t i = 0; i < b->n_samples; ++i)
    r->score[i] = double(b->completion[i].size) * double(b->n_samples) > mean ? 1 : 0;
  return GRPO_STATUS_OK;
}
grpo_status memory(const grpo_reward_batch* b, const grpo_reward_result* r) {
  static double calls = 0;
  for (std::int64_t i = 0; i < b->n_samples; ++i) r->score[i] = calls;
  ++calls;
  return GRPO_STATUS_OK;
}
grpo_status overrun(const grpo_reward_batch* b, const grpo_reward_result* r) {  // one score too many, for an empty text
  std::int64_t n = b->n_samples;
  for (std::int64_t i = 0; i < b->n_samples; ++i) n += i == b->n_samples - 1 && b->completion[i].size == 0;
  for (std::int64_t i = 0; i < n; ++i) r->score[i] = 1;
  return GRPO_STATUS_OK;
}
constexpr grpo_reward overrun_table = table_of<overrun>();
constexpr grpo_reward order_table = table_of<order>(), batch_table = table_of<batch>(),
                      memory_table = table_of<memory>();

constexpr grpo_reward opens_badly() {
  grpo_reward t = table_of<order>();
  t.open = [](const grpo_call*, const grpo_options* o, void**) -> grpo_status {
    grpo_str mode;
    return o->text(o, "mode", &mode) && mode.size == 5 ? GRPO_STATUS_FAILED : GRPO_STATUS_INVALID;
  };
  return t;
}
constexpr grpo_reward opens_badly_table = opens_badly();

constexpr grpo_component component(const char* name, const void* table) {
  return {sizeof(grpo_component), 0, GRPO_REWARD_ID, name, table};
}
const grpo_component components[] = {component("good", &grpo::reward_table<good>::table),
                                     component("crashes", &grpo::reward_table<with<crash>>::table),
                                     component("hangs", &grpo::reward_table<with<hang>>::table),
                                     component("leaves_nan", &grpo::reward_table<with<not_a_number>>::table),
                                     component("leaves", &grpo::reward_table<with<leave>>::table),
                                     component("by_order", &order_table),
                                     component("by_batch", &batch_table),
                                     component("remembers", &memory_table),
                                     component("secret", &grpo::reward_table<with<secret>>::table),
                                     component("opens_badly", &opens_badly_table),
                                     component("overruns", &overrun_table)};
const grpo_component* const list[] = {&components[0], &components[1], &components[2], &components[3],
                                      &components[4], &components[5], &components[6], &components[7],
                                      &components[8], &components[9], &components[10]};

}  // namespace

GRPO_PLUGIN(list);

// Rewards that go wrong while scoring, one component for each way.
#include <grpo/reward.hpp>

#include <limits>
#include <stdexcept>

GRPO_MANIFEST({"name": "scores", "version": "1.0.0", "licence": "MIT", "components": [
  {"interface": "grpo.reward/1", "name": "nan"}, {"interface": "grpo.reward/1", "name": "infinite"},
  {"interface": "grpo.reward/1", "name": "status"}, {"interface": "grpo.reward/1", "name": "throws"},
  {"interface": "grpo.reward/1", "name": "fails"}, {"interface": "grpo.reward/1", "name": "forgets"},
  {"interface": "grpo.reward/1", "name": "lies_about_cancel"}, {"interface": "grpo.reward/1", "name": "slow"},
  {"interface": "grpo.reward/1", "name": "cannot_open", "options": {
    "path": {"type": "string", "required": true, "description": "the file of answers"},
    "mode": {"type": "string", "enum": ["strict", "loose"], "default": "strict"},
    "depth": {"type": "integer", "minimum": 1, "maximum": 8, "default": 2}}}]});

namespace {

// Sample 1 of a batch goes wrong, the others are fine.
template <class Wrong>
struct one_wrong {
  explicit one_wrong(grpo::options) {}
  grpo::score operator()(const grpo::sample& s) const { return s.completion() == "wrong" ? Wrong()() : 1.0; }
};
struct nan_value {
  grpo::score operator()() const { return std::numeric_limits<double>::quiet_NaN(); }
};
struct infinite_value {
  grpo::score operator()() const { return std::numeric_limits<double>::infinity(); }
};
struct unknown_status {
  grpo::score operator()() const { return {1.0, 77}; }
};
struct exception {
  grpo::score operator()() const { throw std::runtime_error("cannot read the answer: unbalanced brace"); }
};

grpo_status open_nothing(const grpo_call*, const grpo_options*, void** handle) {
  *handle = nullptr;
  return GRPO_STATUS_OK;
}
void close_nothing(void*) {}

grpo_reward with_score(decltype(grpo_reward::score) score) {
  grpo_reward t{};
  t.struct_size = sizeof t;
  t.open = open_nothing;
  t.close = close_nothing;
  t.score = score;
  return t;
}
const grpo_reward fails =
    with_score([](void*, const grpo_call* call, const grpo_reward_batch*, const grpo_reward_result* r) {
      r->score[0] = 1;
      return grpo_fail(call, GRPO_STATUS_FAILED, "the judge does not answer: connection refused");
    });
const grpo_reward forgets = with_score([](void*, const grpo_call*, const grpo_reward_batch*,
                                          const grpo_reward_result*) { return grpo_status{GRPO_STATUS_OK}; });
const grpo_reward lies_about_cancel =
    with_score([](void*, const grpo_call*, const grpo_reward_batch*, const grpo_reward_result*) {
      return grpo_status{GRPO_STATUS_CANCELLED};
    });
// Scores one sample, then works until it is told to stop.
const grpo_reward slow =
    with_score([](void*, const grpo_call* call, const grpo_reward_batch*, const grpo_reward_result* r) {
      r->score[0] = 0.5;
      while (!call->cancelled(call)) {
      }
      return grpo_status{GRPO_STATUS_DEADLINE};
    });
const grpo_reward cannot_open = [] {
  grpo_reward t = with_score(forgets.score);
  t.open = [](const grpo_call* call, const grpo_options* o, void**) {
    grpo_str path{"", 0};
    o->text(o, "path", &path);
    const std::string_view text = grpo::view(path);
    return call->fail(call, GRPO_STATUS_FAILED, text.data(), static_cast<std::int64_t>(text.size()));
  };
  return t;
}();

const grpo_component components[] = {
    {sizeof(grpo_component), 0, GRPO_REWARD_ID, "nan", &grpo::reward_table<one_wrong<nan_value>>::table},
    {sizeof(grpo_component), 0, GRPO_REWARD_ID, "infinite", &grpo::reward_table<one_wrong<infinite_value>>::table},
    {sizeof(grpo_component), 0, GRPO_REWARD_ID, "status", &grpo::reward_table<one_wrong<unknown_status>>::table},
    {sizeof(grpo_component), 0, GRPO_REWARD_ID, "throws", &grpo::reward_table<one_wrong<exception>>::table},
    {sizeof(grpo_component), 0, GRPO_REWARD_ID, "fails", &fails},
    {sizeof(grpo_component), 0, GRPO_REWARD_ID, "forgets", &forgets},
    {sizeof(grpo_component), 0, GRPO_REWARD_ID, "lies_about_cancel", &lies_about_cancel},
    {sizeof(grpo_component), 0, GRPO_REWARD_ID, "slow", &slow},
    {sizeof(grpo_component), 0, GRPO_REWARD_ID, "cannot_open", &cannot_open}};
const grpo_component* const list[] = {&components[0], &components[1], &components[2], &components[3], &components[4],
                                      &components[5], &components[6], &components[7], &components[8]};

}  // namespace

GRPO_PLUGIN(list);

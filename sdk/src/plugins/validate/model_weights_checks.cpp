// grpo.model/1: new values, streams of weights.
#include <grpo/random.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "model_bench.hpp"
#include "model_checks.hpp"

namespace grpo::plugins::conformance {
namespace {

void commit(Subject& s) {
  ModelBench m(s);
  m.need_training();
  Forest f;
  f.add_scored(Forest::root, m.tokens(1, std::max<std::size_t>(m.length(8), 2)));
  const auto list = m.parameters();
  const auto before = m.forward(f).logprob;
  const Tokens prompt = m.tokens(1, m.length(6));
  const auto next = [&] {  // what the decoder makes of it
    SessionBench session(m, 1, 64);
    session.prefill(0, prompt);
    session.assign(0, 1, plan(1, 1));
    return session.step({0}, 1, true)[0].logits;
  };
  const auto decoded = m.decode() ? next() : std::vector<float>{};
  std::vector<std::vector<float>> kept;
  for (const grpo_parameter* p : list) {
    float* value = floats_of(p->value);
    if (!value) throw Skipped{"its values are not fp32 in host memory"};
    const auto n = static_cast<std::size_t>(elements_of(p->value));
    kept.emplace_back(value, value + n);
    for (std::size_t k = 0; k < n; ++k) value[k] += 0.05f * static_cast<float>(2 * grpo_random_uniform(9, k) - 1);
  }
  m.commit(2);
  const auto after = m.forward(f).logprob;
  const auto moved = [](const std::vector<float>& x, const std::vector<float>& y) {
    double out = 0;
    for (std::size_t i = 0; i < x.size(); ++i)
      out = std::max(out, std::abs(static_cast<double>(x[i]) - static_cast<double>(y[i])));
    return out;
  };
  need(moved(before, after) > 1e-5, "after all values changed and commit, forward gives what it gave before",
       "compute from the values of parameters(), or renew what you derived from them in commit");
  if (m.decode())
    need(moved(decoded, next()) > 1e-5, "after all values changed and commit, the decoder gives what it gave before",
         "renew packed and low-precision copies in commit");
  for (std::size_t i = 0; i < list.size(); ++i) std::copy(kept[i].begin(), kept[i].end(), floats_of(list[i]->value));
  m.commit(3);
  need(moved(before, m.forward(f).logprob) < 1e-5, "with the old values back forward gives something else", "");
}

void need_same_weights(const Weights& a, const Weights& b, const std::string& when) {
  need(a.tensors.size() == b.tensors.size(),
       "export_weights gives " + std::to_string(b.tensors.size()) + " tensors " + when + ", and " +
           std::to_string(a.tensors.size()) + " before",
       "");
  for (const auto& [name, one] : a.tensors) {
    const auto at = b.tensors.find(name);
    need(at != b.tensors.end() && at->second.shape == one.shape && at->second.bytes == one.bytes,
         "'" + name + "' is not the same " + when, "import_weights reads every tensor that export_weights writes");
  }
}

void exports(Subject& s) {
  ModelBench m(s);
  const Weights weights = m.export_weights();
  need(!weights.tensors.empty(), "export_weights put nothing", "put every parameter, whole");
  need_same_weights(weights, m.export_weights(), "the second time");
  if (!m.can(GRPO_MODEL_IMPORT))
    return void(s.note = "no import (no GRPO_MODEL_IMPORT): what it exports is not read back");
  Forest f;
  f.add_scored(Forest::root, m.tokens(5, std::max<std::size_t>(m.length(8), 2)));
  const auto expected = m.forward(f).logprob;
  // Other values, then the exported ones again.
  for (const grpo_parameter* p : m.parameters())
    if (float* value = floats_of(p->value))
      for (std::int64_t k = 0; k < elements_of(p->value); ++k) value[k] += 0.25f;
  if (m.table->commit) m.commit(2);
  Caller call;
  const grpo_status status = m.import_weights(call, 3, weights);
  need(status == GRPO_STATUS_OK,
       "import_weights of its own export failed: " + call.error() + " (" + status_text(status) + ")", "");
  need_same_weights(weights, m.export_weights(), "after the import");
  const auto got = m.forward(f).logprob;
  need(std::memcmp(got.data(), expected.data(), got.size() * sizeof(float)) == 0 ||
           std::equal(got.begin(), got.end(), expected.begin(),
                      [](float a, float b) { return std::abs(a - b) < 1e-5f; }),
       "after the import forward gives other log-probabilities", "import_weights counts as a commit");
  s.note = std::to_string(weights.tensors.size()) + " tensors";
}

void bad_import(Subject& s) {
  ModelBench m(s);
  if (!m.can(GRPO_MODEL_IMPORT)) throw Skipped{"it does not import (no GRPO_MODEL_IMPORT)"};
  const Weights weights = m.export_weights();
  Weights short_of_one = weights, cut = weights;
  short_of_one.tensors.erase(std::prev(short_of_one.tensors.end()));
  Weights::One& last = std::prev(cut.tensors.end())->second;
  last.shape.assign(1, 1);
  last.bytes.resize(last.bits / 8);
  for (const auto& [what, bad] :
       {std::pair{"without its last tensor", &short_of_one}, {"with a tensor of another shape", &cut}}) {
    Caller call;
    const grpo_status status = m.import_weights(call, 2, *bad);
    need(status != GRPO_STATUS_OK, std::string("import_weights takes a stream ") + what, "refuse, naming the tensor");
    need(call.spoke(), std::string("import_weights refuses a stream ") + what + " without a message",
         "name the tensor with call->fail");
    need_same_weights(weights, m.export_weights(), "after an import that failed");
  }
}

constexpr Check all[] = {
    {"model.commit", "model", "after new values and commit, forward and decoder use them", commit},
    {"model.weights", "model", "exported and imported again the weights are identical", exports},
    {"model.bad_weights", "model", "a stream that lacks a tensor is refused, and changes nothing", bad_import},
};

}  // namespace

std::span<const Check> model_weights_checks() { return all; }

}  // namespace grpo::plugins::conformance

#include "reference_model.hpp"

#include <grpo/random.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <numeric>

#include "caller.hpp"

namespace grpo::plugins::conformance {

ReferenceModel::ReferenceModel() : thread_(std::this_thread::get_id()) {
  info_ = made<grpo_model_info>();
  info_.vocabulary = vocabulary;
  info_.max_positions = positions;
  info_.n_elements = 1;
  info_.device_type = GRPO_DEVICE_CPU;
  decode_info_ = made<grpo_decode_info>();
  decode_info_.sampling = GRPO_SAMPLING_TOP_K | GRPO_SAMPLING_TOP_P | GRPO_SAMPLING_MIN_P |
                          GRPO_SAMPLING_REPETITION_PENALTY | GRPO_SAMPLING_MIN_NEW;
  tokenizer_ = made<grpo_tokenizer>();
  tokenizer_.vocabulary = vocabulary;
  tokenizer_.bos = tokenizer_.pad = -1;
  tokenizer_.eos = 0;
  tokenizer_.encode = [](const grpo_tokenizer*, std::uint32_t, const char* text, std::int64_t size, std::int32_t* ids,
                         std::int64_t room) noexcept {
    std::int64_t n = 0;
    for (std::int64_t i = 0; i < size; ++i) {
      const std::int32_t id = text[i] >= 'a' && text[i] <= 'z' ? text[i] - 'a' : 26;
      if (n < room) ids[n] = id;
      ++n;
    }
    return n;
  };
  tokenizer_.decode = [](const grpo_tokenizer*, std::uint32_t, const std::int32_t* ids, std::int64_t n, char* text,
                         std::int64_t room) noexcept -> std::int64_t {
    std::int64_t size = 0;
    for (std::int64_t i = 0; i < n; ++i) {
      if (ids[i] < 0 || ids[i] >= vocabulary) return -1;
      for (const char c : text_of(ids[i])) {
        if (size < room) text[size] = c;
        ++size;
      }
    }
    return size;
  };
}

// Letters, and the cases that stop texts meet: a token of several letters, half a character, none at all.
std::string ReferenceModel::text_of(std::int32_t id) {
  static const char* const last[] = {" ", ".", "ba", "\xC3", "\xA9", ""};
  return id < 26 ? std::string(1, static_cast<char>('a' + id)) : last[id - 26];
}

ReferenceModel::Numbers ReferenceModel::logits(const Ids& sequence) const {
  std::uint64_t key = weights;
  for (const std::int32_t id : sequence) key = grpo_random_key(key, static_cast<std::uint64_t>(id) + 1);
  Numbers z;
  for (std::size_t v = 0; v < vocabulary; ++v)  // as a model gives them: fp32
    z[v] = static_cast<double>(static_cast<float>(3 * (2 * grpo_random_uniform(key, v) - 1)));
  return z;
}

ReferenceModel::Numbers ReferenceModel::log_softmax(const Numbers& logits, double temperature) {
  const double t = temperature > 0 ? temperature : 1;
  double top = -1e300, sum = 0;
  for (const double z : logits) top = std::max(top, z / t);
  for (const double z : logits) sum += std::exp(z / t - top);
  Numbers out;
  for (std::size_t v = 0; v < vocabulary; ++v) out[v] = logits[v] / t - top - std::log(sum);
  return out;
}

ReferenceModel::Numbers ReferenceModel::distribution(const Ids& sequence, const grpo_sampling& o,
                                                     std::int64_t made) const {
  Numbers z = logits(sequence);
  const double penalty = o.repetition_penalty > 0 ? o.repetition_penalty : 1;
  const std::set<std::int32_t> seen(sequence.begin(), sequence.end());
  for (const std::int32_t id : seen) {
    double& x = z[static_cast<std::size_t>(id)];
    x = x > 0 ? x / penalty : x * penalty;
  }
  for (double& x : z) x /= o.temperature > 0 ? o.temperature : 1;
  if (made < o.min_new)
    for (std::int32_t i = 0; i < o.n_stop; ++i)
      if (o.stop[i] >= 0 && o.stop[i] < vocabulary)
        z[static_cast<std::size_t>(o.stop[i])] = -std::numeric_limits<double>::infinity();
  std::array<std::size_t, vocabulary> order;  // most probable first, lower ids first among equals
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return z[a] > z[b]; });
  const double top = z[order[0]];
  std::size_t n =
      o.temperature > 0 ? (o.top_k > 0 ? std::min<std::size_t>(vocabulary, std::size_t(o.top_k)) : vocabulary) : 1;
  const auto sum_of = [&] {
    double sum = 0;
    for (std::size_t i = 0; i < n; ++i) sum += std::exp(z[order[i]] - top);
    return sum;
  };
  if (o.top_p > 0 && o.top_p < 1) {
    const double sum = sum_of();
    double reached = 0;
    for (std::size_t i = 0; i < n; ++i) {
      reached += std::exp(z[order[i]] - top) / sum;
      if (reached >= o.top_p) n = i + 1;
    }
  }
  while (o.min_p > 0 && n > 1 && std::exp(z[order[n - 1]] - top) < o.min_p) --n;
  const double sum = sum_of();
  Numbers p{};
  for (std::size_t i = 0; i < n; ++i) p[order[i]] = std::exp(z[order[i]] - top) / sum;
  return p;
}

std::int32_t ReferenceModel::draw(const Numbers& p, double u) {
  double sum = 0;
  std::int32_t last = 0;
  for (std::int32_t v = 0; v < vocabulary; ++v) {
    if (p[static_cast<std::size_t>(v)] > 0) last = v;
    if ((sum += p[static_cast<std::size_t>(v)]) > u) return v;
  }
  return last;
}

ReferenceModel::Completion ReferenceModel::expected(const Ids& prompt, const grpo_sampling& o, std::uint64_t key,
                                                    std::int64_t index) const {
  const std::uint64_t own = grpo_random_key(key, static_cast<std::uint64_t>(index));
  Completion out;
  Ids sequence = prompt;
  std::string text;
  while (!out.finish) {
    const Numbers z = logits(sequence), p = distribution(sequence, o, static_cast<std::int64_t>(out.ids.size()));
    const std::int32_t id = draw(p, grpo_random_uniform(own, sequence.size()));
    const auto at = static_cast<std::size_t>(id);
    out.ids.push_back(id);
    out.tempered.push_back(static_cast<float>(log_softmax(z, o.temperature)[at]));
    out.raw.push_back(static_cast<float>(log_softmax(z, 1)[at]));
    out.sampled.push_back(static_cast<float>(std::log(p[at])));
    sequence.push_back(id);
    text += text_of(id);
    const bool stop = std::find(o.stop, o.stop + o.n_stop, id) != o.stop + o.n_stop ||
                      std::any_of(o.stop_text, o.stop_text + o.n_stop_text, [&](const grpo_str& s) {
                        return text.find(std::string(s.data, static_cast<std::size_t>(s.size))) != std::string::npos;
                      });
    const bool full = (o.max_new > 0 && out.ids.size() >= static_cast<std::size_t>(o.max_new)) ||
                      static_cast<std::int64_t>(sequence.size()) >= positions;
    out.finish = stop ? GRPO_FINISH_STOP : full ? GRPO_FINISH_LENGTH : GRPO_FINISH_NONE;
  }
  return out;
}

}  // namespace grpo::plugins::conformance

#include "record.hpp"

#include <sys/mman.h>

#include <algorithm>
#include <limits>
#include <new>

namespace grpo::transformer {
namespace {

std::int64_t floats_per_layer(const Config& c) {
  return 2 * c.hidden + c.qkv_size() + c.q_size() + c.heads + 2 * c.ffn;
}

std::int64_t floats_per_token(const Config& c) { return c.layers * floats_per_layer(c) + c.hidden; }

std::uint64_t key_of(std::int32_t before, std::int32_t token) {
  return static_cast<std::uint64_t>(before + 1) << 32 | static_cast<std::uint32_t>(token);
}

}  // namespace

std::int64_t Record::bytes_per_token(const Config& c) {
  return floats_per_token(c) * static_cast<std::int64_t>(sizeof(float));
}

Record::Record(const Config& c, std::int64_t bytes)
    : capacity_(std::min<std::int64_t>(bytes / bytes_per_token(c), std::numeric_limits<std::int32_t>::max() - 1)),
      hidden_(c.hidden),
      qkv_(c.qkv_size()),
      q_(c.q_size()),
      heads_(c.heads),
      ffn_(c.ffn),
      layer_size_(capacity_ * floats_per_layer(c)),
      last_(c.layers * layer_size_),
      bytes_(static_cast<std::size_t>(capacity_ * bytes_per_token(c))) {
  if (capacity_ <= 0) return;
  void* memory = ::mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) throw std::bad_alloc();
  ::madvise(memory, bytes_, MADV_HUGEPAGE);  // advice: a refusal changes nothing
  memory_ = static_cast<float*>(memory);
}

Record::~Record() {
  if (memory_) ::munmap(memory_, bytes_);
}

void Record::forget() {
  end_rollout();
  clear();
}

void Record::begin_prompt() {
  if (!over_ || pins_ > 0) return;
  end_rollout();
  clear();
}

void Record::end_rollout() {
  if (rollouts_off_ > 0) {
    --rollouts_off_;
  } else if (used_ > 0) {
    overflows_ = 0;
  }
  over_ = false;
}

void Record::clear() {
  ++epoch_;
  used_ = 0;
  tree_.clear();
  distribution_.clear();
  logprob_.clear();
}

std::optional<std::int64_t> Record::take(std::int64_t n) {
  constexpr std::int64_t most_off = 8;
  if (rollouts_off_ > 0) return std::nullopt;
  if (used_ + n > capacity_) {
    if (pins_ > 0) return std::nullopt;
    if (memory_) ::madvise(memory_, bytes_, MADV_DONTNEED);
    clear();
    overflows_ = std::min(overflows_ + 1, most_off);
    rollouts_off_ = overflows_;
    overflowed_ = true;
    return std::nullopt;
  }
  const auto place = used_;
  used_ += n;
  return place;
}

std::int32_t Record::link(std::int32_t before, std::int32_t token, std::int64_t place) {
  if (before == unknown) return unknown;
  return tree_.try_emplace(key_of(before, token), static_cast<std::int32_t>(place)).first->second;
}

std::int32_t Record::find(std::int32_t before, std::int32_t token) const {
  if (before == unknown) return unknown;
  const auto at = tree_.find(key_of(before, token));
  return at == tree_.end() ? unknown : at->second;
}

void Record::score(std::int32_t place, double temperature, const Choice& choice, std::int32_t token) {
  if (temperature <= 0) return;
  const auto at = static_cast<std::size_t>(place);
  if (distribution_.size() <= at) distribution_.resize(at + 1);
  auto& known = distribution_[at];
  if (known.temperature == 0) known = {temperature, {choice.lse, choice.entropy}};
  if (known.temperature == temperature) logprob_.emplace(key_of(place, token), choice.logprob);
}

std::optional<Record::Score> Record::find_score(std::int64_t place, double temperature, std::int32_t token) const {
  const auto at = static_cast<std::size_t>(place);
  if (at >= distribution_.size() || distribution_[at].temperature != temperature) return std::nullopt;
  const auto chosen = logprob_.find(key_of(static_cast<std::int32_t>(place), token));
  if (chosen == logprob_.end()) return std::nullopt;
  return Score{chosen->second, distribution_[at].statistics};
}

Record::Layer Record::layer(std::size_t index, std::int64_t place) const {
  float* at = memory_ + static_cast<std::int64_t>(index) * layer_size_;
  const auto next = [&](std::int64_t size) {
    float* here = at + place * size;
    at += capacity_ * size;
    return here;
  };
  Layer layer;
  layer.x = next(hidden_);
  layer.qkv = next(qkv_);
  layer.attention = next(q_);
  layer.lse = next(heads_);
  layer.middle = next(hidden_);
  layer.gate_up = next(2 * ffn_);
  return layer;
}

}  // namespace grpo::transformer

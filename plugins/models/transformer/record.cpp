#include "record.hpp"

#include <sys/mman.h>

#include <algorithm>
#include <limits>
#include <new>

namespace grpo::transformer {
namespace {

constexpr std::int64_t float_size = sizeof(float);
constexpr std::int64_t huge_page = 2 << 20;

std::uint64_t key_of(std::int32_t before, std::int32_t token) {
  return static_cast<std::uint64_t>(before + 1) << 32 | static_cast<std::uint32_t>(token);
}

}  // namespace

// A layer keeps its inside only while there are few enough tokens for that, so it needs addresses for no more; for all
// layers together that is about three times the bytes.
Record::Record(const Config& c, std::int64_t bytes)
    : shape_(c),
      layers_(c.layers),
      hidden_(c.hidden),
      bytes_(bytes),
      inside_(static_cast<std::size_t>(c.layers)),
      depth_(c.layers) {
  inputs_.step = LayerShape::apart((layers_ + 1) * hidden_);
  for (auto& region : inside_) region.step = shape_.inside_step();
  const auto size = [](const Region& region, std::int64_t places) {  // in whole huge pages, so that no two share one
    return (places * region.step * float_size + huge_page - 1) / huge_page * huge_page;
  };
  std::int64_t total = size(inputs_, capacity(0));
  for (std::int64_t i = 0; i < layers_; ++i) total += size(inside_[static_cast<std::size_t>(i)], capacity(i + 1));
  mapped_ = static_cast<std::size_t>(total + huge_page);
  memory_ = ::mmap(nullptr, mapped_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory_ == MAP_FAILED) throw std::bad_alloc();
  ::madvise(memory_, mapped_, MADV_HUGEPAGE);  // advice: a refusal changes nothing
  auto* at =
      reinterpret_cast<char*>((reinterpret_cast<std::uintptr_t>(memory_) + huge_page - 1) / huge_page * huge_page);
  const auto next = [&](Region& region, std::int64_t places) {
    region.memory = reinterpret_cast<float*>(at);
    at += size(region, places);
  };
  next(inputs_, capacity(0));
  for (std::int64_t i = 0; i < layers_; ++i) next(inside_[static_cast<std::size_t>(i)], capacity(i + 1));
}

Record::~Record() { ::munmap(memory_, mapped_); }

// Tokens for which so many layers keep their inside.
std::int64_t Record::capacity(std::int64_t depth) const {
  const std::int64_t fit = bytes_ / (float_size * (inputs_.step + depth * shape_.inside_step()));
  return std::min<std::int64_t>(fit, std::numeric_limits<std::int32_t>::max() - 1);
}

double Record::share() const {
  const auto floats = [this](std::int64_t depth) {
    return static_cast<double>(inputs_.step + depth * shape_.inside_step());
  };
  return floats(depth_) / floats(layers_);
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
  if (used_ > 0) {
    const std::int64_t expected = used_ + used_ / 32;
    depth_ = layers_;
    while (depth_ > 0 && capacity(depth_) < expected) --depth_;
  }
  ++epoch_;
  used_ = 0;
  tree_.clear();
  distribution_.clear();
  logprob_.clear();
}

std::optional<std::int64_t> Record::take(std::int64_t n) {
  constexpr std::int64_t most_off = 8;
  if (rollouts_off_ > 0) return std::nullopt;
  if (!make_room(n)) {
    if (pins_ > 0) return std::nullopt;
    give_all_back();
    clear();
    overflows_ = std::min(overflows_ + 1, most_off);
    rollouts_off_ = overflows_;
    return std::nullopt;
  }
  const auto place = used_;
  used_ += n;
  const auto touch = [this](Region& region) { region.touched = std::max(region.touched, used_); };
  touch(inputs_);
  for (std::int64_t i = 0; i < depth_; ++i) touch(inside_[static_cast<std::size_t>(i)]);
  return place;
}

std::int64_t Record::bytes_of(const Region& region) const { return region.touched * region.step * float_size; }

// What there will be once `places` are used, with what earlier rollouts left behind them.
std::int64_t Record::bytes_with(std::int64_t places) const {
  const auto with = [places](Region region) {
    region.touched = std::max(region.touched, places);
    return region;
  };
  std::int64_t bytes = bytes_of(with(inputs_));
  for (std::int64_t i = 0; i < layers_; ++i) {
    const auto& region = inside_[static_cast<std::size_t>(i)];
    bytes += bytes_of(i < depth_ ? with(region) : region);
  }
  return bytes;
}

// For n places more: first what is left of earlier rollouts goes, then layer after layer.
bool Record::make_room(std::int64_t n) {
  if (bytes_with(used_ + n) <= bytes_) return true;
  give_back(inputs_, used_);
  for (std::int64_t i = 0; i < layers_; ++i) give_back(inside_[static_cast<std::size_t>(i)], i < depth_ ? used_ : 0);
  for (; bytes_with(used_ + n) > bytes_; --depth_) {
    if (depth_ == 0 || pins_ > 0) return false;
    give_back(inside_[static_cast<std::size_t>(depth_ - 1)], 0);
  }
  return true;
}

// The pages from a place on. Part of a huge page stays.
void Record::give_back(Region& region, std::int64_t from) {
  if (region.touched <= from) return;
  const std::int64_t begin = (from * region.step * float_size + huge_page - 1) / huge_page * huge_page,
                     end = bytes_of(region);
  if (begin < end)
    ::madvise(reinterpret_cast<char*>(region.memory) + begin, static_cast<std::size_t>(end - begin), MADV_DONTNEED);
  region.touched = from;
}

void Record::give_all_back() {
  give_back(inputs_, 0);
  for (auto& region : inside_) give_back(region, 0);
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

LayerRows Record::layer(std::size_t index, std::int64_t place) const {
  float* x = inputs_.memory + place * inputs_.step + static_cast<std::int64_t>(index) * hidden_;
  if (index >= depth()) return shape_.rows(x, inputs_.step, nullptr);
  const auto& inside = inside_[index];
  return shape_.rows(x, inputs_.step, inside.memory + place * inside.step);
}

}  // namespace grpo::transformer

#include "device_sampling.hpp"

#include <grpo/random.h>

#include <algorithm>
#include <limits>

namespace grpo::transformer {
namespace {

using at::Tensor;

constexpr std::int64_t block = 512;
constexpr double minus_infinity = -std::numeric_limits<double>::infinity();

bool penalises(const Sampling& s) { return s.penalty > 0 && (s.penalty < 1 || s.penalty > 1); }
bool cuts_top_p(const Sampling& s) { return s.top_p > 0 && s.top_p < 1; }

}  // namespace

void DeviceSampler::add(Upload& upload, const AheadRow* rows, std::int64_t n, std::int64_t room) {
  n_ = n;
  room_ = room;
  const auto size = static_cast<std::size_t>(n);
  std::vector<std::int64_t> pending, position, remaining, hold, force, top_k;
  std::vector<double> temperature, top_p, min_p, penalty, uniform;
  std::vector<std::vector<std::int64_t>> stops(size);
  for (std::size_t r = 0; r < size; ++r) {
    const AheadRow& row = rows[r];
    const Sampling& s = *row.sampling;
    pending.push_back(row.token[row.length - 1]);
    position.push_back(row.length - 1);
    remaining.push_back(row.remaining);
    force.push_back(row.force);
    top_k.push_back(s.top_k > 0 ? s.top_k : vocabulary_);
    temperature.push_back(s.temperature);
    top_p.push_back(cuts_top_p(s) ? s.top_p : 2);  // 2: never reached
    min_p.push_back(s.min_p);
    penalty.push_back(penalises(s) ? s.penalty : 1);
    for (const auto id : s.stop)
      if (id >= 0 && id < vocabulary_) stops[r].push_back(id);
    hold.push_back(stops[r].empty() ? 0 : std::max<std::int64_t>(0, s.min_new - row.n_new));
    (s.temperature > 0 ? any_drawn_ : any_greedy_) = true;
    any_penalty_ = any_penalty_ || penalises(s);
    if (s.temperature > 0) {
      any_top_k_ = any_top_k_ || (s.top_k > 0 && s.top_k < vocabulary_);
      any_top_p_ = any_top_p_ || cuts_top_p(s);
      any_min_p_ = any_min_p_ || s.min_p > 0;
    }
    any_force_ = any_force_ || row.force >= 0;
    any_hold_ = any_hold_ || hold.back() > 0;
    stops_ = std::max(stops_, static_cast<std::int64_t>(stops[r].size()));
    longest_ = std::max(longest_, row.length);
  }
  for (std::int64_t k = 0; k < room; ++k)
    for (std::size_t r = 0; r < size; ++r)
      uniform.push_back(grpo_random_uniform(rows[r].key, static_cast<std::uint64_t>(rows[r].length + k)));
  // Lists of one length: filled up with what is there already, so that writing it twice writes the same.
  std::vector<std::int64_t> stop, is_stop, sequence;
  for (const auto& ids : stops)
    for (std::size_t i = 0; i < static_cast<std::size_t>(stops_); ++i) {
      stop.push_back(ids.empty() ? 0 : ids[std::min(i, ids.size() - 1)]);
      is_stop.push_back(!ids.empty());
    }
  if (any_penalty_)
    for (std::size_t r = 0; r < size; ++r)
      for (std::int64_t t = 0; t < longest_; ++t) sequence.push_back(rows[r].token[std::min(t, rows[r].length - 1)]);
  at_ = {upload.add(pending),  upload.add(position),    upload.add(remaining), upload.add(hold),
         upload.add(force),    upload.add(top_k),       upload.add(stop),      upload.add(is_stop),
         upload.add(sequence), upload.add(temperature), upload.add(top_p),     upload.add(min_p),
         upload.add(penalty),  upload.add(uniform)};
}

void DeviceSampler::begin(const Upload& up) {
  pending_ = up.integers(at_.pending, {n_});
  position_ = up.integers(at_.position, {n_}).clone();
  remaining_ = up.integers(at_.remaining, {n_});
  hold_ = up.integers(at_.hold, {n_, 1});
  force_ = up.integers(at_.force, {n_});
  top_k_ = up.integers(at_.top_k, {n_, 1});
  stop_ = up.integers(at_.stop, {n_, stops_});
  is_stop_ = up.integers(at_.is_stop, {n_, stops_}) > 0;
  const auto temperature = up.doubles(at_.temperature, {n_, 1});
  greedy_ = (temperature == 0).squeeze(1);
  temperature_ = at::where(temperature > 0, temperature, at::ones_like(temperature));
  scale_ = temperature_.reciprocal().to(at::kFloat);
  top_p_ = up.doubles(at_.top_p, {n_, 1});
  min_p_ = up.doubles(at_.min_p, {n_, 1}).to(at::kFloat);
  penalty_ = up.doubles(at_.penalty, {n_, 1}).to(at::kFloat);
  uniform_ = up.doubles(at_.uniform, {room_, n_, 1});
  const auto options = at::TensorOptions().device(device_);
  step_ = at::zeros({1}, options.dtype(at::kLong));
  alive_ = at::ones({n_}, options.dtype(at::kBool));
  tokens_ = at::zeros({room_, n_}, options.dtype(at::kInt));
  logprobs_ = at::zeros({room_, n_}, options.dtype(at::kFloat));
  sampled_ = at::zeros({room_, n_}, options.dtype(at::kFloat));
  count_ = at::zeros({n_}, options.dtype(at::kInt));
  ended_ = at::full({n_}, static_cast<std::int64_t>(GRPO_FINISH_NONE), options.dtype(at::kInt));
  if (any_penalty_) {
    seen_ = at::zeros({n_, vocabulary_}, options.dtype(at::kBool));
    seen_.scatter_(1, up.integers(at_.sequence, {n_, longest_}), true);
  }
}

// After the repetition penalty and min_new; the same tensor where neither applies.
Tensor DeviceSampler::adjusted(const Tensor& logits) const {
  auto z = logits;
  if (any_penalty_) z = at::where(seen_, at::where(z > 0, z / penalty_, z * penalty_), z);
  if (any_hold_) {
    const auto held = is_stop_.logical_and(hold_ > step_);
    z = z.scatter(1, stop_, z.gather(1, stop_).masked_fill(held, minus_infinity));
  }
  return z;
}

// Which ids top_k, top_p and min_p let through, [n, vocabulary]. e: exp((z - max) / temperature)
Tensor DeviceSampler::let_through(const Tensor& z, const Tensor& e) const {
  auto kept = at::ones_like(z, at::kBool);
  if (any_top_k_ || any_top_p_) {
    const auto order = std::get<1>(at::sort(z, /*stable=*/true, 1, /*descending=*/true));  // equal ones by id
    auto keep = at::arange(vocabulary_, top_k_.options()) < top_k_;
    if (any_top_p_) {
      const auto best = e.gather(1, order).to(at::kDouble) * keep;
      const auto reached = best.cumsum(1);
      const auto before = at::zeros_like(reached);
      before.narrow(1, 1, vocabulary_ - 1).copy_(reached.narrow(1, 0, vocabulary_ - 1));
      keep = keep.logical_and(before < top_p_ * reached.narrow(1, vocabulary_ - 1, 1));
    }
    kept.scatter_(1, order, keep);
  }
  return any_min_p_ ? kept.logical_and(e >= min_p_) : kept;
}

// e is [n, a multiple of block]; the sums are in double, [n, blocks].
Tensor DeviceSampler::block_sums(const Tensor& e) const { return e.view({n_, -1, block}).sum(-1).to(at::kDouble); }

// The smallest id up to which the sum of e is more than u times the whole, [n]. until: running sums of the blocks.
Tensor DeviceSampler::draw(const Tensor& e, const Tensor& until) const {
  const std::int64_t blocks = until.size(1);
  const auto wanted = uniform_.index_select(0, step_).squeeze(0) * until.narrow(1, blocks - 1, 1);
  // Rounding may leave none: then the last one that is possible, in the last block that has one.
  const auto before_last = at::arange(blocks, pending_.options());
  auto grows = at::ones_like(until, at::kBool);
  if (blocks > 1) grows.narrow(1, 1, blocks - 1).copy_(until.narrow(1, 1, blocks - 1) > until.narrow(1, 0, blocks - 1));
  const auto last = at::where(grows, before_last, at::zeros_like(before_last)).amax(1, true);
  const auto which = at::minimum((until <= wanted).sum(1, true), last);  // [n, 1]
  const auto base = at::where(which > 0, until.gather(1, (which - 1).clamp_min(0)), at::zeros_like(wanted));
  const auto inside =
      e.view({n_, blocks, block}).gather(1, which.unsqueeze(2).expand({n_, 1, block})).squeeze(1).to(at::kDouble);
  const auto found = (base + inside.cumsum(1)) > wanted;
  const auto ids = at::arange(block, pending_.options());
  const auto first = at::where(found, ids, at::full_like(ids, block)).amin(1, true);
  const auto fallback = at::where(inside > 0, ids, at::zeros_like(ids)).amax(1, true);
  return (which * block + at::where(first < block, first, fallback)).squeeze(1);
}

Tensor DeviceSampler::is_stop(const Tensor& token) const {
  return (stop_ == token.unsqueeze(1)).logical_and(is_stop_).any(1);
}

void DeviceSampler::choose(const Tensor& logits) {
  const auto z = adjusted(logits);
  const bool plain = z.is_same(logits);
  const std::int64_t width = (vocabulary_ + block - 1) / block * block;
  const auto exponentials = [&](const Tensor& of, const Tensor& top) {  // [n, width], zeros at the end
    auto e = at::empty({n_, width}, logits.options());
    e.narrow(1, vocabulary_, width - vocabulary_).zero_();
    auto to = e.narrow(1, 0, vocabulary_);
    at::exp_out(to, (of - top).mul_(scale_));
    return e;
  };
  const auto at_token = [](const Tensor& of, const Tensor& token) {  // [n], in double
    return of.gather(1, token.unsqueeze(1)).squeeze(1).to(at::kDouble);
  };

  const auto top = z.amax(1, true);
  auto e = exponentials(z, top);
  auto until = block_sums(e).cumsum(1);
  const auto whole = [](const Tensor& sums) { return sums.narrow(1, sums.size(1) - 1, 1).squeeze(1); };
  const auto plain_top = plain ? top : logits.amax(1, true);
  const auto plain_total = plain ? whole(until) : block_sums(exponentials(logits, plain_top)).sum(1);

  Tensor kept, token, best;
  if (any_drawn_) {
    if (any_top_k_ || any_top_p_ || any_min_p_) {
      kept = let_through(z, e.narrow(1, 0, vocabulary_));
      e.narrow(1, 0, vocabulary_).masked_fill_(kept.logical_not(), 0);
      until = block_sums(e).cumsum(1);
    }
    token = draw(e, until);
  }
  if (any_greedy_) {
    best = z.argmax(1);
    token = any_drawn_ ? at::where(greedy_, best, token) : best;
  }
  if (any_force_) token = at::where((force_ >= 0).logical_and(step_ == 0), force_, token);

  const auto temperature = temperature_.squeeze(1);
  const auto logprob = (at_token(logits, token) - plain_top.squeeze(1)) / temperature - plain_total.log();
  auto sampled = (at_token(z, token) - top.squeeze(1)) / temperature - whole(until).log();
  if (kept.defined())
    sampled = sampled.masked_fill(kept.gather(1, token.unsqueeze(1)).squeeze(1).logical_not(), minus_infinity);
  if (any_greedy_)
    sampled = at::where(greedy_, at::zeros_like(sampled).masked_fill(token != best, minus_infinity), sampled);

  const auto keep = [&](Tensor& in, const Tensor& of_step) {
    in.index_copy_(0, step_, of_step.to(in.scalar_type()).unsqueeze(0));
  };
  keep(tokens_, token);
  keep(logprobs_, logprob);
  keep(sampled_, sampled);
  count_.add_(alive_);
  const auto now = at::where(is_stop(token), static_cast<std::int64_t>(GRPO_FINISH_STOP),
                             at::where(remaining_ <= step_ + 1, static_cast<std::int64_t>(GRPO_FINISH_LENGTH),
                                       static_cast<std::int64_t>(GRPO_FINISH_NONE)));
  ended_.copy_(at::where(alive_, now, ended_.to(at::kLong)));
  pending_.copy_(at::where(alive_, token, pending_));
  position_.add_(alive_);
  alive_.copy_(ended_ == static_cast<std::int64_t>(GRPO_FINISH_NONE));
  if (any_penalty_) seen_.scatter_(1, pending_.unsqueeze(1), true);
  step_.add_(1);
}

void DeviceSampler::finish(const AheadResult& to) {
  const auto all = at::cat({tokens_.view({-1}), logprobs_.view(at::kInt).view({-1}), sampled_.view(at::kInt).view({-1}),
                            count_, ended_})
                       .cpu();
  const auto* tokens = all.const_data_ptr<std::int32_t>();
  const auto* logprobs = reinterpret_cast<const float*>(tokens + room_ * n_);
  const auto* sampled = logprobs + room_ * n_;
  const auto* count = tokens + 3 * room_ * n_;
  for (std::int64_t r = 0; r < n_; ++r) {
    to.count[r] = count[r];
    to.ended[r] = count[n_ + r];
    for (std::int64_t k = 0; k < count[r]; ++k) {
      to.token[r * room_ + k] = tokens[k * n_ + r];
      if (to.logprob) to.logprob[r * room_ + k] = logprobs[k * n_ + r];
      if (to.logprob_sampled) to.logprob_sampled[r * room_ + k] = sampled[k * n_ + r];
    }
  }
}

}  // namespace grpo::transformer

#include "flash.hpp"

#include <cmath>
#include <limits>
#include <map>
#include <mutex>
#include <tuple>
#include <vector>

namespace grpo::transformer::flash {
namespace {

using at::Tensor;

std::optional<Tensor> optional(const Tensor& t) { return t.defined() ? std::optional<Tensor>(t) : std::nullopt; }
std::optional<std::int64_t> left_of(const Sequences& s) {
  return s.window > 0 ? std::optional<std::int64_t>(s.window - 1) : std::nullopt;
}
std::optional<std::int64_t> right_of(const Sequences& s) {
  return s.window > 0 ? std::optional<std::int64_t>(0) : std::nullopt;
}

// One sequence by plain operations, in fp32. Gradients if dout is defined; all_out and all_lse, if defined, are those
// of more keys.
struct Plain {
  Tensor out, lse, dq, dk, dv;
};
Plain plain(const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& dout, bool causal, std::int64_t window,
            const Tensor& all_out = {}, const Tensor& all_lse = {}) {
  const std::int64_t n = q.size(0), m = k.size(0), group = q.size(1) / k.size(1);
  const double scale = 1 / std::sqrt(static_cast<double>(q.size(2)));
  const auto wide = [](const Tensor& x) { return x.to(at::kFloat).transpose(0, 1); };  // [heads, tokens, size]
  const auto qw = wide(q), kw = wide(k).repeat_interleave(group, 0), vw = wide(v).repeat_interleave(group, 0);
  auto scores = at::matmul(qw, kw.transpose(1, 2)) * scale;
  if (causal) {
    const auto options = q.options().dtype(at::kLong);
    const auto distance = at::arange(n, options).unsqueeze(1) - at::arange(m, options) + (m - n);
    auto hidden = distance < 0;
    if (window > 0) hidden = hidden.logical_or(distance >= window);
    scores = scores.masked_fill(hidden, -std::numeric_limits<float>::infinity());
  }
  const auto own = at::logsumexp(scores, -1, true);
  if (!dout.defined()) return {at::matmul(at::exp(scores - own), vw).transpose(0, 1), own.squeeze(-1).t(), {}, {}, {}};
  const auto lse = all_lse.defined() ? all_lse.t().unsqueeze(-1) : own, p = at::exp(scores - lse);
  const auto out = all_out.defined() ? wide(all_out) : at::matmul(p, vw), dw = wide(dout);
  const auto ds = (at::matmul(dw, vw.transpose(1, 2)) - (dw * out).sum(-1, true)) * p * scale;
  const auto by_group = [&](const Tensor& x) {  // [heads, m, size] to [m, kv_heads, size]
    return x.view({k.size(1), group, m, q.size(2)}).sum(1).transpose(0, 1);
  };
  return {out.transpose(0, 1), lse.squeeze(-1).transpose(0, 1), at::matmul(ds, kw).transpose(0, 1),
          by_group(at::matmul(ds.transpose(1, 2), qw)), by_group(at::matmul(p.transpose(1, 2), dw))};
}

// All sequences one by one: what stands for the kernels on the CPU, so that their callers can be tested there.
std::pair<Result, Gradients> plainly(const Sequences& s, const Tensor& dout, const Tensor& q, const Tensor& k,
                                     const Tensor& v, const Tensor& out = {}, const Tensor& lse = {}) {
  std::vector<Tensor> outs, lses;
  Gradients all{at::zeros_like(q), at::zeros_like(k), at::zeros_like(v)};
  const auto number = [](const Tensor& of, std::int64_t i) { return of[i].item<std::int64_t>(); };
  for (std::int64_t i = 0; i + 1 < s.q_start.size(0); ++i) {
    const std::int64_t q0 = number(s.q_start, i), n = number(s.q_start, i + 1) - q0, k0 = number(s.k_start, i);
    const std::int64_t m = s.k_used.defined() ? number(s.k_used, i) : number(s.k_start, i + 1) - k0;
    const auto of_q = [&](const Tensor& x) { return x.defined() ? x.narrow(0, q0, n) : x; };
    const auto made =
        plain(of_q(q), k.narrow(0, k0, m), v.narrow(0, k0, m), of_q(dout), s.causal, s.window, of_q(out), of_q(lse));
    outs.push_back(made.out.to(q.scalar_type()));
    lses.push_back(made.lse);
    if (!dout.defined()) continue;
    of_q(all.q).copy_(made.dq);
    all.k.narrow(0, k0, m).copy_(made.dk);
    all.v.narrow(0, k0, m).copy_(made.dv);
  }
  return {{at::cat(outs), at::cat(lses)}, all};
}

bool near(const Tensor& a, const Tensor& b, double tolerance) {
  const auto x = a.to(at::kFloat), y = b.to(at::kFloat);
  return ((x - y).norm() / y.norm()).item<double>() < tolerance;  // NaN is not
}

// What the models ask for: packed causal sequences with gradients, with and without a window; chunks of prompts; one
// query against keys in slack space; queries that all see all keys. Sizes over one tile, and keys enough for the kernel
// that shares those of one query out and adds up afterwards; q, k and v as views of one matrix, as layers have them.
std::string trial(at::Device device, at::ScalarType type, std::int64_t heads, std::int64_t kv_heads,
                  std::int64_t size) {
  const auto options = at::TensorOptions().device(device).dtype(type);
  const auto random = [&](std::int64_t n, std::int64_t h) {
    return at::randn({n, h + kv_heads, size}, options).narrow(1, 0, h);
  };
  const std::vector<std::int64_t> lengths{150, 1, 70};
  for (const std::int64_t window : {0, 33}) {
    const auto q = random(221, heads), k = random(221, kv_heads), v = random(221, kv_heads), d = random(221, heads);
    Sequences s{starts(lengths, device), starts(lengths, device), 150, 150, {}, true, window};
    const auto made = forward(s, q, k, v);
    const auto back = backward(s, d, q, k, v, made.out, made.lse);
    for (std::int64_t i = 0, at = 0; i < 3; at += lengths[static_cast<std::size_t>(i++)]) {
      const auto part = [&](const Tensor& x) { return x.narrow(0, at, lengths[static_cast<std::size_t>(i)]); };
      const auto right = plain(part(q), part(k), part(v), part(d), true, window);
      if (!near(part(made.out), right.out, 2e-2) || !near(part(made.lse), right.lse, 1e-2)) return "forward differs";
      if (lengths[static_cast<std::size_t>(i)] > 1 &&
          (!near(part(back.q), right.dq, 3e-2) || !near(part(back.k), right.dk, 3e-2)))
        return "backward differs";
      if (!near(part(back.v), right.dv, 3e-2)) return "backward differs";
    }
    // Two chunks of prompts, and single queries, before keys with slack behind them.
    for (const std::vector<std::int64_t>& queries : {std::vector<std::int64_t>{40, 7}, {1, 1}}) {
      const std::int64_t stride = 1600;
      const std::vector<std::int64_t> used{1511, 64};
      const auto qs = random(queries[0] + queries[1], heads), ks = random(2 * stride, kv_heads),
                 vs = random(2 * stride, kv_heads);
      Sequences t{starts(queries, device),
                  starts({stride, stride}, device),
                  queries[0],
                  stride,
                  at::tensor(used, at::kInt).to(device),
                  true,
                  window};
      const auto got = forward(t, qs, ks, vs).out;
      for (std::int64_t i = 0, at = 0; i < 2; at += queries[static_cast<std::size_t>(i++)]) {
        const auto n = queries[static_cast<std::size_t>(i)], m = used[static_cast<std::size_t>(i)];
        const auto one = qs.narrow(0, at, n);
        const auto right =
            plain(one, ks.narrow(0, i * stride, m), vs.narrow(0, i * stride, m), at::zeros_like(one), true, window);
        if (!near(got.narrow(0, at, n), right.out, 2e-2)) return "keys with slack differ";
      }
    }
  }
  const auto q = random(90, heads), k = random(150, kv_heads), v = random(150, kv_heads), d = random(90, heads);
  Sequences s{starts({90}, device), starts({150}, device), 90, 150, {}, false, 0};
  const auto made = forward(s, q, k, v);
  const auto back = backward(s, d, q, k, v, made.out, made.lse);
  const auto right = plain(q, k, v, d, false, 0);
  if (!near(made.out, right.out, 2e-2) || !near(made.lse, right.lse, 1e-2) || !near(back.q, right.dq, 3e-2) ||
      !near(back.k, right.dk, 3e-2) || !near(back.v, right.dv, 3e-2))
    return "shared keys differ";
  return {};
}

}  // namespace

Result forward(const Sequences& s, const Tensor& q, const Tensor& k, const Tensor& v) {
  if (!q.is_cuda()) return plainly(s, {}, q, k, v).first;
  const auto [out, lse, state, unused, mask] =
      at::_flash_attention_forward(q, k, v, s.q_start, s.k_start, s.q_longest, s.k_longest, 0.0, s.causal, false,
                                   std::nullopt, left_of(s), right_of(s), optional(s.k_used));
  return {out, lse.transpose(0, 1)};  // it comes as [heads, queries]
}

Gradients backward(const Sequences& s, const Tensor& dout, const Tensor& q, const Tensor& k, const Tensor& v,
                   const Tensor& out, const Tensor& lse) {
  if (!q.is_cuda()) return plainly(s, dout, q, k, v, out, lse).second;
  // Read with dropout alone.
  const auto state = at::empty({2}, q.options().dtype(at::kUInt64)), unused = at::empty({}, state.options());
  const auto [dq, dk, dv] = at::_flash_attention_backward(
      dout.contiguous(), q, k, v, out.contiguous(), lse.transpose(0, 1).contiguous(), s.q_start, s.k_start, s.q_longest,
      s.k_longest, 0.0, s.causal, state, unused, std::nullopt, left_of(s), right_of(s));
  return {dq, dk, dv};
}

// From pinned memory: layers ask for these all the time, and a copy from other memory waits for the device.
Tensor starts(const std::vector<std::int64_t>& sizes, at::Device device) {
  const auto host = at::empty({static_cast<std::int64_t>(sizes.size()) + 1},
                              at::TensorOptions().dtype(at::kInt).pinned_memory(device.is_cuda()));
  auto* to = host.mutable_data_ptr<std::int32_t>();
  to[0] = 0;
  for (std::size_t i = 0; i < sizes.size(); ++i) to[i + 1] = to[i] + static_cast<std::int32_t>(sizes[i]);
  return host.to(device, /*non_blocking=*/true);
}

std::string why_not(at::Device device, at::ScalarType type, std::int64_t heads, std::int64_t kv_heads,
                    std::int64_t size) {
  if (!device.is_cuda()) return "it is for CUDA";
  if (type != at::kBFloat16 && type != at::kHalf) return "it takes 16-bit types only";
  if (size % 8 != 0 || size > 256) return "it does not take heads of this size";
  static std::mutex one_at_a_time;
  const std::lock_guard lock(one_at_a_time);
  static std::map<std::tuple<int, at::ScalarType, std::int64_t, std::int64_t, std::int64_t>, std::string> tried;
  const std::tuple key{static_cast<int>(device.index()), type, heads, kv_heads, size};
  if (const auto at = tried.find(key); at != tried.end()) return at->second;
  std::string why;
  try {
    why = trial(device, type, heads, kv_heads, size);
  } catch (const c10::Error& e) {
    why = e.what_without_backtrace();
  }
  return tried[key] = why;
}

}  // namespace grpo::transformer::flash

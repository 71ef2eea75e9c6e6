// grpo.model/1: gradients and tickets.
#include <grpo/random.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "model_bench.hpp"
#include "model_checks.hpp"

namespace grpo::plugins::conformance {
namespace {

// Sequences whose every token is scored, with weights for the loss.
struct Batch {
  Forest forest;
  std::vector<float> dlogprob, dentropy;
};

Batch batch_of(const ModelBench& m, std::uint64_t seed, bool entropy) {
  Batch out;
  const std::size_t n = std::max<std::size_t>(m.length(12) / 2, 1);
  const auto prompt = out.forest.add(Forest::root, m.tokens(seed, n));
  out.forest.add_scored(prompt, m.tokens(seed + 1, n));
  out.forest.add_scored(prompt, m.tokens(seed + 2, n));
  if (m.info().max_depth == 1) out.forest = out.forest.flattened(1);
  for (std::int64_t k = 0; k < out.forest.n_targets(); ++k) {
    const auto place = static_cast<std::uint64_t>(k);
    out.dlogprob.push_back(static_cast<float>(2 * grpo_random_uniform(seed + 50, place) - 1));
    if (entropy) out.dentropy.push_back(static_cast<float>(2 * grpo_random_uniform(seed + 51, place) - 1));
  }
  return out;
}

using Gradients = std::vector<std::vector<float>>;  // by parameter; empty: frozen

std::vector<float*> gradient_data(const ModelBench& m) {
  std::vector<float*> out;
  for (const grpo_parameter* p : m.parameters()) {
    if (p->gradient && !floats_of(p->gradient)) throw Skipped{"its gradients are not fp32 in host memory"};
    out.push_back(floats_of(p->gradient));
  }
  return out;
}

Gradients gradients(const ModelBench& m) {
  Gradients out;
  const auto data = gradient_data(m);
  const auto list = m.parameters();
  for (std::size_t i = 0; i < list.size(); ++i)
    out.push_back(data[i] ? std::vector<float>(data[i], data[i] + elements_of(list[i]->gradient))
                          : std::vector<float>{});
  return out;
}

double length_of(const Gradients& g) {
  double sum = 0;
  for (const auto& part : g)
    for (const float x : part) sum += static_cast<double>(x) * static_cast<double>(x);
  return std::sqrt(sum);
}

double distance(const Gradients& a, const Gradients& b, double scale = 1) {
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i)
    for (std::size_t k = 0; k < a[i].size(); ++k) {
      const double d = static_cast<double>(a[i][k]) - scale * static_cast<double>(b[i][k]);
      sum += d * d;
    }
  return std::sqrt(sum);
}

void accumulate(ModelBench& m, const Batch& b, double temperature = 1) {
  const Scores s = m.forward(b.forest, temperature, !b.dentropy.empty(), true);
  m.backward(s.ticket, b.dlogprob, b.dentropy);
}

double loss(ModelBench& m, const Batch& b, double temperature) {
  const Scores s = m.forward(b.forest, temperature, !b.dentropy.empty());
  double out = 0;
  for (std::size_t k = 0; k < b.dlogprob.size(); ++k)
    out += static_cast<double>(b.dlogprob[k]) * static_cast<double>(s.logprob[k]);
  for (std::size_t k = 0; k < b.dentropy.size(); ++k)
    out += static_cast<double>(b.dentropy[k]) * static_cast<double>(s.entropy[k]);
  return out;
}

// The slope of the loss along a direction of one parameter: central differences, two widths, extrapolated.
double slope(ModelBench& m, const Batch& b, double temperature, float* value, const std::vector<double>& direction,
             double width) {
  static std::int64_t version = 1;
  const std::vector<float> kept(value, value + direction.size());
  const auto at = [&](double t) {
    for (std::size_t k = 0; k < direction.size(); ++k)
      value[k] = static_cast<float>(static_cast<double>(kept[k]) + t * direction[k]);
    m.commit(++version);
    return loss(m, b, temperature);
  };
  const double wide = (at(width) - at(-width)) / (2 * width), narrow = (at(width / 2) - at(-width / 2)) / width;
  std::copy(kept.begin(), kept.end(), value);
  m.commit(++version);
  return (4 * narrow - wide) / 3;
}

double norm(const std::vector<double>& x) {
  double sum = 0;
  for (const double v : x) sum += v * v;
  return std::sqrt(sum);
}

void gradient(Subject& s) {
  ModelBench m(s);
  m.need_training();
  const double temperature = 0.8;
  const Batch b = batch_of(m, 1, m.can(GRPO_MODEL_ENTROPY));
  gradient_data(m);
  m.zero_grad();
  accumulate(m, b, temperature);
  const Gradients claimed = gradients(m);
  need(length_of(claimed) > 0, "backward leaves all gradients 0", "add to the gradients of parameters()");
  const auto list = m.parameters();
  const int most = s.times(24, 8), step = std::max(1, static_cast<int>(list.size()) / most);
  int compared = 0;
  for (std::size_t i = 0; i < list.size(); i += static_cast<std::size_t>(step)) {
    float* value = floats_of(list[i]->value);
    if (claimed[i].empty()) continue;
    if (!value) throw Skipped{"its values are not fp32 in host memory"};
    std::vector<double> along(claimed[i].begin(), claimed[i].end()), across(along.size());
    for (std::size_t k = 0; k < across.size(); ++k) across[k] = 2 * grpo_random_uniform(i + 7, k) - 1;
    const double size = norm({value, value + along.size()}), steep = norm(along);
    for (std::vector<double> d : {along, across}) {
      const double unit = norm(d);
      if (unit == 0) continue;  // not used by these tokens: `across` sees whether that is so
      double expected = 0;
      for (std::size_t k = 0; k < d.size(); ++k) d[k] /= unit, expected += d[k] * static_cast<double>(claimed[i][k]);
      // Far enough that the loss moves by more than its rounding, near enough that it is a parabola on the way.
      const double usual = steep / std::sqrt(static_cast<double>(d.size()));  // slope in a direction of no meaning
      const double width = std::min(std::max(3e-3 * size, 1e-3), 0.1 / (std::max(std::abs(expected), usual) + 1e-9));
      const double measured = slope(m, b, temperature, value, d, width);
      const double allowed = 0.02 * std::abs(expected) + 0.05 * usual + 4e-5 / width;
      need(std::abs(measured - expected) <= allowed,
           "'" + std::string(list[i]->name) + "': the loss changes by " + std::to_string(measured) +
               " along a direction, the gradient says " + std::to_string(expected),
           "check backward against central differences, parameter by parameter; temperature divides the logits");
      ++compared;
    }
  }
  s.note = std::to_string(compared) + " directions in " + std::to_string(list.size()) + " parameters";
}

void accumulates(Subject& s) {
  ModelBench m(s);
  m.need_training();
  const Batch a = batch_of(m, 1, false), b = batch_of(m, 11, false);
  const auto alone = [&](const Batch& batch) {
    m.zero_grad();
    accumulate(m, batch);
    return gradients(m);
  };
  const Gradients ga = alone(a), gb = alone(b);
  m.zero_grad();
  need(length_of(gradients(m)) == 0, "after zero_grad gradients are not 0", "");
  accumulate(m, a);
  accumulate(m, a);
  need(distance(gradients(m), ga, 2) <= 1e-4 * length_of(ga), "two backwards do not add up to twice the gradient",
       "backward adds; zero_grad starts anew");
  if (m.info().max_tickets < 2) return void(s.note = "one ticket at a time");
  // Two open tickets, ended in the other order.
  m.zero_grad();
  const auto first = m.forward(a.forest, 1, false, true).ticket, second = m.forward(b.forest, 1, false, true).ticket;
  need(first != second, "two open forwards have the same ticket", "");
  m.backward(second, b.dlogprob);
  const double off = distance(gradients(m), gb);
  need(off <= 1e-4 * length_of(gb), "with two tickets open backward uses what the other forward left",
       "keep what a ticket needs with the ticket");
  m.backward(first, a.dlogprob);
}

void shared(Subject& s) {
  ModelBench m(s);
  m.need_training();
  if (m.info().max_depth == 1) throw Skipped{"it takes separate sequences only (max_depth 1): the host flattens"};
  Batch b = batch_of(m, 1, false);
  m.zero_grad();
  accumulate(m, b);
  const Gradients together = gradients(m);
  b.forest = b.forest.flattened(1);
  m.zero_grad();
  accumulate(m, b);
  const double off = distance(together, gradients(m)) / length_of(together);
  need(off < 1e-3, "gradients of a forest and of its separate sequences differ by " + std::to_string(100 * off) + " %",
       "the gradient of a shared prompt is the sum over what hangs below it");
}

void tickets(Subject& s) {
  ModelBench m(s);
  m.need_training();
  const Batch b = batch_of(m, 1, false);
  const int most = m.info().max_tickets;
  std::vector<std::uint64_t> open;
  for (int i = 0; i < std::min(most, 8); ++i) open.push_back(m.forward(b.forest, 1, false, true).ticket);
  if (most <= 8) {
    Caller call;
    Scores out;
    const grpo_status status = m.try_forward(call, b.forest, 1, out, false, true);
    if (status == GRPO_STATUS_OK) open.push_back(out.ticket);  // more than it promised
    need(status == GRPO_STATUS_OK || call.spoke(), "it refuses a ticket too many without a message", "");
  }
  for (const std::uint64_t t : open) m.table->drop(m.handle(), t);
  Caller call;
  auto a = made<grpo_backward>();
  a.ticket = open.empty() ? 1 : open.front();
  a.dlogprob = b.dlogprob.data();
  s.at("backward with a ticket that was dropped");
  need(m.table->backward(m.handle(), call, &a) != GRPO_STATUS_OK, "backward takes a ticket that was dropped",
       "a ticket ends with backward or drop");
  need(call.spoke(), "backward refuses a ticket without a message", "");
  m.zero_grad();
  const int n = need_no_growth(s, s.times(300, 40), "a forward for training, and drop,",
                               [&] { m.table->drop(m.handle(), m.forward(b.forest, 1, false, true).ticket); });
  s.note = std::to_string(n) + " tickets dropped";
}

constexpr Check all[] = {
    {"model.gradient", "model", "gradients are those of central finite differences", gradient},
    {"model.accumulates", "model", "backward adds to the gradients, ticket by ticket; zero_grad clears them",
     accumulates},
    {"model.shared", "model", "a forest and its separate sequences have the same gradients", shared},
    {"model.tickets", "model", "tickets end with backward or drop, and leave no memory", tickets},
};

}  // namespace

std::span<const Check> model_training_checks() { return all; }

}  // namespace grpo::plugins::conformance

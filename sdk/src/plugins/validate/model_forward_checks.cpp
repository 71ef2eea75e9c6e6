// grpo.model/1: descriptions, log-probabilities, forests, refusals.
#include <algorithm>
#include <cmath>
#include <set>

#include "model_bench.hpp"
#include "model_checks.hpp"

namespace grpo::plugins::conformance {
namespace {

std::string shape_text(const grpo_dltensor& t) {
  std::string out = "[";
  for (std::int32_t i = 0; i < t.ndim; ++i) out += (i ? ", " : "") + std::to_string(t.shape[i]);
  return out + "]";
}

void describe(Subject& s) {
  ModelBench m(s);
  const grpo_model_info& i = m.info();
  need(i.struct_size >= sizeof(grpo_model_info), "its description has struct_size " + std::to_string(i.struct_size),
       "set struct_size = sizeof(grpo_model_info)");
  need(i.vocabulary > 1 && i.max_positions > 0 && i.max_depth >= 0 && i.max_tokens >= 0,
       "its description is not one: vocabulary " + std::to_string(i.vocabulary) + ", max_positions " +
           std::to_string(i.max_positions) + ", max_depth " + std::to_string(i.max_depth),
       "fill every field; 0 means any only where model.h says so");
  if (m.can(GRPO_MODEL_TRAIN)) m.need_training();
  need(!m.can(GRPO_MODEL_TRAIN) || i.max_tickets > 0, "it can be trained, and max_tickets is 0",
       "say how many forwards may wait");
  need(!m.can(GRPO_MODEL_IMPORT) || m.table->import_weights,
       "it says GRPO_MODEL_IMPORT, and its table lacks import_weights", "");
  std::set<std::string> names;
  std::int64_t elements = 0;
  const auto list = m.parameters();
  for (const grpo_parameter* p : list) {
    const std::string name = p->name ? p->name : "";
    need(!name.empty() && names.insert(name).second, "two parameters are named '" + name + "'",
         "a tensor that several layers use is listed once");
    need(p->value, "the parameter '" + name + "' has no value", "");
    const bool frozen = (p->flags & GRPO_PARAMETER_FROZEN) || !m.can(GRPO_MODEL_TRAIN);
    need(p->gradient || frozen, "the parameter '" + name + "' has no gradient and is not GRPO_PARAMETER_FROZEN", "");
    need(!p->gradient || shape_text(p->gradient->dl) == shape_text(p->value->dl),
         "the gradient of '" + name + "' has another shape than its value", "the same shape");
    elements += elements_of(p->value);
  }
  need(i.group || i.n_elements == elements,
       "its description counts " + std::to_string(i.n_elements) + " elements, its parameters have " +
           std::to_string(elements),
       "n_elements is over all parameters");
  need(m.parameters() == list && m.table->describe(m.handle()) == &i, "a second call gives other pointers",
       "descriptions and parameters are the same from open to close");
  s.note = std::to_string(list.size()) + " parameters, " + std::to_string(elements) + " elements, vocabulary " +
           std::to_string(i.vocabulary);
}

// Every id of the vocabulary as the next token.
void sums(Subject& s) {
  ModelBench m(s);
  const auto vocabulary = static_cast<std::int32_t>(m.info().vocabulary);
  const std::size_t n = m.length(vocabulary > 4096 ? 2 : 5);
  std::vector<double> plain;
  for (const double temperature : {1.0, 0.7}) {
    Forest f;
    f.add(Forest::root, m.tokens(3, n));
    for (std::int64_t at : {std::int64_t{0}, static_cast<std::int64_t>(n) - 1})
      for (std::int32_t v = 0; v < vocabulary; ++v) f.add_target(at, v);
    const Scores got = m.forward(f, temperature, m.can(GRPO_MODEL_ENTROPY));
    for (int half = 0; half < 2; ++half) {
      const float* logp = got.logprob.data() + half * vocabulary;
      double sum = 0, entropy = 0, expected = 0;
      for (std::int32_t v = 0; v < vocabulary; ++v)
        sum += std::exp(static_cast<double>(logp[v])),
            entropy -= std::exp(static_cast<double>(logp[v])) * static_cast<double>(logp[v]);
      need(std::abs(sum - 1) < 1e-3,
           "the probabilities of all ids sum to " + std::to_string(sum) + " at temperature " +
               std::to_string(temperature),
           "logprob is log softmax(logits / temperature); sum in double precision");
      if (m.can(GRPO_MODEL_ENTROPY))
        need(std::abs(got.entropy[static_cast<std::size_t>(half * vocabulary)] - entropy) < 2e-3 * (1 + entropy),
             "entropy is " + std::to_string(got.entropy[static_cast<std::size_t>(half * vocabulary)]) +
                 ", that of the distribution " + std::to_string(entropy),
             "in nats, of softmax(logits / temperature)");
      if (temperature == 1.0) {
        plain.insert(plain.end(), logp, logp + vocabulary);
        continue;
      }
      const double* at_one = plain.data() + half * vocabulary;
      for (std::int32_t v = 0; v < vocabulary; ++v) expected += std::exp(at_one[v] / temperature);
      for (std::int32_t v = 0; v < vocabulary; ++v)
        need(std::abs(logp[v] - (at_one[v] / temperature - std::log(expected))) < 1e-3,
             "at temperature 0.7 id " + std::to_string(v) + " has log-probability " + std::to_string(logp[v]) +
                 ", from temperature 1 follows " + std::to_string(at_one[v] / temperature - std::log(expected)),
             "divide the logits by the temperature");
    }
  }
}

double worst(const std::vector<float>& a, const std::vector<float>& b) {
  double out = 0;
  for (std::size_t i = 0; i < a.size(); ++i)
    out = std::max(out, std::abs(static_cast<double>(a[i]) - static_cast<double>(b[i])));
  return out;
}

// A prompt with three completions, one of which goes on in two ways.
Forest tree(const ModelBench& m) {
  Forest f;
  const std::size_t n = m.length(24) / 4;
  const auto prompt = f.add(Forest::root, m.tokens(1, std::max<std::size_t>(n, 1)));
  f.add_scored(prompt, m.tokens(2, std::max<std::size_t>(n, 1)));
  const auto second = f.add_scored(prompt, m.tokens(3, std::max<std::size_t>(n, 1)));
  f.add_scored(second, m.tokens(4, std::max<std::size_t>(n, 1)));
  f.add_scored(second, m.tokens(5, std::max<std::size_t>(n, 1)));
  f.add_scored(Forest::root, m.tokens(6, std::max<std::size_t>(n, 2)));
  return f;
}

void forest(Subject& s) {
  ModelBench m(s);
  if (m.info().max_depth == 1) throw Skipped{"it takes separate sequences only (max_depth 1): the host flattens"};
  const Forest shared = m.info().max_depth == 2 ? tree(m).flattened(2) : tree(m);
  const Scores together = m.forward(shared), apart = m.forward(shared.flattened(1));
  const double off = worst(together.logprob, apart.logprob);
  need(
      off < 1e-3, "log-probabilities of a forest and of its separate sequences differ by " + std::to_string(off),
      "a token sees its own node up to itself, and all of its ancestors, nothing else; positions count along the path");
}

void causal(Subject& s) {
  ModelBench m(s);
  const std::size_t n = m.length(12);
  if (n < 4) throw Skipped{"it has fewer than 4 positions"};
  Tokens a = m.tokens(8, n), b = a;
  b.back() = static_cast<std::int32_t>((b.back() + 1) % m.info().vocabulary);
  const auto logprobs = [&](const Tokens& ids, const Tokens& other) {
    Forest f;
    if (!other.empty()) f.add(Forest::root, other);
    const std::int64_t at = f.n_tokens();
    f.add(Forest::root, ids);
    for (std::size_t i = 0; i + 2 < n; ++i) f.add_target(at + static_cast<std::int64_t>(i), ids[i + 1]);
    return m.forward(f).logprob;
  };
  const auto expected = logprobs(a, {});
  need(worst(logprobs(b, {}), expected) < 1e-4, "the last token changes log-probabilities before it",
       "a token sees what came before it");
  need(worst(logprobs(a, m.tokens(9, n)), expected) < 1e-4, "another sequence in the forest changes log-probabilities",
       "a token sees its own path alone");
}

// Raw forests that the host would never send; an embedding caller might.
void refuses(Subject& s) {
  ModelBench m(s);
  const auto vocabulary = static_cast<std::int32_t>(m.info().vocabulary);
  const std::int64_t n = static_cast<std::int64_t>(m.length(4));
  struct Bad {
    const char* what;
    Tokens tokens;
    std::vector<std::int64_t> start, parent, at;
    Tokens target;
  };
  const Tokens good = m.tokens(5, static_cast<std::size_t>(n));
  Tokens negative = good, large = good;
  negative[0] = -1;
  large[0] = vocabulary;
  std::vector<Bad> all{{"a token of -1", negative, {0, n}, {-1}, {0}, {0}},
                       {"a token as large as the vocabulary", large, {0, n}, {-1}, {0}, {0}},
                       {"a target of -1", good, {0, n}, {-1}, {0}, {-1}},
                       {"a target as large as the vocabulary", good, {0, n}, {-1}, {0}, {vocabulary}},
                       {"a target at a token that is not there", good, {0, n}, {-1}, {n}, {0}},
                       {"a target at the token -1", good, {0, n}, {-1}, {-1}, {0}}};
  if (n >= 2) all.push_back({"a node that is its own parent", good, {0, 1, n}, {-1, 1}, {0}, {0}});
  if (m.info().max_positions < 10'000) {
    const std::int64_t over = m.info().max_positions + 1;
    all.push_back({"a path that is longer than its positions",
                   m.tokens(5, static_cast<std::size_t>(over)),
                   {0, over},
                   {-1},
                   {over - 1},
                   {0}});
  }
  if (m.info().max_depth == 1 && n >= 2)
    all.push_back({"a forest that is deeper than max_depth", good, {0, 1, n}, {-1, 0}, {1}, {0}});
  for (const Bad& bad : all) {
    grpo_forest f = made<grpo_forest>();
    f.n_tokens = static_cast<std::int64_t>(bad.tokens.size());
    f.n_nodes = static_cast<std::int64_t>(bad.parent.size());
    f.token = bad.tokens.data();
    f.node_start = bad.start.data();
    f.parent = bad.parent.data();
    Caller call;
    Scores out;
    s.at(std::string("forward with ") + bad.what);
    const grpo_status status = m.try_forward(call, f, bad.at, bad.target, 1, out, false, false);
    need(status != GRPO_STATUS_OK, std::string("forward takes ") + bad.what,
         "refuse with GRPO_STATUS_INVALID and a message");
    need(call.spoke(), std::string("forward refuses ") + bad.what + " without a message",
         "say what is wrong with call->fail");
  }
  m.forward(tree(m));
}

void fields(Subject& s) {
  std::vector<float> expected;
  for (const Fields how : later_hosts(s)) {
    ModelBench m(s, how);
    const auto got = m.forward(tree(m)).logprob;
    if (how == Fields::plain) expected = got;
    need(worst(got, expected) < 1e-5, "longer structs of a later host give other log-probabilities",
         "do not look at fields that your headers do not have");
  }
}

void growth(Subject& s) {
  ModelBench m(s);
  const Forest f = tree(m);
  const int n = need_no_growth(s, s.times(300, 40), "a forward pass", [&] { m.forward(f); });
  s.note = std::to_string(n) + " passes";
}

constexpr Check all[] = {
    {"model.describe", "model", "its description and its parameters are complete and agree", describe},
    {"model.sums", "model", "probabilities sum to one; temperature and entropy are those of the distribution", sums},
    {"model.causal", "model", "a token sees its own path, nothing after it and nothing beside it", causal},
    {"model.forest", "model", "a forest and its separate sequences have the same log-probabilities", forest},
    {"model.refuses", "model", "a bad forest or target is refused with a message", refuses},
    {"model.fields", "model", "longer structs of a later host change nothing", fields},
    {"model.growth", "model", "forward passes leave no memory, thread or descriptor behind", growth},
};

}  // namespace

std::span<const Check> model_forward_checks() { return all; }

std::span<const Check> model_checks() {
  static const std::vector<Check> joined = [] {
    std::vector<Check> out;
    for (const auto part :
         {model_forward_checks(), model_training_checks(), model_weights_checks(), model_decode_checks()})
      out.insert(out.end(), part.begin(), part.end());
    return out;
  }();
  return joined;
}

}  // namespace grpo::plugins::conformance

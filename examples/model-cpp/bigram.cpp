// bigram: a language model that remembers one token. The logits of what follows token c are H e_c: a row of `embed`
// times the matrix `head`. Small enough to check by hand, whole enough for sft, train and eval.
#include <grpo/random.h>
#include <algorithm>
#include <cmath>
#include <grpo/model.hpp>
#include <map>
#include <memory>
#include <vector>

GRPO_MANIFEST({
  "name": "bigram", "version": "1.0.0", "licence": "MIT",
  "components": [{"interface": "grpo.model/1", "name": "bigram", "offers": ["grpo.decode/1"], "options": {
    "vocabulary": {"type": "integer", "default": 1024, "minimum": 2, "description": "ids; at least the tokenizer's"},
    "width": {"type": "integer", "default": 16, "minimum": 1, "description": "numbers that stand for a token"},
    "seed": {"type": "integer", "default": 0, "minimum": 0, "description": "of the first weights"}}}]
});

namespace {

constexpr std::int64_t positions = 1 << 20;

struct network {
  std::int64_t vocabulary, width;
  std::vector<float> embed, head, embed_gradient, head_gradient;  // [vocabulary][width]

  // H e_c
  void logits(std::int32_t c, std::vector<double>& out) const {
    out.assign(std::size_t(vocabulary), 0);
    const float* e = &embed[std::size_t(c * width)];
    for (std::int64_t v = 0; v < vocabulary; ++v)
      for (std::int64_t k = 0; k < width; ++k)
        out[std::size_t(v)] += double{head[std::size_t(v * width + k)]} * double{e[k]};
  }
  // log softmax(H e_c / t)
  void log_softmax(std::int32_t c, double t, std::vector<double>& out) const {
    logits(c, out);
    for (double& z : out) z /= t;
    const double top = *std::max_element(out.begin(), out.end());
    double sum = 0;
    for (const double z : out) sum += std::exp(z - top);
    for (double& z : out) z -= top + std::log(sum);
  }
  void check(std::int32_t id) const {
    if (id < 0 || id >= vocabulary)
      throw grpo::failure(GRPO_STATUS_INVALID,
                          std::to_string(id) + " is no id: there are " + std::to_string(vocabulary));
  }
};

double entropy_of(const std::vector<double>& logp) {
  double h = 0;
  for (const double x : logp) h -= std::exp(x) * x;
  return h;
}

// Slots, for sampling. A slot needs no cache but its last token, so there is always room.
class session {
 public:
  session(const network& net, const grpo_decode_session& wanted)
      : net_(net), tokens_(wanted.tokens), slots_(std::size_t(wanted.slots)) {}

  std::int64_t free_tokens() const noexcept { return tokens_; }
  void prefill(const grpo_decode_prefill& a, const grpo::call&) {
    for (std::int64_t i = 0; i < a.n; ++i) {
      slot& s = at(a.slot[i]);
      s.last = a.token[a.start[i + 1] - 1];
      net_.check(s.last);
      s.length += a.start[i + 1] - a.start[i];
    }
  }
  void fork(const grpo_decode_fork& a, const grpo::call&) {
    for (std::int64_t i = 0; i < a.n; ++i) at(a.to[i]) = at(a.from[i]);
  }
  void assign(const grpo_decode_assign& a, const grpo::call&) {
    for (std::int64_t i = 0; i < a.n; ++i) {
      slot& s = at(a.slot[i]);
      const grpo_sampling& o = *a.sampling[i];
      if (grpo_sampling_used(&o) != 0)
        throw grpo::failure(GRPO_STATUS_UNSUPPORTED, "sampling: temperature, stop ids and max_new are all there is");
      s.key = a.key[i];
      s.temperature = o.temperature;
      s.stop.assign(o.stop, o.stop + o.n_stop);
      s.end = o.max_new > 0 ? std::min(positions, s.length + o.max_new) : positions;
    }
  }
  void step(const grpo_decode_step& a, const grpo::call& call) {
    for (std::int64_t i = 0; i < a.n; ++i) {
      call.stop_if_asked();
      a.count[i] = 0;
      a.ended[i] = GRPO_FINISH_NONE;
      for (std::int64_t k = 0; k < a.room && a.ended[i] == GRPO_FINISH_NONE; ++k)
        if (!token(a, i, k)) break;
    }
  }
  void release(grpo::span<const std::int64_t> list) noexcept {
    for (const std::int64_t i : list) slots_[std::size_t(i)] = {};
  }

 private:
  struct slot {
    std::int32_t last = -1;  // pending
    std::int64_t length = 0, end = 0;
    std::uint64_t key = 0;
    double temperature = 1;
    std::vector<std::int32_t> stop;
  };
  slot& at(std::int64_t i) {
    if (i < 0 || i >= std::int64_t(slots_.size())) throw grpo::failure(GRPO_STATUS_INVALID, "there is no such slot");
    return slots_[std::size_t(i)];
  }

  // Token k of row i. false: the row was only to be looked at.
  bool token(const grpo_decode_step& a, std::int64_t i, std::int64_t k) {
    slot& s = at(a.slot[i]);
    net_.log_softmax(s.last, s.temperature > 0 ? s.temperature : 1, logp_);
    if (a.logits && k == 0) {
      net_.logits(s.last, raw_);
      std::copy(raw_.begin(), raw_.end(), a.logits + i * net_.vocabulary);
    }
    if (a.flags & GRPO_STEP_PEEK) return false;
    const std::int32_t id = a.force && k == 0 && a.force[i] >= 0 ? a.force[i] : choose(s);
    const std::size_t cell = std::size_t(i * a.room + k);
    a.token[cell] = id;
    if (a.logprob) a.logprob[cell] = float(logp_[std::size_t(id)]);
    if (a.logprob_sampled) a.logprob_sampled[cell] = s.temperature > 0 ? float(logp_[std::size_t(id)]) : 0;
    ++a.count[i];
    ++s.length;
    s.last = id;
    if (std::find(s.stop.begin(), s.stop.end(), id) != s.stop.end())
      a.ended[i] = GRPO_FINISH_STOP;
    else if (s.length == s.end)
      a.ended[i] = GRPO_FINISH_LENGTH;
    return true;
  }

  std::int32_t choose(const slot& s) const {
    if (s.temperature == 0) return std::int32_t(std::max_element(logp_.begin(), logp_.end()) - logp_.begin());
    const double u = grpo_random_uniform(s.key, std::uint64_t(s.length));
    double sum = 0;
    for (std::size_t v = 0; v < logp_.size(); ++v)
      if ((sum += std::exp(logp_[v])) > u) return std::int32_t(v);
    return std::int32_t(logp_.size() - 1);
  }

  const network& net_;
  std::int64_t tokens_;
  std::vector<slot> slots_;
  std::vector<double> logp_, raw_;
};

class bigram {
 public:
  explicit bigram(grpo::options o) {
    net_.vocabulary = o.integer("vocabulary", 1024, 2, 1 << 24);
    net_.width = o.integer("width", 16, 1, 1 << 16);
    const auto seed = std::uint64_t(o.integer("seed", 0));
    const auto n = std::size_t(net_.vocabulary * net_.width);
    std::uint64_t drawn = 0;
    for (auto* values : {&net_.embed, &net_.head}) {
      values->resize(n);
      for (float& x : *values) x = float((2 * grpo_random_uniform(seed, drawn++) - 1) / std::sqrt(double(net_.width)));
    }
    net_.embed_gradient.resize(n);
    net_.head_gradient.resize(n);
    parameters_.add("embed.weight", {net_.vocabulary, net_.width}, net_.embed.data(), net_.embed_gradient.data());
    parameters_.add("head.weight", {net_.vocabulary, net_.width}, net_.head.data(), net_.head_gradient.data());
    info_.struct_size = sizeof info_;
    info_.flags = GRPO_MODEL_TRAIN | GRPO_MODEL_ENTROPY | GRPO_MODEL_IMPORT;
    info_.vocabulary = net_.vocabulary;
    info_.max_positions = positions;
    info_.max_tickets = 8;
    info_.n_elements = parameters_.elements();
    info_.flops_per_token = 2.0 * double(n);
    info_.device_type = GRPO_DEVICE_CPU;
  }

  const grpo_model_info& info() const noexcept { return info_; }
  grpo::span<const grpo_parameter* const> parameters() const noexcept { return parameters_.list(); }

  std::uint64_t forward(const grpo::forward_pass& a, const grpo::call& call) {
    ticket t{a.temperature(), {}, {a.target_token().begin(), a.target_token().end()}};
    for (std::size_t k = 0; k < a.targets(); ++k) {
      call.stop_if_asked();
      t.context.push_back(a.forest().tokens()[std::size_t(a.target_at()[k])]);
      net_.check(t.context[k]);
      net_.check(t.target[k]);
      net_.log_softmax(t.context[k], t.temperature, logp_);
      a.logprob()[k] = float(logp_[std::size_t(t.target[k])]);
      if (!a.entropy().empty()) a.entropy()[k] = float(entropy_of(logp_));
    }
    if (!a.train()) return 0;
    tickets_[++last_ticket_] = std::move(t);
    return last_ticket_;
  }

  // With p the softmax: d logp_j / dz_v = ((v = j) - p_v) / t, and d entropy / dz_v = -p_v (logp_v + entropy) / t.
  void backward(const grpo_backward& a, const grpo::call&) {
    const auto found = tickets_.extract(a.ticket);
    if (found.empty()) throw grpo::failure(GRPO_STATUS_INVALID, "there is no such ticket");
    const ticket& t = found.mapped();
    for (std::size_t k = 0; k < t.context.size(); ++k) {
      net_.log_softmax(t.context[k], t.temperature, logp_);
      const double dlogp = double{a.dlogprob[k]}, dentropy = a.dentropy ? double{a.dentropy[k]} : 0;
      const double entropy = dentropy != 0 ? entropy_of(logp_) : 0;
      const std::size_t c = std::size_t(t.context[k] * net_.width);
      for (std::int64_t v = 0; v < net_.vocabulary; ++v) {
        const double logp = logp_[std::size_t(v)], p = std::exp(logp);
        const double dz = (dlogp * ((v == t.target[k]) - p) - dentropy * p * (logp + entropy)) / t.temperature;
        for (std::size_t i = 0, h = std::size_t(v * net_.width); i < std::size_t(net_.width); ++i) {
          net_.head_gradient[h + i] += float(dz * double{net_.embed[c + i]});
          net_.embed_gradient[c + i] += float(dz * double{net_.head[h + i]});
        }
      }
    }
  }
  void drop(std::uint64_t ticket) noexcept { tickets_.erase(ticket); }
  void zero_grad(const grpo::call&) {
    std::fill(net_.embed_gradient.begin(), net_.embed_gradient.end(), 0.f);
    std::fill(net_.head_gradient.begin(), net_.head_gradient.end(), 0.f);
  }
  void commit(std::int64_t, const grpo::call&) {}  // nothing is derived from the values

  void export_weights(const grpo_tensor_sink& to, const grpo::call& call) { parameters_.export_to(to, call); }
  void import_weights(std::int64_t, const grpo_tensor_source& from, const grpo::call& call) {
    parameters_.import_from(from, call);
  }

  const grpo_decode_info& decoder() const noexcept {
    static constexpr grpo_decode_info info{sizeof info, 0, 0, 0};  // no sampling options, any room
    return info;
  }
  std::unique_ptr<session> open_session(const grpo_decode_session& wanted, const grpo::call&) {
    return std::make_unique<session>(net_, wanted);
  }

 private:
  struct ticket {
    double temperature = 1;
    std::vector<std::int32_t> context, target;
  };
  network net_;
  grpo::parameter_list parameters_;
  grpo_model_info info_{};
  std::map<std::uint64_t, ticket> tickets_;
  std::uint64_t last_ticket_ = 0;
  std::vector<double> logp_;
};

}  // namespace

GRPO_MODEL(bigram, "bigram");

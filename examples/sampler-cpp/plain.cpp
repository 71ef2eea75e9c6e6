// plain: one request after the other, its samples together. The shortest sampler that keeps every promise;
// samplers/local shows what it takes to keep a machine busy (continuous batching, stop texts, a bounded cache).
#include <algorithm>
#include <grpo/sampler.hpp>
#include <vector>

GRPO_MANIFEST({
  "name": "plain", "version": "1.0.0", "licence": "MIT",
  "components": [{"interface": "grpo.sampler/1", "name": "plain", "options": {
    "room": {"type": "integer", "default": 16, "minimum": 1, "description": "tokens a step makes for a sample"}}}]
});

namespace {

struct plain : grpo::bound_sampler {
  std::int64_t room;
  explicit plain(grpo::options o) : room(o.integer("room", 16, 1, 1 << 16)) {}

  void generate(grpo::feed& feed, const grpo::call& call) {
    while (!feed.ended()) {
      call.stop_if_asked();
      if (const grpo_request* request = feed.next(50'000'000)) answer(*request, feed, call);
    }
  }

 private:
  struct sample {
    std::vector<std::int32_t> ids;
    std::vector<float> logprob, sampled;
  };

  void answer(const grpo_request& r, grpo::feed& feed, const grpo::call& call) {
    std::int64_t longest = model().max_positions - r.n_prompt;
    if (r.sampling->max_new > 0) longest = std::min<std::int64_t>(longest, r.sampling->max_new);
    auto session = open_session(call, r.n_samples, r.n_prompt + r.n_samples * longest);

    // The prompt once, then as many copies as samples, each with its key.
    std::vector<std::int64_t> live, origin(std::size_t(r.n_samples), 0);
    std::vector<std::uint64_t> keys;
    for (std::int64_t i = 0; i < r.n_samples; ++i) {
      live.push_back(i);
      keys.push_back(grpo_random_key(r.key, std::uint64_t(i)));
    }
    session.prefill(call, 0, {r.prompt, r.n_prompt}, r.flags & GRPO_REQUEST_TRAIN ? GRPO_PREFILL_TRAIN : 0);
    if (r.n_samples > 1) session.fork(call, {origin.data(), r.n_samples - 1}, {live.data() + 1, r.n_samples - 1});
    session.assign(call, live, keys, std::vector<const grpo_sampling*>(live.size(), r.sampling));

    std::vector<sample> samples(live.size());
    for (std::int64_t made = 0; !live.empty();) {
      call.stop_if_asked();
      const bool stop = was_cancelled(r.id);
      const std::int64_t most = decoder().max_room > 0 ? std::min<std::int64_t>(room, decoder().max_room) : room;
      const std::int64_t n = std::min({most, longest - made, session.free_tokens() / std::int64_t(live.size())});
      if (!stop) session.step(call, live, n, step_);
      std::vector<std::int64_t> others;
      for (std::size_t row = 0; row < live.size(); ++row) {
        sample& s = samples[std::size_t(live[row])];
        if (!stop) append(s, row);
        const std::int32_t how = stop ? std::int32_t{GRPO_FINISH_CANCELLED} : step_.ended(row);
        if (how == GRPO_FINISH_NONE)
          others.push_back(live[row]);
        else
          feed.deliver({r.id, live[row], s.ids, s.logprob, s.sampled, how, GRPO_LOGPROB_TEMPERED, version()});
      }
      live = others;
      made += n;
    }
  }

  void append(sample& s, std::size_t row) {
    s.ids.insert(s.ids.end(), step_.ids(row).begin(), step_.ids(row).end());
    s.logprob.insert(s.logprob.end(), step_.logprob(row).begin(), step_.logprob(row).end());
    s.sampled.insert(s.sampled.end(), step_.logprob_sampled(row).begin(), step_.logprob_sampled(row).end());
  }

  bool was_cancelled(std::uint64_t request) {
    take_cancels(cancels_);
    return std::find(cancels_.begin(), cancels_.end(), request) != cancels_.end();
  }

  grpo::decoded step_;
  std::vector<std::uint64_t> cancels_;
};

}  // namespace

GRPO_SAMPLER(plain, "plain");

// feeding.hpp: requests and completions as values, and back.
#ifndef GRPO_PLUGINS_RECORD_FEEDING_HPP
#define GRPO_PLUGINS_RECORD_FEEDING_HPP

#include <grpo/sampler.h>

#include "decode.hpp"

namespace grpo::plugins::record {

inline void pack(const grpo_request& r, ValueList& out) {
  if (r.n_extras > 0) throw Error("requests with extras cannot be recorded");
  Pack p(out);
  p.integer("flags", r.flags).integer("id", static_cast<std::int64_t>(r.id));
  p.integer("key", static_cast<std::int64_t>(r.key)).integer("n_samples", r.n_samples);
  p.list("prompt", r.prompt, r.n_prompt);
  pack(*r.sampling, p.values("sampling"));
}

inline void pack(const grpo_completion& c, ValueList& out) {
  if (c.n_extras > 0) throw Error("completions with extras cannot be recorded");
  Pack p(out);
  p.integer("request", static_cast<std::int64_t>(c.request)).integer("index", c.index).integer("finish", c.finish);
  p.integer("logprob_kind", c.logprob_kind).integer("version", c.version).list("ids", c.ids, c.n);
  p.list("logprob", c.logprob, c.n).list("logprob_sampled", c.logprob_sampled, c.n);
  p.list("token_version", c.token_version, c.n);
}

// Pointers into the object.
class RequestView {
 public:
  explicit RequestView(const ValueList& from) : RequestView(Unpack(from, "feed.next")) {}
  RequestView(const RequestView&) = delete;
  RequestView& operator=(const RequestView&) = delete;
  const grpo_request* get() const { return &r_; }

 private:
  explicit RequestView(const Unpack& u) : prompt_(u.list<std::int32_t>("prompt")), sampling_(u.values("sampling")) {
    r_.struct_size = sizeof r_;
    r_.flags = static_cast<std::uint32_t>(u.integer("flags"));
    r_.id = static_cast<std::uint64_t>(u.integer("id"));
    r_.key = static_cast<std::uint64_t>(u.integer("key"));
    r_.n_samples = u.integer("n_samples");
    r_.n_prompt = static_cast<std::int64_t>(prompt_.size());
    r_.prompt = prompt_.data();
    r_.sampling = sampling_.get();
  }
  std::vector<std::int32_t> prompt_;
  SamplingView sampling_;
  grpo_request r_{};
};

}  // namespace grpo::plugins::record

#endif

#include "sampler_bench.hpp"

#include <cmath>

namespace grpo::plugins::conformance {

// --- requests ---

FeedBench::Box::Box(const Ask& from, Fields fields)
    : ask(from), sampling("a request's grpo_sampling", fields), request("a grpo_request", fields), open(from.samples) {
  const auto keep = [&](const auto* data, std::size_t n, const char* what) {
    pages.push_back(copied(data, n, what));
    pages.back().read_only();
    return pages.back().data();
  };
  const Plan& p = ask.plan;
  sampling->temperature = p.temperature;
  sampling->top_p = p.top_p;
  sampling->min_p = p.min_p;
  sampling->repetition_penalty = p.repetition_penalty;
  sampling->top_k = p.top_k;
  sampling->min_new = p.min_new;
  sampling->max_new = p.max_new;
  sampling->n_stop = static_cast<std::int32_t>(p.stop.size());
  sampling->stop = static_cast<const std::int32_t*>(keep(p.stop.data(), p.stop.size(), "sampling->stop"));
  std::vector<grpo_str> texts;
  for (const std::string& text : p.stop_text)
    texts.push_back({static_cast<const char*>(keep(text.c_str(), text.size() + 1, "a stop text")),
                     static_cast<std::int64_t>(text.size())});
  sampling->n_stop_text = static_cast<std::int32_t>(texts.size());
  sampling->stop_text = static_cast<const grpo_str*>(keep(texts.data(), texts.size(), "sampling->stop_text"));
  sampling.seal();
  request->id = ask.id;
  request->key = ask.key;
  request->n_prompt = static_cast<std::int64_t>(ask.prompt.size());
  request->n_samples = ask.samples;
  request->prompt = static_cast<const std::int32_t*>(keep(ask.prompt.data(), ask.prompt.size(), "request->prompt"));
  request->sampling = sampling;
  request.seal();
}

FeedBench::FeedBench(const std::vector<Ask>& asks, Fields fields, std::int64_t vocabulary)
    : feed_("the grpo_feed", fields), vocabulary_(vocabulary) {
  for (const Ask& ask : asks) boxes_.emplace_back(ask, fields);
  feed_->host = this;
  feed_->next = [](const grpo_feed* f, const grpo_call*, std::int64_t, const grpo_request** request) noexcept {
    return static_cast<FeedBench*>(f->host)->next(request);
  };
  feed_->deliver = [](const grpo_feed* f, const grpo_call* call, const grpo_completion* c) noexcept {
    return static_cast<FeedBench*>(f->host)->deliver(call, c);
  };
  feed_.seal();
}

grpo_status FeedBench::next(const grpo_request** request) {
  std::lock_guard lock(mutex_);
  if (taken_ == boxes_.size()) return GRPO_STATUS_END;
  if (waited_++ < pauses) return GRPO_STATUS_AGAIN;
  waited_ = 0;
  *request = boxes_[taken_++].request;
  return GRPO_STATUS_OK;
}

void FeedBench::complain(const std::string& why, const std::string& way_out) {
  if (complaint_.why.empty()) complaint_ = {why, way_out};
}

grpo_status FeedBench::deliver(const grpo_call* call, const grpo_completion* c) {
  std::size_t delivered = 0;
  Name name;
  {
    std::lock_guard lock(mutex_);
    if (refuse_at >= 0 && static_cast<std::int64_t>(results_.size()) >= refuse_at)
      return grpo_fail(call, GRPO_STATUS_FAILED, "the suite refuses this completion");
    try {
      check(*c);
    } catch (const Failed& e) {
      complain(e.why, e.way_out);
      return grpo_fail(call, GRPO_STATUS_INVALID, e.why.c_str());
    }
    name = {c->request, c->index};
    delivered = results_.size();
  }
  if (on_deliver) on_deliver(name, delivered);
  return GRPO_STATUS_OK;
}

// The completion, checked and kept.
void FeedBench::check(const grpo_completion& c) {
  const std::string which = "the completion " + std::to_string(c.index) + " of request " + std::to_string(c.request);
  need(c.struct_size >= sizeof(grpo_completion), which + " has struct_size " + std::to_string(c.struct_size),
       "set struct_size = sizeof");
  Box* box = nullptr;
  for (std::size_t i = 0; i < taken_; ++i)
    if (boxes_[i].ask.id == c.request) box = &boxes_[i];
  need(box, which + " is for a request that was never given", "use the id of the request");
  need(c.index >= 0 && c.index < box->ask.samples, which + " is out of its request's n_samples",
       "samples count from 0");
  need(!results_.contains({c.request, c.index}), which + " is delivered twice", "each sample of a request once");
  need(c.finish >= GRPO_FINISH_STOP && c.finish <= GRPO_FINISH_CANCELLED,
       which + " has the finish reason " + std::to_string(c.finish), "use GRPO_FINISH_*");
  need(c.n >= 0 && (c.n == 0 || c.ids), which + " has no ids", "ids is an array of n");
  need(c.logprob_kind >= GRPO_LOGPROB_NONE && c.logprob_kind <= GRPO_LOGPROB_SAMPLED,
       which + " has log-probabilities of the kind " + std::to_string(c.logprob_kind), "use GRPO_LOGPROB_*");
  need(c.n == 0 || (c.logprob != nullptr) == (c.logprob_kind != GRPO_LOGPROB_NONE),
       which + " says of its log-probabilities that they are there, and they are not, or the reverse",
       "logprob is NULL with GRPO_LOGPROB_NONE, and only then");
  Got got{{c.ids, c.ids + c.n}, c.finish, c.logprob_kind, c.version, {}, {}};
  if (c.logprob) got.logprob.assign(c.logprob, c.logprob + c.n);
  if (c.logprob_sampled) got.sampled.assign(c.logprob_sampled, c.logprob_sampled + c.n);
  for (const std::int32_t id : got.ids)
    need(id >= 0 && (!vocabulary_ || id < vocabulary_), which + " holds the id " + std::to_string(id),
         "ids are 0 to vocabulary - 1");
  for (const auto* list : {&got.logprob, &got.sampled})
    for (const float x : *list)
      need(std::isfinite(x) && x <= 1e-4f, which + " has the log-probability " + std::to_string(x),
           "a log-probability is finite and not above 0");
  results_[{c.request, c.index}] = std::move(got);
  if (--box->open > 0) return;
  for (Pages& p : box->pages) p.inaccessible();
  box->sampling.pages().inaccessible();
  box->request.pages().inaccessible();
}

void FeedBench::need_sound() const {
  if (!complaint_.why.empty()) throw complaint_;
}

void FeedBench::need_complete() const {
  for (const Box& box : boxes_)
    for (std::int64_t i = 0; i < box.ask.samples; ++i)
      need(results_.contains({box.ask.id, i}),
           "sample " + std::to_string(i) + " of request " + std::to_string(box.ask.id) + " was never delivered",
           "generate returns when every request has its n_samples completions");
}

// --- the sampler ---

SamplerBench::SamplerBench(Subject& subject, bool with_tokenizer, Fields how) : fields(how), subject_(subject) {
  Attempt::Settings settings;
  settings.fields = how;
  if (with_tokenizer) settings.services[GRPO_TOKENIZER_ID] = model.tokenizer();
  opened_ = std::make_unique<Opened>(subject, settings);
  table = opened_->table_as<grpo_sampler>();
  subject.at("describe");
  need(table->describe(handle()), "describe gave nothing", "give a grpo_sampler_info that lives as long as the handle");
  if (!binds()) return;
  need(table->bind && table->model_changed, "its description asks for bind and model_changed, which its table lacks",
       "give both, or leave GRPO_SAMPLER_BINDS out");
  binding_ = std::make_unique<Struct<grpo_sampler_binding>>("the grpo_sampler_binding", how);
  (*binding_)->model = &model;
  (*binding_)->model_table = ReferenceModel::model_table();
  (*binding_)->decode_table = ReferenceModel::decode_table();
  (*binding_)->model_revision = GRPO_HEADER_REVISION;
  binding_->seal();
  subject.at("bind");
  Caller call(how);
  const grpo_status status = table->bind(handle(), call, *binding_);
  need(status == GRPO_STATUS_OK, "bind failed: " + call.error() + " (" + status_text(status) + ")",
       "the suite's model has 32 ids, 96 positions, and grpo.decode/1");
  call.end();
}

SamplerBench::~SamplerBench() = default;

grpo_status SamplerBench::run(FeedBench& feed, Caller& call) {
  subject_.at("generate");
  const grpo_status status = table->generate(handle(), call, feed.get());
  feed.need_sound();
  need(model.complaint.empty(), "it used the model's decoder against the contract: " + model.complaint,
       "decode.h says what each function wants");
  return status;
}

Results SamplerBench::generate(const std::vector<Ask>& asks, int pauses) {
  FeedBench feed(asks, fields, vocabulary());
  feed.pauses = pauses;
  Caller call(fields);
  const grpo_status status = run(feed, call);
  need(status == GRPO_STATUS_OK,
       "generate failed: " + (call.spoke() ? call.error() : "without a message") + " (" + status_text(status) + ")",
       "");
  feed.need_complete();
  call.end();
  return feed.results();
}

void SamplerBench::need_slots_free(const std::string& when) {
  need(model.slots_in_use == 0,
       std::to_string(model.slots_in_use) + " slots of the model's cache are still taken " + when,
       "release a slot when its completion is delivered, and all of them when generate fails");
}

void need_bound(const SamplerBench& bench) {
  if (!bench.binds())
    throw Skipped{"it has an engine of its own (no GRPO_SAMPLER_BINDS): what it should answer is not known here"};
}

void need_sampling(const SamplerBench& bench, std::uint32_t bits, const char* what) {
  if ((bench.info().sampling & bits) != bits) throw Skipped{std::string("it does not offer ") + what};
}

std::vector<Ask> usual_asks() {
  return {{1, 11, {3, 1, 4}, 4, {}},
          {2, 12, {1}, 1, {.temperature = 0.7, .max_new = 20}},
          {9, 13, {5, 9, 2, 6, 5, 3, 5, 8, 9, 7, 9, 3}, 3, {.max_new = 5, .stop = {0, 7}}},
          {4, 14, {2, 7}, 2, {.temperature = 0, .max_new = 9}},
          {5, 11, {3, 1, 4}, 2, {.temperature = 1.5, .max_new = 1}}};
}

ReferenceModel::Completion expected(const ReferenceModel& model, const Ask& ask, std::int64_t index) {
  auto s = made<grpo_sampling>();
  const Plan& p = ask.plan;
  s.temperature = p.temperature;
  s.top_p = p.top_p;
  s.min_p = p.min_p;
  s.repetition_penalty = p.repetition_penalty;
  s.top_k = p.top_k;
  s.min_new = p.min_new;
  s.max_new = p.max_new;
  s.stop = p.stop.data();
  s.n_stop = static_cast<std::int32_t>(p.stop.size());
  std::vector<grpo_str> texts;
  for (const std::string& text : p.stop_text) texts.push_back({text.data(), static_cast<std::int64_t>(text.size())});
  s.stop_text = texts.data();
  s.n_stop_text = static_cast<std::int32_t>(texts.size());
  return model.expected(ask.prompt, s, ask.key, index);
}

std::string shown(const Ids& ids) {
  std::string out = "[";
  for (std::size_t i = 0; i < ids.size() && i < 12; ++i) out += (i ? " " : "") + std::to_string(ids[i]);
  return out + (ids.size() > 12 ? " ...]" : "]");
}

const char* const keys_way = "sample i of a request draws with grpo_random_key(request.key, i), as random.h says";

void need_same(const Results& got, const Results& expected, const std::string& when) {
  for (const auto& [name, g] : got) {
    const Got& e = expected.at(name);
    need(g.ids == e.ids && g.finish == e.finish,
         "sample " + std::to_string(name.second) + " of request " + std::to_string(name.first) + " is " + shown(g.ids) +
             " " + when + ", and " + shown(e.ids) + " otherwise",
         keys_way);
  }
}

// All completions are those that the model and random.h make.
void need_expected(const SamplerBench& bench, const std::vector<Ask>& asks, const Results& got,
                   const std::string& about, const std::string& way_out) {
  for (const Ask& ask : asks)
    for (std::int64_t i = 0; i < ask.samples; ++i) {
      const auto want = expected(bench.model, ask, i);
      const Got& g = got.at({ask.id, i});
      const std::string which = about + ": sample " + std::to_string(i) + " of request " + std::to_string(ask.id);
      need(g.ids == want.ids, which + " is " + shown(g.ids) + ", the model and its key give " + shown(want.ids),
           way_out);
      need(g.finish == want.finish,
           which + " ended as " + std::to_string(g.finish) + ", not as " + std::to_string(want.finish) +
               " (GRPO_FINISH_*)",
           way_out);
    }
}

}  // namespace grpo::plugins::conformance

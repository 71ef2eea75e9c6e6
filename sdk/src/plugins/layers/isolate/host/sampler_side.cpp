#include "sampler_side.hpp"

#include <deque>
#include <vector>

#include "../area.hpp"
#include "grpo/sdk/error.hpp"
#include "grpo/sdk/plugins/call.hpp"

namespace grpo::plugins::isolate {

// A request, and how many of its completions are missing.
struct SamplerSide::Open {
  wire::Request message;
  std::vector<grpo_str> stop_text;
  grpo_sampling sampling{};
  grpo_request table{};
  std::int64_t missing;

  explicit Open(const wire::Request& from) : message(from), missing(from.n_samples()) {
    const wire::Sampling& s = message.sampling();
    for (const std::string& text : s.stop_text())
      stop_text.push_back({text.c_str(), static_cast<std::int64_t>(text.size())});
    sampling.struct_size = sizeof sampling;
    sampling.temperature = s.temperature();
    sampling.top_p = s.top_p();
    sampling.min_p = s.min_p();
    sampling.repetition_penalty = s.repetition_penalty();
    sampling.top_k = s.top_k();
    sampling.min_new = s.min_new();
    sampling.max_new = s.max_new();
    sampling.n_stop = s.stop_size();
    sampling.stop = s.stop().data();
    sampling.n_stop_text = static_cast<std::int32_t>(stop_text.size());
    sampling.stop_text = stop_text.data();
    table.struct_size = sizeof table;
    table.flags = message.flags();
    table.id = message.id();
    table.key = message.key();
    table.n_prompt = message.prompt_size();
    table.n_samples = message.n_samples();
    table.prompt = message.prompt().data();
    table.sampling = &sampling;
  }
};

SamplerSide::SamplerSide(const grpo_sampler& table, void* handle, Inbox& inbox,
                         std::shared_ptr<RemoteServices> services)
    : table_(table), handle_(handle), inbox_(inbox), services_(std::move(services)) {
  inbox_.read_ahead([this](const wire::ToChild& message) {
    if (message.has_cancel()) table_.cancel(handle_, message.cancel().request());
    if (message.has_stop()) stop_.store(true, std::memory_order_relaxed);
    return message.has_cancel() || message.has_stop();
  });
}
SamplerSide::~SamplerSide() = default;

void SamplerSide::describe(wire::SamplerInfo& info) const {
  const grpo_sampler_info* from = table_.describe(handle_);
  if (!from) return;
  info.set_flags(from->flags);
  info.set_sampling(from->sampling);
  info.set_logprob_kind(from->logprob_kind);
  info.set_max_positions(from->max_positions);
}

bool SamplerSide::handle(const wire::ToChild& m, wire::Status& done) {
  if (!m.has_generate() && !m.has_update_begin() && !m.has_put() && !m.has_update_end()) return false;
  services_->begin();
  Call call(services_);
  grpo_status status = GRPO_STATUS_UNSUPPORTED;
  try {
    if (m.has_generate()) {
      call.set_deadline(m.generate().deadline_ns());
      call.watch(&stop_);
      status = generate(call);
      stop_.store(false, std::memory_order_relaxed);
    } else if (m.has_update_begin() && table_.update_begin) {
      status = table_.update_begin(handle_, call, m.update_begin().version(), &sink_);
      if (status == GRPO_STATUS_OK && !sink_) status = grpo_fail(call, GRPO_STATUS_FAILED, "update_begin gave no sink");
    } else if (m.has_put() && sink_) {
      status = put(call, m.put());
    } else if (m.has_update_end() && table_.update_end) {
      status = table_.update_end(handle_, call, m.update_end().accept());
      sink_ = nullptr;
    }
  } catch (const std::exception& e) {
    status = grpo_fail(call, GRPO_STATUS_FAILED, e.what());
  }
  done.set_status(status);
  done.set_error(call.error());
  return true;
}

grpo_status SamplerSide::generate(const grpo_call* call) {
  open_.clear();
  grpo_feed feed{};
  feed.struct_size = sizeof feed;
  feed.host = this;
  feed.next = [](const grpo_feed* f, const grpo_call* c, std::int64_t wait_ns,
                 const grpo_request** request) noexcept -> grpo_status {
    try {
      return static_cast<SamplerSide*>(f->host)->next(c, wait_ns, request);
    } catch (const std::exception& e) {
      return grpo_fail(c, GRPO_STATUS_FAILED, e.what());
    }
  };
  feed.deliver = [](const grpo_feed* f, const grpo_call* c, const grpo_completion* completion) noexcept -> grpo_status {
    try {
      return static_cast<SamplerSide*>(f->host)->deliver(c, *completion);
    } catch (const std::exception& e) {
      return grpo_fail(c, GRPO_STATUS_FAILED, e.what());
    }
  };
  return table_.generate(handle_, call, &feed);
}

grpo_status SamplerSide::next(const grpo_call* call, std::int64_t wait_ns, const grpo_request** request) {
  wire::ToHost question;
  question.mutable_next()->set_wait_ns(wait_ns);
  wire::ToChild answer;
  if (!services_->exchange(question, answer) || !answer.has_next())
    return grpo_fail(call, GRPO_STATUS_FAILED, "the host does not answer");
  const wire::NextAnswer& next = answer.next();
  if (next.status() != GRPO_STATUS_OK) return next.status();
  auto open = std::make_unique<Open>(next.request());
  std::lock_guard lock(mutex_);
  auto& place = open_[next.request().id()];
  place = std::move(open);
  *request = &place->table;
  return GRPO_STATUS_OK;
}

grpo_status SamplerSide::deliver(const grpo_call* call, const grpo_completion& c) {
  if (c.n_extras > 0)
    return grpo_fail(call, GRPO_STATUS_UNSUPPORTED, "extras of a completion do not leave a process of its own");
  if (c.n < 0 || (c.n > 0 && !c.ids)) return grpo_fail(call, GRPO_STATUS_INVALID, "a completion without its ids");
  wire::ToHost message;
  wire::Completion& m = *message.mutable_completion();
  m.set_request(c.request);
  m.set_index(c.index);
  m.set_finish(c.finish);
  m.set_logprob_kind(c.logprob_kind);
  m.set_version(c.version);
  m.mutable_ids()->Add(c.ids, c.ids + c.n);
  if (c.logprob) m.mutable_logprob()->Add(c.logprob, c.logprob + c.n);
  if (c.logprob_sampled) m.mutable_logprob_sampled()->Add(c.logprob_sampled, c.logprob_sampled + c.n);
  if (c.token_version) m.mutable_token_version()->Add(c.token_version, c.token_version + c.n);
  wire::ToChild answer;
  if (!services_->exchange(message, answer) || !answer.has_delivered())
    return grpo_fail(call, GRPO_STATUS_FAILED, "the host does not answer");
  std::lock_guard lock(mutex_);
  const auto at = open_.find(c.request);
  if (at != open_.end() && --at->second->missing == 0) open_.erase(at);
  return answer.delivered().status();
}

// The tensors stay in the shared memory: the sink has read them when it comes back.
grpo_status SamplerSide::put(const grpo_call* call, const wire::Put& m) {
  const Area area(inbox_.take_descriptor(), m.size());
  std::deque<grpo_tensor> tensors;
  std::deque<std::vector<std::int64_t>> shapes;
  std::deque<grpo_named_tensor> named;
  std::vector<const grpo_named_tensor*> list;
  for (const wire::TensorPlace& place : m.tensor()) {
    auto& shape = shapes.emplace_back(place.shape().begin(), place.shape().end());
    grpo_tensor& t = tensors.emplace_back();
    t.struct_size = sizeof t;
    t.flags = GRPO_TENSOR_READ_ONLY;
    t.dl.data = area.data() + place.at();
    t.dl.device_type = GRPO_DEVICE_CPU;
    t.dl.ndim = static_cast<std::int32_t>(shape.size());
    t.dl.type = static_cast<std::uint8_t>(place.type());
    t.dl.bits = static_cast<std::uint8_t>(place.bits());
    t.dl.lanes = static_cast<std::uint16_t>(place.lanes());
    t.dl.shape = shape.data();
    named.push_back({sizeof(grpo_named_tensor), 0, place.name().c_str(), &t});
  }
  for (const grpo_named_tensor& n : named) list.push_back(&n);
  return sink_->put(sink_, call, static_cast<std::int64_t>(list.size()), list.data());
}

}  // namespace grpo::plugins::isolate

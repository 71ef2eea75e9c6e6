#include "streams.hpp"

#include <cstring>

#include "released.hpp"
#include "tensors.hpp"
#include "text.hpp"

namespace grpo::plugins::check {

CheckedSink::CheckedSink(Opened& o, const char* f, const grpo_tensor_sink& s, bool any)
    : owner(o), function(f), inner(s), any_thread(any) {
  table.struct_size = sizeof table;
  table.flags = inner.flags;
  table.owner = this;
  table.put = [](const grpo_tensor_sink* sink, const grpo_call* call, std::int64_t n,
                 const grpo_named_tensor* const* tensors) noexcept -> grpo_status {
    try {
      return static_cast<CheckedSink*>(sink->owner)->put(call, n, tensors);
    } catch (...) {
      return refuse(call, "put: out of memory");
    }
  };
}

grpo_status CheckedSink::put(const grpo_call* call, std::int64_t n, const grpo_named_tensor* const* tensors) {
  const auto broken = [this](const Rule& rule, const std::string& what) { owner.broken(rule, function, what); };
  if (!live.load()) {
    broken(rule::sink_stale, "put after the sink had ended");
    return GRPO_STATUS_INVALID;
  }
  if (!any_thread && std::this_thread::get_id() != thread) {
    broken(rule::sink_thread, "put on another thread");
    return GRPO_STATUS_INVALID;
  }
  if (!call || n < 0 || (n > 0 && !tensors)) {
    broken(rule::tensor_invalid, "put of " + std::to_string(n) + " tensors" + (call ? "" : ", without a call"));
    return GRPO_STATUS_INVALID;
  }
  for (std::int64_t i = 0; i < n; ++i) {
    const grpo_named_tensor* t = tensors[i];
    if (!t || too_short(t) || !t->name || !is_utf8(t->name, static_cast<std::int64_t>(std::strlen(t->name)))) {
      broken(rule::tensor_invalid, "tensor " + std::to_string(i) + " of a put has no name, or none in UTF-8");
      return GRPO_STATUS_INVALID;
    }
    if (const auto problem = tensor_problem(t->tensor); !problem.empty()) {
      broken(rule::tensor_invalid, "'" + std::string(t->name) + "' " + problem);
      return GRPO_STATUS_INVALID;
    }
    if (t->tensor->dl.device_type == GRPO_DEVICE_CUDA && !(inner.flags & GRPO_SINK_DEVICE))
      broken(rule::tensor_invalid, "'" + std::string(t->name) + "' is on a device, and the sink takes host memory");
    if (!names.insert(t->name).second) broken(rule::name_repeated, "'" + std::string(t->name) + "' was put twice");
  }
  return inner.put(&inner, call, n, tensors);
}

CheckedSource::CheckedSource(Opened& o, const grpo_tensor_source& s) : owner(o), inner(s) {
  table.struct_size = sizeof table;
  table.owner = this;
  table.n = inner.n;
  table.names = inner.names;
  table.get = [](const grpo_tensor_source* source, const grpo_call* call, const char* name,
                 const grpo_tensor** tensor) noexcept -> grpo_status {
    auto& self = *static_cast<CheckedSource*>(source->owner);
    const auto broken = [&self](const Rule& rule, const char* what) {
      self.owner.broken(rule, "import_weights", what);
      return GRPO_STATUS_INVALID;
    };
    if (!self.live.load()) return broken(rule::sink_stale, "get after import_weights had returned");
    if (std::this_thread::get_id() != self.owner.thread) return broken(rule::source_thread, "get on another thread");
    if (!call || !name || !tensor) return broken(rule::source_name, "get without a name, a call, or a place");
    return self.inner.get(&self.inner, call, name, tensor);
  };
}

}  // namespace grpo::plugins::check

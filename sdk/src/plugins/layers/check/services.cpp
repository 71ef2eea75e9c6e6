#include "services.hpp"

#include <cmath>
#include <cstring>

#include "text.hpp"

namespace grpo::plugins::check {
namespace {

thread_local bool in_body = false;

struct Body {  // of parallel_for
  void (*run)(void*, std::int64_t, std::int64_t);
  void* context;
};

}  // namespace

template <class Table, class Fill>
const void* CheckedServices::front(Fronts<Table>& list, const void* inner, Fill fill_in) {
  const auto* table = static_cast<const Table*>(inner);
  for (const Front<Table>& f : list)
    if (f.inner == table) return &f.table;
  Front<Table>& f = list.emplace_back();
  std::memcpy(&f.table, table, std::min<std::size_t>(table->struct_size, sizeof(Table)));
  f.table.struct_size = sizeof(Table);
  f.table.host = &f;
  f.inner = table;
  f.owner = &owner_;
  fill_in(f.table);
  return &f.table;
}

const void* CheckedServices::find(const void* inner, const char* id) {
  const auto is = [id](const char* known) { return std::strcmp(id, known) == 0; };
  const auto fill_in = [](auto& table) { fill(table); };
  if (is(GRPO_LOG_ID)) return front(log_, inner, fill_in);
  if (is(GRPO_METRICS_ID)) return front(metrics_, inner, fill_in);
  if (is(GRPO_TOKENIZER_ID)) return front(tokenizer_, inner, fill_in);
  if (is(GRPO_TASKS_ID)) return front(tasks_, inner, fill_in);
  if (is(GRPO_COMM_ID)) return front(comm_, inner, fill_in);
  return inner;
}

// nullptr, and told, after close.
template <class Table>
const CheckedServices::Front<Table>* CheckedServices::open(const Table* table, const char* function) {
  const auto* f = static_cast<const Front<Table>*>(table->host);
  if (!f->owner->closed.load()) return f;
  f->owner->broken(rule::service_closed, function, "used after close");
  return nullptr;
}

bool CheckedServices::on_own_thread(const Opened& owner, const char* function) {
  if (std::this_thread::get_id() == owner.thread) return true;
  const_cast<Opened&>(owner).broken(rule::service_thread, function, "called on another thread than open");
  return false;
}

void CheckedServices::fill(grpo_log& table) {
  table.write = [](const grpo_log* log, std::int32_t level, const char* text, std::int64_t size) noexcept {
    const auto* f = open(log, "log.write");
    if (!f) return;
    if (level < GRPO_LOG_DEBUG || level > GRPO_LOG_ERROR)
      f->owner->broken(rule::service_arguments, "log.write", "a line of the level " + std::to_string(level));
    if (!text || size < 0) return f->owner->broken(rule::service_arguments, "log.write", "a line without a text");
    if (!is_utf8(text, size))
      f->owner->broken(rule::text_utf8, "log.write", "the line is not UTF-8: " + quoted(text, size));
    f->inner->write(f->inner, level, text, size);
  };
}

void CheckedServices::fill(grpo_metrics& table) {
  table.add = [](const grpo_metrics* metrics, const char* name, double value) noexcept {
    const auto* f = open(metrics, "metrics.add");
    if (!f) return;
    if (!name || !*name) return f->owner->broken(rule::service_arguments, "metrics.add", "a metric without a name");
    const auto size = static_cast<std::int64_t>(std::strlen(name));
    if (!is_utf8(name, size))
      f->owner->broken(rule::text_utf8, "metrics.add", "the name is not UTF-8: " + quoted(name, size));
    if (!std::isfinite(value))
      f->owner->broken(rule::service_metric, "metrics.add", quoted(name, size) + " is not finite");
    f->inner->add(f->inner, name, value);
  };
}

void CheckedServices::fill(grpo_tokenizer& table) {
  table.encode = [](const grpo_tokenizer* t, std::uint32_t flags, const char* text, std::int64_t size,
                    std::int32_t* ids, std::int64_t room) noexcept -> std::int64_t {
    const auto* f = open(t, "tokenizer.encode");
    if (!f) return -1;
    if (!text || size < 0 || room < 0 || (room > 0 && !ids)) {
      f->owner->broken(rule::service_arguments, "tokenizer.encode",
                       "text of " + std::to_string(size) + " bytes, room for " + std::to_string(room) + " ids");
      return -1;
    }
    return f->inner->encode(f->inner, flags, text, size, ids, room);
  };
  table.decode = [](const grpo_tokenizer* t, std::uint32_t flags, const std::int32_t* ids, std::int64_t n, char* text,
                    std::int64_t room) noexcept -> std::int64_t {
    const auto* f = open(t, "tokenizer.decode");
    if (!f) return -1;
    if (n < 0 || (n > 0 && !ids) || room < 0 || (room > 0 && !text)) {
      f->owner->broken(rule::service_arguments, "tokenizer.decode",
                       std::to_string(n) + " ids, room for " + std::to_string(room) + " bytes");
      return -1;
    }
    return f->inner->decode(f->inner, flags, ids, n, text, room);
  };
}

void CheckedServices::fill(grpo_tasks& table) {
  table.parallel_for = [](const grpo_tasks* tasks, const grpo_call* call, std::int64_t n, std::int64_t grain,
                          void (*body)(void*, std::int64_t, std::int64_t), void* context) noexcept -> grpo_status {
    const auto* f = open(tasks, "tasks.parallel_for");
    if (!f) return GRPO_STATUS_INVALID;
    if (!call || !body || n < 0 || grain < 1) {
      f->owner->broken(rule::service_arguments, "tasks.parallel_for",
                       std::to_string(n) + " elements in pieces of " + std::to_string(grain) +
                           (call ? "" : ", without a call") + (body ? "" : ", without a body"));
      return GRPO_STATUS_INVALID;
    }
    if (in_body || f->owner->running.load() == 0) {
      f->owner->broken(rule::service_outside, "tasks.parallel_for",
                       in_body ? "called inside a body" : "called outside any call of the handle");
      return GRPO_STATUS_INVALID;
    }
    Body whole{body, context};
    return f->inner->parallel_for(
        f->inner, call, n, grain,
        [](void* p, std::int64_t begin, std::int64_t end) {
          const Body& b = *static_cast<Body*>(p);
          in_body = true;
          b.run(b.context, begin, end);
          in_body = false;
        },
        &whole);
  };
}

void CheckedServices::fill(grpo_comm& table) {
  table.group = [](const grpo_comm* comm, const char* name) noexcept -> const grpo_comm_group* {
    const auto* f = open(comm, "comm.group");
    if (f && !name) f->owner->broken(rule::service_arguments, "comm.group", "a group without a name");
    return f && name ? f->inner->group(f->inner, name) : nullptr;
  };
  table.all_reduce = [](const grpo_comm* comm, const grpo_call* call, const grpo_comm_group* group, std::int32_t how,
                        const grpo_tensor* tensor) noexcept -> grpo_status {
    const auto* f = open(comm, "comm.all_reduce");
    if (!f || !on_own_thread(*f->owner, "comm.all_reduce")) return GRPO_STATUS_INVALID;
    return f->inner->all_reduce(f->inner, call, group, how, tensor);
  };
  table.all_gather = [](const grpo_comm* comm, const grpo_call* call, const grpo_comm_group* group,
                        const grpo_tensor* piece, const grpo_tensor* whole) noexcept -> grpo_status {
    const auto* f = open(comm, "comm.all_gather");
    if (!f || !on_own_thread(*f->owner, "comm.all_gather")) return GRPO_STATUS_INVALID;
    return f->inner->all_gather(f->inner, call, group, piece, whole);
  };
  table.reduce_scatter = [](const grpo_comm* comm, const grpo_call* call, const grpo_comm_group* group,
                            std::int32_t how, const grpo_tensor* whole,
                            const grpo_tensor* piece) noexcept -> grpo_status {
    const auto* f = open(comm, "comm.reduce_scatter");
    if (!f || !on_own_thread(*f->owner, "comm.reduce_scatter")) return GRPO_STATUS_INVALID;
    return f->inner->reduce_scatter(f->inner, call, group, how, whole, piece);
  };
  table.broadcast = [](const grpo_comm* comm, const grpo_call* call, const grpo_comm_group* group, std::int32_t root,
                       const grpo_tensor* tensor) noexcept -> grpo_status {
    const auto* f = open(comm, "comm.broadcast");
    if (!f || !on_own_thread(*f->owner, "comm.broadcast")) return GRPO_STATUS_INVALID;
    return f->inner->broadcast(f->inner, call, group, root, tensor);
  };
}

}  // namespace grpo::plugins::check

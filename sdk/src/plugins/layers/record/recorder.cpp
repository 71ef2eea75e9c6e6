#include "recorder.hpp"

#include <zlib.h>

#include <cerrno>
#include <cstring>
#include <nlohmann/json.hpp>

#include "grpo/sdk/error.hpp"
#include "grpo/sdk/plugins/call.hpp"

namespace grpo::plugins::record {
namespace {

namespace fs = std::filesystem;

// What lies there is somebody's recording: it is kept under another name.
void make_room(const fs::path& file) {
  if (!fs::exists(fs::symlink_status(file))) return;
  if (!fs::is_regular_file(file)) throw Error(file.string() + ": is no file, so no recording can be made there");
  for (int n = 1;; ++n) {
    const fs::path aside = file.string() + "." + std::to_string(n);
    if (fs::exists(fs::symlink_status(aside))) continue;
    fs::rename(file, aside);
    return;
  }
}

}  // namespace

void describe(const Component& component, wire::Component& out) {
  out.set_interface_id(component.manifest.interface_id);
  out.set_name(component.manifest.name);
  out.set_plugin(component.plugin);
  out.set_version(component.version);
  out.set_path(component.path);
  out.set_header_revision(component.header_revision);
  out.set_flags(component.table->flags);
  out.set_options_schema(component.manifest.options.dump());
  for (const std::string& offer : component.manifest.offers) out.add_offers(offer);
}

Recorder::Recorder(const fs::path& file, const Component& component, const std::string& host)
    : file_(file),
      interface_(component.manifest.interface_id),
      name_(component.manifest.name),
      library_(component.path),
      start_ns_(monotonic_now_ns()) {
  try {
    if (file.has_parent_path()) fs::create_directories(file.parent_path());
    make_room(file);
  } catch (const fs::filesystem_error& e) {
    throw Error(file.string() + ": the recording cannot be made: " + e.code().message());
  }
  errno = 0;
  out_ = gzopen(file.c_str(), "wb1");  // fast: a recording is not to slow the run down
  if (!out_) throw Error(file.string() + ": the recording cannot be made: " + std::strerror(errno ? errno : ENOMEM));
  wire::Header header;
  header.set_format(wire::format);
  header.set_host(host);
  header.set_header_revision(GRPO_HEADER_REVISION);
  describe(component, *header.add_component());
  put(header);
}

Recorder::~Recorder() {
  if (out_) gzclose(out_);
}

bool Recorder::records(const Component& c) const {
  return c.manifest.interface_id == interface_ && c.manifest.name == name_ && c.path == library_;
}

std::int64_t Recorder::now_ns() const { return monotonic_now_ns() - start_ns_; }

void Recorder::put(const google::protobuf::MessageLite& message) {
  bytes_.clear();
  wire::append_delimited(bytes_, message);
  const auto size = static_cast<unsigned>(bytes_.size());
  if (gzwrite(out_, bytes_.data(), size) != static_cast<int>(size) || gzflush(out_, Z_SYNC_FLUSH) != Z_OK)
    throw Error(file_.string() + ": cannot be written to (is the disk full?)");
}

void Recorder::write(wire::Envelope& message) {
  const std::lock_guard lock(mutex_);
  const auto number = static_cast<std::uint32_t>(threads_.size() + 1);
  message.set_thread(threads_.try_emplace(std::this_thread::get_id(), number).first->second);
  put(message);
}

void Recorder::give_up(const std::string& reason, const grpo_log* log) noexcept {
  if (!active_.exchange(false) || !log) return;
  try {
    const std::string line = "the recording ends here: " + reason;
    log->write(log, GRPO_LOG_WARNING, line.data(), static_cast<std::int64_t>(line.size()));
  } catch (...) {  // no memory for the line
  }
}

WatchedCall::WatchedCall(const grpo_call* outer) : outer_(outer) {
  call_.struct_size = sizeof call_;
  call_.host = this;
  call_.deadline_ns = outer ? outer->deadline_ns : 0;
  call_.cancelled = [](const grpo_call* c) noexcept -> std::int32_t {
    const grpo_call* outer = static_cast<WatchedCall*>(c->host)->outer_;
    return outer->cancelled(outer);
  };
  call_.alloc = [](const grpo_call* c, std::int64_t size) noexcept -> void* {
    const grpo_call* outer = static_cast<WatchedCall*>(c->host)->outer_;
    return outer->alloc(outer, size);
  };
  call_.fail = [](const grpo_call* c, grpo_status status, const char* text, std::int64_t size) noexcept -> grpo_status {
    auto& watched = *static_cast<WatchedCall*>(c->host);
    try {
      const std::lock_guard lock(watched.mutex_);
      if (watched.error_.empty() && text && size > 0) watched.error_.assign(text, static_cast<std::size_t>(size));
    } catch (...) {  // no memory for the text: the host is told all the same
    }
    return watched.outer_->fail(watched.outer_, status, text, size);
  };
  call_.progress = [](const grpo_call* c, double done, double total) noexcept {
    const grpo_call* outer = static_cast<WatchedCall*>(c->host)->outer_;
    outer->progress(outer, done, total);
  };
  call_.service = [](const grpo_call* c, const char* id) noexcept -> const void* {
    const grpo_call* outer = static_cast<WatchedCall*>(c->host)->outer_;
    return outer->service(outer, id);
  };
}

std::string WatchedCall::error() const {
  const std::lock_guard lock(mutex_);
  return error_;
}

Tape::Tape(std::shared_ptr<Recorder> to, const grpo_call* open)
    : to_(std::move(to)),
      handle_(to_->next_handle()),
      log_(open ? static_cast<const grpo_log*>(open->service(open, GRPO_LOG_ID)) : nullptr) {}

void Tape::put(const Fill& fill, wire::Envelope& message) {
  if (!to_->active()) return;
  try {
    message.set_handle(handle_);
    if (fill) fill(message);
    to_->write(message);
  } catch (const std::exception& e) {
    to_->give_up(e.what(), log_);
  }
}

std::uint64_t Tape::ask(const char* function, const grpo_call* call, const Fill& fill, std::uint64_t parent) {
  const std::uint64_t id = to_->next_call();
  wire::Envelope message;
  message.set_id(id);
  message.set_parent(parent);
  message.set_function(function);
  message.set_begin_ns(to_->now_ns());
  if (call && call->deadline_ns != 0) message.set_timeout_ns(call->deadline_ns - monotonic_now_ns());
  put(fill, message);
  return id;
}

void Tape::answer(std::uint64_t id, const char* function, grpo_status status, const std::string& error,
                  const Fill& fill, std::uint64_t parent) {
  wire::Envelope message;
  message.set_id(id);
  message.set_parent(parent);
  message.set_function(function);
  message.set_begin_ns(to_->now_ns());
  message.set_answer(true);
  message.set_status(status);
  message.set_error(error);
  put(fill, message);
}

void Tape::note(const char* function, const Fill& fill) { ask(function, nullptr, fill); }

}  // namespace grpo::plugins::record

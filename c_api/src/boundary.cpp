#include "boundary.hpp"

#include "grpo/kit/nesting.hpp"

#include <algorithm>
#include <mutex>
#include <new>
#include <nlohmann/json.hpp>

#include "grpo/sdk/plugins/call.hpp"
#include "grpo/sdk/report/console.hpp"

namespace grpo::embed {
namespace {

void write(grpo_embed_error* error, std::string_view text) noexcept {
  if (!error) return;
  error->size = static_cast<std::int64_t>(text.size());
  if (!error->text || error->room <= 0) return;
  auto n = std::min(text.size(), static_cast<std::size_t>(error->room - 1));
  if (n < text.size())
    while (n > 0 && (static_cast<unsigned char>(text[n]) & 0xC0) == 0x80) --n;  // no half characters
  if (n > 0) std::memcpy(error->text, text.data(), n);
  error->text[n] = 0;
}

struct OwnedText final : Owner {
  std::string text;
};
struct OwnedTexts final : Owner {
  std::string data;
  std::vector<std::int64_t> start{0};
};
struct OwnedIds final : Owner {
  std::vector<std::int32_t> id;
  std::vector<std::int64_t> start{0};
};

// The last start, after checking that they do not fall.
std::int64_t check_starts(const std::int64_t* start, std::int64_t n, const char* name) {
  check_count(n, (std::string(name) + ".n").c_str());
  if (!start) throw Invalid(std::string(name) + ".start is NULL; it has n + 1 numbers");
  if (start[0] < 0) throw Invalid(std::string(name) + ".start[0] is " + std::to_string(start[0]));
  for (std::int64_t i = 0; i < n; ++i)
    if (start[i + 1] < start[i])
      throw Invalid(std::string(name) + ".start falls at " + std::to_string(i + 1) + ": " + std::to_string(start[i]) +
                    ", then " + std::to_string(start[i + 1]));
  return start[n];
}

}  // namespace

grpo_status guarded(grpo_embed_error* error, const std::function<grpo_status()>& body) noexcept {
  write(error, {});
  grpo_status status = GRPO_STATUS_FAILED;
  try {
    return body();
  } catch (const Invalid& e) {
    write(error, e.what());
    status = GRPO_STATUS_INVALID;
  } catch (const Unsupported& e) {
    write(error, e.what());
    status = GRPO_STATUS_UNSUPPORTED;
  } catch (const plugins::CallError& e) {
    write(error, e.what());
    if (e.status() != GRPO_STATUS_OK) status = e.status();
  } catch (const std::bad_alloc&) {
    write(error, "out of memory");
    status = GRPO_STATUS_NO_MEMORY;
  } catch (const std::exception& e) {
    write(error, e.what());
  } catch (...) {
    write(error, "an exception of an unknown type");
  }
  return status;
}

void check_flags(std::uint32_t flags, std::uint32_t known, const char* where) {
  if ((flags & ~known) != 0)
    throw Unsupported(std::string(where) + ": flags " + std::to_string(flags & ~known) +
                      " are not known to this library (header revision " + std::to_string(GRPO_HEADER_REVISION) +
                      "); leave them out, or use a newer libgrpo.so");
}

void check_count(std::int64_t n, const char* name) {
  constexpr std::int64_t most = std::int64_t{1} << 40;
  if (n < 0 || n > most)
    throw Invalid(std::string(name) + " is " + std::to_string(n) +
                  (n < 0 ? ", which is negative" : ", more than any memory holds; was it set?"));
}

void check_struct(const void* given, std::size_t known, std::size_t first, const char* name) {
  if (!given) throw Invalid(std::string(name) + " is NULL");
  std::uint32_t size;
  std::memcpy(&size, given, sizeof size);
  if (size < first)
    throw Invalid(std::string(name) + ".struct_size is " + std::to_string(size) + ", less than " + std::to_string(first) +
                  "; zero the struct and set struct_size = sizeof(" + name + ")");
  const char* bytes = static_cast<const char*>(given);
  for (std::size_t i = known; i < size; ++i)
    if (bytes[i] != 0)
      throw Unsupported(std::string(name) + ": a field at byte " + std::to_string(i) +
                        " is set that this library (header revision " + std::to_string(GRPO_HEADER_REVISION) +
                        ") does not know; leave it 0, or use a newer libgrpo.so");
}

void give(grpo_embed_text* to, std::string text) {
  if (!to) return;
  auto* owned = new OwnedText;
  owned->text = std::move(text);
  *to = {owned->text.c_str(), static_cast<std::int64_t>(owned->text.size()), static_cast<Owner*>(owned)};
}

void give(grpo_embed_text* to, const nlohmann::json& value) {
  if (to) give(to, value.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace));
}

void give(grpo_embed_texts* to, const std::vector<std::string>& texts) {
  if (!to) return;
  auto owned = std::make_unique<OwnedTexts>();
  std::size_t bytes = 0;
  for (const auto& text : texts) bytes += text.size();
  owned->data.reserve(bytes);
  owned->start.reserve(texts.size() + 1);
  for (const auto& text : texts) {
    owned->data += text;
    owned->start.push_back(static_cast<std::int64_t>(owned->data.size()));
  }
  *to = {static_cast<std::int64_t>(texts.size()), owned->data.c_str(), owned->start.data(), nullptr};
  to->owner = static_cast<Owner*>(owned.release());
}

void give(grpo_embed_ids* to, const std::vector<std::vector<std::int32_t>>& lists) {
  if (!to) return;
  auto owned = std::make_unique<OwnedIds>();
  for (const auto& list : lists) {
    owned->id.insert(owned->id.end(), list.begin(), list.end());
    owned->start.push_back(static_cast<std::int64_t>(owned->id.size()));
  }
  owned->id.reserve(1);  // so that data() is not null
  *to = {static_cast<std::int64_t>(lists.size()), owned->id.data(), owned->start.data(), nullptr};
  to->owner = static_cast<Owner*>(owned.release());
}

Texts::Texts(const grpo_embed_texts* given, const char* name)
    : data_(needed(given, name).data), start_(given->start), n_(given->n) {
  if (check_starts(start_, n_, name) > 0 && !data_) throw Invalid(std::string(name) + ".data is NULL");
}
std::string_view Texts::operator[](std::int64_t i) const {
  if (start_[i] == start_[i + 1]) return {};
  return {data_ + start_[i], static_cast<std::size_t>(start_[i + 1] - start_[i])};
}

IdLists::IdLists(const grpo_embed_ids* given, const char* name)
    : id_(needed(given, name).id), start_(given->start), n_(given->n) {
  if (check_starts(start_, n_, name) > 0 && !id_) throw Invalid(std::string(name) + ".id is NULL");
}
std::span<const std::int32_t> IdLists::operator[](std::int64_t i) const {
  if (start_[i] == start_[i + 1]) return {};
  return {id_ + start_[i], static_cast<std::size_t>(start_[i + 1] - start_[i])};
}

void check_depth(std::string_view json, const std::string& name) {
  if (kit::nested_too_deeply(json)) throw Invalid(name + " nests deeper than " + std::to_string(kit::deepest_json) + " levels");
}

nlohmann::json json_of(const char* text, const char* name) {
  if (!text) return nullptr;
  check_depth(text, name);
  try {
    return nlohmann::json::parse(text);
  } catch (const nlohmann::json::exception& e) {
    throw Invalid(std::string(name) + " is not JSON: " + e.what());
  }
}

nlohmann::json object_of(const char* text, const char* name) {
  nlohmann::json value = json_of(text, name);
  if (value.is_null()) return nlohmann::json::object();
  if (!value.is_object()) throw Invalid(std::string(name) + " is not a JSON object: " + value.dump().substr(0, 80));
  return value;
}

void quiet_once() {
  static std::once_flag once;
  std::call_once(once, [] { report::set_log_level(report::Level::warning); });
}

}  // namespace grpo::embed

using namespace grpo;

const char* grpo_embed_version(void) { return GRPO_VERSION; }
uint32_t grpo_embed_header_revision(void) { return GRPO_HEADER_REVISION; }
void grpo_embed_free(void* owner) { delete static_cast<embed::Owner*>(owner); }
void grpo_embed_set_log_level(int32_t level) {
  embed::quiet_once();
  report::set_log_level(
      static_cast<report::Level>(std::clamp(level, std::int32_t{GRPO_LOG_DEBUG}, std::int32_t{GRPO_LOG_ERROR})));
}

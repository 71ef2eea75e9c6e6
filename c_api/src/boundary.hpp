// boundary.hpp: what every function of libgrpo.so does at its edge: read the caller's structs, keep exceptions in, hand
// results out.
#ifndef GRPO_C_API_BOUNDARY_HPP
#define GRPO_C_API_BOUNDARY_HPP

#include <grpo/embed.h>

#include <cstring>
#include <functional>
#include <nlohmann/json_fwd.hpp>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "grpo/sdk/error.hpp"

namespace grpo::embed {

// The caller broke the contract.
class Invalid : public Error {
 public:
  using Error::Error;
};
class Unsupported : public Error {
 public:
  using Error::Error;
};

// Runs body, which returns a status; an exception becomes a status, its text goes into *error (may be null).
grpo_status guarded(grpo_embed_error* error, const std::function<grpo_status()>& body) noexcept;

template <class T>
T& needed(T* pointer, const char* name) {
  if (!pointer) throw Invalid(std::string(name) + " is NULL");
  return *pointer;
}
void check_flags(std::uint32_t flags, std::uint32_t known, const char* where);
// A number of elements: not negative, and not more than any memory holds, so that what is not set is seen before it is
// used.
void check_count(std::int64_t n, const char* name);
void check_struct(const void* given, std::size_t known, std::size_t first, const char* name);

// A copy of the caller's growing struct, in this library's size: fields that the caller does not have are zero, fields
// that only the caller has must be. `first` is the size that the struct was born with.
template <class T>
T taken(const T* given, std::size_t first, const char* name) {
  check_struct(given, sizeof(T), first, name);
  T own{};
  std::memcpy(&own, given, given->struct_size < sizeof(T) ? given->struct_size : sizeof(T));
  return own;
}
// The last field of its first release is named.
#define GRPO_EMBED_TAKEN(type, pointer, last_field) \
  ::grpo::embed::taken<type>(pointer, offsetof(type, last_field) + sizeof(type::last_field), #type)

// The base of everything that the caller holds by `owner`.
struct Owner {
  virtual ~Owner() = default;
};

void give(grpo_embed_text* to, std::string text);  // to may be null
void give(grpo_embed_text* to, const nlohmann::json& value);
void give(grpo_embed_texts* to, const std::vector<std::string>& texts);
void give(grpo_embed_ids* to, const std::vector<std::vector<std::int32_t>>& lists);
// Before anything else, so that a failure leaves nothing to free.
template <class T>
void clear(T* result) {
  if (result) *result = T{};
}

// Checked views of packed lists: sizes and starts make sense.
class Texts {
 public:
  Texts(const grpo_embed_texts* given, const char* name);
  std::int64_t size() const { return n_; }
  std::string_view operator[](std::int64_t i) const;

 private:
  const char* data_;
  const std::int64_t* start_;
  std::int64_t n_;
};
class IdLists {
 public:
  IdLists(const grpo_embed_ids* given, const char* name);
  std::int64_t size() const { return n_; }
  std::span<const std::int32_t> operator[](std::int64_t i) const;

 private:
  const std::int32_t* id_;
  const std::int64_t* start_;
  std::int64_t n_;
};

// Refuses a text that nests deeper than kit::deepest_json: what copies and writes JSON goes down once a level.
void check_depth(std::string_view json, const std::string& name);
// JSON that the caller gave. Throws Invalid with its name and where it is wrong. null where text is NULL.
nlohmann::json json_of(const char* text, const char* name);
nlohmann::json object_of(const char* text, const char* name);  // {} where text is NULL

// What plugins and trainers log is shown from warnings up until the caller says otherwise.
void quiet_once();

}  // namespace grpo::embed

#endif

// field.hpp: a value inside a JSON file that knows where it stands, so that every error names file and field.
#ifndef GRPO_SRC_TEXT_TOKENIZER_FIELD_HPP
#define GRPO_SRC_TEXT_TOKENIZER_FIELD_HPP

#include <cstddef>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

namespace grpo::text {

// `text` in quotation marks.
std::string in_quotes(std::string_view text);

// Refers to the document and to the file's name; both must outlive it.
class Field {
 public:
  Field(const nlohmann::json& value, const std::string& file, std::string path = {})
      : value_(&value), file_(&file), path_(std::move(path)) {}

  const nlohmann::json& value() const { return *value_; }
  const std::string& path() const { return path_; }

  bool is_null() const { return value_->is_null(); }
  // A member of an object: at() must exist, find() may be missing or null (then nothing).
  Field at(std::string_view key) const;
  std::optional<Field> find(std::string_view key) const;
  // Elements of an array.
  std::size_t size() const;
  Field at(std::size_t index) const;

  const std::string& string() const;
  bool boolean() const;
  int64_t integer() const;
  // An id of a token: 0 or more, and small enough for a table.
  int32_t token_id() const;

  // Member with a fallback for a missing or null one.
  bool boolean(std::string_view key, bool fallback) const;
  std::string string(std::string_view key, std::string_view fallback) const;

  [[noreturn]] void fail(const std::string& what) const;
  // For a part that is not there: names its type and lists what is.
  [[noreturn]] void fail_unsupported(std::string_view what, std::string_view supported) const;

 private:
  const nlohmann::json* value_;
  const std::string* file_;
  std::string path_;
};

}  // namespace grpo::text

#endif

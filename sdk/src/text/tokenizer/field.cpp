#include "field.hpp"

#include "grpo/sdk/error.hpp"

namespace grpo::text {

std::string in_quotes(std::string_view text) {
  std::string result = "\"";
  result.append(text).append("\"");
  return result;
}

void Field::fail(const std::string& what) const {
  throw Error(*file_ + ": " + (path_.empty() ? what : path_ + ": " + what));
}

void Field::fail_unsupported(std::string_view what, std::string_view supported) const {
  fail(in_quotes(what).append(" is not supported; supported are ").append(supported));
}

std::optional<Field> Field::find(std::string_view key) const {
  if (!value_->is_object()) fail(std::string("is not an object but ") + value_->type_name());
  const auto member = value_->find(key);
  if (member == value_->end() || member->is_null()) return std::nullopt;
  return Field(*member, *file_, path_.empty() ? std::string(key) : path_ + "." + std::string(key));
}

Field Field::at(std::string_view key) const {
  std::optional<Field> member = find(key);
  if (!member) fail("has no " + in_quotes(key));
  return *member;
}

std::size_t Field::size() const {
  if (!value_->is_array()) fail(std::string("is not an array but ") + value_->type_name());
  return value_->size();
}

Field Field::at(std::size_t index) const {
  if (index >= size()) fail("has no element " + std::to_string(index));
  return Field((*value_)[index], *file_, path_ + "[" + std::to_string(index) + "]");
}

const std::string& Field::string() const {
  if (!value_->is_string()) fail(std::string("is not a string but ") + value_->type_name());
  return value_->get_ref<const std::string&>();
}

bool Field::boolean() const {
  if (!value_->is_boolean()) fail(std::string("is not true or false but ") + value_->type_name());
  return value_->get<bool>();
}

int64_t Field::integer() const {
  if (!value_->is_number_integer()) fail(std::string("is not a whole number but ") + value_->type_name());
  return value_->get<int64_t>();
}

int32_t Field::token_id() const {
  constexpr int64_t limit = 1 << 24;  // 64 times the largest vocabulary in use
  const int64_t id = integer();
  if (id < 0 || id >= limit) fail("the id " + std::to_string(id) + " is not within 0.." + std::to_string(limit - 1));
  return static_cast<int32_t>(id);
}

bool Field::boolean(std::string_view key, bool fallback) const {
  const std::optional<Field> member = find(key);
  return member ? member->boolean() : fallback;
}

std::string Field::string(std::string_view key, std::string_view fallback) const {
  const std::optional<Field> member = find(key);
  return member ? member->string() : std::string(fallback);
}

}  // namespace grpo::text

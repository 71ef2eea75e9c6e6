// values.hpp: the arguments and results of calls that have no message of their own, by name.
//
//     Pack(*envelope.mutable_argument()).integer("room", a.room).list("slot", a.slot, a.n);
//     const Unpack a(envelope.argument(), "step");
//     const std::vector<std::int64_t> slots = a.list<std::int64_t>("slot");
#ifndef GRPO_PLUGINS_RECORD_VALUES_HPP
#define GRPO_PLUGINS_RECORD_VALUES_HPP

#include <cstdint>
#include <cstring>
#include <string>
#include <type_traits>
#include <vector>

#include "grpo/sdk/error.hpp"
#include "wire/wire.hpp"

namespace grpo::plugins::record {

using ValueList = google::protobuf::RepeatedPtrField<wire::Value>;

template <class T>
constexpr std::uint32_t type_of() {
  return std::is_floating_point_v<T> ? GRPO_TYPE_FLOAT : std::is_signed_v<T> ? GRPO_TYPE_INT : GRPO_TYPE_UINT;
}

class Pack {
 public:
  explicit Pack(ValueList& to) : to_(to) {}
  Pack& integer(const char* name, std::int64_t value) { return add(name).set_integer(value), *this; }
  Pack& number(const char* name, double value) { return add(name).set_number(value), *this; }
  Pack& text(const char* name, const std::string& value) { return add(name).set_text(value), *this; }
  // NULL: not there.
  template <class T>
  Pack& list(const char* name, const T* values, std::int64_t n) {
    if (!values) return *this;
    wire::Tensor& t = *add(name).mutable_tensor();
    t.set_type(type_of<T>());
    t.set_bits(8 * sizeof(T));
    t.set_lanes(1);
    t.add_shape(n);
    if (n > 0) t.set_data(values, static_cast<std::size_t>(n) * sizeof(T));
    return *this;
  }
  wire::Tensor& tensor(const char* name) { return *add(name).mutable_tensor(); }
  ValueList& values(const char* name) { return *add(name).mutable_list()->mutable_value(); }

 private:
  wire::Value& add(const char* name) {
    wire::Value& value = *to_.Add();
    value.set_name(name);
    return value;
  }
  ValueList& to_;
};

// Throws grpo::Error naming the call and the value when one is missing or of another type.
class Unpack {
 public:
  Unpack(const ValueList& from, const std::string& where) : from_(from), where_(where) {}
  bool has(const char* name) const { return find(name) != nullptr; }
  std::int64_t integer(const char* name) const { return of(name, wire::Value::kInteger).integer(); }
  double number(const char* name) const { return of(name, wire::Value::kNumber).number(); }
  const std::string& text(const char* name) const { return of(name, wire::Value::kText).text(); }
  const wire::Tensor& tensor(const char* name) const { return of(name, wire::Value::kTensor).tensor(); }
  const ValueList& values(const char* name) const { return of(name, wire::Value::kList).list().value(); }
  template <class T>
  std::vector<T> list(const char* name) const {
    const wire::Tensor& t = tensor(name);
    if (t.type() != type_of<T>() || t.bits() != 8 * sizeof(T) || t.data().size() % sizeof(T) != 0) wrong(name);
    std::vector<T> out(t.data().size() / sizeof(T));
    out.reserve(1);  // no array is NULL, an empty one neither
    std::memcpy(out.data(), t.data().data(), t.data().size());
    return out;
  }
  // Of n elements, or it is damaged.
  template <class T>
  std::vector<T> list(const char* name, std::int64_t n) const {
    auto out = list<T>(name);
    if (static_cast<std::int64_t>(out.size()) != n) wrong(name);
    return out;
  }
  [[noreturn]] void wrong(const char* name) const {
    throw Error("a recorded call of " + where_ + " has no good '" + name + "': the recording is damaged");
  }

 private:
  const wire::Value* find(const char* name) const {
    for (const wire::Value& value : from_)
      if (value.name() == name) return &value;
    return nullptr;
  }
  const wire::Value& of(const char* name, wire::Value::ValueCase kind) const {
    const wire::Value* value = find(name);
    if (!value || value->value_case() != kind) wrong(name);
    return *value;
  }
  const ValueList& from_;
  std::string where_;
};

}  // namespace grpo::plugins::record

#endif

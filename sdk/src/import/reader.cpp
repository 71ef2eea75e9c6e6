#include "reader.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <bit>
#include <cerrno>
#include <cstring>

#include "dequantize.hpp"

namespace grpo::import {
namespace {

static_assert(std::endian::native == std::endian::little);

enum ValueType : std::uint32_t { u8, i8, u16, i16, u32, i32, f32, boolean, string, array, u64, i64, f64 };

constexpr std::size_t value_size(std::uint32_t type) {
  switch (type) {
    case u8:
    case i8:
    case boolean:
      return 1;
    case u16:
    case i16:
      return 2;
    case u32:
    case i32:
    case f32:
      return 4;
    case string:
    case u64:
    case i64:
    case f64:
      return 8;  // a string: at least its length
    default:
      return 0;
  }
}

// Reads numbers and texts in order; every read is checked against the end.
class Cursor {
 public:
  Cursor(const GgufFile& file, const std::byte* data, std::size_t size) : file_(file), data_(data), size_(size) {}

  // What is being read, for messages.
  std::string what = "header";

  template <class T>
  T read() {
    need(sizeof(T));
    T v;
    std::memcpy(&v, data_ + at_, sizeof v);
    at_ += sizeof v;
    return v;
  }
  std::string_view text() {
    const auto size = read<std::uint64_t>();
    need(size);
    const std::string_view s(reinterpret_cast<const char*>(data_ + at_), size);
    at_ += size;
    return s;
  }
  void need(std::uint64_t bytes) const {
    if (bytes > size_ - at_)
      throw file_.error(what + ": needs " + std::to_string(bytes) + " bytes at offset " + std::to_string(at_) +
                        ", the file ends at " + std::to_string(size_) + ": it is damaged or cut off, fetch it again");
  }
  std::size_t at() const { return at_; }

  std::int64_t integer(std::uint32_t type) {
    switch (type) {
      case u8:
        return read<std::uint8_t>();
      case i8:
        return read<std::int8_t>();
      case u16:
        return read<std::uint16_t>();
      case i16:
        return read<std::int16_t>();
      case u32:
        return read<std::uint32_t>();
      case i32:
        return read<std::int32_t>();
      case boolean:
        return read<std::uint8_t>() != 0;
      default:
        return read<std::int64_t>();  // u64 too: no count in use comes near its upper half
    }
  }
  double real(std::uint32_t type) { return type == f32 ? read<float>() : read<double>(); }

  GgufValue value(std::uint32_t type) {
    if (type == boolean) return integer(type) != 0;
    if (type == string) return text();
    if (type == f32 || type == f64) return real(type);
    if (type == array) return list();
    if (value_size(type) == 0) throw file_.error(what + ": value type " + std::to_string(type) + " is unknown");
    return integer(type);
  }

 private:
  GgufValue list() {
    const auto type = read<std::uint32_t>();
    const auto count = read<std::uint64_t>();
    if (value_size(type) == 0)
      throw file_.error(what + ": an array of value type " + std::to_string(type) + " is not understood");
    if (count > (size_ - at_) / value_size(type))
      throw file_.error(what + ": " + std::to_string(count) +
                        " elements do not fit into the file: it is damaged or cut off");
    const auto fill = [&](auto list, auto next) {
      list.reserve(count);
      for (std::uint64_t i = 0; i < count; ++i) list.push_back(next());
      return list;
    };
    if (type == string) return fill(std::vector<std::string_view>(), [&] { return text(); });
    if (type == f32 || type == f64) return fill(std::vector<double>(), [&] { return real(type); });
    return fill(std::vector<std::int64_t>(), [&] { return integer(type); });
  }

  const GgufFile& file_;
  const std::byte* data_;
  std::size_t size_, at_ = 0;
};

}  // namespace

GgufFile::GgufFile(std::filesystem::path path) : path_(std::move(path)) {
  map();
  try {
    parse();
  } catch (...) {
    munmap(const_cast<std::byte*>(map_), size_);
    throw;
  }
}

GgufFile::~GgufFile() { munmap(const_cast<std::byte*>(map_), size_); }

Error GgufFile::error(const std::string& text) const { return Error(path_.string() + ": " + text); }

void GgufFile::map() {
  const int fd = open(path_.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) throw error(std::string("cannot be read: ") + std::strerror(errno));
  struct stat s {};
  const bool regular = fstat(fd, &s) == 0 && S_ISREG(s.st_mode);
  size_ = regular ? static_cast<std::size_t>(s.st_size) : 0;
  if (!regular || size_ < 24) {
    close(fd);
    throw error(regular ? "is no GGUF file: it has " + std::to_string(size_) + " bytes" : "is no file");
  }
  void* p = mmap(nullptr, size_, PROT_READ, MAP_PRIVATE, fd, 0);
  const int why = errno;
  close(fd);
  if (p == MAP_FAILED) throw error(std::string("cannot be mapped: ") + std::strerror(why));
  map_ = static_cast<const std::byte*>(p);
}

void GgufFile::parse() {
  Cursor c(*this, map_, size_);
  if (c.read<std::uint32_t>() != 0x46554747)
    throw error(
        "is no GGUF file: it does not begin with GGUF; older llama.cpp formats are converted with its own tools");
  const auto version = c.read<std::uint32_t>();
  if (version == 0x02000000 || version == 0x03000000) throw error("is big-endian: fetch the little-endian file");
  if (version != 2 && version != 3)
    throw error("has GGUF version " + std::to_string(version) + ": versions 2 and 3 are read");
  const auto n_tensors = c.read<std::uint64_t>(), n_values = c.read<std::uint64_t>();

  // The smallest entries have 13 and 25 bytes.
  if (n_tensors > size_ / 25 || n_values > size_ / 13)
    throw error("promises " + std::to_string(n_tensors) + " tensors and " + std::to_string(n_values) +
                " keys, more than fit into it: it is damaged or cut off");

  for (std::uint64_t i = 0; i < n_values; ++i) {
    c.what = "metadata entry " + std::to_string(i);
    const std::string key(c.text());
    c.what = "key " + key;
    const auto type = c.read<std::uint32_t>();
    if (!values_.emplace(key, c.value(type)).second) throw error("key " + key + " is there twice");
  }

  std::vector<std::uint64_t> offsets;
  for (std::uint64_t i = 0; i < n_tensors; ++i) {
    c.what = "tensor entry " + std::to_string(i);
    GgufTensor t;
    t.name = c.text();
    c.what = "tensor " + t.name;
    const auto n_dimensions = c.read<std::uint32_t>();
    if (n_dimensions == 0 || n_dimensions > 4)
      throw error("tensor " + t.name + " has " + std::to_string(n_dimensions) + " dimensions: 1 to 4 are allowed");
    t.elements = 1;
    t.shape.resize(n_dimensions);
    for (std::uint32_t d = n_dimensions; d-- > 0;) {
      const auto extent = c.read<std::int64_t>();
      if (extent <= 0 || t.elements > (std::int64_t{1} << 48) / extent)
        throw error("tensor " + t.name + " has an extent of " + std::to_string(extent) + ", which cannot be");
      t.shape[d] = extent;
      t.elements *= extent;
    }
    t.type = c.read<std::uint32_t>();
    offsets.push_back(c.read<std::uint64_t>());
    const QuantType* q = quant_type(t.type);
    if (!q)
      throw error("tensor " + t.name + " has type " + quant_type_name(t.type) + ", which is not read; these are: " +
                  quant_type_names() + ". Fetch another quantisation of the model");
    if (t.shape.back() % q->block != 0)
      throw error("tensor " + t.name + " has rows of " + std::to_string(t.shape.back()) +
                  " values, no multiple of the " + std::to_string(q->block) + " in a block of " + q->name);
    t.bytes = static_cast<std::size_t>(t.elements / q->block) * q->bytes;
    if (!index_.emplace(t.name, tensors_.size()).second) throw error("tensor " + t.name + " is there twice");
    tensors_.push_back(std::move(t));
  }

  const std::int64_t alignment = integer("general.alignment", 32);
  if (alignment < 8 || alignment % 8 != 0 || alignment > (1 << 20))
    throw error("key general.alignment is " + std::to_string(alignment) + ", which cannot be");
  const auto a = static_cast<std::uint64_t>(alignment);
  const std::uint64_t start = (c.at() + a - 1) / a * a;
  for (std::size_t i = 0; i < tensors_.size(); ++i) {
    GgufTensor& t = tensors_[i];
    if (offsets[i] % a != 0) throw error("tensor " + t.name + " starts at an offset that is not aligned");
    if (start > size_ || offsets[i] > size_ - start || t.bytes > size_ - start - offsets[i])
      throw error("tensor " + t.name + " reaches beyond the end of the file: it is cut off, fetch it again");
    t.data = map_ + start + offsets[i];
  }
}

const GgufTensor* GgufFile::tensor(std::string_view name) const {
  const auto it = index_.find(name);
  return it == index_.end() ? nullptr : &tensors_[it->second];
}

const GgufValue& GgufFile::value(std::string_view key) const {
  const auto it = values_.find(key);
  if (it == values_.end())
    throw error("key " + std::string(key) +
                " is missing, and nothing can stand in for it: fetch a file made by a current converter");
  return it->second;
}

namespace {

template <class T>
const T& as(const GgufFile& file, std::string_view key, const GgufValue& v, const char* kind) {
  if (const T* p = std::get_if<T>(&v)) return *p;
  throw file.error("key " + std::string(key) + " should hold " + kind);
}

}  // namespace

std::int64_t GgufFile::integer(std::string_view key) const {
  return as<std::int64_t>(*this, key, value(key), "one integer");
}
std::int64_t GgufFile::integer(std::string_view key, std::int64_t otherwise) const {
  return has(key) ? integer(key) : otherwise;
}
double GgufFile::number(std::string_view key) const {
  const GgufValue& v = value(key);
  if (const auto* i = std::get_if<std::int64_t>(&v)) return static_cast<double>(*i);
  return as<double>(*this, key, v, "a number");
}
double GgufFile::number(std::string_view key, double otherwise) const { return has(key) ? number(key) : otherwise; }
bool GgufFile::boolean(std::string_view key, bool otherwise) const {
  return has(key) ? as<bool>(*this, key, value(key), "true or false") : otherwise;
}
std::string GgufFile::text(std::string_view key) const {
  return std::string(as<std::string_view>(*this, key, value(key), "text"));
}
std::string GgufFile::text(std::string_view key, std::string_view otherwise) const {
  return has(key) ? text(key) : std::string(otherwise);
}
const std::vector<std::string_view>& GgufFile::texts(std::string_view key) const {
  return as<std::vector<std::string_view>>(*this, key, value(key), "a list of texts");
}
const std::vector<std::int64_t>& GgufFile::integers(std::string_view key) const {
  return as<std::vector<std::int64_t>>(*this, key, value(key), "a list of integers");
}

}  // namespace grpo::import

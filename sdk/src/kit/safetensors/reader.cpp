// SafetensorsFile: map, check, index.
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <limits>
#include <memory>
#include <nlohmann/json.hpp>
#include <set>
#include <stdexcept>
#include <tuple>
#include <utility>

#include "dtype.hpp"

namespace grpo::kit {
namespace {

using nlohmann::json;

constexpr std::uint64_t largest_header = 100'000'000;  // as the reference implementation has it

std::string the_tensor(const std::string& name) { return "tensor \"" + name + "\""; }

json parse_header(const std::filesystem::path& path, const char* begin, std::size_t size) {
  std::set<std::string> keys;  // JSON parsers keep the last of two equal keys without a word
  std::string twice;
  const json::parser_callback_t watch = [&](int depth, json::parse_event_t event, json& value) {
    if (depth > 4) fail(path, "the header is nested too deeply");
    if (event == json::parse_event_t::key && depth == 1 && !keys.insert(value.get<std::string>()).second)
      twice = value.get<std::string>();
    return true;
  };
  json header;
  try {
    header = json::parse(begin, begin + size, watch);
  } catch (const json::exception& e) {
    fail(path, std::string("the header is not JSON: ") + e.what());
  }
  if (!header.is_object()) fail(path, "the header is not a JSON object");
  if (!twice.empty()) fail(path, the_tensor(twice) + " is listed twice in the header");
  return header;
}

std::uint64_t whole_number(const json& value, const std::filesystem::path& path, const std::string& name,
                           const char* key) {
  if (value.is_number_unsigned()) {
    const auto number = value.get<std::uint64_t>();
    if (number <= static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())) return number;
  }
  fail(path, the_tensor(name) + ": " + key + " holds " + value.dump() + ", which is no size");
}

struct Entry {
  TensorView view;
  std::uint64_t begin, end;
};

Entry read_entry(const std::filesystem::path& path, const std::string& name, const json& value) {
  if (!value.is_object() || !value.contains("dtype") || !value["dtype"].is_string() || !value.contains("shape") ||
      !value["shape"].is_array() || !value.contains("data_offsets") || !value["data_offsets"].is_array() ||
      value["data_offsets"].size() != 2)
    fail(path, the_tensor(name) + ": the header entry lacks dtype, shape or two data_offsets");
  Entry entry;
  entry.view.name = name;
  const auto dtype = parse_dtype(value["dtype"].get_ref<const std::string&>());
  if (!dtype) fail(path, the_tensor(name) + " has the unknown dtype " + value["dtype"].dump());
  entry.view.dtype = *dtype;
  for (const auto& size : value["shape"])
    entry.view.shape.push_back(static_cast<std::int64_t>(whole_number(size, path, name, "shape")));
  entry.begin = whole_number(value["data_offsets"][0], path, name, "data_offsets");
  entry.end = whole_number(value["data_offsets"][1], path, name, "data_offsets");
  const auto bytes = tensor_bytes(entry.view.dtype, entry.view.shape);
  if (!bytes || entry.begin > entry.end || *bytes != entry.end - entry.begin)
    fail(path,
         the_tensor(name) + ": " + std::string(dtype_name(entry.view.dtype)) + " " + shape_text(entry.view.shape) +
             (bytes ? " takes " + std::to_string(*bytes) + " bytes" : " is too large") +
             ", but its data_offsets are [" + std::to_string(entry.begin) + ", " + std::to_string(entry.end) + "]");
  return entry;
}

}  // namespace

std::optional<std::uint64_t> tensor_bytes(Dtype dtype, const std::vector<std::int64_t>& shape) {
  std::uint64_t bytes = dtype_size(dtype);
  for (const auto size : shape) {
    if (size < 0) return std::nullopt;
    if (__builtin_mul_overflow(bytes, static_cast<std::uint64_t>(size), &bytes)) return std::nullopt;
  }
  if (bytes > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())) return std::nullopt;
  return bytes;
}

SafetensorsFile::SafetensorsFile(std::filesystem::path path) : path_(std::move(path)) {
  const int file = ::open(path_.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) fail(path_, std::string("cannot be opened: ") + std::strerror(errno));
  struct stat status {};
  if (::fstat(file, &status) != 0 || !S_ISREG(status.st_mode)) {
    ::close(file);
    fail(path_, "is not a regular file");
  }
  size_ = static_cast<std::size_t>(status.st_size);
  if (size_ < 8) {
    ::close(file);
    fail(path_, "has " + std::to_string(size_) + " bytes: too short for a safetensors file");
  }
  void* map = ::mmap(nullptr, size_, PROT_READ, MAP_PRIVATE, file, 0);
  const int error = errno;
  ::close(file);
  if (map == MAP_FAILED) fail(path_, std::string("cannot be mapped: ") + std::strerror(error));
  const auto unmap = [this](void* p) { ::munmap(p, size_); };
  std::unique_ptr<void, decltype(unmap)> owner(map, unmap);  // until every check below has passed
  const auto* begin = static_cast<const std::byte*>(map);

  std::uint64_t length = 0;
  std::memcpy(&length, begin, 8);
  if (length > largest_header || length > size_ - 8)
    fail(path_, "its header claims " + std::to_string(length) + " bytes, but " + std::to_string(size_ - 8) +
                    " follow: truncated, or not a safetensors file");
  const json header = parse_header(path_, reinterpret_cast<const char*>(begin) + 8, static_cast<std::size_t>(length));
  const std::uint64_t space = size_ - 8 - length;

  std::vector<Entry> entries;
  for (const auto& [name, value] : header.items()) {
    if (name == "__metadata__") {
      if (!value.is_object()) fail(path_, "__metadata__ is not an object");
      for (const auto& [key, text] : value.items()) {
        if (!text.is_string()) fail(path_, "__metadata__ \"" + key + "\" is not a text");
        metadata_[key] = text.get<std::string>();
      }
      continue;
    }
    entries.push_back(read_entry(path_, name, value));
    if (entries.back().end > space)
      fail(path_, the_tensor(name) + " ends at byte " + std::to_string(entries.back().end) +
                      " of the data, which has " + std::to_string(space) + ": the file is truncated");
  }
  std::sort(entries.begin(), entries.end(), [](const Entry& a, const Entry& b) {
    return std::tie(a.begin, a.end, a.view.name) < std::tie(b.begin, b.end, b.view.name);
  });
  std::uint64_t at = 0;
  for (auto& entry : entries) {
    if (entry.begin != at)
      fail(path_, the_tensor(entry.view.name) + " starts at byte " + std::to_string(entry.begin) + ", " +
                      (entry.begin < at ? "inside the tensor before it" : "leaving a gap") + "; expected " +
                      std::to_string(at));
    at = entry.end;
    entry.view.data = begin + 8 + length + entry.begin;
    entry.view.bytes = static_cast<std::size_t>(entry.end - entry.begin);
    index_.emplace(entry.view.name, tensors_.size());
    tensors_.push_back(std::move(entry.view));
  }
  if (at != space)
    fail(path_, "holds " + std::to_string(space) + " bytes of data, but its tensors take " + std::to_string(at));
  map_ = static_cast<const std::byte*>(owner.release());
}

SafetensorsFile::~SafetensorsFile() {
  if (map_) ::munmap(const_cast<std::byte*>(map_), size_);
}

SafetensorsFile::SafetensorsFile(SafetensorsFile&& other) noexcept
    : path_(std::move(other.path_)),
      map_(std::exchange(other.map_, nullptr)),
      size_(other.size_),
      tensors_(std::move(other.tensors_)),
      index_(std::move(other.index_)),
      metadata_(std::move(other.metadata_)) {}

SafetensorsFile& SafetensorsFile::operator=(SafetensorsFile&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(map_, other.map_);
  std::swap(size_, other.size_);
  std::swap(tensors_, other.tensors_);
  std::swap(index_, other.index_);
  std::swap(metadata_, other.metadata_);
  return *this;
}

const TensorView* SafetensorsFile::find(std::string_view name) const {
  const auto at = index_.find(name);
  return at == index_.end() ? nullptr : &tensors_[at->second];
}

const TensorView& SafetensorsFile::at(std::string_view name) const {
  if (const auto* tensor = find(name)) return *tensor;
  fail(path_, "has no " + the_tensor(std::string(name)));
}

}  // namespace grpo::kit

// SafetensorsWriter: the header first, then every tensor to its place.
#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <nlohmann/json.hpp>
#include <stdexcept>

#include "dtype.hpp"

namespace grpo::kit {
namespace {

void write_at(const std::filesystem::path& path, int file, const void* data, std::size_t bytes, std::uint64_t offset) {
  const auto* at = static_cast<const char*>(data);
  while (bytes > 0) {
    const auto n = ::pwrite(file, at, bytes, static_cast<off_t>(offset));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) fail(path, std::string("cannot be written: ") + std::strerror(n < 0 ? errno : ENOSPC));
    at += n;
    bytes -= static_cast<std::size_t>(n);
    offset += static_cast<std::uint64_t>(n);
  }
}

}  // namespace

SafetensorsWriter::SafetensorsWriter(std::filesystem::path path, const std::vector<TensorSpec>& tensors,
                                     const std::map<std::string, std::string>& metadata)
    : path_(std::move(path)) {
  auto header = nlohmann::ordered_json::object();
  if (!metadata.empty()) header["__metadata__"] = metadata;
  std::uint64_t end = 0;
  for (const auto& tensor : tensors) {
    const auto bytes = tensor_bytes(tensor.dtype, tensor.shape);
    if (!bytes) fail(path_, "tensor \"" + tensor.name + "\" cannot have shape " + shape_text(tensor.shape));
    if (tensor.name == "__metadata__" || !entries_.emplace(tensor.name, Entry{end, *bytes, false}).second)
      fail(path_, "tensor \"" + tensor.name + "\" is announced twice, or has a reserved name");
    header[tensor.name] = {{"dtype", std::string(dtype_name(tensor.dtype))},
                           {"shape", tensor.shape},
                           {"data_offsets", {end, end + *bytes}}};
    end += *bytes;
  }
  std::string text = header.dump();
  text.append((8 - text.size() % 8) % 8, ' ');  // the data starts aligned
  const std::uint64_t length = text.size();

  file_ = ::open(path_.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (file_ < 0) fail(path_, std::string("cannot be created: ") + std::strerror(errno));
  try {
    if (const int error = ::posix_fallocate(file_, 0, static_cast<off_t>(8 + length + end)); error == ENOSPC)
      fail(path_, "the disk is full: " + std::to_string(8 + length + end) + " bytes are needed");
    else if (error != 0 && ::ftruncate(file_, static_cast<off_t>(8 + length + end)) != 0)
      fail(path_, std::string("cannot be written: ") + std::strerror(errno));
    write_at(path_, file_, &length, 8, 0);
    write_at(path_, file_, text.data(), text.size(), 8);
  } catch (...) {
    ::close(file_);
    ::unlink(path_.c_str());
    throw;
  }
  for (auto& [name, entry] : entries_) entry.offset += 8 + length;
}

SafetensorsWriter::~SafetensorsWriter() {
  if (file_ < 0) return;
  ::close(file_);
  ::unlink(path_.c_str());
}

void SafetensorsWriter::write(std::string_view name, const void* data, std::size_t bytes) {
  const auto at = entries_.find(name);
  const auto quoted = "tensor \"" + std::string(name) + "\"";
  if (file_ < 0) fail(path_, quoted + " comes after the end");
  if (at == entries_.end()) fail(path_, quoted + " was not announced");
  auto& entry = at->second;
  if (entry.written) fail(path_, quoted + " is written twice");
  if (bytes != entry.bytes)
    fail(path_,
         quoted + " comes with " + std::to_string(bytes) + " bytes; announced were " + std::to_string(entry.bytes));
  write_at(path_, file_, data, bytes, entry.offset);
  entry.written = true;
}

void SafetensorsWriter::finish() {
  if (file_ < 0) fail(path_, "is finished already");
  for (const auto& [name, entry] : entries_)
    if (!entry.written && entry.bytes > 0) fail(path_, "tensor \"" + name + "\" was announced but never written");
  if (::fsync(file_) != 0) fail(path_, std::string("cannot be flushed: ") + std::strerror(errno));
  const int file = file_;
  file_ = -1;
  if (::close(file) != 0) fail(path_, std::string("cannot be closed: ") + std::strerror(errno));
}

}  // namespace grpo::kit

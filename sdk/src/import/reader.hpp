// reader.hpp: a GGUF file, mapped and checked.
//
// Everything the file says of itself (lengths, counts, offsets) is checked against its size before it is used. Texts
// and tensor bytes are views into the map, valid as long as the GgufFile. Source:
// https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
#ifndef GRPO_SRC_IMPORT_READER_HPP
#define GRPO_SRC_IMPORT_READER_HPP

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <grpo/sdk/error.hpp>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace grpo::import {

using GgufValue = std::variant<std::int64_t, double, bool, std::string_view, std::vector<std::string_view>,
                               std::vector<std::int64_t>, std::vector<double>>;

struct GgufTensor {
  std::string name;
  std::vector<std::int64_t> shape;  // row-major: the file's order turned round
  std::uint32_t type = 0;           // see dequantize.hpp
  const std::byte* data = nullptr;
  std::size_t bytes = 0;
  std::int64_t elements = 0;
};

class GgufFile {
 public:
  // Throws grpo::Error with the path, and the key or tensor, when anything is not as the format says.
  explicit GgufFile(std::filesystem::path path);
  ~GgufFile();
  GgufFile(const GgufFile&) = delete;
  GgufFile& operator=(const GgufFile&) = delete;

  const std::filesystem::path& path() const { return path_; }
  const std::vector<GgufTensor>& tensors() const { return tensors_; }
  const GgufTensor* tensor(std::string_view name) const;  // nullptr: none

  // Metadata by key. Without `otherwise` a missing key throws; a value of another type always does.
  bool has(std::string_view key) const { return values_.find(key) != values_.end(); }
  std::int64_t integer(std::string_view key) const;
  std::int64_t integer(std::string_view key, std::int64_t otherwise) const;
  double number(std::string_view key) const;
  double number(std::string_view key, double otherwise) const;
  bool boolean(std::string_view key, bool otherwise) const;
  std::string text(std::string_view key) const;
  std::string text(std::string_view key, std::string_view otherwise) const;
  const std::vector<std::string_view>& texts(std::string_view key) const;
  const std::vector<std::int64_t>& integers(std::string_view key) const;

  // An error about this file: its path, then the text.
  Error error(const std::string& text) const;

 private:
  void map();
  void parse();
  const GgufValue& value(std::string_view key) const;

  std::filesystem::path path_;
  const std::byte* map_ = nullptr;
  std::size_t size_ = 0;
  std::map<std::string, GgufValue, std::less<>> values_;
  std::vector<GgufTensor> tensors_;
  std::map<std::string, std::size_t, std::less<>> index_;
};

}  // namespace grpo::import

#endif

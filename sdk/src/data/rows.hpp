// rows.hpp: a file cut into the texts of its rows, without looking inside them.
#ifndef GRPO_SRC_DATA_ROWS_HPP
#define GRPO_SRC_DATA_ROWS_HPP

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>

namespace grpo::data {

// An open file that is read by place. [any thread]
class File {
 public:
  explicit File(const std::filesystem::path& path);  // throws grpo::Error
  ~File();
  File(const File&) = delete;
  File& operator=(const File&) = delete;

  std::uint64_t size() const { return size_; }
  // Throws grpo::Error when the file has become shorter.
  std::string read(std::uint64_t begin, std::uint64_t end) const;
  void read(std::uint64_t begin, std::uint64_t end, std::string& out) const;
  const std::string& name() const { return name_; }

 private:
  std::string name_;
  int descriptor_ = -1;
  std::uint64_t size_ = 0;
};

// Where a text stands: byte offset, and line from 1 with the column (in bytes, from 1) of its first byte.
struct Place {
  std::uint64_t offset = 0;
  std::int64_t line = 1, column = 1;

  void advance(std::string_view over);
  std::string text(const std::string& file) const;  // "train.jsonl:8:3"
};

enum class Framing { lines, array };

// Is the first character that counts a `[`? Throws grpo::Error: empty, or of a format known to be another (Parquet,
// gzip).
Framing framing_of(const File& file);

// Calls use(text, place) for every row, in order, until it returns false. Blank lines are no rows. Throws grpo::Error:
// an array that does not end, or is followed by something.
using UseRow = std::function<bool(std::string_view text, const Place& place)>;
void for_each_row(const File& file, Framing framing, const UseRow& use);

// The row in a text that starts with it and goes on to the start of the next one.
std::string_view trim_row(std::string_view text, Framing framing);

}  // namespace grpo::data

#endif

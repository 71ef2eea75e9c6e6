#include "rows.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <grpo/sdk/error.hpp>

namespace grpo::data {
namespace {

constexpr std::uint64_t chunk_size = std::uint64_t{1} << 18;  // fits into a core's cache
constexpr std::string_view byte_order_mark = "\xEF\xBB\xBF";

bool is_space(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }
bool is_blank(std::string_view text) { return std::all_of(text.begin(), text.end(), is_space); }

// Gathers the text of a row over chunks and hands it on.
class Lines {
 public:
  explicit Lines(const UseRow& use, const Place& start) : use_(use), place_(start) {}

  bool take(std::string_view chunk) {
    while (!chunk.empty()) {
      const auto end = chunk.find('\n');
      if (end == std::string_view::npos) return row_.append(chunk), true;
      // A line that lies in one chunk is used where it is.
      const std::string_view piece = chunk.substr(0, end);
      if (!(row_.empty() ? emit(piece) : emit(row_.append(piece)))) return false;
      row_.clear();
      chunk.remove_prefix(end + 1);
    }
    return true;
  }

  void finish() {
    if (!row_.empty()) emit(row_);
  }

 private:
  bool emit(std::string_view line) {
    const bool go_on = is_blank(line) || use_(line, place_);
    place_.offset += line.size() + 1;
    ++place_.line;
    place_.column = 1;
    return go_on;
  }

  const UseRow& use_;
  Place place_;
  std::string row_;
};

// Finds the commas between the elements of one array: those outside strings and inner brackets.
class Elements {
 public:
  Elements(const File& file, const UseRow& use, const Place& start) : file_(file), use_(use), place_(start) {}

  bool take(std::string_view chunk) {
    for (const char c : chunk) {
      if (!step(c)) return false;
      place_.advance({&c, 1});
    }
    return true;
  }

  void finish() {
    if (where_ != Where::after)
      throw Error(place_.text(file_.name()) + ": the file ends inside its list; is it cut off?");
  }

 private:
  enum class Where { before, between, inside, after };

  bool step(char c) {
    switch (where_) {
      case Where::before:
        if (c == '[') where_ = Where::between;
        return true;
      case Where::between:
        if (is_space(c)) return true;
        if (c == ']' && rows_ == 0) return where_ = Where::after, true;
        where_ = Where::inside;
        started_ = place_;
        row_.clear();
        return inside(c);
      case Where::inside:
        return inside(c);
      case Where::after:
        break;
    }
    if (!is_space(c)) throw Error(place_.text(file_.name()) + ": something follows the end of the list");
    return true;
  }

  bool inside(char c) {
    if (in_string_) {
      if (escaped_)
        escaped_ = false;
      else if (c == '\\')
        escaped_ = true;
      else if (c == '"')
        in_string_ = false;
    } else if (c == '"') {
      in_string_ = true;
    } else if (c == '{' || c == '[') {
      ++depth_;
    } else if (depth_ > 0 && (c == '}' || c == ']')) {
      --depth_;
    } else if (depth_ == 0 && (c == ',' || c == ']')) {
      ++rows_;
      where_ = c == ',' ? Where::between : Where::after;
      return use_(row_, started_);
    }
    row_.push_back(c);
    return true;
  }

  const File& file_;
  const UseRow& use_;
  Place place_, started_;
  Where where_ = Where::before;
  std::string row_;
  std::int64_t rows_ = 0;
  int depth_ = 0;
  bool in_string_ = false, escaped_ = false;
};

std::uint64_t text_start(const File& file) {
  const std::string head = file.read(0, std::min<std::uint64_t>(file.size(), byte_order_mark.size()));
  return head == byte_order_mark ? byte_order_mark.size() : 0;
}

template <class Cutter>
void cut(const File& file, Cutter&& cutter) {
  std::string chunk;  // its memory serves the whole file
  for (std::uint64_t at = text_start(file); at < file.size(); at += chunk_size) {
    file.read(at, std::min(at + chunk_size, file.size()), chunk);
    if (!cutter.take(chunk)) return;
  }
  cutter.finish();
}

}  // namespace

File::File(const std::filesystem::path& path) : name_(path.string()) {
  struct stat info {};
  descriptor_ = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);  // a pipe without a writer would be waited for
  if (descriptor_ < 0) throw Error(name_ + ": cannot open the data file: " + std::strerror(errno));
  if (::fstat(descriptor_, &info) != 0 || !S_ISREG(info.st_mode)) {
    ::close(descriptor_);
    throw Error(name_ + ": is not a regular file; a dataset is one .jsonl or .json file");
  }
  size_ = static_cast<std::uint64_t>(info.st_size);
}

File::~File() { ::close(descriptor_); }

std::string File::read(std::uint64_t begin, std::uint64_t end) const {
  std::string out;
  read(begin, end, out);
  return out;
}

void File::read(std::uint64_t begin, std::uint64_t end, std::string& out) const {
  out.resize(end - begin);
  std::size_t done = 0;
  while (done < out.size()) {
    const auto got = ::pread(descriptor_, out.data() + done, out.size() - done, static_cast<off_t>(begin + done));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) throw Error(name_ + ": cannot read: " + std::strerror(errno));
    if (got == 0) throw Error(name_ + ": has become shorter since it was opened; a dataset must not change in a run");
    done += static_cast<std::size_t>(got);
  }
}

void Place::advance(std::string_view over) {
  for (const char c : over) {
    ++offset;
    ++column;
    if (c != '\n') continue;
    ++line;
    column = 1;
  }
}

std::string Place::text(const std::string& file) const {
  return file + ":" + std::to_string(line) + ":" + std::to_string(column);
}

Framing framing_of(const File& file) {
  const std::string magic = file.read(0, std::min<std::uint64_t>(file.size(), 4));
  const std::string way_out = "; a dataset is a .jsonl file (one object a line) or a .json file (one list of objects)";
  if (magic == "PAR1")
    throw Error(file.name() + ": is a Parquet file" + way_out + ": pandas' to_json(lines=True) makes one");
  if (magic.starts_with("\x1f\x8b")) throw Error(file.name() + ": is compressed with gzip: gunzip it" + way_out);
  for (std::uint64_t at = text_start(file); at < file.size(); at += chunk_size)
    for (const char c : file.read(at, std::min(at + chunk_size, file.size())))
      if (!is_space(c)) return c == '[' ? Framing::array : Framing::lines;
  throw Error(file.name() + ": is empty" + way_out);
}

void for_each_row(const File& file, Framing framing, const UseRow& use) {
  const Place start{.offset = text_start(file)};
  if (framing == Framing::lines)
    cut(file, Lines(use, start));
  else
    cut(file, Elements(file, use, start));
}

std::string_view trim_row(std::string_view text, Framing framing) {
  const auto trim = [&] {
    while (!text.empty() && is_space(text.back())) text.remove_suffix(1);
  };
  trim();
  if (framing == Framing::array && text.ends_with(',')) text.remove_suffix(1);
  trim();
  return text;
}

}  // namespace grpo::data

// The words that a library compares texts with.
#include <algorithm>
#include <regex>
#include <set>

#include "elf.hpp"
#include "generate.hpp"
#include "utf8.hpp"

namespace grpo::plugins::fuzzing {
namespace {

bool printable(char c) { return c >= ' ' && c <= '~'; }

using Words = std::set<std::string>;
constexpr std::size_t most_words = 4000;

// Texts as they lie there.
void add_texts(const std::string& bytes, Words& words) {
  constexpr std::size_t shortest = 2, longest = 48;
  std::string word;
  for (std::size_t i = 0; i <= bytes.size(); ++i) {
    // Beyond ASCII too: texts are UTF-8.
    if (i < bytes.size() && (printable(bytes[i]) || (bytes[i] & 0x80))) {
      word += bytes[i];
      continue;
    }
    if (word.size() >= shortest && word.size() <= longest && words.size() < most_words && valid_utf8(word) == word &&
        !of_a_sanitizer(word))
      words.insert(word);
    word.clear();
  }
}

// A comparison with a short text is compiled into numbers within instructions of x86: eight bytes are moved into a
// register (48..49 b8..bf, the number), the next four are compared where they lie (81 78..7f, an offset, the number),
// not far behind.
void add_numbers(const std::string& code, Words& words) {
  constexpr std::size_t not_far = 256;
  const auto byte = [&code](std::size_t i) { return static_cast<unsigned char>(code[i]); };
  const auto text = [&code](std::size_t from, std::size_t n) {
    const bool all =
        from + n <= code.size() && std::all_of(code.begin() + static_cast<std::ptrdiff_t>(from),
                                               code.begin() + static_cast<std::ptrdiff_t>(from + n), printable);
    return all ? code.substr(from, n) : std::string();
  };
  std::string begin;
  std::size_t end_of_begin = 0;
  for (std::size_t i = 0; i + 7 <= code.size() && words.size() < most_words; ++i) {
    if ((byte(i) == 0x48 || byte(i) == 0x49) && byte(i + 1) >= 0xb8 && byte(i + 1) <= 0xbf) {
      const std::string found = text(i + 2, 8);
      if (found.empty()) continue;
      if (!begin.empty() && i - end_of_begin < not_far) words.insert(begin + found);
      words.insert(begin = found);
      end_of_begin = i + 10;
    } else if (byte(i) == 0x81 && byte(i + 1) >= 0x78 && byte(i + 1) <= 0x7f) {
      const std::string found = text(i + 3, 4);
      if (found.empty()) continue;
      words.insert(found);
      if (!begin.empty() && i - end_of_begin < not_far) words.insert(begin + found);
    }
  }
}

}  // namespace

bool of_a_sanitizer(const std::string& word) {
  static const std::regex variable(R"(\*\.L(C|ubsan_data|ubsan_type)\d+)"), frame(R"(\d+ \d+ \d+ \d+ .+)");
  return std::regex_match(word, variable) || std::regex_match(word, frame);
}

std::vector<std::string> words_of(const std::string& library) {
  constexpr std::uint64_t limit = std::uint64_t{64} << 20;
  const ElfFile file(library);
  Words words;
  add_texts(file.section(".rodata", limit).value_or(""), words);
  add_numbers(file.section(".text", limit).value_or(""), words);
  return {words.begin(), words.end()};
}

}  // namespace grpo::plugins::fuzzing

// unicode.hpp: UTF-8 and the few character properties that tokenizers ask for.
#ifndef GRPO_SRC_TEXT_TOKENIZER_UNICODE_HPP
#define GRPO_SRC_TEXT_TOKENIZER_UNICODE_HPP

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace grpo::text {

enum class Utf8State {
  complete,    // a character
  malformed,   // no continuation can make it one; the length is what one U+FFFD stands for
  unfinished,  // the text ends inside a character
};

struct Utf8Sequence {
  Utf8State state;
  std::size_t length;  // at least 1
};

// The sequence at the front of `bytes`, which is not empty. Malformed ones are cut as WHATWG, Python and Rust do: the
// longest part that could have started a character is one unit.
Utf8Sequence first_sequence(std::string_view bytes);

bool is_valid_utf8(std::string_view bytes);
// Every malformed or unfinished sequence becomes one U+FFFD.
std::string to_valid_utf8(std::string_view bytes);

// The character at `position` of valid UTF-8; moves `position` behind it.
char32_t next_character(std::string_view text, std::size_t& position);
// The character that ends at `position`; moves `position` to its first byte.
char32_t previous_character(std::string_view text, std::size_t& position);
void append_utf8(std::string& text, char32_t character);

// Unicode's White_Space: what Rust's char::is_whitespace and Oniguruma's \s mean. Not U+180E, U+200B, U+001C..U+001F.
bool is_white_space(char32_t character);
// A stretch of characters that Unicode 15 and 16 assigned, with its general category ("Lo"). PCRE2 10.42 knows Unicode
// 14, utf8proc 2.8 Unicode 15, the original Unicode 16: this table makes up for it. Sorted.
struct RecentCharacters {
  char32_t first, last;
  char category[3];
};
std::span<const RecentCharacters> recent_characters();

// General category N*: Rust's char::is_numeric.
bool is_numeric(char32_t character);
// ASCII punctuation, or general category P* as of Unicode 8: what the original's crate knows.
bool is_punctuation(char32_t character);
// \w of Rust's regex and of Oniguruma: letters, marks, decimal digits, connectors, other alphabetic characters.
bool is_word(char32_t character);
// Lower case of one character, without context: U+0130 becomes two.
void append_lowercase(std::string& text, char32_t character);

// The alphabet of byte-level BPE, from GPT-2: each byte as a visible character, itself where it is one.
char32_t byte_character(unsigned char byte);
// The byte that a character stands for; -1 for none.
int character_byte(char32_t character);
// Appends `bytes` in that alphabet.
void append_byte_characters(std::string& text, std::string_view bytes);
// Appends the bytes that `text` spells; false, and nothing appended, if a character stands for none.
bool append_spelled_bytes(std::string& bytes, std::string_view text);

}  // namespace grpo::text

#endif

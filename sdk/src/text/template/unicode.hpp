// unicode.hpp: strings as Python sees them: sequences of code points, with Python's idea of white space and case.
// All text is UTF-8; a byte that is no UTF-8 counts as one code point.
#ifndef GRPO_TEXT_TEMPLATE_UNICODE_HPP
#define GRPO_TEXT_TEMPLATE_UNICODE_HPP

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace grpo::text::jinja {

/// The code point at `position`, which moves past it.
char32_t next_code_point(std::string_view text, std::size_t& position);
void append_code_point(std::string& text, char32_t code_point);
std::size_t count_code_points(std::string_view text);
/// Byte position of each code point, and the size at the end.
std::vector<std::size_t> code_point_starts(std::string_view text);
/// Byte position of the code point with that number (or the size).
std::size_t byte_position(std::string_view text, std::size_t code_points);

bool is_space(char32_t c);
bool is_printable(char32_t c);
bool is_letter(char32_t c);
bool is_decimal(char32_t c);
bool is_upper(char32_t c);
bool is_lower(char32_t c);
bool is_title(char32_t c);
bool is_numeric(char32_t c);
bool is_word(char32_t c);
/// str.isupper() with (is_upper, is_lower), str.islower() the other way round: some wanted one, and none of another
/// case.
bool all_cased(std::string_view text, bool (*wanted)(char32_t), bool (*unwanted)(char32_t));

std::string to_upper(std::string_view text);
std::string to_lower(std::string_view text);
std::string capitalize(std::string_view text);
/// str.title(): a letter after a non-letter is a beginning, also after an apostrophe.
std::string title_case(std::string_view text);
std::string swap_case(std::string_view text);

/// strip(): `chars` null means white space.
std::string_view strip(std::string_view text, bool left, bool right, const std::string* chars = nullptr);
/// splitlines(): at every line end that Python knows.
std::vector<std::string_view> split_lines(std::string_view text, bool keep_ends = false);

}  // namespace grpo::text::jinja

#endif

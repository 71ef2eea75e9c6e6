// table.hpp: a row of the console's table, and which of its columns a terminal has room for.
#ifndef GRPO_SRC_REPORT_TABLE_HPP
#define GRPO_SRC_REPORT_TABLE_HPP

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace grpo::report {

struct Column {
  std::string_view title;
  std::size_t width;
  int rank;  // 1: kept longest
  std::string cell;
};

// `x` with `decimals` places in at most `width` characters: with fewer places, or as 1.2e+05, where it does not fit;
// "-" for what is no number.
std::string number(double x, std::size_t width, int decimals);
// The same with three significant digits.
std::string significant(double x);

// Which columns fit side by side into `room` cells, the least important dropped first; rank 1 always stays. room 0: no
// limit.
std::vector<bool> columns_that_fit(std::span<const Column> columns, std::size_t room);

// The titles, or the cells, of the columns that are kept, right-aligned, with two blanks between them.
std::string titles(std::span<const Column> columns, const std::vector<bool>& kept);
std::string cells(std::span<const Column> columns, const std::vector<bool>& kept);

// `text` broken at blanks into lines of at most `room` cells (0: no limit), those after the first behind `indent`
// blanks. A word that is longer stays whole.
std::string wrapped(std::string_view text, std::size_t indent, std::size_t room);

}  // namespace grpo::report

#endif

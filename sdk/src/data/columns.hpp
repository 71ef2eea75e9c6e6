// columns.hpp: which columns rows have and of what types, gathered while the rows are checked.
#ifndef GRPO_SRC_DATA_COLUMNS_HPP
#define GRPO_SRC_DATA_COLUMNS_HPP

#include <cstdint>
#include <grpo/sdk/data/dataset.hpp>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace grpo::data {

enum class Kind { null, text, integer, number, other };

// A value at the top level of a row, its name within the row's text.
struct Field {
  std::string_view name;
  Kind kind = Kind::other;
};

// What a row turned out to be. An error has the byte (from 0) at which the text stops being JSON.
struct Scan {
  bool is_json = true, is_object = true;
  std::size_t error_at = 0;
  std::string error;
  std::string refusal;  // not empty: JSON, but none that a row can be
};

// Of one object: its keys are looked up one after the other, so that many take their square in time.
inline constexpr int most_keys = 10'000;

class ColumnCensus {
 public:
  // A row as text: is it JSON, and its columns if so. After an error the census is of no more use.
  Scan scan(std::string_view row);
  void add(const Record& row);

  bool last_has(const std::string& column) const;  // the row before
  std::vector<std::string> last_columns() const;
  std::vector<Column> columns() const;

  void begin_row() { ++rows_; }
  std::size_t index_of(std::string_view name);
  void count(std::size_t column, Kind kind, bool exact_in_double);

 private:
  struct Counts {
    std::string name;
    std::int64_t of[5] = {}, last_row = 0;
    bool exact_in_double = true;  // every integer is
  };
  Scan parse(std::string_view row);

  std::vector<Counts> counts_;
  std::vector<Field> fields_;  // of the row at hand
  std::unordered_map<std::string, std::size_t> index_;
  std::int64_t rows_ = 0;
};

}  // namespace grpo::data

#endif

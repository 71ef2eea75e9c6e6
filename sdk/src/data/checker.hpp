// checker.hpp: is a row what the run needs? Its text for users, and what columns the rows have.
#ifndef GRPO_SRC_DATA_CHECKER_HPP
#define GRPO_SRC_DATA_CHECKER_HPP

#include <functional>
#include <grpo/sdk/data/dataset.hpp>
#include <string>
#include <string_view>

#include "columns.hpp"
#include "rows.hpp"

namespace grpo::data {

class RowChecker {
 public:
  RowChecker(std::string file, OpenOptions options) : file_(std::move(file)), options_(std::move(options)) {}

  // Takes a row into the census. place() is asked only when there is something to say.
  // Throws grpo::Error: not JSON, not an object, a column missing.
  void check(std::string_view text, const std::function<Place()>& place);
  std::vector<Column> columns() const { return census_.columns(); }

 private:
  void require_columns(const std::function<Place()>& place) const;

  std::string file_;
  OpenOptions options_;
  ColumnCensus census_;
};

}  // namespace grpo::data

#endif

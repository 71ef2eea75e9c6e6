// dataset.hpp: rows of a JSON Lines file or of one JSON array of objects, parsed when asked for.
//
// Main idea. Opening looks for the ends of the rows (four bytes a row are kept) and checks the first few megabytes: a
// row is JSON, it is an object, it has the columns that the run needs. A thread checks the rest meanwhile. Whoever
// needs to know about the whole file (columns, wait_checked) waits for it; whoever reads a row that it has not reached
// yet gets the row checked there. So a million rows open at once, no bad row is ever used, and the message is the same
// whoever finds it. Rows are read from the file when asked for: memory does not grow with it. Why so:
// docs/decisions/datasets.md.
//
//   const auto train = data::Dataset::open("train.jsonl", {.required = {"question", "answer"}});
//   train.size();  train.row(7)["question"];  train.where(7);   // "train.jsonl:8"
//
// A byte order mark, CRLF, and blank lines are fine. The file must not change while it is open.
#ifndef GRPO_SDK_DATA_DATASET_HPP
#define GRPO_SDK_DATA_DATASET_HPP

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

namespace grpo::data {

using Record = nlohmann::ordered_json;  // an object, its keys in the order of the file

enum class ColumnType {
  text,     // strings; missing and null allowed
  integer,  // integers of 64 bits in every row
  number,   // numbers; missing and null allowed
  json,     // anything else: lists, objects, booleans, mixtures
};

// A column over the whole dataset.
struct Column {
  std::string name;
  ColumnType type = ColumnType::json;
  std::int64_t present = 0;  // rows that have it with a value other than null
};

struct OpenOptions {
  std::vector<std::string> required = {};  // columns that every row must have (null counts as there)
  std::int64_t max_rows = -1;              // the first rows only; -1: all
  // Prefix of messages about columns, such as Config::where("data.answer_key"); by column; may be empty.
  std::vector<std::string> required_by = {};
};

// [any thread] for all const functions.
class Dataset {
 public:
  // Throws grpo::Error: no such file, empty, an array that does not end; and of the rows in the first megabytes: not
  // JSON (file:line:column), not an object, a column missing (which line, which columns there are).
  static Dataset open(const std::filesystem::path& path, const OpenOptions& options = {});

  std::int64_t size() const;

  // These wait until every row has been checked, and throw what is wrong with the first bad one.
  void wait_checked() const;
  const std::vector<Column>& columns() const;                // in the order they first appear
  std::map<std::string, std::int32_t> column_types() const;  // the same as GRPO_COLUMN_* (reward.h), for RewardBatch

  void check() const;  // throws what has been found until now; does not wait

  const std::filesystem::path& path() const;
  std::string text(std::int64_t row) const;   // the row's JSON as it stands in the file
  Record row(std::int64_t row) const;         // throws what is wrong with it
  std::string where(std::int64_t row) const;  // "train.jsonl:8", the line it starts on

 private:
  struct State;
  explicit Dataset(std::shared_ptr<const State> state);
  std::shared_ptr<const State> state_;
};

// Columns of records that come from elsewhere than a file (grpo-host score reads standard input): the same rules.
std::vector<Column> columns_of(const std::vector<Record>& records);

}  // namespace grpo::data

#endif

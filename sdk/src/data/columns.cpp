#include "columns.hpp"

#include <grpo/reward.h>

#include <nlohmann/json.hpp>

#include "grpo/kit/nesting.hpp"
#include "quick_scan.hpp"

namespace grpo::data {
namespace {

using nlohmann::ordered_json;

constexpr std::int64_t largest_exact = std::int64_t{1} << 53;
bool exact(std::int64_t value) { return value >= -largest_exact && value <= largest_exact; }

// Reads a row without building it: what is at the top level goes into the census.
struct Handler : nlohmann::json_sax<ordered_json> {
  ColumnCensus& census;
  Scan result;
  std::size_t column = 0;
  int depth = 0;
  std::vector<int> n_keys;  // of the objects that are open

  explicit Handler(ColumnCensus& c) : census(c) {}

  bool in_row() const { return depth == 1 && result.is_object; }
  bool value(Kind kind, bool is_exact = true) {
    if (depth == 0) result.is_object = false;
    if (in_row()) census.count(column, kind, is_exact);
    return true;
  }
  bool open(bool object) {
    if (depth == 0 && !object) result.is_object = false;
    if (in_row()) census.count(column, Kind::other, true);
    ++depth;
    if (depth > kit::deepest_json)
      return refuse("is nested deeper than " + std::to_string(kit::deepest_json) + " levels");
    n_keys.push_back(0);
    return true;
  }
  bool close() {
    n_keys.pop_back();
    return --depth, true;
  }
  bool refuse(std::string why) {
    result.refusal = std::move(why);
    return false;
  }

  bool null() override { return value(Kind::null); }
  bool boolean(bool) override { return value(Kind::other); }
  bool number_integer(number_integer_t v) override { return value(Kind::integer, exact(v)); }
  bool number_unsigned(number_unsigned_t v) override {
    const auto limit = static_cast<number_unsigned_t>(std::numeric_limits<std::int64_t>::max());
    return v > limit ? value(Kind::other) : value(Kind::integer, exact(static_cast<std::int64_t>(v)));
  }
  bool number_float(number_float_t, const string_t&) override { return value(Kind::number); }
  bool string(string_t&) override { return value(Kind::text); }
  bool binary(binary_t&) override { return value(Kind::other); }
  bool start_object(std::size_t) override { return open(true); }
  bool end_object() override { return close(); }
  bool start_array(std::size_t) override { return open(false); }
  bool end_array() override { return close(); }
  bool key(string_t& name) override {
    if (++n_keys.back() > most_keys)
      return refuse((depth == 1 ? "has more than " : "holds an object of more than ") + std::to_string(most_keys) +
                    " keys");
    if (in_row()) column = census.index_of(name);
    return true;
  }
  // The library's text is "[json.exception...] parse error at line 1, column 9: what".
  bool parse_error(std::size_t position, const std::string&, const nlohmann::detail::exception& error) override {
    const std::string text = error.what();
    const auto column_at = text.find("column ");
    const auto colon = text.find(": ", column_at == std::string::npos ? 0 : column_at);
    result.is_json = false;
    result.error_at = position > 0 ? position - 1 : 0;
    result.error = colon == std::string::npos ? text : text.substr(colon + 2);
    return false;
  }
};

Kind kind_of(const ordered_json& value) {
  if (value.is_null()) return Kind::null;
  if (value.is_string()) return Kind::text;
  if (value.is_number_float()) return Kind::number;
  if (!value.is_number_integer()) return Kind::other;
  const bool too_big =
      value.is_number_unsigned() &&
      value.get<std::uint64_t>() > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
  return too_big ? Kind::other : Kind::integer;
}

}  // namespace

Scan ColumnCensus::scan(std::string_view row) {
  begin_row();
  if (!quick_scan(row, fields_)) return parse(row);
  for (std::size_t i = 0; i < fields_.size(); ++i) {
    // Rows mostly have the same columns in the same order.
    const bool as_before = i < counts_.size() && counts_[i].name == fields_[i].name;
    count(as_before ? i : index_of(fields_[i].name), fields_[i].kind, true);
  }
  return {};
}

Scan ColumnCensus::parse(std::string_view row) {
  Handler handler(*this);
  ordered_json::sax_parse(row.begin(), row.end(), &handler);
  return handler.result;
}

void ColumnCensus::add(const Record& row) {
  begin_row();
  for (const auto& [name, value] : row.items()) {
    const Kind kind = kind_of(value);
    count(index_of(name), kind, kind != Kind::integer || exact(value.get<std::int64_t>()));
  }
}

std::size_t ColumnCensus::index_of(std::string_view name) {
  const auto [entry, is_new] = index_.try_emplace(std::string(name), counts_.size());
  if (is_new) counts_.push_back({.name = std::string(name)});
  return entry->second;
}

// A key that a row has twice counts once: the later value is the one that is read, but its kind must be held too.
void ColumnCensus::count(std::size_t column, Kind kind, bool exact_in_double) {
  Counts& counts = counts_[column];
  const bool again = counts.last_row == rows_;
  counts.last_row = rows_;
  counts.exact_in_double = counts.exact_in_double && exact_in_double;
  ++counts.of[static_cast<int>(again ? Kind::other : kind)];
}

bool ColumnCensus::last_has(const std::string& column) const {
  const auto found = index_.find(column);
  return found != index_.end() && counts_[found->second].last_row == rows_;
}

std::vector<std::string> ColumnCensus::last_columns() const {
  std::vector<std::string> out;
  for (const auto& counts : counts_)
    if (counts.last_row == rows_) out.push_back(counts.name);
  return out;
}

std::vector<Column> ColumnCensus::columns() const {
  std::vector<Column> out;
  for (const auto& c : counts_) {
    const auto of = [&](Kind kind) { return c.of[static_cast<int>(kind)]; };
    const std::int64_t numbers = of(Kind::integer) + of(Kind::number);
    Column column{.name = c.name, .present = of(Kind::text) + numbers + of(Kind::other)};
    if (of(Kind::other) > 0 || (of(Kind::text) > 0 && numbers > 0))
      column.type = ColumnType::json;
    else if (numbers == 0)
      column.type = ColumnType::text;
    else if (of(Kind::integer) == rows_)
      column.type = ColumnType::integer;
    else
      column.type = c.exact_in_double ? ColumnType::number : ColumnType::json;
    out.push_back(column);
  }
  return out;
}

std::vector<Column> columns_of(const std::vector<Record>& records) {
  ColumnCensus census;
  for (const auto& record : records) census.add(record);
  return census.columns();
}

std::map<std::string, std::int32_t> Dataset::column_types() const {
  std::map<std::string, std::int32_t> out;
  for (const auto& column : columns()) {
    switch (column.type) {
      case ColumnType::text:
        out[column.name] = GRPO_COLUMN_TEXT;
        break;
      case ColumnType::integer:
        out[column.name] = GRPO_COLUMN_INTEGER;
        break;
      case ColumnType::number:
        out[column.name] = GRPO_COLUMN_NUMBER;
        break;
      case ColumnType::json:
        out[column.name] = GRPO_COLUMN_JSON;
        break;
    }
  }
  return out;
}

}  // namespace grpo::data

// Rows and columns of well-formed files.
#include <grpo/reward.h>

#include "files.hpp"

using namespace grpo::data;
using testing::ElementsAre;
using testing::EndsWith;

namespace {

void expect_rows(const std::string& text, const std::string& name = "rows.jsonl") {
  const TemporaryFile file(text, name);
  const Dataset data = Dataset::open(file.path);
  ASSERT_EQ(data.size(), 3) << text;
  EXPECT_EQ(data.text(0), R"({"a": 1, "b": "x"})");
  EXPECT_EQ(data.row(1)["b"], "y\n");
  EXPECT_EQ(data.row(2)["a"], 3);
}

const std::string rows[3] = {R"({"a": 1, "b": "x"})", R"({"a": 2, "b": "y\n"})", R"({"a": 3, "b": "],{"})"};

}  // namespace

TEST(Dataset, LinesWithAnyEnding) {
  expect_rows(rows[0] + "\n" + rows[1] + "\n" + rows[2] + "\n");
  expect_rows(rows[0] + "\n" + rows[1] + "\n" + rows[2]);
  expect_rows(rows[0] + "\r\n" + rows[1] + "\r\n" + rows[2] + "\r\n");
  expect_rows("\xEF\xBB\xBF" + rows[0] + "\n" + rows[1] + "\n" + rows[2] + "\n\n \t\n\n");
  expect_rows("\n\n" + rows[0] + "\n\n" + rows[1] + "\n   \r\n" + rows[2]);
}

TEST(Dataset, OneArray) {
  expect_rows("[" + rows[0] + "," + rows[1] + "," + rows[2] + "]", "rows.json");
  expect_rows("\xEF\xBB\xBF \n[\n  " + rows[0] + " ,\n\n  " + rows[1] + "\n,\r\n" + rows[2] + "\n]\n\n", "rows.json");
  expect_rows("[" + rows[0] + "," + rows[1] + "," + rows[2] + "]");  // the name does not matter
}

TEST(Dataset, PlacesOfRows) {
  const TemporaryFile lines("\n{\"a\":1}\n\n{\"a\":2}\n{\"a\":3}\n");
  const Dataset data = Dataset::open(lines.path);
  EXPECT_THAT(data.where(0), EndsWith("rows.jsonl:2"));
  EXPECT_THAT(data.where(1), EndsWith("rows.jsonl:4"));
  EXPECT_THAT(data.where(2), EndsWith("rows.jsonl:5"));
  EXPECT_THAT(error_of([&] { data.text(3); }), EndsWith("row 3 of 3 does not exist"));
  EXPECT_THAT(error_of([&] { data.text(-1); }), EndsWith("row -1 of 3 does not exist"));
}

TEST(Dataset, PlacesBeyondOneCheckpoint) {
  std::string lines, array = "[";
  for (int i = 0; i < 1000; ++i) {
    const std::string number = std::to_string(i);
    lines.append("{\"i\":").append(number).append("}\n").append(i % 3 == 0 ? "\n" : "");
    array.append(i ? "," : "").append("\n{\n \"i\":\n").append(number).append("}");
  }
  const TemporaryFile line_file(lines), array_file(array + "]", "rows.json");
  const Dataset a = Dataset::open(line_file.path), b = Dataset::open(array_file.path);
  int line = 1;
  for (int i = 0; i < 1000; ++i) {
    ASSERT_THAT(a.where(i), EndsWith(std::string(":") + std::to_string(line)));
    ASSERT_THAT(b.where(i), EndsWith(std::string(":") + std::to_string(2 + 3 * i)));
    ASSERT_EQ(a.row(i)["i"], i);
    ASSERT_EQ(b.row(i)["i"], i);
    line += i % 3 == 0 ? 2 : 1;
  }
}

// Rows that lie across the pieces in which a file is read.
TEST(Dataset, RowsLongerThanAPiece) {
  const std::string big((1 << 20) + (1 << 19), 'x');
  for (const bool array : {false, true}) {
    std::string text = array ? "[" : "";
    for (int i = 0; i < 4; ++i)
      text.append("{\"i\":")
          .append(std::to_string(i))
          .append(",\"t\":\"")
          .append(i % 2 ? big : "small")
          .append(!array  ? "\"}\n"
                  : i < 3 ? "\"},"
                          : "\"}]");
    const TemporaryFile file(text);
    const Dataset data = Dataset::open(file.path);
    ASSERT_EQ(data.size(), 4);
    EXPECT_EQ(data.row(1)["t"].get<std::string>().size(), big.size());
    EXPECT_EQ(data.row(2)["t"], "small");
    EXPECT_EQ(data.row(3)["i"], 3);
  }
}

TEST(Dataset, KeepsTheOrderOfColumns) {
  const TemporaryFile file("{\"z\": 1, \"a\": 2}\n{\"m\": 3, \"z\": 1}\n");
  const Dataset data = Dataset::open(file.path);
  EXPECT_EQ(data.row(0).dump(), R"({"z":1,"a":2})");
  std::vector<std::string> names;
  for (const auto& column : data.columns()) names.push_back(column.name);
  EXPECT_THAT(names, ElementsAre("z", "a", "m"));
}

TEST(Dataset, TypesOfColumns) {
  const TemporaryFile file(
      R"({"text": "a", "gaps": "b", "int": 1, "some_int": 2, "num": 1, "mix": 1, "flag": true, "list": [1], "none": null, "big": 18446744073709551615, "id": 9007199254740993}
{"text": "c", "gaps": null, "int": -2, "some_int": null, "num": 2.5, "mix": "1", "flag": false, "list": [], "none": null, "big": 1}
{"text": "", "int": 3, "num": 1e3, "mix": 2, "flag": true, "list": {"int": "nested"}, "big": 2}
)");
  const Dataset data = Dataset::open(file.path);
  const std::map<std::string, std::int32_t> expected = {
      {"text", GRPO_COLUMN_TEXT},       {"gaps", GRPO_COLUMN_TEXT},  {"int", GRPO_COLUMN_INTEGER},
      {"some_int", GRPO_COLUMN_NUMBER}, {"num", GRPO_COLUMN_NUMBER}, {"mix", GRPO_COLUMN_JSON},
      {"flag", GRPO_COLUMN_JSON},       {"list", GRPO_COLUMN_JSON},  {"none", GRPO_COLUMN_TEXT},
      {"big", GRPO_COLUMN_JSON},  // beyond 64 bits with a sign
      {"id", GRPO_COLUMN_JSON},   // has gaps, and a double cannot hold it
  };
  EXPECT_EQ(data.column_types(), expected);
  std::vector<Record> records;
  for (int i = 0; i < 3; ++i) records.push_back(data.row(i));
  const auto columns = columns_of(records);
  ASSERT_EQ(columns.size(), data.columns().size());
  for (std::size_t i = 0; i < columns.size(); ++i) {
    EXPECT_EQ(columns[i].name, data.columns()[i].name);
    EXPECT_EQ(columns[i].type, data.columns()[i].type) << columns[i].name;
    EXPECT_EQ(columns[i].present, data.columns()[i].present) << columns[i].name;
  }
  EXPECT_EQ(columns[1].present, 1);  // gaps
}

TEST(Dataset, OnlyTheFirstRows) {
  const TemporaryFile file("{\"a\":1}\n{\"a\":2}\nthis is never read\n");
  EXPECT_EQ(Dataset::open(file.path, {.max_rows = 2}).size(), 2);
  EXPECT_EQ(Dataset::open(file.path, {.max_rows = 2}).text(1), "{\"a\":2}");
  EXPECT_THROW(Dataset::open(file.path), grpo::Error);
}

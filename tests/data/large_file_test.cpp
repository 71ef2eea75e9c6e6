// Files beyond what opening itself checks: rows are had at once, a bad one is named by its line whoever comes upon it,
// and nobody gets it.
#include <fstream>
#include <functional>

#include "files.hpp"

using namespace grpo::data;
using testing::EndsWith;
using testing::HasSubstr;

namespace {

constexpr std::int64_t many = 60000;

std::string good_row(std::int64_t i) {
  return "{\"prompt\": \"" + std::string(100, 'x') + "\", \"answer\": " + std::to_string(i) + "}";
}

// 7 MB of rows; `line` may change what stands on a line, given its number from 1.
std::string text_of(const std::function<std::string(std::int64_t line, std::string row)>& change,
                    const std::string& ending = "\n") {
  std::string out;
  for (std::int64_t i = 0; i < many; ++i) out.append(change(i + 1, good_row(i))).append(ending);
  return out;
}

// One line differs.
std::string text_with(std::int64_t at, const std::string& bad, const std::string& ending = "\n") {
  return text_of([&](std::int64_t line, std::string row) { return line == at ? bad : row; }, ending);
}

std::string after_name(const std::string& what) {
  const auto at = what.find("rows.json");
  return at == std::string::npos ? what : what.substr(at);
}

// Opens, and says the same of the bad row three ways: by reading it, by waiting, and by asking once the pass is over.
void expect_bad(const std::string& text, std::int64_t row, const std::string& expected) {
  const TemporaryFile file(text);
  const Dataset data = Dataset::open(file.path, {.required = {"prompt", "answer"}});
  EXPECT_THAT(after_name(error_of([&] { data.row(row); })), testing::StartsWith(expected));
  EXPECT_THAT(after_name(error_of([&] { data.wait_checked(); })), testing::StartsWith(expected));
  EXPECT_THAT(after_name(error_of([&] { data.columns(); })), testing::StartsWith(expected));
  EXPECT_THAT(after_name(error_of([&] { data.check(); })), testing::StartsWith(expected));
  EXPECT_EQ(data.row(0)["answer"], 0);
}

}  // namespace

TEST(LargeFile, NamesTheBadLine) {
  expect_bad(text_with(50000, "{\"prompt\": \"x\", \"answer\" 3}"), 49999, "rows.jsonl:50000:26: not JSON: ");
  expect_bad(text_with(50000, "{\"prompt\": \"x\", \"answer\" 3}", "\r\n"), 49999, "rows.jsonl:50000:26: not JSON: ");
  expect_bad(text_with(many, "{\"prompt\": \"x"), many - 1, "rows.jsonl:60000:");  // cut off
  expect_bad(text_with(50001, "[1]"), 50000, "rows.jsonl:50001: a row must be an object");
  expect_bad(text_with(59999, "{\"prompt\": \"x\", \"anwser\": 3}"), 59998,
             "rows.jsonl:59999: has no column `answer`. There are: prompt, anwser. Did you mean `anwser`?");
  expect_bad("\xEF\xBB\xBF" + text_with(50000, "{\"prompt\": \"\xff\", \"answer\": 3}"), 49999,
             "rows.jsonl:50000:13: not JSON: ");
}

TEST(LargeFile, TheFirstBadLineIsTheOneTold) {
  expect_bad(text_of([](std::int64_t line, std::string row) { return line >= 55000 ? "?" : row; }), 54999,
             "rows.jsonl:55000:1: not JSON: ");
}

TEST(LargeFile, EmptyLinesCountAsLines) {
  const std::string text =
      text_of([](std::int64_t line, std::string row) { return line % 3 == 0 ? " \n" + row : row; });
  expect_bad(text + "\n{}\n", many, "rows.jsonl:" + std::to_string(many + many / 3 + 2) + ": has no column `prompt`");
}

TEST(LargeFile, BadRowsOfAnArray) {
  std::string text = "[";
  for (std::int64_t i = 0; i < many; ++i) text.append(i ? ",\n" : "").append(i == 50000 ? "{\"a\": nul}" : good_row(i));
  const TemporaryFile file(text + "]", "rows.json");
  const Dataset data = Dataset::open(file.path);
  EXPECT_THAT(after_name(error_of([&] { data.row(50000); })), testing::StartsWith("rows.json:50001:10: not JSON: "));
  EXPECT_THAT(after_name(error_of([&] { data.wait_checked(); })),
              testing::StartsWith("rows.json:50001:10: not JSON: "));
  EXPECT_EQ(data.row(50001)["answer"], 50001);
}

TEST(LargeFile, GoodOnesWithAnyEnding) {
  const auto same = [](std::int64_t, std::string row) { return row; };
  for (const std::string ending : {"\n", "\r\n", "\n\n"})
    for (const std::string mark : {"", "\xEF\xBB\xBF"})
      for (const bool cut_last : {false, true}) {
        std::string text = mark + text_of(same, ending);
        if (cut_last) text.resize(text.size() - ending.size());
        const TemporaryFile file(text);
        const Dataset data = Dataset::open(file.path, {.required = {"prompt", "answer"}});
        ASSERT_EQ(data.size(), many);
        for (const std::int64_t i : {std::int64_t{0}, many / 2, many - 1}) {
          ASSERT_EQ(data.text(i), good_row(i));
          ASSERT_THAT(data.where(i), EndsWith(":" + std::to_string(ending == "\n\n" ? 2 * i + 1 : i + 1)));
        }
        ASSERT_EQ(data.columns().at(1).present, many);
      }
}

// A type is of the whole column, however late the row that decides it.
TEST(LargeFile, ColumnTypesAreOfAllRows) {
  const TemporaryFile integers(text_of([](std::int64_t, std::string row) { return row; }));
  EXPECT_EQ(Dataset::open(integers.path).columns().at(1).type, ColumnType::integer);
  const TemporaryFile mixed(text_with(59000, "{\"prompt\": \"x\", \"answer\": 0.5, \"late\": [1]}"));
  const Dataset data = Dataset::open(mixed.path);
  EXPECT_EQ(data.columns().at(1).type, ColumnType::number);
  EXPECT_EQ(data.columns().at(2).name, "late");
  EXPECT_EQ(data.columns().at(2).type, ColumnType::json);
}

TEST(LargeFile, MayBeClosedBeforeItIsChecked) {
  const TemporaryFile file(text_with(many, "?"));
  for (int i = 0; i < 3; ++i) EXPECT_EQ(Dataset::open(file.path).size(), many);
}

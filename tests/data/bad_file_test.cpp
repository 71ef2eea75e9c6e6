// What a user gets to read for each kind of bad file.
#include <sys/stat.h>

#include "files.hpp"

using namespace grpo::data;
using testing::AllOf;
using testing::HasSubstr;
using testing::StartsWith;

TEST(BadFile, NamesLineAndColumn) {
  EXPECT_THAT(open_error("{\"a\":1}\n{\"a\":2}\n{\"a\" 3}\n"), StartsWith("rows.jsonl:3:6: not JSON: "));
  EXPECT_THAT(open_error("{\"a\":1}\n\n{\"a\":"), StartsWith("rows.jsonl:3:"));
  EXPECT_THAT(open_error("{\"a\":1} {\"a\":2}\n"), StartsWith("rows.jsonl:1:9: not JSON: "));
  EXPECT_THAT(open_error("{\"a\":NaN}\n"), StartsWith("rows.jsonl:1:"));
  EXPECT_THAT(open_error("{\"a\":\"\xff\"}\n"), AllOf(StartsWith("rows.jsonl:1:7: not JSON: "), HasSubstr("UTF-8")));
  EXPECT_THAT(open_error("{'a': 1}\n"), StartsWith("rows.jsonl:1:2: not JSON: "));
}

TEST(BadFile, NamesLineAndColumnInAnArray) {
  EXPECT_THAT(open_error("[\n {\"a\": 1},\n {\n  \"a\" 2}\n]"), StartsWith("rows.jsonl:4:7: not JSON: "));
  EXPECT_THAT(open_error("[{\"a\":1} {\"a\":2}]"), StartsWith("rows.jsonl:1:10: not JSON: "));
  EXPECT_THAT(open_error("[{\"a\":1},]"), StartsWith("rows.jsonl:1:10: not JSON: "));
  EXPECT_THAT(open_error("[{\"a\":1}\n"), AllOf(StartsWith("rows.jsonl:2:1: "), HasSubstr("cut off")));
  EXPECT_THAT(open_error("[{\"a\":1}]\n{}"), AllOf(StartsWith("rows.jsonl:2:1: "), HasSubstr("follows the end")));
}

TEST(BadFile, RowsThatAreNoObjects) {
  EXPECT_EQ(open_error("{\"a\":1}\n3\n"), "rows.jsonl:2: a row must be an object, {\"column\": value, ...}");
  EXPECT_THAT(open_error("[[1, 2]]"), StartsWith("rows.jsonl:1: a row must be an object"));
}

TEST(BadFile, Empty) {
  EXPECT_THAT(open_error(""), StartsWith("rows.jsonl: is empty"));
  EXPECT_THAT(open_error(" \n\n"), StartsWith("rows.jsonl: is empty"));
  EXPECT_THAT(open_error("\xEF\xBB\xBF"), StartsWith("rows.jsonl: is empty"));
  EXPECT_EQ(open_error("[ \n ]"), "rows.jsonl: has no rows");
}

TEST(BadFile, MissingColumnListsThoseThereAre) {
  const OpenOptions options{.required = {"question", "answer"}, .required_by = {"run.yaml:3: data.prompt_key"}};
  EXPECT_EQ(open_error("{\"Question\": \"q\", \"target\": 1}\n", options),
            "rows.jsonl:1: has no column `question`, which is asked for by run.yaml:3: data.prompt_key. There are: "
            "Question, target. Did you mean `Question`?");
  EXPECT_EQ(open_error("{\"question\": \"q\", \"answer\": null}\n{\"question\": \"q\", \"nested\": {\"answer\": 1}}\n",
                       options),
            "rows.jsonl:2: has no column `answer`. There are: question, nested.");
}

TEST(BadFile, OtherFormatsAreNamed) {
  EXPECT_THAT(open_error("PAR1\x15\x04"), HasSubstr("is a Parquet file"));
  EXPECT_THAT(open_error("\x1f\x8b\x08"), HasSubstr("gunzip it"));
  EXPECT_THAT(error_of([] { Dataset::open("/nowhere/rows.jsonl"); }),
              AllOf(StartsWith("/nowhere/rows.jsonl: cannot open the data file"), HasSubstr("No such file")));
  EXPECT_THAT(error_of([] { Dataset::open(testing::TempDir()); }), HasSubstr("is not a regular file"));
}

TEST(BadFile, ThatChangesWhileOpenIsNoticed) {
  const TemporaryFile file("{\"a\":1}\n{\"a\":2}\n");
  const Dataset data = Dataset::open(file.path);
  std::filesystem::resize_file(file.path, 9);
  EXPECT_EQ(data.row(0)["a"], 1);
  EXPECT_THAT(error_of([&] { data.row(1); }), HasSubstr("has become shorter"));
  std::ofstream(file.path) << "{\"b\":1, \n\"c\":2}\n";
  EXPECT_THAT(error_of([&] { data.row(0); }), HasSubstr("has changed since it was opened"));
}

// JSON, but walking it would overflow the stack, or take the square of its keys in time.
TEST(BadFile, RowsThatWouldBringTheHostDown) {
  const std::string deep = "{\"a\":" + std::string(300000, '[') + std::string(300000, ']') + "}\n";
  EXPECT_EQ(open_error("{\"a\":1}\n" + deep), "rows.jsonl:2: the row is nested deeper than 256 levels");
  EXPECT_EQ(open_error("{\"a\":" + std::string(200, '[') + std::string(200, ']') + "}\n"), "");
  std::string many = "{\"k\":0";
  for (int i = 0; i < 10000; ++i) many += ",\"k" + std::to_string(i) + "\":0";
  EXPECT_EQ(open_error(many + "}\n"), "rows.jsonl:1: the row has more than 10000 keys");
  EXPECT_EQ(open_error("{\"a\":" + many + "}}\n"), "rows.jsonl:1: the row holds an object of more than 10000 keys");
}

TEST(BadFile, APipeIsNotWaitedFor) {
  const TemporaryFile file("{}");
  const auto pipe = file.path.parent_path() / "pipe.jsonl";
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  EXPECT_THAT(error_of([&] { Dataset::open(pipe); }), HasSubstr("is not a regular file"));
}

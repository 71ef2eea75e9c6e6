// Answers of nine data sets written in other ways, slips that models make, and the facts of public graders' suites:
// tests/golden/make/grading_corpus.py. bench/grading/agreement prints what other graders say of the same pairs.
#include <gtest/gtest.h>

#include <fstream>
#include <grpo/kit/grading.hpp>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <string>

namespace {
using grpo::kit::answers_equal;
using grpo::kit::extract_answer;

TEST(Corpus, RightAndWrongAnswersAreToldApart) {
  // What this grader misses on purpose, for it may be the question again: sums over an index, sums of matrices.
  const std::set<std::string> missed = {
      "\\sum_{k=1}^{3} k|6",
      "\\begin{pmatrix}6&8\\\\10&12\\end{pmatrix}|"
      "\\begin{pmatrix}1&2\\\\3&4\\end{pmatrix}+\\begin{pmatrix}5&6\\\\7&8\\end{pmatrix}"};
  std::ifstream file(GRPO_TEST_DATA "/corpus.jsonl");
  std::string line;
  std::getline(file, line);  // the names of the other graders
  std::map<std::string, int> pairs;
  std::size_t misses = 0;
  while (std::getline(file, line)) {
    const auto row = nlohmann::json::parse(line);
    const std::string gold = row["gold"], answer = row["answer"];
    const bool known = missed.count(gold + "|" + answer) > 0;
    misses += known;
    EXPECT_EQ(answers_equal(gold, answer), row["equal"].get<bool>() && !known) << line;
    EXPECT_EQ(answers_equal(answer, gold), answers_equal(gold, answer)) << "the other way round: " << line;
    // In a sentence, as a trainer asks for it.
    const auto found = extract_answer("Adding up, the answer is $\\boxed{" + answer + "}$.");
    EXPECT_EQ(found.has_value(), !answer.empty()) << line;
    EXPECT_EQ(found && answers_equal(gold, *found), answers_equal(gold, answer)) << line;
    ++pairs[row["set"]];
  }
  EXPECT_EQ(misses, missed.size());
  EXPECT_EQ(pairs.size(), 10u);
  for (const auto& [set, n] : pairs) EXPECT_GE(n, 100) << set;
}

}  // namespace

// grade: is this answer to a math problem right?
#include "commands.hpp"
#include "filter.hpp"
#include "grpo/kit/grading.hpp"

namespace grpo::host {

void add_grade(Command program) {
  Command sub = program.command(
      "grade", R"({"gold","answer"} in, {"equal"} out; with --extract {"completion"} in, {"answer"} out)");
  sub.group(group_filters);
  auto extract = std::make_shared<bool>(false);
  sub.flag("--extract", *extract, "Find the final answer in a completion (null when there is none)");
  sub.action([extract] {
    if (*extract)
      return filter([](const Json& row) -> Json {
        const auto answer = kit::extract_answer(text_member(row, "completion"));
        return {{"answer", answer ? Json(*answer) : Json(nullptr)}};
      });
    return filter([](const Json& row) -> Json {
      return {{"equal", kit::answers_equal(text_member(row, "gold"), text_member(row, "answer"))}};
    });
  });
}

}  // namespace grpo::host

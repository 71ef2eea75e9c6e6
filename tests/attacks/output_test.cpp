// Results that cannot be written are told of, in the text and in the exit status.
#include <gmock/gmock.h>

#include "command.hpp"

using testing::HasSubstr;

namespace {

TEST(Output, AFullDiskIsNoSuccess) {
  for (const char* command : {"plugins list", "config", "grade"}) {
    const Result r =
        shell("echo '{\"gold\": \"1\", \"answer\": \"1\"}' | $HOST " + std::string(command) + " 2>&1 >/dev/full");
    EXPECT_EQ(r.status, 1) << command;
    EXPECT_THAT(r.text, HasSubstr("standard output cannot be written")) << command;
  }
}

// A filter ends where its output does, and does not read on for hours.
TEST(Output, AFilterEndsWithItsOutput) {
  const Result r = shell("yes '{\"gold\": \"1\", \"answer\": \"1\"}' | $HOST grade 2>&1 >/dev/full");
  EXPECT_EQ(r.status, 1);
  EXPECT_THAT(r.text, HasSubstr("standard output cannot be written"));
}

}  // namespace

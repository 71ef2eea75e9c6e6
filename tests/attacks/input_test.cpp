// Lines that are JSON, and that would overflow the stack of a program that walks them.
#include <gmock/gmock.h>

#include "command.hpp"

using testing::HasSubstr;

namespace {

TEST(Input, DeepLinesAreRefusedAndTheNextIsRead) {
  const std::string deep = R"(printf '%0300000d' 0 | tr 0 '[')", close = R"(printf '%0300000d' 0 | tr 0 ']')";
  const Result r = shell("( printf '{\"prompt\": \"\", \"completion\": \"a b\", \"x\": '; " + deep + "; " + close +
                         "; echo '}'; echo '{\"prompt\": \"\", \"completion\": \"a b\"}' ) | "
                         "$HOST score --plugins $PLUGINS --reward length 2>&1");
  EXPECT_EQ(r.status, 1);
  EXPECT_THAT(r.text, HasSubstr("{\"error\":\"line 1: nested deeper than 256 levels\"}\n{\"score\":"));
}

TEST(Input, ObjectiveTakesNoDeepRowEither) {
  const Result r = shell("printf '{\"x\": %0300000d' 0 | tr 0 '[' | $HOST objective 2>&1");
  EXPECT_EQ(r.status, 1);
  EXPECT_THAT(r.text, HasSubstr("nested deeper"));
}

}  // namespace

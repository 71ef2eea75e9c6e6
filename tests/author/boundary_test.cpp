// What an author throws, and what arrives on the other side.
#include <gtest/gtest.h>
#include <grpo/optimizer.hpp>

#include <functional>
#include <stdexcept>

#include "test/host.hpp"

namespace {

// A library with exceptions of its own, which are no std::exception, and a mode that belongs to a thread.
struct library_error {
  bool memory;
};
struct mode {
  static inline int alive = 0;
  mode() { ++alive; }
  ~mode() { --alive; }
};

std::function<void()> work;  // of the next call
int modes_seen = 0;

struct simple {
  explicit simple(grpo::options o) {
    if (o.boolean("fail", false)) throw grpo::failure(GRPO_STATUS_INVALID, "not like this");
  }
  void bind(grpo::span<const grpo_slice* const>, const grpo::call&) {}
  double squared_norm(const grpo::call&) {
    modes_seen = mode::alive;
    work();
    return 2;
  }
  void step(const grpo_optimizer_step&, const grpo::call&) {}
  grpo::span<const grpo_named_tensor* const> state() const { return {}; }
};

struct hooked : simple {
  using simple::simple;
  using scope = mode;
  static void translate() {
    try {
      throw;
    } catch (const library_error& e) {
      throw grpo::failure(e.memory ? GRPO_STATUS_NO_MEMORY : GRPO_STATUS_UNSUPPORTED, "the library says no");
    }
  }
};

struct Outcome {
  grpo_status status;
  std::string text;
  bool operator==(const Outcome&) const = default;
};
std::ostream& operator<<(std::ostream& out, const Outcome& o) { return out << o.status << " " << o.text; }

template <class Author>
Outcome outcome(std::function<void()> body) {
  const grpo_optimizer& table = grpo::optimizer_table<Author>::table;
  test::Call call;
  void* handle = nullptr;
  EXPECT_EQ(table.open(call, test::Options(), &handle), GRPO_STATUS_OK);
  EXPECT_EQ(table.bind(handle, call, 0, nullptr), GRPO_STATUS_OK);
  work = std::move(body);
  double sum = 0;
  const grpo_status status = table.squared_norm(handle, call, &sum);
  EXPECT_EQ(sum, status == GRPO_STATUS_OK ? 2 : 0);
  table.close(handle);
  return {status, call.error()};
}

TEST(Boundary, EveryExceptionIsAStatus) {
  const auto thrown = [](auto what) { return outcome<simple>([what] { throw what; }); };
  EXPECT_EQ(outcome<simple>([] {}), (Outcome{GRPO_STATUS_OK, ""}));
  EXPECT_EQ(thrown(grpo::failure("a")), (Outcome{GRPO_STATUS_FAILED, "a"}));
  EXPECT_EQ(thrown(grpo::failure(GRPO_STATUS_INVALID, "b")), (Outcome{GRPO_STATUS_INVALID, "b"}));
  EXPECT_EQ(thrown(std::bad_alloc()), (Outcome{GRPO_STATUS_NO_MEMORY, "no memory"}));
  EXPECT_EQ(thrown(std::out_of_range("c")), (Outcome{GRPO_STATUS_FAILED, "c"}));
  EXPECT_EQ(thrown(library_error{false}), (Outcome{GRPO_STATUS_FAILED, "unknown exception"}));
  EXPECT_EQ(outcome<simple>([] { grpo::need(GRPO_STATUS_DEADLINE); }), (Outcome{GRPO_STATUS_DEADLINE, ""}));
}

TEST(Boundary, AnAuthorAddsExceptionsOfHisOwn) {
  const auto thrown = [](auto what) { return outcome<hooked>([what] { throw what; }); };
  EXPECT_EQ(thrown(library_error{true}), (Outcome{GRPO_STATUS_NO_MEMORY, "the library says no"}));
  EXPECT_EQ(thrown(library_error{false}), (Outcome{GRPO_STATUS_UNSUPPORTED, "the library says no"}));
  EXPECT_EQ(thrown(std::out_of_range("c")), (Outcome{GRPO_STATUS_FAILED, "c"}));
  EXPECT_EQ(thrown(7), (Outcome{GRPO_STATUS_FAILED, "unknown exception"}));
}

TEST(Boundary, AnAuthorSurroundsEachCall) {
  outcome<hooked>([] {});
  EXPECT_EQ(modes_seen, 1);
  EXPECT_EQ(mode::alive, 0);
  outcome<hooked>([] { throw library_error{true}; });
  EXPECT_EQ(modes_seen, 1);
  EXPECT_EQ(mode::alive, 0);
  outcome<simple>([] {});
  EXPECT_EQ(modes_seen, 0);
}

TEST(Boundary, AConstructorThatThrowsLeavesNothingToClose) {
  test::Call call;
  void* handle = nullptr;
  EXPECT_EQ(grpo::optimizer_table<simple>::table.open(call, test::Options({{"fail", 1}}), &handle),
            GRPO_STATUS_INVALID);
  EXPECT_EQ(call.error(), "not like this");
  EXPECT_EQ(handle, nullptr);
}

TEST(Boundary, BindComesFirstAndOnce) {
  const grpo_optimizer& table = grpo::optimizer_table<simple>::table;
  test::Call call, again;
  void* handle = nullptr;
  ASSERT_EQ(table.open(call, test::Options(), &handle), GRPO_STATUS_OK);
  double sum = 0;
  EXPECT_EQ(table.squared_norm(handle, call, &sum), GRPO_STATUS_INVALID);
  EXPECT_EQ(call.error(), "bind comes before anything else");
  EXPECT_EQ(table.bind(handle, again, 0, nullptr), GRPO_STATUS_OK);
  EXPECT_EQ(table.bind(handle, again, 0, nullptr), GRPO_STATUS_INVALID);
  EXPECT_EQ(again.error(), "bind was called before");
  table.close(handle);
}

}  // namespace

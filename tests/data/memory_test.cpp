// Memory does not follow the file: 200,000 rows.
#include <unistd.h>

#include <grpo/sdk/data/order.hpp>

#include "files.hpp"

using namespace grpo::data;

namespace {

// Resident memory of this process, in bytes.
std::int64_t resident() {
  std::int64_t pages = 0, resident_pages = 0;
  std::ifstream("/proc/self/statm") >> pages >> resident_pages;
  return resident_pages * ::sysconf(_SC_PAGESIZE);
}

}  // namespace

TEST(Memory, IsFlatWhateverTheFile) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "a sanitizer keeps freed memory";
#endif
  constexpr std::int64_t rows = 200000;
  const TemporaryFile file("");
  {
    std::ofstream out(file.path, std::ios::binary);
    const std::string padding(150, 'x');
    for (std::int64_t i = 0; i < rows; ++i)
      out << "{\"prompt\": \"" << i << " + 1 = ? " << padding << "\", \"answer\": " << i + 1 << "}\n";
  }
  const auto size = static_cast<std::int64_t>(std::filesystem::file_size(file.path));
  ASSERT_GT(size, std::int64_t{35} << 20);

  const std::int64_t before = resident();
  ASSERT_GT(before, 0);
  const Dataset data = Dataset::open(file.path, {.required = {"prompt", "answer"}});
  ASSERT_EQ(data.size(), rows);
  const std::int64_t opened = resident() - before;
  EXPECT_LT(opened, 6 << 20) << "of a file of "
                             << size;  // eight bytes a row, one piece of the file, the allocator's rest

  EpochOrder order(rows, 1, true);
  std::int64_t sum = 0;
  for (int i = 0; i < 5000; ++i) sum += data.row(order.next(1)[0])["answer"].get<std::int64_t>();
  EXPECT_GT(sum, 0);
  EXPECT_LT(resident() - before, opened + (4 << 20));  // 1.6 MB of these are the permutation
  EXPECT_EQ(data.row(rows - 1)["answer"], rows);
  EXPECT_THAT(data.where(rows - 1), testing::EndsWith(":200000"));
}

// Cutting a file into rows agrees with parsing it whole, on random and on damaged JSON.
#include <grpo/random.h>

#include "files.hpp"

using namespace grpo::data;
using json = nlohmann::ordered_json;

namespace {

class Dice {
 public:
  explicit Dice(std::uint64_t seed) : key_(grpo_random_key(seed, 0)) {}
  int below(int n) { return std::min(n - 1, static_cast<int>(grpo_random_uniform(key_, position_++) * n)); }

 private:
  std::uint64_t key_, position_ = 0;
};

json random_value(Dice& dice, int depth) {
  static const char* const texts[] = {"", "a", "]", "},{", "\"", "\\", "\\\"", "a\nb", "[{", "\xC3\xBC", ",", " x "};
  switch (dice.below(depth > 2 ? 5 : 7)) {
    case 0:
      return nullptr;
    case 1:
      return dice.below(2) == 0;
    case 2:
      return dice.below(1000) - 500;
    case 3:
      return dice.below(1000) / 8.0;
    case 4:
      return texts[dice.below(std::size(texts))];
    case 5: {
      json list = json::array();
      for (int i = dice.below(4); i > 0; --i) list.push_back(random_value(dice, depth + 1));
      return list;
    }
    default:
      break;
  }
  json object = json::object();
  for (int i = dice.below(4); i > 0; --i) object[texts[dice.below(std::size(texts))]] = random_value(dice, depth + 1);
  return object;
}

json random_rows(Dice& dice) {
  json rows = json::array();
  for (int i = 1 + dice.below(5); i > 0; --i) {
    json row = json::object();
    for (const char* key : {"a", "b", "c"}) row[key] = random_value(dice, 0);
    rows.push_back(row);
  }
  return rows;
}

void expect_same(const Dataset& data, const json& rows, const std::string& text) {
  ASSERT_EQ(static_cast<std::size_t>(data.size()), rows.size()) << text;
  for (std::size_t i = 0; i < rows.size(); ++i) ASSERT_EQ(data.row(static_cast<std::int64_t>(i)), rows[i]) << text;
}

}  // namespace

TEST(Framing, RandomRows) {
  for (std::uint64_t seed = 0; seed < 100; ++seed) {
    Dice dice(seed);
    const json rows = random_rows(dice);
    const std::string array = rows.dump(dice.below(5) - 1);
    std::string lines;
    for (const auto& row : rows) lines.append(row.dump()).append(dice.below(2) ? "\r\n" : "\n");
    const TemporaryFile array_file(array, "rows.json"), line_file(lines);
    expect_same(Dataset::open(array_file.path), rows, array);
    expect_same(Dataset::open(line_file.path), rows, lines);
  }
}

// An array with a few bytes changed opens exactly when a parser takes it as a list of objects, and then with its rows.
TEST(Framing, DamagedArrays) {
  constexpr std::string_view bytes = "{}[]\",:\\ 0a\n";
  int accepted = 0, refused = 0;
  for (std::uint64_t seed = 0; seed < 500; ++seed) {
    Dice dice(seed + 10000);
    std::string text = random_rows(dice).dump(dice.below(3) - 1);
    for (int i = 1 + dice.below(2); i > 0; --i)
      text[static_cast<std::size_t>(1 + dice.below(static_cast<int>(text.size()) - 1))] =
          bytes[static_cast<std::size_t>(dice.below(static_cast<int>(bytes.size())))];
    const json whole = json::parse(text, nullptr, false);
    bool is_rows = whole.is_array() && !whole.empty();
    for (const auto& row : whole) is_rows = is_rows && row.is_object();

    const TemporaryFile file(text, "rows.json");
    try {
      const Dataset data = Dataset::open(file.path);
      ASSERT_TRUE(is_rows) << text;
      expect_same(data, whole, text);
      ++accepted;
    } catch (const grpo::Error& error) {
      ASSERT_FALSE(is_rows) << error.what() << "\n" << text;
      ASSERT_THAT(error.what(), testing::HasSubstr("rows.json"));
      ++refused;
    }
  }
  EXPECT_GT(accepted, 30);
  EXPECT_GT(refused, 100);
}

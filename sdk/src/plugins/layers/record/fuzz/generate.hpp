// generate.hpp: made-up inputs.
#ifndef GRPO_PLUGINS_FUZZ_GENERATE_HPP
#define GRPO_PLUGINS_FUZZ_GENERATE_HPP

#include <cstdint>
#include <nlohmann/json.hpp>
#include <random>
#include <string>
#include <vector>

#include "wire/wire.hpp"

namespace grpo::plugins::fuzzing {

// The same numbers from the same seed, on every machine.
class Draw {
 public:
  explicit Draw(std::uint64_t seed) : engine_(seed) {}
  std::uint64_t bits() { return engine_(); }
  std::int64_t below(std::int64_t n) {
    return n > 0 ? static_cast<std::int64_t>(bits() % static_cast<std::uint64_t>(n)) : 0;
  }
  bool one_in(std::int64_t n) { return below(n) == 0; }
  template <class List>
  const auto& of(const List& list) {
    return list[static_cast<std::size_t>(below(static_cast<std::int64_t>(list.size())))];
  }

 private:
  std::mt19937_64 engine_;
};

// The words in a library's read-only data: what it compares texts with is among them.
std::vector<std::string> words_of(const std::string& library);
// What GCC's address sanitizer adds to that data, far more than all else: names of variables that have none (*.LC11,
// *.Lubsan_data7), and what lies in a stack frame ("2 48 8 5 o:121 80 40 5 h:121"). No plugin compares with it.
bool of_a_sanitizer(const std::string& word);

class Generator {
 public:
  // schema: the options of the manifest. fixed: those that stay as they are.
  Generator(std::uint64_t seed, std::vector<std::string> words, nlohmann::json schema, nlohmann::json fixed);
  void learn(const wire::RewardBatch& batch);  // of a corpus

  nlohmann::json options(bool plain);  // plain: defaults, and what is required
  wire::RewardBatch batch();
  Draw& draw() { return draw_; }

 private:
  wire::RewardBatch invented();
  void change(wire::RewardBatch& batch);
  void add_columns(std::int64_t n, google::protobuf::RepeatedPtrField<wire::Column>& to);
  std::string text(const std::string& truth);
  std::string piece(const std::string& truth);
  std::string nested();
  std::string rare();
  std::string changed(std::string text);
  double number();
  std::int64_t integer();
  nlohmann::json value(const nlohmann::json& option);

  Draw draw_;
  std::vector<std::string> words_;
  nlohmann::json schema_, fixed_;
  std::vector<wire::RewardBatch> corpus_;
};

// --- batches made of batches
wire::RewardBatch reversed(const wire::RewardBatch& batch);  // the samples in the opposite order
// The samples that keep says, and the rows that they need; with all_rows every row.
wire::RewardBatch selected(const wire::RewardBatch& batch, const std::vector<int>& keep, bool all_rows = false);

}  // namespace grpo::plugins::fuzzing

#endif

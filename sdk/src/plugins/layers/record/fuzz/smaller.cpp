// Making a case smaller as long as it still does what it was found to do.
#include <algorithm>
#include <numeric>

#include "rewards.hpp"
#include "utf8.hpp"

namespace grpo::plugins::fuzzing {
namespace {

using nlohmann::json;

class Shrinker {
 public:
  Shrinker(Case found, const std::function<bool(const Case&)>& still_does, const std::function<bool()>& enough)
      : best_(std::move(found)), test_(still_does), enough_(enough) {}

  void options(const json& least) {
    keep({least, best_.batch});
    const json all = best_.options;
    for (const auto& [key, value] : all.items()) {
      if (least.contains(key)) continue;
      Case c = best_;
      c.options.erase(key);
      keep(std::move(c));
    }
  }

  // Leaves out halves of the samples, then quarters, and so on.
  void samples() {
    for (auto n = best_.batch.n_samples(), piece = (n + 1) / 2; piece >= 1; piece = piece == 1 ? 0 : (piece + 1) / 2) {
      for (std::int64_t from = 0; from < best_.batch.n_samples();) {
        std::vector<int> others;
        for (int i = 0; i < best_.batch.n_samples(); ++i)
          if (i < from || i >= from + piece) others.push_back(i);
        if (!keep({best_.options, selected(best_.batch, others)})) from += piece;
      }
    }
  }

  // Takes out whatever is not needed, one kind of thing at a time.
  void parts() {
    const auto without = [this](auto change) {
      Case c = best_;
      change(c.batch);
      keep(std::move(c));
    };
    without([](wire::RewardBatch& b) { b.clear_sample_column(); });
    without([](wire::RewardBatch& b) { b.clear_column(); });
    for (int i = best_.batch.column_size() - 1; i >= 0; --i)
      without([i](wire::RewardBatch& b) { b.mutable_column()->DeleteSubrange(i, 1); });
    without([](wire::RewardBatch& b) {
      b.clear_completion_ids();
      std::fill(b.mutable_completion_start()->begin(), b.mutable_completion_start()->end(), 0);
    });
    without([](wire::RewardBatch& b) {
      b.clear_prompt_ids();
      std::fill(b.mutable_prompt_start()->begin(), b.mutable_prompt_start()->end(), 0);
    });
    without([](wire::RewardBatch& b) { b.set_step(0); });
    without([](wire::RewardBatch& b) {
      std::fill(b.mutable_finish()->begin(), b.mutable_finish()->end(), GRPO_FINISH_STOP);
    });
    for (const Texts texts :
         std::initializer_list<Texts>{&wire::RewardBatch::mutable_messages, &wire::RewardBatch::mutable_prompt,
                                      &wire::RewardBatch::mutable_ground_truth, &wire::RewardBatch::mutable_completion})
      for (auto i = (best_.batch.*texts)()->size() - 1; i >= 0; --i) shorten(texts, i);
  }

  Case take() { return std::move(best_); }

 private:
  using Texts = google::protobuf::RepeatedPtrField<std::string>* (wire::RewardBatch::*)();

  // The budget is the caller's: what it has no time for is not smaller.
  bool keep(Case c) {
    if (enough_() || !test_(c)) return false;
    best_ = std::move(c);
    return true;
  }
  // A text to nothing, or without halves of it, quarters, ..., single bytes; of a long one, coarser ones.
  void shorten(Texts texts, int i) {
    const auto with = [&](std::string text) {
      Case c = best_;
      *(c.batch.*texts)()->Mutable(i) = std::move(text);
      return keep(std::move(c));
    };
    const auto now = [&]() -> const std::string& { return (best_.batch.*texts)()->Get(i); };
    if (now().empty() || with("")) return;
    for (std::size_t piece = (now().size() + 1) / 2; piece > now().size() / 1024;
         piece = piece == 1 ? 0 : (piece + 1) / 2) {
      for (std::size_t from = 0; from < now().size() && !enough_();) {
        std::string shorter = now();
        shorter.erase(from, piece);
        shorter = valid_utf8(shorter);
        if (shorter.size() >= now().size() || !with(std::move(shorter))) from += piece;
      }
    }
  }

  Case best_;
  const std::function<bool(const Case&)>& test_;
  const std::function<bool()>& enough_;
};

std::string shown(const std::string& text) {
  constexpr std::size_t most = 80;
  const std::string words = json(text.substr(0, most)).dump(-1, ' ', true, json::error_handler_t::replace);
  return text.size() <= most ? words : words + "... (" + std::to_string(text.size()) + " bytes)";
}

}  // namespace

Case smaller(Case found, const json& least_options, const std::function<bool(const Case&)>& still_does,
             const std::function<bool()>& enough) {
  Shrinker shrinker(std::move(found), still_does, enough);
  shrinker.samples();
  shrinker.options(least_options);
  shrinker.parts();
  return shrinker.take();
}

std::string described(const Case& c) {
  const auto& b = c.batch;
  std::string out = std::to_string(b.n_samples()) + (b.n_samples() == 1 ? " sample" : " samples");
  for (int i = 0; i < std::min<std::int64_t>(b.n_samples(), 3); ++i) {
    out += i == 0 ? ": " : "; ";
    out += shown(b.completion(i));
    const std::string& truth = b.ground_truth(static_cast<int>(b.row(i)));
    if (!truth.empty()) out += ", ground truth " + shown(truth);
  }
  if (b.n_samples() > 3) out += "; ...";
  for (const auto& column : b.column()) out += "; column " + shown(column.name());
  if (!c.options.empty())
    out += "; options " + c.options.dump(-1, ' ', true, json::error_handler_t::replace).substr(0, 200);
  return out;
}

}  // namespace grpo::plugins::fuzzing

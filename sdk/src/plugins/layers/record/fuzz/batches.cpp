// Batches made of batches.
#include <algorithm>

#include "generate.hpp"

namespace grpo::plugins::fuzzing {

wire::RewardBatch reversed(const wire::RewardBatch& batch) {
  std::vector<int> order(static_cast<std::size_t>(batch.n_samples()));
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = static_cast<int>(order.size() - 1 - i);
  return selected(batch, order, /*all_rows=*/true);
}

wire::RewardBatch selected(const wire::RewardBatch& b, const std::vector<int>& keep, bool all_rows) {
  wire::RewardBatch out;
  out.set_flags(b.flags());
  out.set_step(b.step());
  std::vector<std::int64_t> place(static_cast<std::size_t>(b.n_rows()), -1);  // of a row, in `out`
  std::vector<int> rows;
  for (int r = 0; r < b.n_rows(); ++r) {
    const bool used = all_rows || std::any_of(keep.begin(), keep.end(), [&](int i) { return b.row(i) == r; });
    if (!used) continue;
    place[static_cast<std::size_t>(r)] = static_cast<std::int64_t>(rows.size());
    rows.push_back(r);
  }
  const auto columns = [](const auto& from, const std::vector<int>& which, auto& to) {
    for (const wire::Column& c : from) {
      wire::Column& column = *to.Add();
      column.set_name(c.name());
      column.set_type(c.type());
      column.set_flags(c.flags());
      for (const int i : which) {
        if (c.text_size()) column.add_text(c.text(i));
        if (c.integer_size()) column.add_integer(c.integer(i));
        if (c.number_size()) column.add_number(c.number(i));
      }
    }
  };
  out.set_n_rows(static_cast<std::int64_t>(rows.size()));
  out.set_n_samples(static_cast<std::int64_t>(keep.size()));
  out.add_prompt_start(0);
  for (const int r : rows) {
    out.add_prompt(b.prompt(r));
    out.add_messages(b.messages(r));
    out.add_ground_truth(b.ground_truth(r));
    for (auto k = b.prompt_start(r); k < b.prompt_start(r + 1); ++k)
      out.add_prompt_ids(b.prompt_ids(static_cast<int>(k)));
    out.add_prompt_start(out.prompt_ids_size());
  }
  columns(b.column(), rows, *out.mutable_column());
  out.add_completion_start(0);
  for (const int i : keep) {
    out.add_row(place[static_cast<std::size_t>(b.row(i))]);
    out.add_index(b.index(i));
    out.add_completion(b.completion(i));
    out.add_finish(b.finish(i));
    for (auto k = b.completion_start(i); k < b.completion_start(i + 1); ++k)
      out.add_completion_ids(b.completion_ids(static_cast<int>(k)));
    out.add_completion_start(out.completion_ids_size());
  }
  columns(b.sample_column(), keep, *out.mutable_sample_column());
  return out;
}

}  // namespace grpo::plugins::fuzzing

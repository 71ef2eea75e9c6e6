#include "rope_tables.hpp"

#include <algorithm>
#include <numeric>
#include <vector>

#include "upload.hpp"

namespace grpo::transformer {

using at::Tensor;

// Each position once, since all completions have the same ones and a sine costs more than a copy: a device would wait.
std::pair<Tensor, Tensor> rope_tables(const Config& config, const std::int32_t* positions, std::int64_t n,
                                      at::Device device) {
  const auto half = static_cast<std::int64_t>(config.inv_freq.size());
  const std::int64_t longest = n > 0 ? std::int64_t{*std::max_element(positions, positions + n)} + 1 : 0;
  const bool repeats = longest < n;
  std::vector<std::int32_t> each(static_cast<std::size_t>(repeats ? longest : 0));
  std::iota(each.begin(), each.end(), 0);
  const std::int64_t rows = repeats ? longest : n;
  const auto cos = at::empty({rows, half}, at::kFloat), sin = at::empty({rows, half}, at::kFloat);
  rope_table(config, repeats ? each.data() : positions, rows, cos.mutable_data_ptr<float>(),
             sin.mutable_data_ptr<float>());
  if (!repeats) return {cos.to(device), sin.to(device)};
  const auto index = index_tensor(std::vector<std::int64_t>(positions, positions + n), device);
  return {cos.to(device).index_select(0, index), sin.to(device).index_select(0, index)};
}

}  // namespace grpo::transformer

// logprobs: log-probabilities and entropies of given tokens.
#include "commands.hpp"
#include "filter.hpp"
#include "grpo/sdk/error.hpp"
#include "grpo/sdk/train/session.hpp"

namespace grpo::host {
namespace {

struct LogprobsArguments {
  ModelArguments model;
  double temperature = 1;
  std::size_t batch = 16;
};

int logprobs(const LogprobsArguments& a) {
  train::Session session(a.model.config(), a.model.run.plugin_places(), {});
  auto& model = session.model();
  return filter_batches(a.batch, [&](const std::vector<Json>& rows) {
    std::vector<Json> out(rows.size());
    plugins::Forest forest;
    std::vector<std::pair<std::size_t, std::size_t>> places;  // of each row's values; by row in order
    std::vector<std::size_t> used;
    for (std::size_t i = 0; i < rows.size(); ++i) {
      try {
        const auto ids = ids_member(rows[i], "ids");
        if (ids.empty()) throw Error("'ids' is empty");
        for (const auto id : ids)
          if (id < 0 || id >= model.info().vocabulary)
            throw Error("token id " + std::to_string(id) + " is not in the vocabulary");
        if (static_cast<std::int64_t>(ids.size()) > model.info().max_positions)
          throw Error(std::to_string(ids.size()) + " tokens are more than the model's " +
                      std::to_string(model.info().max_positions) + " positions");
        const auto from = static_cast<std::size_t>(forest.n_targets());
        forest.add_scored(plugins::Forest::root, ids);  // the first token has nothing before it: no target
        places.emplace_back(from, static_cast<std::size_t>(forest.n_targets()));
        used.push_back(i);
      } catch (const Error& e) {
        out[i] = {{"error", e.what()}};
      }
    }
    const auto n = static_cast<std::size_t>(forest.n_targets());
    std::vector<float> logprob(n), entropy(n);
    if (n > 0) model.forward(forest, a.temperature, logprob, entropy, /*train=*/false);
    for (std::size_t k = 0; k < used.size(); ++k) {
      const auto [from, to] = places[k];
      const auto slice = [from = from, to = to](const std::vector<float>& all) {
        return std::vector<float>(all.begin() + static_cast<std::ptrdiff_t>(from),
                                  all.begin() + static_cast<std::ptrdiff_t>(to));
      };
      out[used[k]] = {{"logprobs", slice(logprob)}, {"entropy", slice(entropy)}};
    }
    return out;
  });
}

}  // namespace

void add_logprobs(Command program) {
  Command sub = program.command("logprobs", R"({"ids"} in, {"logprobs","entropy"} out, n-1 values each)");
  sub.group(group_filters);
  auto a = std::make_shared<LogprobsArguments>();
  a->model.add(sub);
  sub.option("--temperature", a->temperature, "Logits are divided by it").positive();
  sub.option("--batch", a->batch, "Lines that go through the model together").positive();
  sub.action([a] { return logprobs(*a); });
}

}  // namespace grpo::host

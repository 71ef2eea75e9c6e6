// Today's host with plugins that were built from the recorded headers, and from those of a revision to come.
#include <gmock/gmock.h>

#include <sstream>

#include "fakes.hpp"
#include "grpo/sdk/plugins/manifest.hpp"
#include "line.hpp"

namespace grpo::plugins {
namespace {

using testing::AllOf;
using testing::HasSubstr;

std::vector<std::string> revisions() {
  std::vector<std::string> out;
  std::istringstream in(RECORDS ";later");
  for (std::string one; std::getline(in, one, ';');)
    if (!one.empty()) out.push_back(one);
  return out;
}

std::string file_of(const std::string& revision, const std::string& kind) {
  return COMPAT "/" + revision + "/" + kind + ".so";
}

Registry registry_of(const std::string& reward, const std::string& model, const std::string& sampler,
                     const std::string& optimizer) {
  RegistrySettings settings;
  settings.probe_cache.clear();
  Registry registry(settings);
  registry.add_file(file_of(reward, "reward"));
  registry.add_file(file_of(model, "model"));
  registry.add_file(file_of(sampler, "sampler"));
  registry.add_file(file_of(optimizer, "optimizer"));
  registry.add_file(FAKES "/letters.so");
  return registry;
}

class OfEveryRevision : public testing::TestWithParam<std::string> {};
INSTANTIATE_TEST_SUITE_P(Compat, OfEveryRevision, testing::ValuesIn(revisions()));

TEST_P(OfEveryRevision, TheWholeLineLearns) {
  Registry registry = registry_of(GetParam(), GetParam(), GetParam(), GetParam());
  EXPECT_TRUE(registry.refusals().empty());
  expect_learning(registry, "compat", "compat", {.model = "compat"});
}

TEST_P(OfEveryRevision, ARewardScoresWithColumnsAndComponents) {
  Registry registry = registry_of(GetParam(), GetParam(), GetParam(), GetParam());
  Reward reward(registry, "compat", nullptr);
  RewardBatch batch(1);
  const nlohmann::json record = {{"level", 4}};
  const auto row = batch.add_row({.ground_truth = "5", .columns = &record});
  batch.add_sample({.row = row, .index = 0, .completion = "\\boxed{5}"});
  batch.add_sample({.row = row, .index = 1, .completion = "five"});
  const RewardScores scores = reward.score(batch);
  EXPECT_THAT(scores.message, testing::ElementsAre("", ""));
  EXPECT_THAT(scores.score, testing::ElementsAre(1, -1));
  EXPECT_THAT(scores.components.at("format"), testing::ElementsAre(1, 0));
}

TEST_P(OfEveryRevision, WeightsGoOutAndIn) {
  Registry registry = registry_of(GetParam(), GetParam(), GetParam(), GetParam());
  Model model(registry, "compat", nullptr), other(registry, "compat", nullptr);
  std::vector<float> values;
  model.export_weights([&](const std::string&, const grpo_tensor& t) {
    const auto* data = reinterpret_cast<const float*>(data_of(t));
    values.assign(data, data + element_count(t.dl));
  });
  ASSERT_EQ(values.size(), 1024u * 64u);
  EXPECT_EQ(model.device_peak_bytes(), 0);
  EXPECT_EQ(other.component().header_revision,
            GetParam() == "later" ? GRPO_HEADER_REVISION + 1 : std::stoul(GetParam()));
}

TEST(Compat, SamplerAndModelOfDifferentRevisions) {
  for (const auto& [model, sampler] : {std::pair{"1", "later"}, std::pair{"later", "1"}}) {
    SCOPED_TRACE(std::string("model ") + model + ", sampler " + sampler);
    Registry registry = registry_of("1", model, sampler, model);
    expect_learning(registry, "compat", "compat", {.model = "compat"});
  }
}

TEST(Compat, AnInterfaceThatTheHostDoesNotKnowIsListedAndPassedOver) {
  Registry registry = registry_of("later", "1", "1", "1");
  EXPECT_TRUE(registry.has("grpo.oracle/1", "delphi"));
  EXPECT_THAT(list(registry.manifests()), AllOf(HasSubstr("oracle"), HasSubstr("delphi")));
  EXPECT_NO_THROW(Reward(registry, "compat", nullptr));
}

TEST(Compat, AFieldThatAPluginsHeadersLackIsRefusedByName) {
  Registry old = registry_of("1", "1", "1", "1"), later = registry_of("later", "later", "later", "later");
  const auto component = old.load("grpo.model/1", "compat");
  EXPECT_NO_THROW(component->need_revision(1, "grpo_forward.temperature"));
  EXPECT_THAT(
      error_of([&] { component->need_revision(2, "grpo_forward.later"); }),
      AllOf(HasSubstr("plugin 'compat' (" + file_of("1", "model") + ")"),
            HasSubstr("was built with revision 1 of the headers"), HasSubstr("grpo_forward.later is new in revision 2"),
            HasSubstr("build the plugin with a newer SDK")));
  EXPECT_NO_THROW(later.load("grpo.model/1", "compat")->need_revision(GRPO_HEADER_REVISION + 1, "grpo_forward.later"));
}

TEST(Compat, ComponentsThatShareATableKnowWhichIsOpened) {
  Registry registry = registry_of("1", "1", "1", "1");
  registry.add_file(COMPAT "/today/compat_shared_table.so");
  RewardBatch batch(1);
  batch.add_sample({.row = batch.add_row({.ground_truth = "5"}), .index = 0, .completion = "5"});
  EXPECT_THAT(Reward(registry, "one", nullptr).score(batch).score, testing::ElementsAre(1));
  EXPECT_THAT(Reward(registry, "three", nullptr).score(batch).score, testing::ElementsAre(3));
}

}  // namespace
}  // namespace grpo::plugins

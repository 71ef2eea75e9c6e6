// What the host says about a library whose introduction, table or description is not what the contract promises. What
// faults_test says about the rest: another ABI from a macro, a manifest that lies, a table that is short or hollow.
#include <gmock/gmock.h>

#include <nlohmann/json.hpp>
#include "fakes.hpp"
#include "grpo/sdk/plugins/model.hpp"
#include "grpo/sdk/plugins/reward.hpp"
#include "grpo/sdk/plugins/sampler.hpp"

namespace grpo::plugins {
namespace {

using testing::AllOf;
using testing::HasSubstr;

Registry registry_of(const std::string& mismatch) {
  RegistrySettings settings;
  settings.probe_cache.clear();
  Registry registry(settings);
  registry.add_file(COMPAT "/today/compat_" + mismatch + ".so");
  return registry;
}

std::string refusal_of(const std::string& mismatch) {
  return error_of([&] { registry_of(mismatch).load("grpo.reward/1", "mismatch"); });
}

std::string refused_model(const std::string& mismatch) {
  return error_of([&] {
    Registry registry = registry_of(mismatch);
    Model(registry, "mismatch", nullptr);
  });
}

TEST(Mismatch, NothingIsWrongWithTheRest) {
  Registry registry = registry_of("none");
  EXPECT_NO_THROW(Reward(registry, "mismatch", nullptr));
  EXPECT_NO_THROW(Sampler(registry, "mismatch", nullptr));
}

TEST(Mismatch, OfTheAbiNamesBoth) {
  EXPECT_THAT(refusal_of("abi"),
              AllOf(HasSubstr("compat_abi.so"), HasSubstr("it speaks GRPO ABI 2, this host speaks ABI 1"),
                    HasSubstr("rebuild the plugin with this host's SDK")));
}

TEST(Mismatch, OfTheIntroduction) {
  EXPECT_THAT(refusal_of("revision"), HasSubstr("it states header revision 0; revisions count from 1"));
  EXPECT_THAT(refusal_of("size"), HasSubstr("it describes itself in 16 bytes, at least 24 are due"));
  EXPECT_THAT(refusal_of("huge_size"), HasSubstr("it describes itself in 1073741824 bytes"));
  EXPECT_THAT(refusal_of("silent"), HasSubstr("it refused to work here: it gave no reason"));
}

TEST(Mismatch, OfTheComponents) {
  for (const char* one : {"no_list", "no_name", "short_component"})
    EXPECT_THAT(refusal_of(one), HasSubstr("its component number 0 lacks an interface, a name or a table")) << one;
  EXPECT_THAT(refusal_of("twice"), HasSubstr("it gives grpo.reward/1 'mismatch' twice"));
}

TEST(Mismatch, OfADescription) {
  EXPECT_THAT(refused_model("decode"), HasSubstr("its table of grpo.decode/1 has 40 bytes, at least 80 are due"));
  EXPECT_THAT(refused_model("no_info"), HasSubstr("describe gave nothing"));
  EXPECT_THAT(refused_model("small_info"), HasSubstr("describes a vocabulary of 0 and 8 positions"));
  EXPECT_THAT(refused_model("trains"), HasSubstr("says that it trains, but lacks backward, drop, zero_grad or commit"));
  EXPECT_THAT(error_of([] {
                Registry registry = registry_of("binds");
                Sampler(registry, "mismatch", nullptr);
              }),
              HasSubstr("its description asks for bind and model_changed, which its table lacks"));
}

// What cannot be listed carries the plugin's own text.
TEST(Mismatch, ParametersThatCannotBeListed) {
  Registry registry = registry_of("none");
  Model model(registry, "mismatch", nullptr);
  EXPECT_THAT(error_of([&] { (void)model.parameters(); }),
              AllOf(HasSubstr("parameters"), HasSubstr("the device is gone")));
}

}  // namespace
}  // namespace grpo::plugins

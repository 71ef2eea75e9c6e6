// What the loader says about libraries that are broken, each in one way.
#include <gmock/gmock.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "grpo/sdk/error.hpp"
#include "grpo/sdk/plugins/registry.hpp"

namespace grpo::plugins {
namespace {

using testing::AllOf;
using testing::AnyOf;
using testing::HasSubstr;

std::string file_of(const std::string& name) { return std::string(FAULTS) + "/fault_" + name + ".so"; }

RegistrySettings settings() {
  RegistrySettings out;
  out.probe_cache.clear();  // a test remembers nothing
  return out;
}

// The text with which loading `name` from its file is refused.
std::string refusal_of(const std::string& name, RegistrySettings with = settings()) {
  Registry registry(std::move(with));
  registry.add_file(file_of(name));
  try {
    registry.load("grpo.reward/1", name);
  } catch (const Error& e) {
    return e.what();
  }
  return "it was loaded";
}

TEST(Faults, NoManifestIsNoPlugin) {
  Registry registry(settings());
  registry.add_file(file_of("no_manifest"));
  ASSERT_EQ(registry.refusals().size(), 1u);
  EXPECT_EQ(registry.refusals()[0].path, file_of("no_manifest"));
  EXPECT_EQ(registry.refusals()[0].reason, "no manifest (section .grpo.manifest): not a plugin of this host");
  EXPECT_FALSE(registry.refusals()[0].is_plugin);
  EXPECT_TRUE(registry.manifests().empty());
}

TEST(Faults, ManifestAndLibraryMustAgree) {
  EXPECT_THAT(refusal_of("lying"),
              AllOf(HasSubstr("fault_lying.so"), HasSubstr("its manifest lists grpo.reward/1 'lying'"),
                    HasSubstr("the library gives grpo.reward/1 'other'")));
}

TEST(Faults, WrongAbiNamesBoth) {
  EXPECT_THAT(refusal_of("wrong_abi"), AllOf(HasSubstr("speaks GRPO ABI 7"), HasSubstr("this host speaks ABI 1")));
}

TEST(Faults, ExtraSymbolsAreNamed) {
  EXPECT_THAT(refusal_of("extra_symbols"), AllOf(HasSubstr("exports more than grpo_plugin_entry"),
                                                 HasSubstr("helper_that_leaks"), HasSubstr("grpo_add_plugin")));
}

TEST(Faults, MissingEntry) { EXPECT_THAT(refusal_of("no_entry"), HasSubstr("it does not export grpo_plugin_entry")); }

TEST(Faults, TheEntrysReasonIsTold) {
  EXPECT_THAT(refusal_of("refuses"), HasSubstr("it refused to work here: the licence server does not answer"));
}

TEST(Faults, MissingFunctionAndTableOfAnotherSize) {
  EXPECT_THAT(refusal_of("hollow"), HasSubstr("the table of reward 'hollow' lacks its function score"));
  EXPECT_THAT(refusal_of("short_table"),
              HasSubstr("the table of reward 'short_table' has 0 bytes; grpo.reward/1 has at least 40"));
  EXPECT_THAT(refusal_of("long_table"),
              HasSubstr("bytes; that of grpo.reward/1 has 40: struct_size is that of another struct"));
}

TEST(Faults, MissingDependencyIsNamed) {
  EXPECT_THAT(
      refusal_of("missing_dependency"),
      AllOf(HasSubstr("it needs the library libfault_gone.so, which is not found"), HasSubstr("LD_LIBRARY_PATH")));
}

// This process survives what would have ended it.
TEST(Faults, CrashOnLoad) {
  // A sanitizer turns the signal into an exit.
  EXPECT_THAT(refusal_of("segfaults"), AnyOf(HasSubstr("crashed while it was loaded, before any call (SIGSEGV"),
                                             HasSubstr("ended the process while it was loaded")));
}

TEST(Faults, ThrowingStaticInitialiser) {
  EXPECT_THAT(refusal_of("throws"), AllOf(HasSubstr("while it was loaded"), HasSubstr("table.bin is not there")));
}

TEST(Faults, ExitOnLoad) {
  EXPECT_THAT(refusal_of("exits"),
              AllOf(HasSubstr("ended the process while it was loaded, before any call (exit code 3"),
                    HasSubstr("it wrote: no GPU here, goodbye")));
}

TEST(Faults, LoadingThatNeverEnds) {
  RegistrySettings impatient = settings();
  impatient.probe_seconds = 1;
  EXPECT_THAT(refusal_of("hangs", impatient), HasSubstr("did not come back within 1 s while it was loaded"));
}

TEST(Faults, RefusedOnceRefusedAgain) { EXPECT_EQ(refusal_of("exits"), refusal_of("exits")); }

TEST(Faults, MissingHelperSaysWhereItWasLookedFor) {
  RegistrySettings lost = settings();
  lost.probe = "/nowhere/grpo-plugin-probe";
  EXPECT_THAT(refusal_of("engine_2", lost),
              HasSubstr("cannot start /nowhere/grpo-plugin-probe: No such file or directory"));
}

TEST(Faults, SameComponentInTwoFiles) {
  Registry registry(settings());
  registry.add_file(file_of("twin_a"));
  registry.add_file(file_of("twin_b"));
  try {
    registry.load("grpo.reward/1", "twin");
    FAIL() << "it was loaded";
  } catch (const Error& e) {
    EXPECT_THAT(e.what(), AllOf(HasSubstr("two files offer the reward plugin 'twin'"), HasSubstr("fault_twin_a.so"),
                                HasSubstr("fault_twin_b.so")));
  }
}

TEST(Faults, OneVersionOfWhatAProcessCanHoldOnce) {
  Registry registry(settings());
  registry.add_file(file_of("engine_1"));
  // A copy: the original was refused for good by the test of the missing helper.
  const auto copy = std::filesystem::temp_directory_path() / ("grpo_engine_2." + std::to_string(::getpid()) + ".so");
  std::filesystem::copy_file(file_of("engine_2"), copy, std::filesystem::copy_options::overwrite_existing);
  registry.add_file(copy);
  registry.load("grpo.reward/1", "engine_1");
  try {
    registry.load("grpo.reward/1", "engine_2");
    ADD_FAILURE() << "it was loaded";
  } catch (const Error& e) {
    EXPECT_THAT(e.what(), AllOf(HasSubstr("requires toy-engine 2.0"),
                                HasSubstr("this process holds toy-engine 1.0 for plugin 'engine_1'")));
  }
  std::filesystem::remove(copy);
}

TEST(Faults, NotFoundTellsWhatThereIs) {
  Registry registry(settings());
  registry.add_directory(FAULTS);
  try {
    registry.load("grpo.reward/1", "twim");
    FAIL() << "it was loaded";
  } catch (const Error& e) {
    EXPECT_THAT(e.what(),
                AllOf(HasSubstr("no reward plugin 'twim' (grpo.reward/1); did you mean 'twin'?"),
                      HasSubstr("available: "), HasSubstr("refuses, "), HasSubstr(std::string("searched: ") + FAULTS),
                      HasSubstr("fault_no_manifest.so: no manifest")));
  }
  try {
    registry.load("grpo.model/1", "refuses");
    FAIL() << "it was loaded";
  } catch (const Error& e) {
    EXPECT_THAT(e.what(), AllOf(HasSubstr("no model plugin at all"), HasSubstr("'refuses' is there as grpo.reward/1")));
  }
}

// A directory of anything: what matters is told first, and the rest is counted.
TEST(Faults, NotFoundIsReadableAmongThousands) {
  const std::filesystem::path dir =
      std::filesystem::temp_directory_path() / ("grpo_many." + std::to_string(::getpid()));
  std::filesystem::create_directories(dir);
  for (int i = 0; i < 1000; ++i) std::ofstream(dir / ("a" + std::to_string(i) + ".so")) << "text";
  std::filesystem::copy_file(FAULTS "/fault_lying.so", dir / "z.so");
  std::filesystem::resize_file(dir / "z.so", std::filesystem::file_size(dir / "z.so") - 100);
  Registry registry(settings());
  registry.add_directory(dir.string());
  try {
    registry.load("grpo.reward/1", "lying");
    FAIL() << "it was loaded";
  } catch (const Error& e) {
    const std::string text = e.what();
    EXPECT_LT(std::count(text.begin(), text.end(), '\n'), 30);
    EXPECT_THAT(text, AllOf(HasSubstr("z.so: cut off"), HasSubstr("and 981 files more")));
  }
  std::filesystem::remove_all(dir);
}

TEST(Faults, NoSuchDirectory) {
  Registry registry(settings());
  EXPECT_THROW(registry.add_directory("/nowhere/plugins"), Error);
}

// Scanning reads; only loading runs code: once in the child, once here.
TEST(Faults, ScanningRunsNoCode) {
  const auto mark = std::filesystem::temp_directory_path() / ("grpo_mark." + std::to_string(::getpid()));
  std::filesystem::remove(mark);
  ASSERT_EQ(::setenv("GRPO_TEST_MARK", mark.c_str(), 1), 0);
  Registry registry(settings());
  registry.add_directory(FAULTS);
  EXPECT_TRUE(registry.has("grpo.reward/1", "writes"));
  EXPECT_FALSE(std::filesystem::exists(mark)) << "scanning ran a plugin's code";
  registry.load("grpo.reward/1", "writes");
  std::ifstream in(mark);
  int lines = 0;
  for (std::string line; std::getline(in, line);) ++lines;
  EXPECT_EQ(lines, 2);
  Registry second(settings());
  second.add_directory(FAULTS);
  second.load("grpo.reward/1", "writes");
  EXPECT_EQ(std::filesystem::file_size(mark), 8u) << "a library that this process holds was loaded again";
  ::unsetenv("GRPO_TEST_MARK");
  std::filesystem::remove(mark);
}

TEST(Faults, GoodProbesAreRememberedBetweenRuns) {
  const auto folder = std::filesystem::temp_directory_path() / ("grpo_probes." + std::to_string(::getpid()));
  const auto copy = folder / "plugin.so";
  std::filesystem::create_directories(folder);
  std::filesystem::copy_file(GOOD_PLUGIN, copy);
  RegistrySettings with = settings();
  with.probe_cache = (folder / "cache" / "probed").string();
  Registry registry(with);
  registry.add_file(copy);
  registry.load("grpo.reward/1", "boxed");
  std::ifstream in(with.probe_cache);
  std::string line;
  std::getline(in, line);
  EXPECT_THAT(line, HasSubstr(copy.string()));
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace grpo::plugins

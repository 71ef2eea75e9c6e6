// Files that are no plugin, or no longer one: the reader answers with a text, whatever the bytes.
#include <elf.h>
#include <gmock/gmock.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <random>

#include "grpo/sdk/error.hpp"
#include "grpo/sdk/plugins/manifest.hpp"
#include "grpo/sdk/plugins/registry.hpp"

namespace grpo::plugins {
namespace {

using testing::AllOf;
using testing::HasSubstr;

std::string bytes_of(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

// Reads a manifest from these bytes; the text of the error, or "read".
class Files : public testing::Test {
 protected:
  void SetUp() override {
    path_ = std::filesystem::temp_directory_path() / ("grpo_file." + std::to_string(::getpid()) + ".so");
  }
  void TearDown() override { std::filesystem::remove(path_); }
  std::string read(const std::string& bytes) const {
    std::ofstream(path_, std::ios::binary | std::ios::trunc) << bytes;
    try {
      read_manifest(path_.string());
      return "read";
    } catch (const Error& e) {
      return e.what();
    }
  }
  std::filesystem::path path_;
  const std::string good_ = bytes_of(GOOD_PLUGIN);
};

TEST_F(Files, TheGoodOneIsRead) { EXPECT_EQ(read(good_), "read"); }

// A library that lies beside plugins is mentioned; a plugin that cannot be read is at fault.
TEST_F(Files, OnlyBrokenPluginsAreAtFault) {
  const auto at_fault = [this](const std::string& bytes) {
    std::ofstream(path_, std::ios::binary | std::ios::trunc) << bytes;
    Registry registry;
    registry.add_file(path_.string());
    EXPECT_EQ(registry.refusals().size(), 1u);
    return !registry.refusals().empty() && registry.refusals()[0].is_plugin;
  };
  EXPECT_FALSE(at_fault("INPUT(libother.so)"));
  EXPECT_FALSE(at_fault(bytes_of(FAULTS "/fault_no_manifest.so")));
  EXPECT_TRUE(at_fault(good_.substr(0, good_.size() - 100))) << "cut off";
  std::string big_endian = good_;
  big_endian[EI_DATA] = ELFDATA2MSB;
  EXPECT_TRUE(at_fault(big_endian)) << "for another machine";
}

TEST_F(Files, TextAndEmpty) {
  EXPECT_THAT(read("#!/bin/sh\necho hello\n"),
              AllOf(HasSubstr(path_.string()), HasSubstr("not an ELF file (it begins with \"#!/bin/sh.ec\")")));
  EXPECT_THAT(read(""), HasSubstr("an empty file"));
  EXPECT_THAT(read("\x7f"), HasSubstr("not an ELF file"));
}

TEST_F(Files, NotThere) {
  EXPECT_THROW(
      {
        try {
          read_manifest("/nowhere/x.so");
        } catch (const Error& e) {
          EXPECT_STREQ(e.what(), "/nowhere/x.so: cannot be opened: No such file or directory");
          throw;
        }
      },
      Error);
}

TEST_F(Files, AnotherMachine) {
  std::string arm = good_;
  std::uint16_t machine;
  std::memcpy(&machine, good_.data() + offsetof(Elf64_Ehdr, e_machine), sizeof machine);
  machine = machine == EM_AARCH64 ? EM_X86_64 : EM_AARCH64;
  std::memcpy(arm.data() + offsetof(Elf64_Ehdr, e_machine), &machine, sizeof machine);
  EXPECT_THAT(read(arm), AllOf(HasSubstr("built for "), HasSubstr("AArch64"), HasSubstr("x86-64")));
}

TEST_F(Files, AnotherClassAndType) {
  std::string narrow = good_;
  narrow[EI_CLASS] = ELFCLASS32;
  EXPECT_THAT(read(narrow), HasSubstr("a 32-bit library"));
  std::string object = good_;
  object[offsetof(Elf64_Ehdr, e_type)] = ET_REL;
  EXPECT_THAT(read(object), HasSubstr("an ELF object file, not a shared library"));
}

TEST_F(Files, CutOffAnywhere) {
  EXPECT_THAT(read(good_.substr(0, good_.size() - 1)), HasSubstr("cut off"));
  EXPECT_THAT(read(good_.substr(0, 40)), HasSubstr("cut off: the file has 40 bytes, an ELF header alone has 64"));
  for (std::size_t n = 0; n < good_.size(); n += 509) EXPECT_NE(read(good_.substr(0, n)), "read") << n;
}

// Links that lead back up would multiply with every level: ten of them are 10^9 paths eight levels down.
TEST_F(Files, LinksInCircles) {
  namespace fs = std::filesystem;
  const fs::path dir = path_.string() + ".d";
  fs::create_directories(dir / "real");
  fs::copy_file(GOOD_PLUGIN, dir / "real/good.so");
  for (int i = 0; i < 10; ++i) {
    fs::create_directory_symlink(".", dir / ("a" + std::to_string(i)));
    fs::create_directory_symlink("..", dir / "real" / ("a" + std::to_string(i)));
  }
  fs::create_symlink("round.so", dir / "round.so");
  fs::create_symlink("nowhere", dir / "gone.so");
  Registry registry;
  registry.add_directory(dir.string());
  ASSERT_EQ(registry.manifests().size(), 1u);
  EXPECT_EQ(registry.manifests()[0].path, (dir / "real/good.so").string()) << "not by the name of a link to it";
  ASSERT_EQ(registry.refusals().size(), 2u);
  EXPECT_THAT(registry.refusals()[0].reason, HasSubstr("No such file"));
  EXPECT_THAT(registry.refusals()[1].reason, HasSubstr("symbolic links"));
  fs::remove_all(dir);
}

// Broken bytes may still give a manifest, but never a crash, a hang or gigabytes.
TEST_F(Files, BrokenBytes) {
  std::mt19937 random(7);
  Elf64_Ehdr head;
  std::memcpy(&head, good_.data(), sizeof head);
  int refused = 0;
  for (int round = 0; round < 600; ++round) {
    std::string bytes = good_;
    // Half of the rounds aim at the headers, where the offsets are.
    const std::size_t low = round % 2 ? head.e_shoff : 0, high = round % 2 ? bytes.size() : sizeof head;
    for (int k = 0; k < 3; ++k) bytes[low + random() % (high - low)] = static_cast<char>(random());
    refused += read(bytes) != "read";
  }
  EXPECT_GT(refused, 100);
}

}  // namespace
}  // namespace grpo::plugins

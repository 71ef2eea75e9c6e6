// elf.hpp: the few things to know about a shared library before it is loaded.
//
// The file is not trusted: every offset and size that it states is checked against its length before it is used, and
// nothing is read that was not asked for. Messages are without the path; the caller has it.
#ifndef GRPO_PLUGINS_ELF_HPP
#define GRPO_PLUGINS_ELF_HPP

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace grpo::plugins {

class ElfFile {
 public:
  // Throws grpo::Error: cannot be read, no ELF file, another class or machine, no shared library, cut off.
  explicit ElfFile(const std::string& path);
  ~ElfFile();
  ElfFile(const ElfFile&) = delete;
  ElfFile& operator=(const ElfFile&) = delete;

  // The bytes of a section; nullopt: there is none. Throws if it is longer than `limit` bytes.
  std::optional<std::string> section(const std::string& name, std::uint64_t limit) const;
  // Names that the library gives to others: defined, not local, not hidden.
  std::vector<std::string> exported() const;
  // Libraries that it needs, as it names them.
  std::vector<std::string> needed() const;

 private:
  struct Section {
    std::string name;
    std::uint32_t type, link;
    std::uint64_t offset, size;
  };
  std::string read(std::uint64_t offset, std::uint64_t size, const char* what) const;
  const Section* of_type(std::uint32_t type) const;
  std::string linked_strings(const Section& section) const;

  int file_ = -1;
  std::uint64_t size_ = 0;
  std::vector<Section> sections_;
};

}  // namespace grpo::plugins

#endif

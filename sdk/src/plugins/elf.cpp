#include "elf.hpp"

#include <elf.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "grpo/sdk/error.hpp"

namespace grpo::plugins {
namespace {

constexpr std::uint64_t table_limit = std::uint64_t{256} << 20;  // of a symbol or string table: more is not a plugin

#if defined(__x86_64__)
constexpr int own_machine = EM_X86_64;
#elif defined(__aarch64__)
constexpr int own_machine = EM_AARCH64;
#else
#error "grpo: name this machine's ELF number here"
#endif

std::string machine_name(int machine) {
  switch (machine) {
    case EM_X86_64:
      return "x86-64";
    case EM_AARCH64:
      return "AArch64";
    case EM_386:
      return "i386";
    case EM_ARM:
      return "32-bit ARM";
    case EM_RISCV:
      return "RISC-V";
    case EM_PPC64:
      return "PowerPC 64";
    case EM_S390:
      return "s390";
    default:
      return "machine " + std::to_string(machine);
  }
}

// The first bytes of a file that is not ELF, for the message.
std::string beginning(const std::string& bytes) {
  std::string out;
  for (unsigned char c : bytes.substr(0, 12)) {
    if (c >= 32 && c < 127) {
      out += static_cast<char>(c);
    } else {
      out += '.';
    }
  }
  return out;
}

// The text at `offset` of a string table, or "" if it lies outside.
std::string text_at(const std::string& table, std::uint64_t offset) {
  if (offset >= table.size()) return {};
  const std::size_t end = table.find('\0', static_cast<std::size_t>(offset));
  return end == std::string::npos ? std::string() : table.substr(static_cast<std::size_t>(offset), end - offset);
}

template <class T>
T record_at(const std::string& bytes, std::size_t index) {
  T out;
  std::memcpy(&out, bytes.data() + index * sizeof(T), sizeof(T));
  return out;
}

void check_header(const Elf64_Ehdr& head) {
  if (head.e_ident[EI_CLASS] != ELFCLASS64) {
    throw Error("a 32-bit library (" + machine_name(head.e_machine) + "); this host loads 64-bit " +
                machine_name(own_machine) + " ones");
  }
  if (head.e_ident[EI_DATA] != ELFDATA2LSB) throw Error("a big-endian library; this host is little-endian");
  if (head.e_machine != own_machine) {
    throw Error("built for " + machine_name(head.e_machine) + "; this host runs on " + machine_name(own_machine) +
                ": rebuild it for this machine");
  }
  if (head.e_type != ET_DYN) {
    throw Error(std::string("an ELF ") +
                (head.e_type == ET_REL    ? "object file"
                 : head.e_type == ET_CORE ? "core dump"
                                          : "executable") +
                ", not a shared library");
  }
}

}  // namespace

ElfFile::ElfFile(const std::string& path) {
  file_ = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (file_ < 0) throw Error(std::string("cannot be opened: ") + std::strerror(errno));
  try {
    struct stat st {};
    if (::fstat(file_, &st) != 0) throw Error(std::string("cannot be read: ") + std::strerror(errno));
    if (!S_ISREG(st.st_mode)) throw Error("not a regular file");
    size_ = static_cast<std::uint64_t>(st.st_size);
    if (size_ == 0) throw Error("an empty file");
    const std::string ident = read(0, size_ < SELFMAG ? size_ : SELFMAG, "the magic number");
    if (ident != std::string(ELFMAG, SELFMAG)) {
      throw Error("not an ELF file (it begins with \"" + beginning(read(0, size_ < 12 ? size_ : 12, "the beginning")) +
                  "\")");
    }
    if (size_ > EI_CLASS && size_ < sizeof(Elf64_Ehdr)) {
      throw Error("cut off: the file has " + std::to_string(size_) + " bytes, an ELF header alone has " +
                  std::to_string(sizeof(Elf64_Ehdr)));
    }
    const auto head = record_at<Elf64_Ehdr>(read(0, sizeof(Elf64_Ehdr), "the ELF header"), 0);
    check_header(head);
    if (head.e_shoff == 0 || head.e_shnum == 0) return;  // no sections: there is no manifest either
    if (head.e_shentsize != sizeof(Elf64_Shdr)) throw Error("malformed: section headers of an unknown size");
    const std::string table =
        read(head.e_shoff, std::uint64_t{head.e_shnum} * sizeof(Elf64_Shdr), "its section headers");
    if (head.e_shstrndx >= head.e_shnum) throw Error("malformed: the section of names does not exist");
    const auto names_at = record_at<Elf64_Shdr>(table, head.e_shstrndx);
    if (names_at.sh_size > table_limit)
      throw Error("malformed: section names of " + std::to_string(names_at.sh_size) + " bytes");
    const std::string names = read(names_at.sh_offset, names_at.sh_size, "its section names");
    for (std::size_t i = 0; i < head.e_shnum; ++i) {
      const auto s = record_at<Elf64_Shdr>(table, i);
      sections_.push_back({text_at(names, s.sh_name), s.sh_type, s.sh_link, s.sh_offset, s.sh_size});
    }
  } catch (...) {
    ::close(file_);
    throw;
  }
}

ElfFile::~ElfFile() { ::close(file_); }

std::string ElfFile::read(std::uint64_t offset, std::uint64_t size, const char* what) const {
  if (offset > size_ || size > size_ - offset) {
    throw Error(std::string("cut off, or malformed: ") + what + " should be at bytes " + std::to_string(offset) +
                " to " + (size > UINT64_MAX - offset ? "beyond 2^64" : std::to_string(offset + size)) +
                ", the file has " + std::to_string(size_));
  }
  std::string out(static_cast<std::size_t>(size), '\0');
  for (std::size_t done = 0; done < out.size();) {
    const ssize_t n = ::pread(file_, out.data() + done, out.size() - done, static_cast<off_t>(offset + done));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) throw Error(std::string("cannot be read: ") + std::strerror(errno));
    if (n == 0) throw Error("became shorter while it was read");
    done += static_cast<std::size_t>(n);
  }
  return out;
}

std::optional<std::string> ElfFile::section(const std::string& name, std::uint64_t limit) const {
  for (const Section& s : sections_) {
    if (s.name != name || s.type == SHT_NOBITS) continue;
    if (s.size > limit) {
      throw Error("its section " + name + " has " + std::to_string(s.size) + " bytes; at most " +
                  std::to_string(limit) + " are allowed");
    }
    return read(s.offset, s.size, ("its section " + name).c_str());
  }
  return std::nullopt;
}

const ElfFile::Section* ElfFile::of_type(std::uint32_t type) const {
  for (const Section& s : sections_) {
    if (s.type == type) return &s;
  }
  return nullptr;
}

std::string ElfFile::linked_strings(const Section& section) const {
  if (section.link >= sections_.size()) throw Error("malformed: " + section.name + " names no string table");
  const Section& strings = sections_[section.link];
  if (strings.size > table_limit || section.size > table_limit)
    throw Error("malformed: " + section.name + " is too long");
  return read(strings.offset, strings.size, "a string table");
}

std::vector<std::string> ElfFile::exported() const {
  std::vector<std::string> out;
  const Section* table = of_type(SHT_DYNSYM);
  if (!table) return out;
  const std::string names = linked_strings(*table), bytes = read(table->offset, table->size, "its symbols");
  for (std::size_t i = 0; i < bytes.size() / sizeof(Elf64_Sym); ++i) {
    const auto symbol = record_at<Elf64_Sym>(bytes, i);
    const int visibility = ELF64_ST_VISIBILITY(symbol.st_other);
    const bool defined = symbol.st_shndx != SHN_UNDEF && symbol.st_shndx != SHN_ABS;  // ABS: names of versions
    if (defined && ELF64_ST_BIND(symbol.st_info) != STB_LOCAL &&
        (visibility == STV_DEFAULT || visibility == STV_PROTECTED)) {
      out.push_back(text_at(names, symbol.st_name));
    }
  }
  return out;
}

std::vector<std::string> ElfFile::needed() const {
  std::vector<std::string> out;
  const Section* table = of_type(SHT_DYNAMIC);
  if (!table) return out;
  const std::string names = linked_strings(*table), bytes = read(table->offset, table->size, "its dynamic section");
  for (std::size_t i = 0; i < bytes.size() / sizeof(Elf64_Dyn); ++i) {
    const auto entry = record_at<Elf64_Dyn>(bytes, i);
    if (entry.d_tag == DT_NULL) break;
    if (entry.d_tag == DT_NEEDED) out.push_back(text_at(names, entry.d_un.d_val));
  }
  return out;
}

}  // namespace grpo::plugins

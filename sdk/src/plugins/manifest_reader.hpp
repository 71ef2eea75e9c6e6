// manifest_reader.hpp: the parts of manifest.hpp that give messages without the path, for callers that have it.
#ifndef GRPO_PLUGINS_MANIFEST_READER_HPP
#define GRPO_PLUGINS_MANIFEST_READER_HPP

#include "elf.hpp"
#include "grpo/sdk/plugins/manifest.hpp"

namespace grpo::plugins {

Manifest parse_manifest_section(const std::string& section);
Manifest read_manifest_of(const ElfFile& file);

}  // namespace grpo::plugins

#endif

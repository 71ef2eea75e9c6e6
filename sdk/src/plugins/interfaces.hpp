// interfaces.hpp: what the loader knows about the tables of each interface.
#ifndef GRPO_PLUGINS_INTERFACES_HPP
#define GRPO_PLUGINS_INTERFACES_HPP

#include <grpo/plugin.h>

#include "grpo/sdk/plugins/manifest.hpp"

namespace grpo::plugins {

// Throws grpo::Error if the table is shorter than revision 1 of its interface, longer than in the headers it was built
// with, where those are not later than ours, or lacks a function that it must have.
// Tables of interfaces that this host does not know pass: it will not use them.
void check_table(const grpo_table& table, const ComponentManifest& component, std::uint32_t header_revision);

}  // namespace grpo::plugins

#endif

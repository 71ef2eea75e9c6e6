// option_paths.hpp: paths among the options of plugins.
//
// A manifest marks an option that names a file or directory with "format": "path". Such an option means what a path
// among the host's own keys means: relative to the configuration file that it is written in, on the command line to the
// current directory, `~/` the home directory. The plugin gets it absolute, and so does the run.yaml of a run.
#ifndef GRPO_SDK_TRAIN_OPTION_PATHS_HPP
#define GRPO_SDK_TRAIN_OPTION_PATHS_HPP

#include "grpo/sdk/config/config.hpp"
#include "grpo/sdk/plugins/registry.hpp"

namespace grpo::train {

// Makes those of model, sampler, optimizer and rewards absolute. Plugins that the registry does not have are passed
// over, as are values of another type: whoever opens the plugin refuses them.
void resolve_option_paths(config::Config& config, const plugins::Registry& registry);

}  // namespace grpo::train

#endif

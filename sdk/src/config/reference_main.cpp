// Writes the reference page to the file that it is given.
#include <fstream>
#include <grpo/sdk/config/config.hpp>
#include <iostream>

int main(int argc, char** argv) {
  if (argc != 2) {
    std::cerr << "usage: grpo_config_reference docs/configuration.md\n";
    return 2;
  }
  std::ofstream page(argv[1], std::ios::binary);
  page << grpo::config::reference_markdown();
  return page.flush() ? 0 : 1;
}

// plugins new: a folder to start a plugin from: source, build, test, README. The texts are in host/templates.
#include <algorithm>
#include <cctype>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <map>
#include <set>

#include "commands.hpp"
#include "grpo/sdk/error.hpp"
#include "grpo/sdk/train/session.hpp"
#include "template_files.hpp"

namespace grpo::host {
namespace {

namespace fs = std::filesystem;

struct NewArguments {
  RunArguments run;
  std::string kind, name, language = "cpp", directory = ".";
};

using Values = std::map<std::string, std::string>;

const std::map<std::string, std::string> interfaces = {{"reward", "grpo.reward/1"},
                                                       {"sampler", "grpo.sampler/1"},
                                                       {"model", "grpo.model/1"},
                                                       {"optimizer", "grpo.optimizer/1"}};

std::string_view template_of(const std::string& name) {
  for (const auto& [known, text] : template_files)
    if (known == name) return text;
  return {};
}

std::string filled(std::string_view text, const Values& values) {
  std::string out;
  while (true) {
    const auto at = text.find('@'), end = at == text.npos ? at : text.find('@', at + 1);
    if (end == text.npos) return out.append(text);
    const auto found = values.find(std::string(text.substr(at + 1, end - at - 1)));
    out.append(text.substr(0, found == values.end() ? end : at));
    if (found != values.end()) out += found->second;
    text.remove_prefix(found == values.end() ? end : end + 1);
  }
}

// It becomes a file, a CMake target, part of identifiers and a word in messages.
void check_name(const std::string& name) {
  static const std::set<std::string> taken = {
      "all",     "clean", "depend",     "edit-cache",    "edit_cache",    "help", "install", "list_install_components",
      "package", "test",  "preinstall", "rebuild_cache", "package_source"};
  const auto good = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '-'; };
  const std::string rule =
      "a name is a lower-case letter, then lower-case letters, digits, _ and -, such as word_limit";
  if (name.empty() || name.size() > 64)
    throw Error("'" + name + "': " + (name.empty() ? "no name" : "a name of over 64 characters") + "; " + rule);
  if (name[0] < 'a' || name[0] > 'z' || !std::all_of(name.begin(), name.end(), good)) {
    std::string better;
    for (const char c : name) {
      const auto lower = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
      if (good(lower))
        better += lower;
      else if (!better.empty() && better.back() != '_')
        better += '_';
    }
    while (!better.empty() && (better[0] < 'a' || better[0] > 'z')) better.erase(0, 1);
    throw Error("'" + name + "': " + rule + (better.empty() ? "" : "; perhaps '" + better + "'"));
  }
  if (taken.contains(name)) throw Error("'" + name + "' means something to CMake; choose another name");
}

void write_file(const fs::path& path, const std::string& text) {
  std::ofstream file(path, std::ios::binary);
  file << text;
  file.close();
  if (!file) throw Error(path.string() + ": cannot be written");
}

// The installation that this program is in, if the author's part is there too.
std::string own_sdk() {
  std::error_code error;
  const fs::path prefix = fs::read_symlink("/proc/self/exe", error).parent_path().parent_path();
  if (error || !fs::is_directory(prefix)) return "";
  for (const auto& library : fs::directory_iterator(prefix, error))  // lib, lib64
    if (fs::exists(library.path() / "cmake/grpo/grpoConfig.cmake", error)) return prefix.string();
  return "";
}

int create(const NewArguments& a) {
  check_name(a.name);
  const std::string language = a.language == "c++" ? "cpp" : a.language;  // which is also what the file's name ends in
  const std::string source(template_of(a.kind + "." + language + ".in"));
  if (source.empty())
    throw Error("there is no starting point for a " + a.kind + " in C: the contract is the same, but a " + a.kind +
                " has so much of its own that C++ pays. Use --lang cpp, or start from c_api/include/grpo/" + a.kind +
                ".h");
  // One name, one plugin: a run that finds two can take neither.
  const auto registry = train::make_registry(a.run.plugin_places());
  const std::string& interface_id = interfaces.at(a.kind);
  if (registry.has(interface_id, a.name))
    throw Error("there is a " + a.kind + " '" + a.name +
                "' among the plugins already (grpo-host plugins list); choose another name");
  const fs::path folder = fs::path(a.directory) / a.name;
  std::error_code error;
  if (fs::exists(fs::symlink_status(folder, error)))
    throw Error(folder.string() + " is there already; nothing has been written. Choose another name or --dir");
  if (!fs::is_directory(a.directory, error)) throw Error("--dir: " + a.directory + ": there is no such directory");

  const bool cpp = language == "cpp";
  Values values = {{"NAME", a.name},
                   {"IDENT", a.name},
                   {"EXT", language},
                   {"KIND", (a.kind == "optimizer" ? "an " : "a ") + a.kind},
                   {"LANGUAGE", cpp ? "CXX" : "C"},
                   {"LANG", cpp ? "CXX" : "C"},
                   {"LANGUAGE_NAME", cpp ? "C++" : "C"},
                   {"STANDARD", cpp ? "cxx_std_17" : "c_std_11"}};
  std::replace(values["IDENT"].begin(), values["IDENT"].end(), '-', '_');
  values["USE"] = filled(template_of(a.kind + ".use.in"), values);
  values["USE"].erase(values["USE"].find_last_not_of('\n') + 1);

  const std::vector<std::pair<std::string, std::string>> files = {
      {a.name + "." + language, source},
      {a.name + "_test." + language, std::string(template_of(a.kind + "_test.in"))},
      {"test_host.h", std::string(template_of("test_host.h.in"))},
      {"CMakeLists.txt", std::string(template_of("CMakeLists.txt.in"))},
      {"README.md", std::string(template_of("README.md.in"))}};
  if (!fs::create_directory(folder, error))
    throw Error(folder.string() + ": cannot be made: " + (error ? error.message() : "it has just appeared"));
  for (const auto& [name, text] : files) {
    write_file(folder / name, filled(text, values));
    std::cout << (folder / name).string() << '\n';
  }
  const std::string sdk = own_sdk();
  std::cout << "\nNext, "
            << (sdk.empty() ? "with the SDK's author part in ~/grpo (README.md says how, and how to do without)"
                            : "with the SDK beside this grpo-host")
            << ":\n  cd " << folder.string()
            << "\n  cmake -S . -B build -DCMAKE_PREFIX_PATH=" << (sdk.empty() ? "~/grpo" : sdk)
            << " && cmake --build build && ctest --test-dir build\n";
  return 0;
}

}  // namespace

void add_plugins_new(Command plugins) {
  auto a = std::make_shared<NewArguments>();
  Command command = plugins.command("new", "A folder to start a plugin from: source, CMake, test, README");
  a->run.add_plugins(command);
  command.option("kind", a->kind, "What it is to be").required().one_of({"reward", "sampler", "model", "optimizer"});
  command.option("name", a->name, "Its name: of the folder, the file and the component").required();
  command.option("--lang", a->language, "C or C++").one_of({"c", "cpp", "c++"});
  command.option("--dir", a->directory, "Where the folder is made");
  command.action([a] { return create(*a); });
}

}  // namespace grpo::host

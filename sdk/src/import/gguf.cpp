// The conversion as a whole: everything into a directory beside the goal, which then takes its name.
#include <unistd.h>
#include <grpo/sdk/import/gguf.hpp>

#include <cerrno>
#include <cstring>
#include <fstream>

#include "convert.hpp"

namespace grpo::import {
namespace {

namespace fs = std::filesystem;

// A directory that is removed again unless it is moved to its place.
class Draft {
 public:
  explicit Draft(const fs::path& goal) : goal_(goal) {
    const fs::path parent = goal.has_parent_path() ? goal.parent_path() : fs::path(".");
    std::error_code why;
    fs::create_directories(parent, why);
    if (why) throw Error(parent.string() + ": cannot be made: " + why.message());
    std::string leaf(1, '.');
    leaf.append(goal.filename().string()).append(".XXXXXX");
    std::string name = (parent / leaf).string();
    if (!mkdtemp(name.data()))
      throw Error(parent.string() + ": cannot be written: " + std::strerror(errno) + "; give another directory");
    path_ = name;
    fs::permissions(path_, fs::perms::owner_all | fs::perms::group_read | fs::perms::group_exec |
                               fs::perms::others_read | fs::perms::others_exec);
  }
  ~Draft() {
    std::error_code ignored;
    if (!path_.empty()) fs::remove_all(path_, ignored);
  }
  Draft(const Draft&) = delete;
  Draft& operator=(const Draft&) = delete;

  const fs::path& path() const { return path_; }

  // Takes the place of what was there, which is removed only afterwards.
  void commit() {
    fs::path old;
    if (fs::exists(goal_)) {
      old = path_.string() + ".old";
      fs::rename(goal_, old);
    }
    std::error_code why;
    fs::rename(path_, goal_, why);
    if (why) {
      if (!old.empty()) fs::rename(old, goal_);
      throw fs::filesystem_error("rename", path_, goal_, why);
    }
    path_.clear();
    if (!old.empty()) fs::remove_all(old);
  }

 private:
  fs::path goal_, path_;
};

fs::path checked_goal(const fs::path& output_dir, bool overwrite) {
  fs::path goal = fs::absolute(output_dir).lexically_normal();
  if (!goal.has_filename()) goal = goal.parent_path();  // a trailing slash
  if (fs::exists(goal)) {
    if (!fs::is_directory(goal)) throw Error(goal.string() + ": is a file; give a directory");
    if (!overwrite && !fs::is_empty(goal))
      throw Error(goal.string() + ": exists and is not empty; remove it, give another directory, or overwrite");
  }
  return goal;
}

}  // namespace

void write_text(const fs::path& path, std::string_view text) {
  std::ofstream out(path, std::ios::binary);
  out.write(text.data(), static_cast<std::streamsize>(text.size()));
  out.close();
  if (!out) throw Error(path.string() + ": cannot be written: " + std::strerror(errno) + "; is the disk full?");
}

void write_json(const fs::path& path, const nlohmann::ordered_json& json) {
  std::string text;
  try {
    text = json.dump(2);
  } catch (const nlohmann::json::type_error&) {
    throw Error(path.filename().string() + " cannot be made: a text of the GGUF file is not UTF-8; it is damaged");
  }
  write_text(path, text + "\n");
}

GgufReport import_gguf(const fs::path& gguf_path, const fs::path& output_dir, const GgufOptions& options) {
  if (options.dtype != "float32" && options.dtype != "float16" && options.dtype != "bfloat16")
    throw Error("dtype " + options.dtype + " is unknown: float32, bfloat16 or float16");
  const GgufFile file(gguf_path);
  const fs::path goal = checked_goal(output_dir, options.overwrite);
  GgufReport report;
  const ModelShape shape = read_shape(file, report.notes);
  report.architecture = shape.architecture;

  Draft draft(goal);
  try {
    write_tokenizer(file, draft.path(), report);
    if (report.n_tokens > shape.vocabulary)
      throw file.error("has " + std::to_string(report.n_tokens) + " tokens, but tensor token_embd.weight only " +
                       std::to_string(shape.vocabulary) + " rows");
    write_json(draft.path() / "config.json", configuration(file, shape, options.dtype));
    write_json(draft.path() / "generation_config.json", generation_configuration(file));
    write_weights(file, shape, draft.path(), options, report);
    draft.commit();
  } catch (const Error&) {
    throw;
  } catch (const std::exception& e) {  // of the file system and of the weights' writer: they name the file
    throw Error(gguf_path.string() + ": import into " + goal.string() + " failed: " + e.what());
  }
  return report;
}

}  // namespace grpo::import

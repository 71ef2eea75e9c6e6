// import: a GGUF file to a Hugging Face directory. export: a checkpoint to a directory for serving.
#include <fmt/format.h>

#include <fstream>
#include <iostream>

#include "commands.hpp"
#include "grpo/kit/safetensors.hpp"
#include "grpo/sdk/error.hpp"
#include "grpo/sdk/import/gguf.hpp"
#include "grpo/sdk/report/console.hpp"
#include "grpo/sdk/train/model_directory.hpp"

namespace grpo::host {
namespace {

struct ImportArguments {
  std::string from, to, dtype = "float32";
  bool overwrite = false;
};

int run_import(const ImportArguments& a) {
  report::Console console;
  import::GgufOptions options{.dtype = a.dtype, .overwrite = a.overwrite, .progress = nullptr};
  options.progress = [&](std::int64_t done, std::int64_t total, const std::string&) {
    console.progress("tensors", static_cast<double>(done), static_cast<double>(total));
  };
  const auto report = import::import_gguf(a.from, a.to, options);
  for (const auto& note : report.notes) console.line("note: " + note);
  console.line(fmt::format("{}: {} tensors, {:.1f} M parameters, {} tokens ({}, pre-tokenizer {})", a.to,
                           report.n_tensors, static_cast<double>(report.n_parameters) / 1e6, report.n_tokens,
                           report.architecture, report.pre_tokenizer));
  return 0;
}

int run_export(const ImportArguments& a) {
  const auto dtype = a.dtype;
  if (std::filesystem::exists(a.to) && !a.overwrite) throw Error(a.to + ": exists already; --overwrite replaces it");
  train::AtomicDirectory directory(a.to);
  train::convert_model_directory(a.from, directory.path(), dtype);
  directory.commit();
  std::cout << a.to << '\n';
  return 0;
}

}  // namespace

void add_import(Command program) {
  {
    Command sub = program.command("import", "A GGUF file to a model directory in Hugging Face layout");
    sub.group(group_models);
    auto a = std::make_shared<ImportArguments>();
    sub.option("gguf", a->from, "The GGUF file").required().existing_file();
    sub.option("directory", a->to, "Where to write").required();
    sub.option("--dtype", a->dtype, "Type of the weights").one_of({"float32", "bfloat16", "float16"});
    sub.flag("--overwrite", a->overwrite, "Replace a directory that is there");
    sub.action([a] { return run_import(*a); });
  }
  {
    Command sub = program.command(
        "export", "A checkpoint to a directory that transformers and vLLM load: weights and tokenizer alone");
    sub.group(group_models);
    auto a = std::make_shared<ImportArguments>();
    a->dtype = "bfloat16";
    sub.option("checkpoint", a->from, "A checkpoint or model directory").required().existing_directory();
    sub.option("directory", a->to, "Where to write").required();
    sub.option("--dtype", a->dtype, "Type of the weights").one_of({"float32", "bfloat16"});
    sub.flag("--overwrite", a->overwrite, "Replace a directory that is there");
    sub.action([a] { return run_export(*a); });
  }
}

}  // namespace grpo::host

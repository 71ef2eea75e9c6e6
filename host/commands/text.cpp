// tokenize, render: the text parts alone.
#include "commands.hpp"
#include "filter.hpp"
#include "grpo/sdk/error.hpp"
#include "grpo/sdk/text/chat_template.hpp"
#include "grpo/sdk/text/template.hpp"
#include "grpo/sdk/text/tokenizer.hpp"

#include <fstream>

namespace grpo::host {
namespace {

struct TokenizeArguments {
  std::string model;
  bool decode = false, add_special_tokens = false, skip_special_tokens = false;
};

int tokenize(const TokenizeArguments& a) {
  const auto tokenizer = text::Tokenizer::load(a.model);
  if (a.decode)
    return filter([&](const Json& row) -> Json {
      return {{"text", tokenizer.decode(ids_member(row, "ids"), a.skip_special_tokens)}};
    });
  return filter([&](const Json& row) -> Json {
    return {{"ids", tokenizer.encode(text_member(row, "text"), a.add_special_tokens)}};
  });
}

struct RenderArguments {
  std::string model, file;
};

std::string read_file(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) throw Error(path + ": cannot be read");
  return {std::istreambuf_iterator<char>(in), {}};
}

int render(const RenderArguments& a) {
  if (a.model.empty() && a.file.empty()) throw Error("render: which template? Give --model or --template");
  const auto chat = !a.model.empty()
                        ? text::ChatTemplate::load(a.model, a.file.empty() ? std::nullopt : std::optional(a.file))
                        : text::ChatTemplate::from_source(read_file(a.file), a.file);
  return filter([&](const Json& row) -> Json {
    const Json none = nullptr;
    const auto optional = [&](const char* key) -> const Json& { return row.contains(key) ? row[key] : none; };
    const bool prompt = row.value("add_generation_prompt", false);
    try {
      return {{"text", chat.render(member(row, "messages"), optional("tools"), prompt, optional("extra"))}};
    } catch (const Error& e) {
      return {{"error", e.what()}};
    }
  });
}

}  // namespace

void add_text(Command program) {
  {
    Command sub =
        program.command("tokenize", R"({"text"} in, {"ids"} out, a line for a line; with --decode the other way)");
    sub.group(group_filters);
    auto a = std::make_shared<TokenizeArguments>();
    sub.option("--model", a->model, "Model directory, or a tokenizer.json").required().existing_path();
    sub.flag("--add-special-tokens", a->add_special_tokens, "Run the post-processor (BOS and the like)");
    sub.flag("--decode", a->decode, R"({"ids"} in, {"text"} out)");
    sub.flag("--skip-special-tokens", a->skip_special_tokens, "Leave special tokens out of the text");
    sub.action([a] { return tokenize(*a); });
  }
  {
    Command sub = program.command(
        "render",
        R"({"messages","tools","add_generation_prompt","extra"} in, {"text"} or {"error"} out: a chat template alone)");
    sub.group(group_filters);
    auto a = std::make_shared<RenderArguments>();
    sub.option("--model", a->model, "Model directory: its template and special tokens").existing_directory();
    sub.option("--template", a->file, "Jinja file").existing_file();
    sub.action([a] { return render(*a); });
  }
}

}  // namespace grpo::host

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

void add_text(CLI::App& app, Action& action) {
  {
    auto* sub =
        app.add_subcommand("tokenize", R"({"text"} in, {"ids"} out, a line for a line; with --decode the other way)");
    sub->group(group_filters);
    auto a = std::make_shared<TokenizeArguments>();
    sub->add_option("--model", a->model, "Model directory, or a tokenizer.json")->required()->check(CLI::ExistingPath);
    sub->add_flag("--add-special-tokens", a->add_special_tokens, "Run the post-processor (BOS and the like)");
    sub->add_flag("--decode", a->decode, R"({"ids"} in, {"text"} out)");
    sub->add_flag("--skip-special-tokens", a->skip_special_tokens, "Leave special tokens out of the text");
    sub->callback([a, &action] { action = [a] { return tokenize(*a); }; });
  }
  {
    auto* sub = app.add_subcommand(
        "render",
        R"({"messages","tools","add_generation_prompt","extra"} in, {"text"} or {"error"} out: a chat template alone)");
    sub->group(group_filters);
    auto a = std::make_shared<RenderArguments>();
    auto* model = sub->add_option("--model", a->model, "Model directory: its template and special tokens")
                      ->check(CLI::ExistingDirectory);
    auto* file = sub->add_option("--template", a->file, "Jinja file")->check(CLI::ExistingFile);
    sub->callback([a, &action, model, file] {
      if (model->empty() && file->empty()) throw CLI::RequiredError("--template or --model");
      action = [a] { return render(*a); };
    });
  }
}

}  // namespace grpo::host

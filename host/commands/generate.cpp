// generate: prompts in, completions out.
#include "generate.hpp"
#include "commands.hpp"
#include "filter.hpp"
#include "grpo/sdk/error.hpp"
#include "grpo/sdk/train/session.hpp"

namespace grpo::host {
namespace {}  // namespace

config::Config config_of(const GenerateArguments& a) {
  config::Config c = a.model.config();
  c.sampler.temperature = a.greedy ? 0 : a.temperature;
  c.sampler.top_p = a.top_p;
  c.sampler.min_p = a.min_p;
  c.sampler.top_k = a.top_k;
  c.sampler.repetition_penalty = a.repetition_penalty;
  c.sampler.max_new_tokens = a.max_new_tokens;
  c.sampler.min_new_tokens = a.min_new_tokens;
  c.sampler.stop = a.stop;
  c.run.seed = a.seed;
  c.data.chat_template = a.chat_template;
  return c;
}

namespace {

std::vector<std::int32_t> prompt_ids(const Json& row, const train::ModelText& text) {
  if (row.contains("ids")) return ids_member(row, "ids");
  if (row.contains("messages")) {
    if (!text.chat_template) throw Error(text.template_missing);
    return text.tokenizer.encode(text.chat_template->render(row["messages"], row.value("tools", Json(nullptr)), true,
                                                            row.value("extra", Json(nullptr))));
  }
  if (!row.contains("text")) throw Error(R"(a line needs "text", "messages" or "ids")");
  return text.tokenizer.encode(text_member(row, "text"), /*add_special_tokens=*/true);
}

const char* finish_name(std::int32_t finish) {
  return finish == GRPO_FINISH_STOP ? "stop" : finish == GRPO_FINISH_LENGTH ? "length" : "cancelled";
}

int generate(const GenerateArguments& a) {
  train::Session session(config_of(a), a.model.run.plugin_places(), {.sampler = true});
  const auto sampling = session.sampling();
  const auto& info = session.model().info();
  std::uint64_t lines = 0;  // so that a line draws the same whatever the batch size
  return filter_batches(a.batch, [&](const std::vector<Json>& rows) {
    std::vector<Json> out(rows.size());
    std::vector<plugins::Request> requests;
    for (std::size_t i = 0; i < rows.size(); ++i, ++lines) {
      try {
        auto ids = prompt_ids(rows[i], *session.text());
        if (ids.empty()) throw Error("the prompt is empty");
        if (static_cast<std::int64_t>(ids.size()) >= info.max_positions)
          throw Error("the prompt has " + std::to_string(ids.size()) + " tokens, the model " +
                      std::to_string(info.max_positions) + " positions");
        for (const auto id : ids)
          if (id < 0 || id >= info.vocabulary)
            throw Error("token id " + std::to_string(id) + " is not in the vocabulary");
        requests.push_back({.id = i,
                            .key = grpo_random_key(grpo_random_key(static_cast<std::uint64_t>(a.seed), 0), lines),
                            .prompt = std::move(ids),
                            .n_samples = a.samples,
                            .sampling = sampling});
      } catch (const std::exception& e) {
        out[i] = {{"error", e.what()}};
      }
    }
    std::vector<std::vector<Json>> done(rows.size(), std::vector<Json>(static_cast<std::size_t>(a.samples)));
    session.sampler().generate(std::move(requests), [&](plugins::Completion c) {
      Json row = {
          {"ids", c.ids}, {"text", session.text()->tokenizer.decode(c.ids, true)}, {"finish", finish_name(c.finish)}};
      if (a.logprobs) row["logprobs"] = c.logprob;
      done[c.request][static_cast<std::size_t>(c.index)] = std::move(row);
    });
    for (std::size_t i = 0; i < rows.size(); ++i)
      if (out[i].is_null()) out[i] = a.samples == 1 ? std::move(done[i][0]) : Json{{"samples", std::move(done[i])}};
    return out;
  });
}

}  // namespace

void add_generate(Command program) {
  Command sub =
      program.command("generate", R"(A reply to a prompt, as it is made; a chat; or JSON Lines in, completions out)");
  sub.group(group_filters);
  sub.footer(R"(For a person, streamed:
  grpo-host generate --model DIR "Why is the sky blue?"
  grpo-host generate --model DIR --system "Answer in French." --temperature 0.7 "Hello"
  grpo-host generate --model DIR - < question.txt          # the whole of standard input is the prompt
  grpo-host generate --model DIR --interactive             # a chat; /reset forgets it, Ctrl-C ends a reply, Ctrl-D the chat
The prompt goes through the model's chat template; --raw gives it to the model as it is.

Without a prompt, one JSON object a line, from standard input to standard output:
  echo '{"messages": [{"role": "user", "content": "Hello"}]}' | grpo-host generate --model DIR --greedy
{"messages"} go through the chat template ("tools" and "extra" reach it too), {"text"} and {"ids"} do not.
"finish" is "stop" (an end token, a --stop text) or "length" (--max-new-tokens). A line that cannot be used gives
{"error"}; the exit status is then 1.)");
  auto a = std::make_shared<GenerateArguments>();
  a->model.add(sub);
  sub.flag("--greedy", a->greedy, "The most probable token each time: temperature 0");
  sub.option("--max-new-tokens", a->max_new_tokens, "Longest completion, in tokens").positive();
  sub.option("--min-new-tokens", a->min_new_tokens, "No stop before this many tokens").not_negative();
  sub.option("--temperature", a->temperature, "Softmax temperature; 0: greedy").not_negative().excludes("--greedy");
  sub.option("--top-p", a->top_p, "Nucleus sampling; 1: off").between(0.0, 1.0);
  sub.option("--top-k", a->top_k, "The k most probable tokens; 0: off").not_negative();
  sub.option("--min-p", a->min_p, "Share of the most probable token's probability; 0: off").between(0.0, 1.0);
  sub.option("--repetition-penalty", a->repetition_penalty, "Of tokens already there; 1: off").positive();
  sub.option("--stop", a->stop, "Text that ends a completion; repeatable");
  sub.option("-n,--samples", a->samples,
             R"(Completions of each prompt; with more than one a line is {"samples": [...]})")
      .positive();
  sub.option("--seed", a->seed, "Seed of the draws").not_negative();
  sub.option("--chat-template", a->chat_template, "Jinja file in place of the model's own").existing_file();
  sub.flag("--logprobs", a->logprobs,
           R"(Also "logprobs": of each token, at --temperature, before top-k, top-p and min-p)");
  sub.option("--batch", a->batch, "Prompts in flight at a time").positive();
  sub.flag("-i,--interactive", a->interactive, "A chat in the terminal, with its history");
  sub.option("--system", a->system, "System message before the prompt");
  sub.flag("--raw", a->raw, "The prompt without the chat template, as it is");
  sub.option("prompt", a->prompt, "The prompt; -: all of standard input. None: JSON Lines from standard input");
  sub.action([a] { return a->interactive || !a->prompt.empty() ? generate_text(*a) : generate(*a); });
}

}  // namespace grpo::host

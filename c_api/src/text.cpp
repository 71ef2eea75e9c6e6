// Tokenizers and chat templates.
#include <nlohmann/json.hpp>

#include "boundary.hpp"
#include "grpo/sdk/text/chat_template.hpp"
#include "plugins.hpp"

using namespace grpo;
using embed::guarded;
using embed::needed;

struct grpo_embed_template {
  text::ChatTemplate chat;
};

grpo_status grpo_embed_tokenizer_open(const char* path, grpo_embed_tokenizer** tokenizer, grpo_embed_error* error) {
  return guarded(error, [&]() -> grpo_status {
    needed(tokenizer, "tokenizer") = nullptr;
    *tokenizer = new grpo_embed_tokenizer{text::Tokenizer::load(&needed(path, "path"))};
    return GRPO_STATUS_OK;
  });
}

grpo_status grpo_embed_tokenizer_describe(const grpo_embed_tokenizer* tokenizer, grpo_embed_text* json,
                                          grpo_embed_error* error) {
  embed::clear(json);
  return guarded(error, [&]() -> grpo_status {
    const auto& t = needed(tokenizer, "tokenizer").tokenizer;
    const auto or_null = [](const std::optional<std::int32_t>& id) {
      return id ? nlohmann::json(*id) : nlohmann::json(nullptr);
    };
    embed::give(&needed(json, "json"), nlohmann::json{{"name", t.name()},
                                                      {"vocabulary_size", t.vocabulary_size()},
                                                      {"bos", or_null(t.bos_id())},
                                                      {"eos", t.eos_ids()},
                                                      {"pad", or_null(t.pad_id())}});
    return GRPO_STATUS_OK;
  });
}

grpo_status grpo_embed_encode(const grpo_embed_tokenizer* tokenizer, const grpo_embed_texts* texts, uint32_t flags,
                              grpo_embed_ids* ids, grpo_embed_error* error) {
  embed::clear(ids);
  return guarded(error, [&]() -> grpo_status {
    const auto& t = needed(tokenizer, "tokenizer").tokenizer;
    needed(ids, "ids");
    embed::check_flags(flags, GRPO_EMBED_ADD_SPECIAL | GRPO_EMBED_PLAIN, "grpo_embed_encode");
    const embed::Texts given(texts, "texts");
    const bool add = (flags & GRPO_EMBED_ADD_SPECIAL) != 0, plain = (flags & GRPO_EMBED_PLAIN) != 0;
    std::vector<std::vector<std::int32_t>> out;
    for (std::int64_t i = 0; i < given.size(); ++i)
      out.push_back(plain ? t.encode_plain(given[i], add) : t.encode(given[i], add));
    embed::give(ids, out);
    return GRPO_STATUS_OK;
  });
}

grpo_status grpo_embed_decode(const grpo_embed_tokenizer* tokenizer, const grpo_embed_ids* ids, uint32_t flags,
                              grpo_embed_texts* texts, grpo_embed_error* error) {
  embed::clear(texts);
  return guarded(error, [&]() -> grpo_status {
    const auto& t = needed(tokenizer, "tokenizer").tokenizer;
    needed(texts, "texts");
    embed::check_flags(flags, GRPO_EMBED_SKIP_SPECIAL, "grpo_embed_decode");
    const embed::IdLists given(ids, "ids");
    std::vector<std::string> out;
    for (std::int64_t i = 0; i < given.size(); ++i) out.push_back(t.decode(given[i], (flags & GRPO_EMBED_SKIP_SPECIAL) != 0));
    embed::give(texts, out);
    return GRPO_STATUS_OK;
  });
}

void grpo_embed_tokenizer_close(grpo_embed_tokenizer* tokenizer) { delete tokenizer; }

grpo_status grpo_embed_template_open(const char* directory, const char* source, grpo_embed_template** chat,
                                     grpo_embed_error* error) {
  return guarded(error, [&]() -> grpo_status {
    needed(chat, "chat") = nullptr;
    if (!directory == !source)
      throw embed::Invalid(
          "grpo_embed_template_open: give the directory of a model or the source of a template, and NULL "
          "for the other");
    *chat = new grpo_embed_template{directory ? text::ChatTemplate::load(directory)
                                              : text::ChatTemplate::from_source(source, "chat_template")};
    return GRPO_STATUS_OK;
  });
}

grpo_status grpo_embed_render(const grpo_embed_template* chat, const char* messages, const char* tools, const char* extra,
                              int32_t add_generation_prompt, grpo_embed_text* text, grpo_embed_error* error) {
  embed::clear(text);
  return guarded(error, [&]() -> grpo_status {
    // Ordered: templates print the members of tools in the order they came in.
    const auto parsed = [](const char* given, const char* name) {
      if (!given) return nlohmann::ordered_json(nullptr);
      embed::check_depth(given, name);
      try {
        return nlohmann::ordered_json::parse(given);
      } catch (const nlohmann::json::exception& e) {
        throw embed::Invalid(std::string(name) + " is not JSON: " + e.what());
      }
    };
    const auto& t = needed(chat, "chat").chat;
    needed(text, "text");
    embed::give(text, t.render(parsed(&needed(messages, "messages"), "messages"), parsed(tools, "tools"),
                               add_generation_prompt != 0, parsed(extra, "extra")));
    return GRPO_STATUS_OK;
  });
}

void grpo_embed_template_close(grpo_embed_template* chat) { delete chat; }

// Answers to mathematical problems: found and compared.
#include "boundary.hpp"
#include "grpo/kit/grading.hpp"

using namespace grpo;
using embed::guarded;
using embed::needed;

static_assert(static_cast<int>(kit::AnswerForm::boxed) == GRPO_EMBED_FORM_BOXED &&
              static_cast<int>(kit::AnswerForm::last_number) == GRPO_EMBED_FORM_LAST_NUMBER);

grpo_status grpo_embed_extract(const grpo_embed_texts* texts, uint32_t flags, grpo_embed_texts* answers, int32_t* form,
                               grpo_embed_error* error) {
  embed::clear(answers);
  return guarded(error, [&]() -> grpo_status {
    embed::check_flags(flags, GRPO_EMBED_LAST_NUMBER | GRPO_EMBED_BOXED_ONLY | GRPO_EMBED_GOLD, "grpo_embed_extract");
    needed(answers, "answers");
    const embed::Texts given(texts, "texts");
    const kit::ExtractOptions options{.last_number = (flags & GRPO_EMBED_LAST_NUMBER) != 0,
                                      .boxed_only = (flags & GRPO_EMBED_BOXED_ONLY) != 0};
    const bool gold = (flags & GRPO_EMBED_GOLD) != 0;
    if (gold && flags != GRPO_EMBED_GOLD) throw embed::Invalid("grpo_embed_extract: GRPO_EMBED_GOLD goes with no other flag");
    std::vector<std::string> out;
    for (std::int64_t i = 0; i < given.size(); ++i) {
      const auto found = gold ? std::nullopt : kit::find_answer(given[i], options);
      if (form && !gold) form[i] = found ? static_cast<int>(found->form) : GRPO_EMBED_FORM_NONE;
      out.push_back(gold ? kit::extract_gold(given[i]) : found ? found->text : std::string());
    }
    embed::give(answers, out);
    return GRPO_STATUS_OK;
  });
}

grpo_status grpo_embed_grade(const grpo_embed_texts* gold, const grpo_embed_texts* answers, int32_t* equal,
                             grpo_embed_error* error) {
  return guarded(error, [&]() -> grpo_status {
    const embed::Texts right(gold, "gold"), given(answers, "answers");
    if (right.size() != given.size())
      throw embed::Invalid("grpo_embed_grade: " + std::to_string(right.size()) + " gold answers, but " +
                           std::to_string(given.size()) + " answers to grade");
    for (std::int64_t i = 0; i < given.size(); ++i)
      (&needed(equal, "equal"))[i] = kit::answers_equal(right[i], given[i]) ? 1 : 0;
    return GRPO_STATUS_OK;
  });
}

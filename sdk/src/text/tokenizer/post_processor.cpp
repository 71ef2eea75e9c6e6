#include "post_processor.hpp"

namespace grpo::text {

PostProcessor PostProcessor::read(const std::optional<Field>& field) {
  PostProcessor processor;
  if (field) processor.add(*field);
  return processor;
}

void PostProcessor::add(const Field& field) {
  const std::string& type = field.at("type").string();
  if (type == "Sequence") {
    const Field processors = field.at("processors");
    for (std::size_t i = 0; i < processors.size(); ++i) add(processors.at(i));
  } else if (type == "TemplateProcessing") {
    add_template(field);
  } else if (type == "RobertaProcessing" || type == "BertProcessing") {
    before_.insert(before_.begin(), field.at("cls").at(1).token_id());
    after_.push_back(field.at("sep").at(1).token_id());
  } else if (type != "ByteLevel") {  // which moves offsets only
    field.at("type").fail_unsupported(type,
                                      "TemplateProcessing, ByteLevel, RobertaProcessing, BertProcessing and Sequence");
  }
}

// "single" lists special tokens and, once, the sequence A.
void PostProcessor::add_template(const Field& field) {
  const Field pieces = field.at("single");
  const std::optional<Field> tokens = field.find("special_tokens");
  std::vector<int32_t> before, after;
  bool met_text = false;
  for (std::size_t i = 0; i < pieces.size(); ++i) {
    const Field piece = pieces.at(i);
    if (const std::optional<Field> sequence = piece.find("Sequence")) {
      if (met_text || sequence->at("id").string() != "A") sequence->fail("is not the one sequence A of a single text");
      met_text = true;
      continue;
    }
    const Field name = piece.at("SpecialToken").at("id");
    if (!tokens) name.fail("there are no special_tokens to find it in");
    const Field ids = tokens->at(name.string()).at("ids");
    for (std::size_t k = 0; k < ids.size(); ++k) (met_text ? after : before).push_back(ids.at(k).token_id());
  }
  if (!met_text) pieces.fail("does not hold the sequence A: the text would be lost");
  before_.insert(before_.begin(), before.begin(), before.end());
  after_.insert(after_.end(), after.begin(), after.end());
}

std::vector<int32_t> PostProcessor::apply(std::vector<int32_t> ids) const {
  ids.insert(ids.begin(), before_.begin(), before_.end());
  ids.insert(ids.end(), after_.begin(), after_.end());
  return ids;
}

}  // namespace grpo::text

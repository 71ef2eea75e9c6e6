"""Tokenizers, chat templates, answers. Usage: text.py MODEL_DIRECTORY"""
import sys

import grpo


def main(model):
    tokenizer = grpo.Tokenizer(model)
    ids = tokenizer.encode("12+34=")
    print(ids, tokenizer.decode(ids), tokenizer.eos_ids)

    chat = grpo.ChatTemplate(source="{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}")
    print(chat.render([{"role": "user", "content": "2+2?"}]))

    print(grpo.extract("The answer is \\boxed{\\frac{3}{4}}."), grpo.grade("0.75", "\\frac{3}{4}"))
    for reward in grpo.components(kind="reward"):
        print(reward["name"], list(reward["options"]))


if __name__ == "__main__":
    main(*sys.argv[1:])

"""Tokenizers, chat templates, answers."""
import unittest

import grpo
from support import DEMO_MODEL, Scratch


class Text(Scratch):
    def test_tokenizer(self):
        tokenizer = grpo.Tokenizer(DEMO_MODEL)
        ids = tokenizer.encode("12+34=")
        self.assertEqual(len(ids), 6)
        self.assertEqual(tokenizer.decode(ids), "12+34=")
        self.assertEqual(tokenizer.encode(["1", "", "22"]), [ids[:1], [], [ids[1]] * 2])
        self.assertEqual(tokenizer.decode([ids, []]), ["12+34=", ""])
        self.assertGreater(tokenizer.vocabulary_size, 10)
        self.assertEqual(tokenizer.decode([tokenizer.eos_ids[0]], skip_special_tokens=True), "")
        with self.refused(grpo.Error, "/no/model"):
            grpo.Tokenizer("/no/model")

    def test_chat_template(self):
        chat = grpo.ChatTemplate(source="{{ bos_token }}{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}"
                                        "{% if tools %}{{ tools | tojson }}{% endif %}"
                                        "{% if add_generation_prompt %}<assistant>{% endif %}")
        self.assertEqual(chat.render([{"role": "user", "content": "ä?"}], tools=[{"b": 1, "a": 2}],
                                     add_generation_prompt=True, bos_token="<s>"),
                         '<s><user>ä?[{"b": 1, "a": 2}]<assistant>')
        with self.refused(grpo.Error, "not like this"):
            grpo.ChatTemplate(source="{{ raise_exception('not like this') }}").render([{"role": "user", "content": "?"}])
        with self.refused(grpo.Error, "the source of a template"):
            grpo.ChatTemplate()

    def test_answers(self):
        self.assertEqual(grpo.extract("The answer is 42."), "42")
        self.assertEqual(grpo.extract([r"\boxed{x}", "none"]), ["x", None])
        self.assertIsNone(grpo.extract("#### 3", boxed_only=True))
        self.assertEqual(grpo.find_answer("about 3", last_number=True), grpo.Answer("3", "last_number"))
        self.assertEqual(grpo.extract_gold(["a\n#### 72", "7"]), ["72", "7"])
        self.assertIs(grpo.grade("0.75", r"\frac{3}{4}"), True)
        self.assertEqual(grpo.grade(["1", "2"], ["1.0", "3"]), [True, False])
        with self.refused(grpo.Error, "2 gold answers, but 1"):
            grpo.grade(["1", "2"], ["1"])


if __name__ == "__main__":
    unittest.main()

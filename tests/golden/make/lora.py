"""Adapters by PEFT beside the tiny models of models.py, with log-probabilities and gradients.

    python tests/golden/make/lora.py tests/transformer/models

needs torch, transformers, peft, safetensors."""
import pathlib
import shutil
import sys

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import AutoModelForCausalLM

from models import golden

ADAPTERS = {
    "lora_qwen3_bias": ("qwen3_bias", dict(r=3, lora_alpha=7, target_modules="all-linear")),
    "lora_llama_tied": ("llama_tied", dict(r=4, lora_alpha=8, use_rslora=True, target_modules=["q_proj", "v_proj"])),
}


def load(root, base):
    return AutoModelForCausalLM.from_pretrained(root / base, dtype=torch.float32, attn_implementation="eager").eval()


def main():
    root = pathlib.Path(sys.argv[1])
    for index, (name, (base, options)) in enumerate(ADAPTERS.items()):
        directory = root / name
        shutil.rmtree(directory, ignore_errors=True)
        torch.manual_seed(300 + index)
        model = get_peft_model(load(root, base), LoraConfig(task_type="CAUSAL_LM", **options))
        with torch.no_grad():  # an adapter that shows in the numbers
            for parameter_name, parameter in model.named_parameters():
                if "lora_" in parameter_name:
                    parameter.copy_(0.4 * torch.randn_like(parameter))
        model.peft_config["default"].base_model_name_or_path = f"../{base}"
        model.save_pretrained(directory)
        (directory / "README.md").unlink()
        shutil.copy(root / base / "config.json", directory)
        golden(directory, PeftModel.from_pretrained(load(root, base), directory, is_trainable=True).eval())
        print(name, sum(p.numel() for p in model.parameters() if p.requires_grad))


if __name__ == "__main__":
    main()

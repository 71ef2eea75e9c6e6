#!/usr/bin/env python3
"""Writes a GGUF file again with every weight as 32-bit floats, for peers that are to compute in the same type as we do.

Needs a Python with gguf and numpy.

    python bench/peers/gguf_f32.py SmolLM2-135M-Instruct.Q4_1.gguf out.gguf

The values are those of the quantised file, as in the directory that tools/get-smollm2 makes of it.
"""

import sys

import gguf

MADE_ANEW = {"general.architecture", "general.file_type", "general.quantization_version"}


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    reader = gguf.GGUFReader(sys.argv[1])
    writer = gguf.GGUFWriter(sys.argv[2], reader.fields["general.architecture"].contents())
    writer.add_file_type(gguf.LlamaFileType.ALL_F32)
    for field in reader.fields.values():
        if field.name.startswith("GGUF.") or field.name in MADE_ANEW:
            continue
        kind = field.types[0]
        writer.add_key_value(field.name, field.contents(), kind,
                             sub_type=field.types[-1] if kind == gguf.GGUFValueType.ARRAY else None)  # fmt: skip
    for tensor in reader.tensors:
        writer.add_tensor(tensor.name, gguf.quants.dequantize(tensor.data, tensor.tensor_type).astype("float32"))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


if __name__ == "__main__":
    main()

"""Writes a llama of random weights whose words are bytes: ``python tiny_llama.py FILE``. It has nothing to say."""

from __future__ import annotations

import sys

import gguf
import numpy as np

WIDTH, HEADS, HIDDEN, CONTEXT = 32, 2, 64, 1024
WORDS = [b"<unk>", b"<s>", b"</s>"] + [f"<0x{byte:02X}>".encode() for byte in range(256)]
UNKNOWN, CONTROL, BYTE = 2, 3, 6


def main(path: str) -> None:
    model = gguf.GGUFWriter(path, "llama")
    settings(model)
    vocabulary(model)
    weights(model)
    model.write_header_to_file()
    model.write_kv_data_to_file()
    model.write_tensors_to_file()
    model.close()


def settings(model: gguf.GGUFWriter) -> None:
    model.add_context_length(CONTEXT)
    model.add_embedding_length(WIDTH)
    model.add_block_count(1)
    model.add_feed_forward_length(HIDDEN)
    model.add_head_count(HEADS)
    model.add_head_count_kv(HEADS)
    model.add_layer_norm_rms_eps(1e-5)
    model.add_rope_dimension_count(WIDTH // HEADS)
    model.add_chat_template("{% for m in messages %}{{ m['content'] }}{% endfor %}")


def vocabulary(model: gguf.GGUFWriter) -> None:
    model.add_vocab_size(len(WORDS))
    model.add_tokenizer_model("llama")
    model.add_token_list(WORDS)
    model.add_token_scores([0.0] * len(WORDS))
    model.add_token_types([UNKNOWN, CONTROL, CONTROL] + [BYTE] * 256)
    model.add_unk_token_id(0)
    model.add_bos_token_id(1)
    model.add_eos_token_id(2)


def weights(model: gguf.GGUFWriter) -> None:
    chance = np.random.default_rng(7)
    shapes = {"token_embd": (len(WORDS), WIDTH), "output": (len(WORDS), WIDTH)}
    shapes |= {f"blk.0.attn_{name}": (WIDTH, WIDTH) for name in ("q", "k", "v", "output")}
    shapes |= {f"blk.0.ffn_{name}": (HIDDEN, WIDTH) for name in ("gate", "up")} | {"blk.0.ffn_down": (WIDTH, HIDDEN)}
    for name, shape in shapes.items():
        model.add_tensor(f"{name}.weight", (chance.standard_normal(shape) * 0.5).astype(np.float32))
    for name in ("output_norm", "blk.0.attn_norm", "blk.0.ffn_norm"):
        model.add_tensor(f"{name}.weight", np.ones(WIDTH, np.float32))


if __name__ == "__main__":
    main(sys.argv[1])

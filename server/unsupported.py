"""Fields of other servers and newer clients that we cannot honour, so that nobody is left to believe we did."""

from collections.abc import Mapping

# What a field may say and still mean "nothing special". Everything else that it could say, we cannot honour.
NEUTRAL: Mapping[str, tuple[object, ...]] = {
    "tools": ([],),
    "tool_choice": ("none", "auto"),
    "functions": ([],),
    "function_call": ("none", "auto"),
    "response_format": ({"type": "text"},),
    "logit_bias": ({},),
    "presence_penalty": (0,),
    "frequency_penalty": (0,),
    "repetition_penalty": (1,),
    "top_k": (-1, 0),
    "min_p": (0,),
    "min_tokens": (0,),
    "stop_token_ids": ([],),
    "ignore_eos": (False,),
    "best_of": (1,),
    "echo": (False,),
    "suffix": ("",),
    "use_beam_search": (False,),
    "prompt_logprobs": (),
    "prompt_embeds": (),
    "modalities": (["text"],),
    "audio": (),
    "prediction": (),
    "web_search_options": (),
    "include_reasoning": (True,),
    "thinking_token_budget": (),
    "add_generation_prompt": (True,),
    "continue_final_message": (False,),
    "chat_template": (),
    "documents": ([],),
    "structured_outputs": (),
    "guided_json": (),
    "guided_regex": (),
    "guided_choice": (),
    "guided_grammar": (),
}

# Names of the template's own machinery, which a request must not reach through chat_template_kwargs.
RESERVED_TEMPLATE_KEYS = frozenset(
    (
        "self messages conversation chat_template tools documents tokenize add_generation_prompt "
        "continue_final_message return_assistant_tokens_mask return_tensors return_dict padding truncation "
        "max_length tokenizer_kwargs"
    ).split()
)

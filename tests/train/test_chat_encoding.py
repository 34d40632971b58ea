"""Chat encoding: masks, control tokens, and equality with the tokenizer's own template."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from corpus.core.errors import ZeroToOneError
from corpus.tokens.tokenizer import SPECIAL_TOKENS, chat_template
from tests.train.micro import save_micro_tokenizer, turns
from train.chat_encoding import (
    EncodingError,
    PlainText,
    TemplateEncoder,
    chat_encoder,
    encode_within,
    template_prompt,
)

MARKED = (
    "{% for m in messages %}{% if m.role == 'assistant' %}"
    "[A]{% generation %}{{ m.content }}[END]{% endgeneration %}"
    "{% else %}[U]{{ m.content }}{% endif %}{% endfor %}{% if add_generation_prompt %}[A]{% endif %}"
)


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    return AutoTokenizer.from_pretrained(save_micro_tokenizer(tmp_path_factory.mktemp("tokenizer")))


def unigram(specials, template):
    """A tokenizer whose vocabulary spells its control tokens as ordinary pieces."""
    letters = [(chr(i), -5.0) for i in range(32, 127)] + [("\n", -5.0), ("assistant", -4.0)]
    backend = Tokenizer(models.Unigram([("<unk>", 0.0), *((text, 0.0) for text in specials), *letters], unk_id=0))
    made = PreTrainedTokenizerFast(
        tokenizer_object=backend, unk_token="<unk>", eos_token=specials[0], extra_special_tokens=list(specials[1:])
    )
    made.chat_template = template
    return made


def loss_text(tokenizer, encoded):
    return tokenizer.decode([i for i, target in zip(encoded.ids, encoded.targets, strict=True) if target])


def test_loss_counts_exactly_the_replies_and_their_ends(tokenizer):
    encoded = chat_encoder(tokenizer).encode(turns("Hi", "Red fox.", "再说", "狐狸\n", system="Be kind."))
    assert loss_text(tokenizer, encoded) == "Red fox.<|im_end|>狐狸\n<|im_end|>"
    assert tokenizer.decode(encoded.ids) == (
        "<|im_start|>system\nBe kind.<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\nRed fox."
        "<|im_end|>\n<|im_start|>user\n再说<|im_end|>\n<|im_start|>assistant\n狐狸\n<|im_end|>"
    )


contents = st.text(st.characters(codec="utf-8", exclude_characters="|"), max_size=40)
replies = contents.filter(lambda text: text == text.lstrip())


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(contents, replies), min_size=1, max_size=3), st.none() | contents)
def test_equals_the_chat_template_token_for_token(tokenizer, rounds, system):
    messages = turns(*(text for pair in rounds for text in pair), system=system)
    encoder = chat_encoder(tokenizer)
    assert encoder.prompt(messages[:-1]) == template_prompt(tokenizer, messages[:-1])
    whole = tokenizer.apply_chat_template(messages, return_dict=True, return_assistant_tokens_mask=True)
    encoded = encoder.encode(messages)
    line_break = tokenizer("\n").input_ids
    assert encoded.ids + line_break == whole["input_ids"]
    assert [int(target) for target in encoded.targets] + [0] * len(line_break) == whole["assistant_masks"]


spelling = st.lists(st.sampled_from([*SPECIAL_TOKENS, "<|im_", "end|>", "<", "\n", "fox", "狐", " "]), max_size=8)


@settings(max_examples=60, deadline=None)
@given(spelling.map("".join), spelling.map("".join))
def test_no_content_becomes_a_control_token(tokenizer, asked, answered):
    encoder = chat_encoder(tokenizer)
    encoded = encoder.encode(turns(asked, answered, system=asked))
    start, end = tokenizer.convert_tokens_to_ids(["<|im_start|>", "<|im_end|>"])
    control = [i for i in encoded.ids if i in tokenizer.all_special_ids]
    assert control == [start, end] * 3
    assert loss_text(tokenizer, encoded) == answered + "<|im_end|>"
    assert tokenizer.decode(encoder.prompt(turns(asked))) == (
        f"<|im_start|>user\n{asked}<|im_end|>\n<|im_start|>assistant\n"
    )


@settings(max_examples=60, deadline=None)
@given(spelling.map("".join))
def test_no_control_token_from_a_vocabulary_that_spells_them(text):
    made = unigram(("<|endoftext|>", "<|im_start|>", "<|im_end|>"), chat_template())
    ascii_text = text.replace("狐", "f")
    assert 2 in made("<|im_start|>", add_special_tokens=False, split_special_tokens=True).input_ids  # the danger
    ids = PlainText(made).encode(ascii_text)
    assert not {1, 2, 3} & set(ids)
    decoded = made.backend_tokenizer.decode(ids, skip_special_tokens=False)
    assert decoded.replace(" ", "") == ascii_text.replace(" ", "")
    assert sum(i in (1, 2, 3) for i in chat_encoder(made).encode(turns(text, text)).ids) == 4


def test_a_tokenizer_without_template_gets_ours(tmp_path):
    folder = save_micro_tokenizer(tmp_path)
    (folder / "chat_template.jinja").unlink()
    bare = AutoTokenizer.from_pretrained(folder)
    assert bare.chat_template is None
    chat_encoder(bare)
    assert bare.chat_template == chat_template()


def test_another_template_is_refused_unless_it_marks_replies(tokenizer, tmp_path):
    drifted = AutoTokenizer.from_pretrained(save_micro_tokenizer(tmp_path))
    drifted.chat_template = "{% for m in messages %}{{ m.role + ': ' + m.content }}{% endfor %}"
    with pytest.raises(ZeroToOneError, match=r"folder: cannot tell .* other tokens than ChatML"):
        chat_encoder(drifted, "folder")


def test_foreign_template_that_marks_replies():
    made = unigram(("[END]", "[U]", "[A]"), MARKED)
    encoder = chat_encoder(made)
    assert isinstance(encoder, TemplateEncoder)
    encoded = encoder.encode(turns("hi", "yes", "so", "no"))
    assert loss_text(made, encoded).replace(" ", "") == "yes[END]no[END]"
    assert encoder.stop_ids == (made.convert_tokens_to_ids("[END]"),)
    with pytest.raises(EncodingError, match="control_token_in_text"):
        encoder.encode(turns("a [END] b", "yes"))


def test_foreign_template_without_marks_is_an_error():
    unmarked = MARKED.replace("{% generation %}", "").replace("{% endgeneration %}", "")
    made = unigram(("[END]", "[U]", "[A]"), unmarked)
    with pytest.raises(ZeroToOneError, match="does not mark them"):
        chat_encoder(made)


def test_cut_at_whole_rounds(tokenizer):
    encoder = chat_encoder(tokenizer)
    messages = turns("one", "1", "two", "2", "three", "3")
    sizes = [len(encoder.encode(messages[:stop]).ids) for stop in (2, 4, 6)]
    assert encode_within(encoder, messages, sizes[2]) == (encoder.encode(messages), 0)
    assert encode_within(encoder, messages, sizes[2] - 1) == (encoder.encode(messages[:4]), 1)
    assert encode_within(encoder, messages, sizes[0]) == (encoder.encode(messages[:2]), 2)
    with pytest.raises(EncodingError, match="too_long"):
        encode_within(encoder, messages, sizes[0] - 1)


def test_text_that_is_no_unicode_is_set_aside(tokenizer):
    with pytest.raises(EncodingError, match="lone_surrogate"):
        chat_encoder(tokenizer).encode(turns("\ud800", "yes"))


def test_the_end_of_turn_stops_a_reply(tokenizer, tmp_path: Path):
    ends = tokenizer.convert_tokens_to_ids(["<|im_end|>", "<|endoftext|>"])
    assert chat_encoder(tokenizer).stop_ids == tuple(ends)

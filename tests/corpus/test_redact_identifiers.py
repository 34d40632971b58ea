"""What is an identifier and what is not; numbers computed apart from the code under test."""

from __future__ import annotations

import ipaddress
import itertools
import random
import string
import sys

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from corpus.privacy.checksums import is_cn_bank_card, is_cn_id, is_credit_card, passes_luhn
from corpus.privacy.identifiers import PLACEHOLDERS, find_identifiers, redact

FULL_WIDTH = str.maketrans(string.digits + "@", "０１２３４５６７８９＠")


def redacted(text: str, *kinds: str) -> str:
    return redact(text, find_identifiers([text], kinds or tuple(PLACEHOLDERS)))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Write to jane.doe+x@mail.example.org.", "Write to <EMAIL_ADDRESS>."),
        ("MAILTO:BOB@X.COM", "MAILTO:<EMAIL_ADDRESS>"),
        ("<a@b.de>,<c@d.co.uk>", "<<EMAIL_ADDRESS>>,<<EMAIL_ADDRESS>>"),
        ("邮箱zhang3@qq.com谢谢", "邮箱<EMAIL_ADDRESS>谢谢"),
        ("邮箱：ｚｈａｎｇ３＠ｑｑ．ｃｏｍ。", "邮箱：<EMAIL_ADDRESS>。"),
        ("info@例子.公司，info@müller.de", "<EMAIL_ADDRESS>，<EMAIL_ADDRESS>"),
        ("a@xn--fsqu00a.xn--55qx5d", "<EMAIL_ADDRESS>"),
        ("me@work.com.Thanks", "<EMAIL_ADDRESS>.Thanks"),
        ("leak: john@gmail.com:hunter2", "leak: <EMAIL_ADDRESS>:hunter2"),
        ("'o'hara@mail.ie'", "'<EMAIL_ADDRESS>'"),
        ("ku: edu@pgwc.gov.za, x@y.com.np", "ku: <EMAIL_ADDRESS>, <EMAIL_ADDRESS>"),
        ("à prénom.nom@ecole.fr ou rené@ecole.fr", "à <EMAIL_ADDRESS> ou <EMAIL_ADDRESS>"),
        (
            "https://lists.example.org/list/dev@example.org/thread/1",
            "https://lists.example.org/list/<EMAIL_ADDRESS>/thread/1",
        ),
        ("http://jane@mail.com and mailto:jane@mail.com", "http://<EMAIL_ADDRESS> and mailto:<EMAIL_ADDRESS>"),
        ("from 8.8.8.8 to [2001:4860:4860::8888]:53", "from <IP_ADDRESS> to [<IP_ADDRESS>]:53"),
        ("http://93.184.216.34:8080/x", "http://<IP_ADDRESS>:8080/x"),
        ("ping 1.1.1.1", "ping <IP_ADDRESS>"),
        ("服务器地址９３．１８４．２１６．３４", "服务器地址<IP_ADDRESS>"),
        ("call +44 20 7946 0958 now", "call <PHONE_NUMBER> now"),
        ("(212) 736-5000 or 1-212-736-5000", "<PHONE_NUMBER> or <PHONE_NUMBER>"),
        ("Tel.: 030 901820", "Tel.: <PHONE_NUMBER>"),
        ("Puh. (03) 534 1129, tlf. 57641686", "Puh. <PHONE_NUMBER>, tlf. <PHONE_NUMBER>"),
        ('{"phone": "030 901820", "zip": "030 901820"}', '{"phone": "<PHONE_NUMBER>", "zip": "030 901820"}'),
        ("电话：010-62345678", "电话：<PHONE_NUMBER>"),
        ("（010-62345678）（+86 13912345678）", "（<PHONE_NUMBER>）（<CN_MOBILE>）"),
        ("(010)62345678, (+86)13912345678", "<PHONE_NUMBER>, <CN_MOBILE>"),
        ("(tel (030 901820))", "(tel (<PHONE_NUMBER>))"),
        ("联系0571-88886666", "联系<PHONE_NUMBER>"),
        ("手机13812345678，备用+86 139-1234-5678", "手机<CN_MOBILE>，备用<CN_MOBILE>"),
        ("１３８１２３４５６７８", "<CN_MOBILE>"),
        ("138 1234 5678 139 1234 5678", "<CN_MOBILE> <CN_MOBILE>"),
        ("4111 1111 1111 1111 123", "<CREDIT_CARD> 123"),
        ("2019 4111 1111 1111 1111", "2019 <CREDIT_CARD>"),
        ("card,378282246310005,x", "card,<CREDIT_CARD>,x"),
        ("身份证11010519491231002X。", "身份证<CN_ID_CARD>。"),
        ("身份证号：１１０１０５１９４９１２３１００２Ｘ", "身份证号：<CN_ID_CARD>"),
        ("11010519491231002X 13812345678", "<CN_ID_CARD> <CN_MOBILE>"),
    ],
)
def test_what_is_one(text: str, expected: str) -> None:
    assert redacted(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "@decorator def f(): pass; a @ b; x@y.T; root@host:~# ls",
        "git@github.com:user/repo.git",
        "me@host.example.com:/srv/data me@host.example.com:~/x",
        "https://user:secret@host.example.com ssh://me@host.example.com svn+ssh://me@svn.example.org",
        "name at example.com, name (at) example (dot) com",
        "icon@2x.png vue@2.6.11 lodash@4.17.x user@localhost @user@",
        "127.0.0.1 10.1.2.3 192.168.1.1 172.16.0.1 0.0.0.0 255.255.255.0 169.254.1.1",
        "192.0.2.1 198.51.100.7 203.0.113.9 224.0.0.1 2001:db8::1 ::1 fe80::1 fc00::1",
        "version 93.184.216.34, section 10.1.2.3, Chrome/80.0.98.132, 1.2.3.4.5, v93.1.2.3",
        "see 4.3.2.1 and 1.3.6.1; pkg-93.1.2.3.tar.gz; “96.5.254.21”版本; 300.1.2.300; 093.184.216.034",
        "networks 182.61.0.0/18 and 8.0.0.0/8",
        "std::vector a[2000::2] 2024:11:24 12:30:45 dead:beef face::b00c 00:1b:44:11:3a:b7",
        "RFC 2822 of 2001-04-12, ISBN 978-3-16-148410-0, 0-306-40615-2, 2019-12-31 23:59:59",
        "1234567890 3.14159265358979 0.4111111111111111 x4111111111111111 41111111111111112222222",
        "timestamp 1574870400000 1574870400 play.org/x?id=4111111111111111 https://x.org/status/4111111111111111",
        "+0800 +08:00 +100000000 x+12025550123 1,234,567,890 10 000 000 000",
        "4111 1111 1111 1112, 4444444444444444, 1111111111111117",
        "110105194912310021 110105194913310027 990105194912310023 111010519491231002X",
        "10812345678 15412345678 138123456789 0.13812345678 13000000000 138-12345-678",
        "phone in 2019-11-24; fax of RFC 2301; telephone 12",
        "",
    ],
)
def test_what_is_none(text: str) -> None:
    assert redacted(text) == text


# Published test numbers of the issuers, and the example of GB 11643-1999.
CARDS = "378282246310005 371449635398431 30569309025904 38520000023237 6011111111111117 3530111333300000 "
CARDS += "5555555555554444 5105105105105100 2223003122003222 4111111111111111 4012888888881881 4222222222222"


def test_published_numbers() -> None:
    for card in CARDS.split():
        assert is_credit_card(card), card
        wrong = card[:-1] + str((int(card[-1]) + 1) % 10)
        assert not passes_luhn(wrong)
    assert is_cn_id("11010519491231002X")
    assert not is_cn_id("440524188001010014")  # the standard's other example: born in 1880, before what is taken


def luhn_check(body: str) -> str:
    """The check digit, by trying all: the sum of digits, every second one from the right doubled, ends in 0."""
    for check in string.digits:
        doubled = [int(d) * 2 if i % 2 else int(d) for i, d in enumerate(reversed(body + check))]
        if sum(sum(map(int, str(value))) for value in doubled) % 10 == 0:
            return check
    raise AssertionError


def cn_id(draw: random.Random) -> str:
    """A number whose check character makes 1·check + 2·a17 + 4·a16 + … ≡ 1 (mod 11), as ISO 7064 says it."""
    birth = f"{draw.randint(1930, 2020)}{draw.randint(1, 12):02}{draw.randint(1, 28):02}"
    body = f"{draw.choice(['110105', '440524', '650102'])}{birth}{draw.randint(0, 999):03}"
    for value in range(11):
        total = value + sum(int(digit) * 2**power for power, digit in enumerate(reversed(body), 1))
        if total % 11 == 1:
            return body + "0123456789X"[value]
    raise AssertionError


def planted(kind: str, draw: random.Random) -> str:
    if kind == "email":
        name = "".join(draw.choices(string.ascii_lowercase + string.digits, k=8))
        return f"a{name}@{draw.choice(['mail', 'x-y', '邮件'])}.{draw.choice(['com', 'co.uk', 'cn'])}"
    if kind == "ip":
        while not (address := ipaddress.IPv4Address(draw.randint(2**27 + 2**30, 2**31))).is_global:
            pass
        return str(address)
    if kind == "cn_id_card":
        return cn_id(draw)
    if kind == "cn_mobile":
        return draw.choice(["138", "159", "186", "199"]) + f"{draw.randint(1, 99999999):08}"
    if kind == "phone":
        return f"+44 20 7{draw.randint(200, 999)} {draw.randint(1000, 9999)}"
    prefix = {"credit_card": "4", "cn_bank_card": "62"}[kind]
    body = prefix + "".join(draw.choices(string.digits, k=15 - len(prefix)))
    number = body + luhn_check(body)
    return draw.choice([number, " ".join(number[at : at + 4] for at in range(0, 16, 4))])


WORDS = st.text(st.sampled_from("abc xyz,.;!?\n的是在人有 。，：《》é"), max_size=40)


@settings(deadline=None)
@given(st.lists(st.tuples(WORDS, st.sampled_from(list(PLACEHOLDERS)), st.integers(), st.booleans()), max_size=6))
def test_planted_identifiers_are_found_where_they_are(parts: list[tuple[str, str, int, bool]]) -> None:
    text, expected = "", []
    for words, kind, seed, wide in parts:
        text += words + ("：" if seed % 2 else " ")
        identifier = planted(kind, random.Random(seed))
        identifier = identifier.translate(FULL_WIDTH) if wide else identifier
        expected.append((kind, len(text), len(text) + len(identifier)))
        text += identifier + (" " if seed % 3 else "，")
    found = find_identifiers(["nothing", text, ""])
    assert [(item.text, item.kind, item.first, item.end) for item in found] == [(1, *item) for item in expected]
    once = redact(text, found)
    assert redacted(once) == once
    assert [once.count(name) for name in PLACEHOLDERS.values()] == [
        sum(kind == item[0] for item in expected) for kind in PLACEHOLDERS
    ]


@settings(deadline=None)
@given(st.text(st.characters(exclude_characters="@＠", exclude_categories=("Nd", "Cs"))))
def test_text_without_digits_and_at_signs_is_unchanged(text: str) -> None:
    assert redacted(text) == text


@settings(deadline=None)
@given(st.text(st.sampled_from("@.0123456789+-() /:xX1a中。＠５\n"), max_size=80))
def test_redacting_only_cuts_what_it_names(text: str) -> None:
    found = find_identifiers([text])
    assert all(0 <= a.first < a.end <= b.first for a, b in itertools.pairwise(found))
    rest = redact(text, found)
    assume(not any(name in text for name in PLACEHOLDERS.values()))
    for item in found:
        before, _, rest = rest.partition(PLACEHOLDERS[item.kind])
        assert before in text
    assert text.endswith(rest)


@pytest.mark.parametrize("kind", PLACEHOLDERS)
def test_a_kind_alone_finds_its_own(kind: str) -> None:
    draw = random.Random(3)
    for _ in range(50):
        text = f"x {planted(kind, draw)} x"
        assert redacted(text, kind) == f"x {PLACEHOLDERS[kind]} x"


# Lines of ten megabytes, and of one where there is a candidate every few characters. A pattern that goes back over
# what it has read would take days.
ADVERSARIAL = {
    "a": "a" * 10_000_000,
    "a@": "a@" * 500_000,
    "digits": "1" * 10_000_000,
    "groups": "4111 " * 200_000,
    "dots": "1." * 5_000_000,
    "labels": "a@" + "a." * 5_000_000,
    "addresses": "93.184.216.34 " * 70_000,
    "plus": "+1 2" * 2_500_000,
    "colons": "2001:" * 2_000_000,
}


@pytest.mark.parametrize("name", ADVERSARIAL)
def test_adversarial_lines(name: str) -> None:
    assert len(find_identifiers([ADVERSARIAL[name]])) == (70_000 if name == "addresses" else 0)


def calls(text: str) -> int:
    """How many functions and methods a search calls, Python's and those of C: its steps, apart from time."""
    number = 0

    def count(_: object, event: str, __: object) -> None:
        nonlocal number
        number += event in ("call", "c_call")

    previous = sys.getprofile()
    sys.setprofile(count)
    try:
        find_identifiers([text])
    finally:
        sys.setprofile(previous)
    return number


@settings(deadline=None, max_examples=60)
@given(st.text(st.sampled_from("@.0123456789+-() /:xX1a中。＠５\n"), min_size=1, max_size=12))
def test_steps_grow_as_the_text_does(repeated: str) -> None:
    calls(repeated)  # what is computed once
    once, twice, four = (calls(repeated * times) for times in (100, 200, 400))
    assert four - twice <= 2 * (twice - once) + 200
    assert four <= 40 * 400 * len(repeated) + 200


def test_bank_cards() -> None:
    body = "622202021234567890"
    assert is_cn_bank_card(body + luhn_check(body))
    assert not is_cn_bank_card("4111111111111111")

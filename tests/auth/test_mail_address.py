"""Which addresses can be a mailbox, and which of them are the same one."""

from __future__ import annotations

import pytest

from panzoto.auth.mail_address import NoMailbox, normal_form, require_mailbox, spellings


@pytest.mark.parametrize(
    ("spelt", "normal"),
    [
        ("me@example.com", "me@example.com"),
        ("me@straße.de", "me@xn--strae-oqa.de"),
        ("me@xn--strae-oqa.de", "me@xn--strae-oqa.de"),
        ("me@XN--STRAE-OQA.de", "me@xn--strae-oqa.de"),
        ("me@bücher.example", "me@xn--bcher-kva.example"),
        ("me@bu\u0308cher.example", "me@xn--bcher-kva.example"),
        ("me@βόλος.gr", "me@xn--nxasmm1c.gr"),
        ("me@日本。jp", "me@xn--wgv71a.jp"),
        ("me@\uff45xample.com", "me@example.com"),
        ("a+b.c'd@sub.example.co.uk", "a+b.c'd@sub.example.co.uk"),
        ("m..e.@example.com", "m..e.@example.com"),
        ("!#$%&'*+/=?^_`{|}~-@example.com", "!#$%&'*+/=?^_`{|}~-@example.com"),
        (f"me@{63 * 'a'}.com", f"me@{63 * 'a'}.com"),
    ],
)
def test_one_mailbox_has_one_form(spelt: str, normal: str) -> None:
    require_mailbox(spelt)
    assert normal_form(spelt) == normal
    assert normal in spellings(spelt)


def test_a_sharp_s_and_a_final_sigma_are_no_other_letters() -> None:
    assert normal_form("me@straße.de") != normal_form("me@strasse.de")
    assert normal_form("me@βόλος.gr") != normal_form("me@βόλοσ.gr")


def test_an_ordinary_address_has_one_spelling() -> None:
    assert spellings("me@example.com") == ["me@example.com"]


@pytest.mark.parametrize(
    "address",
    [
        "me\u200b@example.com",
        "me@exam\u200bple.com",
        "me@exam\u200cple.com",
        "me@exam\u200dple.com",
        "me@exam\u00adple.com",
        "me@example.com\ufe0f",
        "me@exa\u034fmple.com",
        "me@\u3164example.com",
        "me@exam\u202eple.com",
        "me\u00a0@example.com",
        "me@exam\u0378ple.com",
        "me@exam\ue000ple.com",
        "mü@example.com",
        '"me"@example.com',
        'm"e"@example.com',
        "m\\e@example.com",
        "me(at home)@example.com",
        "(c)me@example.com",
        "me,you@example.com",
        "mailto:me@example.com",
        "me;@example.com",
        "<me@example.com",
        "[me]@example.com",
        "@example.com",
        f"me@{64 * 'a'}.com",
        "me@ex_ample.com",
        "me@-example.com",
        "me@example-.com",
        "me@xn--zz.com",
        "me@☃.net",
        "me@a..b",
        "me@localhost",
        "me@192.0.2.1",
        "me@[192.0.2.1]",
        "me@",
    ],
)
def test_what_is_no_mailbox_is_refused_with_a_sentence(address: str) -> None:
    with pytest.raises(NoMailbox, match=r"^(The email|Before the|What stands)"):
        require_mailbox(address)

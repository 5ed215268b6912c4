"""Addresses of mail: which can be one, and when two of them are one mailbox.

A mailbox has one account, however its address is spelt.  The normal form has
its domain in ASCII, by IDNA 2008 (RFC 5891) after the mapping of UTS 46
without its transitional part, and what stands before the @ in NFC.  Accounts
keep the address as they registered it.
"""

from __future__ import annotations

import re
import unicodedata

import idna

# RFC 5321, 4.5.3.1.3: 256 octets for a path, whose angle brackets are two of them.
LONGEST = 254
# The earlier service's had 255 characters at the most, some of which are two in lower case; and what rows are
# found by may have 2048 bytes in DynamoDB.
LONGEST_KNOWN = 512
LONGEST_KNOWN_BYTES = 1536
FORM = re.compile(r"[^@\s\x00-\x1f\x7f]{1,64}@[^@\s\x00-\x1f\x7f]+")
# What some fonts and all keyboards do not show, beyond the categories of controls, formats and spaces:
# Default_Ignorable_Code_Point of the Unicode Character Database.
IGNORABLE = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u3164\ufe00-\ufe0f\uffa0\ufff0-\ufff8\U000e0000-\U000e0fff]"
)
UNSEEN = ("Cc", "Cf", "Cn", "Co", "Cs", "Zl", "Zp", "Zs")
# RFC 5321, 4.1.2 and 4.1.3: a name with a dot in it; what mail is sent to by its number is nobody's mailbox.
LABEL = "(?![a-z0-9-]{64})[a-z0-9]([a-z0-9-]*[a-z0-9])?"
DOMAIN = re.compile(rf"({LABEL}\.)+(?![0-9]+$){LABEL}")

# RFC 5322, 3.2.3 (atext), with dots anywhere, as some providers have given them out.  What needs quotation
# marks is read in several ways: without the marks it is somebody else's mailbox, with them it is none.
LOCAL_PART = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}")

MALFORMED = "The email address is malformed"
INVISIBLE = "The email address holds a character that cannot be seen"
LOCAL_PART_NOT_ASCII = "Before the @ an email address may only hold ASCII characters here"
LOCAL_PART_QUOTED = "Before the @ an email address may not hold quotation marks, or what would need them"
NO_DOMAIN = "What stands behind the @ of the email address is no domain name"


class NoMailbox(ValueError):
    """An address that no account may have; the text is a sentence for who typed it."""


def is_well_formed(address: str) -> bool:
    """Whether a new account may have the address by its form; `require_mailbox` asks for more."""
    return len(address) <= LONGEST and FORM.fullmatch(address) is not None


def may_be_known(address: str) -> bool:
    """Whether there may be an account of it: the earlier service asked for no form."""
    if len(address) > LONGEST_KNOWN:
        return False
    return all(len(spelling.encode()) <= LONGEST_KNOWN_BYTES for spelling in spellings(address))


def require_mailbox(address: str) -> None:
    """Raises `NoMailbox` for an address that no mail could be sent to, or that is not what it looks like."""
    if any(unicodedata.category(character) in UNSEEN for character in address) or IGNORABLE.search(address):
        raise NoMailbox(INVISIBLE)
    local, _, domain = address.rpartition("@")
    if not local.isascii():
        raise NoMailbox(LOCAL_PART_NOT_ASCII)
    if not LOCAL_PART.fullmatch(local):
        raise NoMailbox(LOCAL_PART_QUOTED)
    try:
        if not DOMAIN.fullmatch(ascii_domain(domain)):
            raise NoMailbox(NO_DOMAIN)
    except ValueError as error:
        raise NoMailbox(NO_DOMAIN) from error


def ascii_domain(domain: str) -> str:
    """Return a domain as mail servers are asked for it. Raises `ValueError` for what is none."""
    if domain.isascii() and not any(label.startswith("xn--") for label in domain.lower().split(".")):
        return domain.lower()
    try:
        return idna.encode(domain, uts46=True, std3_rules=True).decode("ascii").lower()
    except UnicodeError as error:
        raise ValueError(str(error)) from error


def normal_form(address: str) -> str:
    """Return what all spellings of one mailbox have in common; an address that is none, as it is."""
    local, at, domain = address.rpartition("@")
    try:
        return unicodedata.normalize("NFC", local) + at + ascii_domain(domain)
    except ValueError:
        return address


def spellings(address: str) -> list[str]:
    """Return how an account may have registered the mailbox: first just so, then in normal form."""
    normal = normal_form(address)
    local, at, domain = normal.rpartition("@")
    found = [address, normal]
    if "xn--" in domain:
        try:
            found.append(local + at + idna.decode(domain))
        except UnicodeError:
            return list(dict.fromkeys(found))
    return list(dict.fromkeys(found))

"""The README inside an export: how its owner opens the recordings without this service."""

README = """\
Your Panzoto recordings
=======================

open_recordings.py  opens everything: see the next lines
account.json        your account: address, vault, what is kept under the vault
recordings.jsonl    what is known of each recording, one JSON object a line
objects/<file_id>   each recording, encrypted, byte for byte as it was stored
transcripts/        what was said in recordings, sealed
missing.json        recordings whose object was not there, or whose record could
                    not be read, and `transcripts`, if any: recordings of whose
                    transcripts that is so
not_opened_yet.json only if there are any: recordings outside your folders that
                    have never opened with your keys, whose objects are not here

Unpack this archive, and in its folder run (Python 3.9 or newer):

    python3 -m pip install "cryptography>=44"
    python3 open_recordings.py

It asks for your recovery key or your password and writes each recording to a
file of its own in the folder `opened`. Beside it stands what was written of it,
if anything was: `.words.txt` has its title, note and transcript for reading,
`.transcript.json` the transcript with the times of its words. Nothing is sent
anywhere. It may also be told: `--export FOLDER` where the archive was unpacked,
`--to FOLDER` where all this shall go.


How it is done, for whoever writes another opener
-------------------------------------------------

All integers are big-endian; || joins bytes; texts in quotes are ASCII bytes.
HKDF is RFC 5869 with SHA-256, 32 bytes out, an empty salt unless one is given,
and the named text as info; AES-GCM is AES-256-GCM with its 16-byte tag at the
end. Binary values in account.json are base64, but for salts and key_id, which
are hex digits.

1. The vault key, from the password
   KEK = Argon2id(password as UTF-8, vault.kdf.salt as bytes, time_cost passes,
         memory_cost_kib KiB, parallelism lanes, version 0x13, 32 bytes)
   vault.wrapped_key = nonce (12) || AES-GCM(KEK, nonce, vault key),
         associated data = "panzoto/v2/vault" || user_id as text
   A tag that does not match means a wrong password. vault.key_id is the first
   16 bytes of HKDF(vault key, "panzoto/v2/key-id").

2. The vault key, from the recovery key
   The recovery key is 32 bytes, written as 14 groups of 4 characters, joined
   by hyphens. The alphabet is Crockford's base 32, in which each character is
   5 bits, the first one standing for 0:
         0123456789ABCDEFGHJKMNPQRSTVWXYZ
   Read it so: leave out hyphens and spaces, make all letters capital, read O
   as 0, I and L as 1. The first 13 groups (52 characters, 260 bits, the most
   significant first) are the 32 bytes followed by 4 bits that are zero. The
   14th group (4 characters, 20 bits) is a checksum: the first 20 bits of the
   SHA-256 of the 32 bytes. For example, the bytes 00 01 02 ... 1f are written
         000G-40R4-0M30-E209-185G-R38E-1W81-
         24GK-2GAH-C5RR-34D1-P70X-3RFG-CC6W
   KEK = HKDF(the 32 bytes, "panzoto/v2/recovery")
   recovery.wrapped_key = nonce (12) || AES-GCM(KEK, nonce, vault key),
         associated data = "panzoto/v2/recovery" || user_id as text

3. Which recording is which
   Each line of recordings.jsonl has the file_id, under which the object lies
   in `objects`, and the s3_key, which is part of what was encrypted. An object
   that begins with the bytes "PNZ2" is of paragraph 4, any other one of
   paragraph 5 (by chance one of paragraph 5 may begin like that as well: try
   both).

4. Version 2
   wrapping key = HKDF(vault key, "panzoto/v2/wrap")
   file key     = AES-GCM(wrapping key, nonce = bytes 22-33, bytes 34-81,
                  associated data = bytes 0-21)
   bytes 82-113 = HKDF(file key, "panzoto/v2/commit" || bytes 0-81)
   key value    = HKDF(file key, "panzoto/v2/stream")
   From byte 128 on it is a Tink streaming AEAD (AES256-GCM-HKDF-SHA256, 64 KiB
   segments, derived key of 32 bytes) under key value, whose associated data is
   bytes 0-127 || s3_key as UTF-8. By hand:
     byte 128 is 0x28, then salt (32) and nonce prefix (7)
     segment key = HKDF(key value, info = associated data, salt = salt)
     segment i begins at 128 + i * 65536 (segment 0 after those 40 bytes) and is
     AES-GCM(segment key, nonce, plain bytes), where
     nonce = prefix || i as 4 bytes || one byte, 1 for the last segment, else 0

5. What the earlier phones wrote
   object = IV || AES-GCM(key, IV, recording), no associated data
   The IV has 12 or 16 bytes. The key comes from the password of the day on
   which the recording was made:
         key = PBKDF2-HMAC-SHA256(password, salt, 100000 rounds, 32 bytes)
   where the salt is either the 32 bytes of key_salt or its 64 hex digits as
   ASCII. Nothing says which of the four it is, only the tag: try them.
   Keys that need no password: each entry of earlier_direct_keys, of earlier
   passwords and of the one that was valid when the recovery key was made, has
   keys = nonce (12) || AES-GCM(HKDF(vault key, "panzoto/v2/direct"), nonce,
         two keys), associated data = "panzoto/v2/direct" || user_id as text
   The first 32 bytes are the key of the raw salt, the others of the hex digits.

6. Transcripts
   transcripts/<file_id>.hpke is HPKE (RFC 9180) in base mode, single shot, with
   DHKEM(X25519, HKDF-SHA256), HKDF-SHA256 and AES-256-GCM: the encapsulated
   key (32 bytes) || ciphertext, no associated data.
   private key = HKDF(vault key, "panzoto/v2/transcripts"), as X25519 takes it
   info        = "panzoto/v2/transcript" || 00 || user_id || 00 || file_id
   What opens is one byte and then JSON: 00 as it is, 01 in raw DEFLATE. For
   example, with Python's cryptography (48 or newer):
     suite = hpke.Suite(hpke.KEM.X25519, hpke.KDF.HKDF_SHA256,
                        hpke.AEAD.AES_256_GCM)
     opened = suite.decrypt(sealed,
         X25519PrivateKey.from_private_bytes(private_key), info)

7. Titles and notes
   Where an app has written them in the common form, title and note are base64
   of nonce (12) || AES-GCM(HKDF(vault key, "panzoto/v2/names"), nonce, text as
   UTF-8), associated data = "panzoto/v2/title" or "panzoto/v2/note" || 00 ||
   file_id
"""

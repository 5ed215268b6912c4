"""The README inside an export: how its owner opens the recordings without this service."""

README = """\
Your Panzoto recordings
=======================

account.json      your account: address, vault, and what is kept under the vault
recordings.jsonl  what is known of each recording, one JSON object a line
objects/<file_id> each recording, encrypted, byte for byte as it was stored
missing.json      recordings whose object was not there

Everything opens with your password and nothing else. All integers are
big-endian; HKDF is RFC 5869 with SHA-256 and an empty salt unless one is
given; AES-GCM is AES-256-GCM with its 16-byte tag at the end.

1. The vault key
   KEK = Argon2id(password as UTF-8, vault.kdf.salt as bytes, time_cost passes,
         memory_cost_kib KiB, parallelism lanes, version 0x13, 32 bytes)
   vault.wrapped_key (base64) = nonce (12) || AES-GCM(KEK, nonce, vault key),
         associated data = "panzoto/v2/vault" followed by user_id
   With a recovery key instead: KEK = HKDF(its 32 bytes, "panzoto/v2/recovery"),
         recovery.wrapped_key the same way with "panzoto/v2/recovery".

2. A recording that begins with PNZ2
   wrapping key = HKDF(vault key, "panzoto/v2/wrap")
   file key     = AES-GCM(wrapping key, nonce = bytes 22-33, bytes 34-81,
                  associated data = bytes 0-21)
   key value    = HKDF(file key, "panzoto/v2/stream")
   From byte 128 on it is a Tink streaming AEAD (AES256-GCM-HKDF-SHA256, 64 KiB
   segments, derived key of 32 bytes) under key value, whose associated data is
   bytes 0-127 followed by the recording's s3_key as UTF-8. By hand:
     byte 128 is 0x28, then salt (32) and nonce prefix (7)
     segment key = HKDF(key value, associated data, salt = salt)
     segment i begins at 128 + i * 65536 (segment 0 after those 40 bytes) and is
     AES-GCM(segment key, nonce = prefix || i as 4 bytes || 1 for the last, else 0)

3. Any other recording (what phones wrote before)
   key = PBKDF2-HMAC-SHA256(password, salt = key_salt, 100000 rounds, 32 bytes)
   object = IV || AES-GCM(key, IV, recording), where the IV has 12 or 16 bytes
   and the salt is either the 32 bytes of key_salt or its 64 hex digits as
   ASCII. Only the tag tells which: try the four.
   Recordings of an earlier password: each entry of earlier_direct_keys holds
   keys (base64) = nonce (12) || AES-GCM(HKDF(vault key, "panzoto/v2/direct"),
   nonce, both keys), associated data = "panzoto/v2/direct" followed by user_id.
   The first 32 bytes are the key of the raw salt, the others of the hex digits.
"""

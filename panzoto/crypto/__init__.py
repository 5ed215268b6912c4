"""Keys and bytes: key and bytes in, bytes out. Nothing here knows Flask, DynamoDB or S3.

The formats of recordings, the vault, key derivation and sealed values; cryptography is used here alone.
"""

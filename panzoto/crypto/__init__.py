"""Keys and bytes: key and bytes in, bytes out. Nothing here knows Flask, DynamoDB or S3."""

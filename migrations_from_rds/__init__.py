"""The one move of the legacy PostgreSQL database into DynamoDB, with proof. Nothing imports this package.

    python -m migrations_from_rds plan | copy | verify | rollback

docs/migration.md tells the evening step by step.
"""

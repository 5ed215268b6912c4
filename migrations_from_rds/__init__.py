"""The one move of the legacy PostgreSQL database into DynamoDB, with proof. Nothing imports this package.

    python -m migrations_from_rds plan | copy | verify | rollback

docs/migration.md tells the evening step by step. `layout` names the columns, `source_schema` says their
types, `source_queries` reads them into `rows`, and `transform` makes of them what is written.
"""

"""Letters to an account's owner: what they say, how they leave, and the codes in them that come back.

`post` is the only module that speaks SES. It may touch the models and crypto (codes are sealed values).
"""

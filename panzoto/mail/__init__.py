"""Letters to an account's owner: what they say, how they leave, and the codes in them that come back.

A `mailbox` makes `errands`, the `post` hands them to the queue, and whoever works on that has them written
and carried. `transports` is the only module that speaks SES. The room may touch the models, queues and crypto
(codes and errands are sealed values).
"""

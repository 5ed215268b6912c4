"""Queues of SQS: what they are like, how their messages are held, and the one loop that works on them.

`queue` is the only module that speaks SQS. `consumer` knows no AWS and calls a verb for each message, which
may come twice: whoever gives the verb sees to it that doing a thing twice changes nothing. `queue_definition`
says how a queue must be, for the commands and for the templates. Nothing here knows accounts or recordings.
"""

"""What lies between gunicorn and the views, and all that knows Flask below them.

Request ids, the client's address, errors as JSON, response headers, which pages may call (CORS), and the
guard that asks who is calling. It may touch the services and what is below; it holds no rule of a noun.
"""

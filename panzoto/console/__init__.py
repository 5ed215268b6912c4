"""The console: the service's face in a browser, static files that are served as they are written.

`release` reads them once and knows their hash. All else here is JavaScript, in rooms of its own that
docs/architecture.md draws: `library` (keys, formats and calls, which the Node example shares), `session`,
`parts`, `views`, `recordings`, `playing`, `uploading`, `words` and `texts`.
"""

"""What was said: speech engines and their answers, and transcripts: documents, sealed ones, search."""

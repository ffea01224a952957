"""One machine's installation: the private broker, the API and the worker under one small supervisor."""

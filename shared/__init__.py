"""The broker itself: the lifecycle of jobs, the store that keeps them, and the wire that wakes workers.

Nothing here knows the web, the environment or the Celery application; the composition roots (`api`, `worker`,
`launcher`) hand in what is needed.
"""

"""The agent: the process beside each Celery worker that holds its leases, acts on flags, and leaves nothing behind.

It is the parent of Celery main and a subreaper, so every orphan of a dead pool child falls to it. Its main loop touches
neither database nor broker; threads do, so that no outage keeps it from stopping a job in time.
"""

"""python3 follow.py URL SINCE LIMIT: prints LIMIT records from entry SINCE on, each as soon as it is durable.

/v1/follow is a stream of server-sent events. This example ends with the stream; a program that must not miss a record
reconnects with the header Last-Event-ID, the id of the last event that it received.
"""

import json
import sys
import urllib.request

url, since, limit = sys.argv[1:]

# The server sends a comment every 15 s, so a stream that is silent for longer is broken.
with urllib.request.urlopen(f"{url}v1/follow?since={since}&limit={limit}", timeout=45) as stream:
    event = {}
    for line in stream:
        field, _, value = line.decode().rstrip("\n").partition(": ")
        if field in ("event", "data"):
            event[field] = value
        elif field == "":  # An empty line ends an event.
            if event.get("event") == "record":
                record = json.loads(event["data"])
                print(record["cursor"], record["payload_id"], flush=True)
            elif event.get("event") == "problem":
                sys.exit(event["data"])
            event = {}

"""python3 append.py URL ID FILE: appends a file as one record."""

import json
import sys
import urllib.request

url, record_id, file = sys.argv[1:]
with open(file, "rb") as f:
    payload = f.read()

# Header fields are Latin-1 in http.client, and the ledger reads UTF-8: send the id's bytes unchanged.
request = urllib.request.Request(
    url + "v1/append",
    data=payload,
    headers={
        "Content-Type": "application/octet-stream",
        "X-Payload-ID": record_id.encode().decode("latin-1"),
    },
)
with urllib.request.urlopen(request, timeout=60) as answer:
    receipt = json.load(answer)
already = " (it was already there)" if receipt["duplicate"] else ""
print(f"{record_id} is entry {receipt['index']}{already}")

#!/bin/sh
# append.sh URL ID FILE: appends a file as one record, and prints the receipt.
set -eu
curl --silent --show-error --fail-with-body --max-time 60 \
  -H 'Content-Type: application/octet-stream' -H "X-Payload-ID: $2" --data-binary "@$3" "$1v1/append"
echo

#!/bin/sh
# follow.sh URL SINCE LIMIT: prints LIMIT records from entry SINCE on, each as soon as it is durable, as one JSON object per line.
# /v1/follow is a stream of server-sent events; the data of a record is the line after `event: record`.
set -eu
curl --silent --show-error --fail-with-body --no-buffer "$1v1/follow?since=$2&limit=$3" |
  sed -n '/^event: record$/{n;s/^data: //p;}'

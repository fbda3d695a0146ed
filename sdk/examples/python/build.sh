#!/bin/sh
# Makes one executable file of the driver: build.sh [output]. One file, because agents run a plugin from a copy that they
# keep by its digest. Needs protoc; running it needs Python 3 with grpcio, protobuf and msgpack (Debian: python3-grpcio,
# python3-protobuf, python3-msgpack).
set -eu
here=$(cd "$(dirname "$0")" && pwd)
output=${1:-drover-driver-python}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cp "$here"/src/*.py "$work"
protoc -I "drover/plugin=$here/../../proto" --python_out="$work" \
	drover/plugin/hclspec/v1/hclspec.proto drover/plugin/structs/v1/structs.proto \
	drover/plugin/base/v1/base.proto drover/plugin/driver/v1/driver.proto
python3 -m zipapp "$work" --python "${PYTHON:-/usr/bin/env python3}" --output "$output"

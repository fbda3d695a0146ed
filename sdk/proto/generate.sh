#!/bin/sh
# Makes the Go code of the messages in this folder. Needs protoc (Debian: protobuf-compiler); protoc-gen-go comes from
# the version of google.golang.org/protobuf in go.mod.
#
# Files are registered as drover/plugin/<contract>/<version>/<name>.proto and messages in packages of our own, so that
# this SDK and others of the same wire contract link into one binary. Services are described by hand in service.go
# beside the messages, because their names on the wire are the public contract's.
set -eu
cd "$(dirname "$0")"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
(cd .. && GOWORK=off go build -o "$work/protoc-gen-go" google.golang.org/protobuf/cmd/protoc-gen-go)
protoc --plugin="$work/protoc-gen-go" -I "drover/plugin=." \
	--go_out=. --go_opt=module=github.com/droverhq/drover/sdk/proto \
	drover/plugin/hclspec/v1/hclspec.proto \
	drover/plugin/structs/v1/structs.proto \
	drover/plugin/base/v1/base.proto \
	drover/plugin/driver/v1/driver.proto \
	drover/plugin/device/v1/device.proto \
	drover/plugin/network/v1/network.proto \
	drover/plugin/extension/v1/extension.proto \
	drover/plugin/goplugin/v1/goplugin.proto

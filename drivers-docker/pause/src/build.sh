#!/usr/bin/env bash
# Builds the pause programs that are embedded; run by go generate. Needs gcc and, for arm64, gcc-aarch64-linux-gnu.
set -eu
cd "$(dirname "$0")"
flags=(-Os -static -nostdlib -nostartfiles -ffreestanding -fno-stack-protector -fno-asynchronous-unwind-tables
  -Wl,--build-id=none -Wl,-z,noseparate-code -Wl,-z,norelro -Wl,-z,max-page-size=4096 -Wall -Wextra -Werror)
for target in amd64:x86_64-linux-gnu arm64:aarch64-linux-gnu; do
  cc="${target#*:}-gcc"
  command -v "$cc" >/dev/null || { echo "$cc is missing: pause_${target%%:*} is not rebuilt" >&2; continue; }
  "$cc" "${flags[@]}" -o "../pause_${target%%:*}.bin" pause.c
  "${target#*:}-strip" --strip-all -R .comment -R .note.gnu.property "../pause_${target%%:*}.bin"
done

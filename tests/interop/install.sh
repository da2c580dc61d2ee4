#!/bin/sh
# Installs the programs and libraries of other languages that tests/interop needs, where they are
# missing (Debian, Ubuntu). Doing it twice does nothing the second time.
#
# What npm and pip bring (ioredis, runqy-task, runqy-python) the tests fetch themselves, into
# temporary folders.
set -eu

missing=""
program() { command -v "$1" >/dev/null 2>&1 || missing="$missing $2"; }
go_library() { [ -d "/usr/share/gocode/src/$1" ] || missing="$missing $2"; }

program redis-cli redis-tools
program node nodejs
program npm npm
program go golang-go
go_library gopkg.in/redis.v5 golang-gopkg-redis.v5-dev
go_library github.com/google/uuid golang-github-google-uuid-dev

if [ -z "$missing" ]; then
  exit 0
fi
as_root=""
if [ "$(id -u)" != 0 ]; then
  as_root=sudo
fi
$as_root apt-get update -q
# shellcheck disable=SC2086 # a list of package names
$as_root env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends $missing

#!/usr/bin/env bash
# Installs what the tests need beyond Python, where it is missing and can be installed: as root on
# Debian. Elsewhere the tests concerned are skipped, with the reason; in CI they fail.
set -euo pipefail
cd "$(dirname "$0")"

if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
  echo "Not root on Debian: tests whose tools are missing will be skipped."
  exit 0
fi
missing() {
  ! dpkg --status "$1" >/dev/null 2>&1
}
if ! command -v redis-server >/dev/null || missing faketime || missing postgresql ||
  missing mariadb-server || missing rabbitmq-server; then
  apt-get update -qq
fi
if ! command -v redis-server >/dev/null; then
  # RUNLEVEL=1: the package's own service on port 6379 must not start.
  RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends redis-server >/dev/null
fi
for package in faketime postgresql mariadb-server rabbitmq-server; do
  if missing "$package"; then
    # RUNLEVEL=1 here too: the tests start servers of their own.
    RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$package" >/dev/null
  fi
done
if ! command -v chromium >/dev/null; then
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium fonts-dejavu-core >/dev/null
fi
bash interop/install.sh

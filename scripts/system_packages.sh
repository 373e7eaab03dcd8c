#!/bin/sh
# Install what the tests need from the system, where this is allowed; say plainly where it is not.
missing=""
command -v chromium >/dev/null 2>&1 || command -v chromium-browser >/dev/null 2>&1 \
    || command -v google-chrome >/dev/null 2>&1 || missing="$missing chromium"
ldconfig -p 2>/dev/null | grep -q libgfortran.so.5 || missing="$missing libgfortran5"
[ -z "$missing" ] && exit 0
if command -v apt-get >/dev/null 2>&1 && [ "$(id -u)" = 0 ]; then
    echo "Installing$missing ..."
    if apt-get update -qq && DEBIAN_FRONTEND=noninteractive \
        apt-get install -y -qq --no-install-recommends $missing >/dev/null; then
        exit 0
    fi
fi
echo "Not installed:$missing. The tests that need them will be skipped and say so;"
echo "on Debian or Ubuntu: sudo apt-get install$missing"
exit 0

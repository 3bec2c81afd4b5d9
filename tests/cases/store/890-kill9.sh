#!/bin/sh
# kill -9 of a loaded mount 20 times: see tests/crash/kill9.sh.
# Serves: R30
exec sh "$(dirname "$0")/../../crash/kill9.sh" "$@"

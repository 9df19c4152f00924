#!/bin/sh
# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 The kva authors
#
# scripts/long.sh must run all its steps, also after a failure, and count them: here with a ./dev that only
# records its arguments.
set -eu

fail()
{
    echo "FAILED: $*" >&2
    exit 1
}

mkdir -p tree/scripts
cp "$KVA_SOURCE/scripts/long.sh" "$KVA_SOURCE/scripts/steps.bash" tree/scripts
cat >tree/dev <<'END'
#!/bin/sh
echo "$* at ${KVA_TEST_SCALE:-no scale}" >>asked
case $* in
'test '*) echo "${PASSED:-3 passed, 0 failed}" ;;
esac
[ "$*" != "${BAD:-}" ]
END
chmod +x tree/dev

# long STATUS: run it, without a terminal.
long()
{
    status=0
    rm -f tree/asked
    tree/scripts/long.sh >out 2>&1 || status=$?
    [ "$status" -eq "$1" ] || fail "status $status instead of $1: $(cat out)"
    [ "$(wc -l <tree/asked)" -eq "$steps" ] || fail "not all steps have run: $(cat tree/asked)"
}

steps=$(grep -c '^    ".*:.*"$' "$KVA_SOURCE/scripts/long.sh")
long 0
tests=$(grep -c '^test ' tree/asked)
others=$((steps - tests))
[ "$tests" -gt 0 ] && [ "$others" -gt 0 ]
[ "$(tail -n 1 out)" = "$((3 * tests + others)) passed, 0 failed" ] || fail "the count: $(cat out)"
# Every preset whose tests CI runs below full scale is included.
jq -r '.testPresets[] | select(.environment.KVA_TEST_SCALE and .name != "coverage").name' \
    "$KVA_SOURCE/CMakePresets.json" | sort >presets
sed -n 's/^test \([a-z0-9]*\) at [1-9].*/\1/p' tree/asked | sort | diff presets - >&2 ||
    fail "presets are missing"

grep -q '^stress 1h at ' tree/asked || fail 'no stress'
grep -q 'kva test frames stress --time' "$KVA_SOURCE/dev" || fail 'dev stress leaves page frames out'

BAD=mutate long 1
[ "$(tail -n 1 out)" = "$((3 * tests + others - 1)) passed, 1 failed" ] || fail "a failure: $(cat out)"
grep -q '^all mutations: FAILED, see build/long/' out || fail "the step that failed is not named: $(cat out)"
BAD='test tsan' PASSED='2 passed, 1 failed' long 1
[ "$(tail -n 1 out)" = "$((2 * tests + others)) passed, $tests failed" ] || fail "counts of tests: $(cat out)"
if tree/scripts/long.sh now >out 2>&1; then
    fail "an argument was accepted"
fi

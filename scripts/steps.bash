# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 The kva authors
#
# Shared by .ci/run and scripts/long.sh: count steps, and end with the line "N passed, N failed".
# shellcheck shell=bash
passed=0
failed=0

# tally STATUS LOG: count a step that has ended: once, or by its own last line if that is a count. A count of zero
# tests is a failure.
tally()
{
    if [[ $(tail -n 1 "$2") =~ ^0\ passed,\ 0\ failed ]]; then
        failed=$((failed + 1))
    elif [[ $(tail -n 1 "$2") =~ ^([0-9]+)\ passed,\ ([0-9]+)\ failed(,\ [0-9]+\ skipped)?$ ]]; then
        passed=$((passed + BASH_REMATCH[1]))
        failed=$((failed + BASH_REMATCH[2]))
    elif [ "$1" -eq 0 ]; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
    fi
}

# report STATUS: print the count as the last line. A run that ended early without a count counts as one failure.
# Returns 1 unless all have passed.
report()
{
    if [ "$1" -ne 0 ] && [ "$failed" -eq 0 ] || [ "$passed" -eq 0 ] && [ "$failed" -eq 0 ]; then
        failed=1
    fi
    printf '\n%s in %d:%02d minutes\n' "$([ "$failed" -eq 0 ] && echo 'All passed' || echo FAILED)" \
        $((SECONDS / 60)) $((SECONDS % 60))
    echo "$passed passed, $failed failed"
    [ "$failed" -eq 0 ]
}

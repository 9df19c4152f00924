#!/bin/sh
# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 The kva authors
#
# Plant known bugs one by one: the tests must catch each. tests/mutations/README.md defines a mutation.
#
# Each worker has a copy of the sources and two builds of it, at check levels 0 and 3. It first runs all tests without
# a mutation (the control), and notes how long each takes. Then, for each of its mutations, it builds and runs one
# test after the other, the quickest first, until one fails. Level 0 comes first, with the tests alone. A mutation
# that passes them is tried at level 3, with the checks inside the library.
set -eu
LC_ALL=C
export LC_ALL

cd "$(dirname "$0")/.."
root=$PWD

usage()
{
    cat <<'END'
Usage: ./dev mutate [--list | --check | --diff] [NAME...]

Plant the mutations of tests/mutations one by one and run the tests on each. With names, only those: a number
(007), a name without its number, or both. --list names all of them; --check only verifies, in a second,
that every mutation still applies to the sources; --diff shows what each changes.

Exits with 0 if all were caught, 1 if one survived, 2 on other errors: a mutation that no longer applies or
builds, or tests that fail without a mutation.

KVA_TEST_SCALE (default 0.1) is the tests' own scale. KVA_MUTATE_JOBS is how many mutations are tried at once
(default: one per CPU).
END
}

# die MESSAGE...: exit with 2. Workers call it as well, so the message goes where report_all looks for it.
die()
{
    echo "mutate: $*" >>"$work/failed"
    exit 2
}

# ------------------------------------------------------------------------------------------ mutations

name_of()
{
    basename "$1" .mutation
}

# field NAME MUTATION: print the header line NAME.
field()
{
    sed -n "s/^$1: //p" "$2"
}

# selected [NAME...]: print the files of the mutations with these names; without names, all.
selected()
{
    if [ $# -eq 0 ]; then
        ls "$root"/tests/mutations/*.mutation
        return
    fi
    for want in "$@"; do
        hits=
        for mutation in "$root"/tests/mutations/*.mutation; do
            case $(name_of "$mutation") in
            "$want" | "$want"-* | [0-9]*-"$want") hits="$hits $mutation" ;;
            esac
        done
        if [ -z "$hits" ]; then
            echo "mutate: unknown mutation '$want'; see ./dev mutate --list" >&2
            return 2
        fi
        printf '%s\n' "$hits" | tr -s ' ' '\n' | sed '/^$/d'
    done
}

list_all()
{
    for mutation in "$root"/tests/mutations/*.mutation; do
        printf '%-40s %s\n' "$(name_of "$mutation")" "$(field Breaks "$mutation")"
    done
}

# plant FOLDER: plant the mutations in $work/mutations. Writes "name file" to $work/plants and, unless FOLDER is
# empty, the changed file to FOLDER/name. Fails if one does not apply, and reports why.
plant()
{
    # shellcheck disable=SC2046  # paths without blanks
    awk -v planted="$1" -f scripts/plant.awk "$work/mutations" \
        $(find src ports include -name '*.[ch]') >"$work/plants"
}

# diff_all: print what each plant changes.
diff_all()
{
    while read -r name file; do
        diff -u -L "$file" -L "$name" "$file" "$work/planted/$name" || true
    done <"$work/plants"
}

# ------------------------------------------------------------------------------------- building and testing

# build LEVEL TARGET: in the worker's folder.
build()
{
    cmake --build "level$1" --target "$2" -j 1 >build.log 2>&1
}

# errors COUNT: print the first COUNT errors of the last build.
errors()
{
    grep -m "$1" -e error -e undefined build.log || true
}

# run LEVEL TEST SECONDS: run one test program. A mutant may loop for ever or take all memory.
run()
{
    (
        # shellcheck disable=SC3045  # not in POSIX, but in dash, bash and busybox
        ulimit -c 0 && ulimit -S -d 8388608
        timeout -k 1 "$3" "level$1/tests/$2" || exit # not the last command, so that this shell reports a crash
    ) >test.log 2>&1                                 # here, not the shell outside
}

# control LEVEL: build everything without a mutation; every test must pass. Writes "milliseconds test", sorted, to
# order.LEVEL. The sources must not be mutated when this is called.
control()
{
    [ ! -e "order.$1" ] || return 0
    cmake -S source -B "level$1" -G Ninja -DCMAKE_C_FLAGS=-O1 -DCMAKE_BUILD_TYPE= -DKVA_CHECK_LEVEL="$1" \
        -DKVA_BUILD_TOOLS=OFF -DKVA_INSTALL=OFF -DKVA_TEST_SCRIPTS=OFF >build.log 2>&1 ||
        die "cmake fails without a mutation: $(tail -n 3 build.log)"
    build "$1" all || die "the tests do not build without a mutation: $(errors 3)"
    for test in "level$1"/tests/base_test_* "level$1"/tests/engine_test_* "level$1"/tests/space_test_* \
        "level$1"/tests/frames_test_* \
        "level$1"/tests/vmap_test_* "level$1"/tests/fuzz_test_* "level$1"/tests/threads_test_* \
        "level$1"/tests/cost_test_* "level$1"/tests/hosted_test_*; do
        test=$(basename "$test")
        began=$(date +%s%N)
        run "$1" "$test" 300 || die "$test fails at check level $1 without a mutation"
        echo "$((($(date +%s%N) - began) / 1000000)) $test"
    done >unsorted
    sort -n unsorted >"order.$1"
}

# why STATUS: print how the last test program failed, in a word or by the name of the test. Nothing if it could not be
# run: that must not count as caught.
why()
{
    if [ "$1" -eq 124 ] || [ "$1" -eq 137 ]; then
        echo " hangs"
    elif grep -q '^\[  FAILED  \] [a-z_0-9]*$' test.log; then
        sed -n 's/^\[  FAILED  \] \([a-z_0-9]*\)$/: \1/p' test.log | head -n 1
    elif [ "$1" -gt 128 ]; then
        echo " crashes"
    fi
}

# hunt LEVEL NAME: run the tests on the present sources until one fails. Sets `found` to it, or to the empty string.
hunt()
{
    found=
    while read -r milliseconds test; do
        build "$1" "$test" || die "$2 does not build: update it. $(errors 1)"
        status=0
        run "$1" "$test" $((10 + milliseconds / 200)) || status=$?
        if [ "$status" -ne 0 ]; then
            reason=$(why "$status")
            [ -n "$reason" ] || die "$2: cannot run $test: $(tail -n 1 test.log)"
            found="${test%%_test_*}/test_${test#*_test_}$reason"
            return
        fi
    done <"order.$1"
}

# try MUTATION: print one line, "caught-by where", for the table.
try()
{
    name=$(name_of "$1")
    file=$(sed -n "s|^$name ||p" "$work/plants")
    for level in 0 3; do
        control "$level"
        cp "$work/planted/$name" "source/$file"
        hunt "$level" "$name"
        cp "$work/pristine/$file" "source/$file"
        [ -z "$found" ] || break
    done
    if [ -z "$found" ]; then
        echo "SURVIVED $(field Breaks "$1")"
    elif [ "$level" -eq 0 ]; then
        echo "tests $found"
    else
        echo "checks $found"
    fi
}

# worker NUMBER OF: try every OF-th mutation, from the NUMBER-th.
worker()
{
    # If it ends before its work is done, the report must not wait for it.
    trap '[ -e finished ] || [ -e "$work/failed" ] || echo "mutate: a worker stopped" >>"$work/failed"' EXIT
    mkdir "$work/$1"
    cd "$work/$1"
    cp -R "$work/pristine" source
    control 0
    awk -v number="$1" -v of="$2" 'NR % of == number % of' "$work/mutations" >mine
    while read -r mutation; do
        try "$mutation" >line
        mv line "$work/$(name_of "$mutation").result"
    done <mine
    touch finished
}

# ------------------------------------------------------------------------------------------------ report

progress()
{
    [ -t 2 ] || return 0
    printf '\r\033[K%s' "$1" >&2
}

# wait_for FILE MESSAGE: fails if a worker fails.
wait_for()
{
    while [ ! -e "$1" ]; do
        progress "$2"
        if [ -e "$work/failed" ]; then
            progress ""
            cat "$work/failed" >&2
            return 2
        fi
        sleep 0.2
    done
    progress ""
}

report_all()
{
    row='%-40s  %-9s  %s\n'
    all=$(wc -l <"$work/mutations")
    caught=0
    survived=0
    # shellcheck disable=SC2059  # the format is above
    printf "$row" Mutation "Caught by" Where
    while read -r mutation; do
        name=$(name_of "$mutation")
        wait_for "$work/$name.result" "$((caught + survived)) of $all: $name" || return 2
        read -r by where <"$work/$name.result"
        # shellcheck disable=SC2059
        printf "$row" "$name" "$by" "$where"
        if [ "$by" = SURVIVED ]; then
            survived=$((survived + 1))
        else
            caught=$((caught + 1))
        fi
    done <"$work/mutations"
    echo
    echo "$caught caught, $survived survived"
    [ "$survived" -eq 0 ]
}

# A worker's last compiler or test may still write after the worker has ended: retry until no file is left.
cleanup()
{
    # shellcheck disable=SC2086  # a list of numbers
    [ -z "$workers" ] || kill $workers 2>/dev/null || true
    for _ in 1 2 3 4 5 6 7 8 9; do
        rm -rf "$work" 2>/dev/null && break
        sleep 0.2
    done
}

action=try
case ${1:-} in
-h | --help)
    usage
    exit 0
    ;;
--check | --diff)
    action=${1#--}
    shift
    ;;
--list)
    list_all
    exit 0
    ;;
-*)
    usage >&2
    exit 2
    ;;
esac

workers=
work=$(mktemp -d)
trap cleanup EXIT
trap 'exit 130' HUP INT TERM
selected "$@" >"$work/mutations" || exit 2
if [ "$action" = check ]; then
    plant "" || exit 2
    echo "$(($(wc -l <"$work/mutations"))) mutations apply"
    exit 0
fi
mkdir "$work/planted"
plant "$work/planted" || exit 2
if [ "$action" = diff ]; then
    diff_all
    exit 0
fi
mkdir "$work/pristine"
cp -R include src ports tests cmake CMakeLists.txt "$work/pristine"
: "${KVA_TEST_SCALE:=0.1}"
export KVA_TEST_SCALE
jobs=${KVA_MUTATE_JOBS:-$(getconf _NPROCESSORS_ONLN 2>/dev/null || echo 1)}
for number in $(seq "$jobs"); do
    worker "$number" "$jobs" </dev/null &
    workers="$workers $!"
done
report_all

#!/bin/sh
# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 The kva authors
#
# Measure, and write the results into docs/: benchmarks.json (all figures), benchmarks.svg (the chart) and the
# results section of benchmarks.md. Takes about 25 minutes on an idle machine.
#
#     bench/plot/record.sh [ARGUMENT of kva bench...]     measure with these arguments, then draw
#     bench/plot/record.sh --draw                         draw from the existing docs/benchmarks.json
#
# KVA is the program; default: build/release/kva. Needs jq and gnuplot.
set -eu

cd "$(dirname "$0")/../.."
kva=${KVA:-build/release/kva}
json=docs/benchmarks.json
page=docs/benchmarks.md

for tool in jq gnuplot; do
    if ! command -v "$tool" >/dev/null 2>&1; then
        echo "record.sh: $tool is missing; install it (on Debian: apt-get install jq gnuplot-nox)" >&2
        exit 3
    fi
done

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

if [ "${1-}" != --draw ]; then
    "$kva" bench --json --output "$scratch/results.json" "$@"
    mv "$scratch/results.json" "$json"
fi

for what in markdown churn others; do
    jq -r --arg what "$what" -f bench/plot/results.jq "$json" >"$scratch/$what"
done
gnuplot -e "churn='$scratch/churn'; others='$scratch/others'; picture='$scratch/picture.svg'" bench/plot/results.gp
mv "$scratch/picture.svg" docs/benchmarks.svg

# The results are between two markers; the rest of the page is written by hand.
awk -v results="$scratch/markdown" '
    /<!-- results: end -->/ { inside = 0 }
    !inside { print }
    /<!-- results: begin/ {
        inside = 1
        print ""
        while ((getline line < results) > 0)
            print line
        print ""
    }
' "$page" >"$scratch/page"
cat "$scratch/page" >"$page"
echo "recorded: $json, docs/benchmarks.svg, $page"

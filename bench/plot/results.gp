# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 The kva authors
#
# Two panels: the churn over the number of live ranges, and a bar for each engine in the other workloads.
# Call it with -e "churn='FILE'; others='FILE'; picture='FILE'"; results.jq writes the files.
set terminal svg size 1100,480 font "sans-serif,12" background rgb "white"
set output picture
set multiplot layout 1,2
set grid ytics linecolor rgb "#dddddd"
set key outside top center horizontal Left reverse
set logscale y
set format y "10^{%T}"
set rmargin 8
set ylabel "nanoseconds (lower is better)"

# Columns of the files: n or the workload, the engines, and in the first file the published figures.
stats churn skip 1 nooutput
engines = STATS_columns - 2
colours = "#1f77b4 #d62728 #2ca02c #9467bd #8c564b #e377c2"
colour(i) = word(colours, 1 + (i - 2) % words(colours))

set title "churn: free one, allocate another"
set logscale x
set format x "10^{%T}"
set xlabel "live ranges"
set xrange [600:1.6e6]
plot for [i = 2:engines + 1] churn using 1:i with linespoints linewidth 2 pointtype 7 pointsize 0.7 \
         linecolor rgb colour(i) title columnheader(i), \
     churn using 1:engines + 2 with linespoints dashtype 2 pointtype 6 linecolor rgb "#777777" \
         title "published for rb's design"

set title "the other workloads"
unset logscale x
set format x
unset xlabel
set xrange [*:*]
set style data histograms
set style histogram clustered gap 1
set style fill solid 0.9 noborder
set xtics rotate by -60 nomirror
plot for [i = 2:engines + 1] others using i:xtic(1) linecolor rgb colour(i) title columnheader(i)
unset multiplot

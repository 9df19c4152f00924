# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 The kva authors
#
# Turn the JSON of kva bench into the results section of docs/benchmarks.md, or into data for results.gp:
# jq -r -f results.jq --arg what markdown | churn | others.

# Other figures for one pair of the churn in user space, by the number of live ranges, in nanoseconds: the design of the
# rb engine as of 2019; an experiment that preceded bt, with 64-bit and with compact leaves; and two allocators that
# return handles, without an order of addresses and without windows: TLSF, and an offset allocator with 256 bins.
def published: {"1000": 257, "10000": 411, "100000": 1370, "1000000": 3014};
def experiment: {"1000": "85 / 74", "10000": "124 / 108", "100000": "201 / 171", "1000000": "458 / 363"};
def tlsf: {"1000": 67, "10000": 70, "100000": 279, "1000000": 512};
def offset_allocator: {"1000": 42, "10000": 44, "100000": 142, "1000000": 332};

# 1234567 -> "1,234,567"
def grouped: tostring | explode | reverse
    | [range(0; length) as $i | (if $i > 0 and $i % 3 == 0 then 44 else empty end), .[$i]] | reverse | implode;

# A number as text, with this many decimals.
def fixed($decimals):
    . as $value | ($value * pow(10; $decimals) | round | fabs | tostring) as $digits
    | if $decimals == 0 then $digits | grouped
      else (("0" * ([0, $decimals + 1 - ($digits | length)] | max)) // "") + $digits
          | (.[:-$decimals] | grouped) + "." + .[-$decimals:] end;

# A row whose turns differ by more than this share of their median is marked as unreliable.
def spread_limit: 0.10;

def ns: if . < 100 then fixed(1) else fixed(0) end;

def title: .workload + (if .phase then " " + .phase else "" end);
def cells: "| " + join(" | ") + " |";

def engines: reduce .rows[].engine as $engine ([]; if index($engine) then . else . + [$engine] end);

def machine_text:
    .machine as $m
    | "Measured on " + .date[:10] + " with kva " + .version + ": " + $m.cpu + (if $m.virtual then " (virtual machine)" else "" end)
      + ", " + ($m.cpus | tostring) + " CPUs (" + ($m.caches | join(", ")) + "), " + $m.kernel + ", " + $m.compiler
      + (if $m.flags == "unknown" then "" else " (`" + $m.flags + "`)" end)
      + ", transparent huge pages `" + $m.huge_pages + "`"
      + (if $m.pinned_to == null then ", not pinned" else ", pinned to CPU " + ($m.pinned_to | tostring) end)
      + ". Seed " + .seed + ", " + (.reps | tostring) + " turns of " + (.turn_ms | fixed(0)) + " ms; one reading of the stopwatch takes "
      + (.stopwatch.reading_ns | fixed(0)) + " ns. The system preempted the run " + (.preemptions | grouped) + " times.";

def row_cells:
    [title, (.n | grouped), .engine, (.ns | ns),
     (100 * .spread | fixed(0)) + " %" + (if .spread > spread_limit then " †" else "" end),
     (if .ratio == null then "-" else .ratio | fixed(2) end),
     (.latency_ns | (.p50, .p99, ."p99.9", .max) | ns),
     (.bytes_per_live | fixed(1)), (if .fragmentation == null then "-" else .fragmentation | fixed(3) end)];

# Workloads that have their own tables.
def has_own_table: .workload == "policies" or .workload == "ranges";

def policies_table:
    (["policy", "n", "engine", "ns", "spread", "× lowest", "p50", "p99", "bytes/live", "used/live"] | cells),
    (["---", "--:", "---", "--:", "--:", "--:", "--:", "--:", "--:", "--:"] | cells),
    (.[] | [.phase, (.n | grouped), .engine, (.ns | ns), (100 * .spread | fixed(0)) + " %" + (if .spread > spread_limit then " †" else "" end),
        (.times_first | fixed(2)), (.latency_ns | (.p50, .p99) | ns), (.bytes_per_live | fixed(1)),
        (if .fragmentation == null then "-" else .fragmentation | fixed(3) end)] | cells);

def ranges_table:
    (["call", "n", "engine", "ns for each range, or step", "spread"] | cells), (["---", "--:", "---", "--:", "--:"] | cells),
    (.[] | [.phase, (.n | grouped), .engine, (.ns | ns), (100 * .spread | fixed(0)) + " %" + (if .spread > spread_limit then " †" else "" end)] | cells);

def evictions_table:
    (["textures", "engine", "way", "candidates", "evictions", "bound", "ns for a success", "× lru", "ns for a candidate"] | cells),
    (["--:", "---", "---", "--:", "--:", "--:", "--:", "--:", "--:"] | cells),
    (.[] | select(.skipped | not) | [(.n | grouped), .engine, .way, (.candidates_per_success, .evictions_per_success | fixed(2)),
        (100 * .bound | fixed(0)) + " %", (.ns | ns), (.ratio | fixed(2)), (if .candidate_ns == null then "-" else .candidate_ns | ns end)] | cells);

def rows_table:
    (["workload", "n", "engine", "ns", "spread", "× " + .base, "p50", "p99", "p99.9", "max", "bytes/live", "used/live"] | cells),
    (["---", "--:", "---", "--:", "--:", "--:", "--:", "--:", "--:", "--:", "--:", "--:"] | cells),
    (.rows[] | select((.skipped | not) and (has_own_table | not)) | row_cells | cells);

def longest_table:
    (["n", "engine", "operations", "p50", "p99.9", "longest", "empty longest", "empty p99.999", "above empty", "longest twice", "in"] | cells),
    (["--:", "---", "--:", "--:", "--:", "--:", "--:", "--:", "--:", "--:", "---"] | cells),
    (.longest[] | (if .capped then "\\*" else "" end) as $mark
        | [(.n | grouped) + $mark, .engine, (.operations | grouped) + $mark, (.latency_ns | (.p50, ."p99.9", .max) | ns),
        (.empty_max_ns | ns), (."empty_p99.999_ns" | ns), (.above_empty_max | grouped), (.repeated_max_ns | ns), .repeated_max_in] | cells);

# The row of an engine, or null.
def row($rows; $workload; $n; $engine):
    [$rows[] | select(.workload == $workload and .n == $n and .engine == $engine and (.skipped | not))][0];

# A figure of that row, or a dash.
def figure(get; $decimals): if . == null then "-" else (get | fixed($decimals)) end;

# The other figures beside kva's; the last line is in bytes.
def published_table:
    .rows as $rows
    | (["live ranges", "red-black, published", "rb", "experiment (64-bit / compact)", "bt", "bt: × rb", "TLSF (handles)", "256-bin offset allocator (handles)"] | cells),
      (["--:", "--:", "--:", "--:", "--:", "--:", "--:", "--:"] | cells),
      (published | keys | sort_by(tonumber) | .[] | . as $n | ($n | tonumber) as $number
        | row($rows; "churn"; $number; "rb") as $rb | row($rows; "churn"; $number; "bt") as $bt
        | select($rb != null or $bt != null)
        | [($number | grouped), (published[$n] | grouped), ($rb | figure(.ns; 0)), experiment[$n], ($bt | figure(.ns; 0)),
           (if $rb == null or $bt == null then "-" else $rb.ns / $bt.ns | fixed(2) end), (tlsf[$n] | grouped), (offset_allocator[$n] | grouped)] | cells),
      (row($rows; "churn"; 1000000; "rb") as $rb | row($rows; "churn"; 1000000; "bt") as $bt | row($rows; "ownerless"; 1000000; "bt") as $bare
        | ["bytes per range at 1,000,000", "87", ($rb | figure(.bytes_per_live; 1)), "31 / 17.5",
           ($bt | figure(.bytes_per_live; 1)) + ", without owners " + ($bare | figure(.bytes_per_live; 1)), "", "86", "96"] | cells);

# The aims, with the measured figures.
def aims_table:
    (["aim", "", "measured", ""] | cells), (["---", "--:", "--:", "---"] | cells),
    (.[] | [.what,
        (if .at_least then "at least " + (.at_least | tostring) else "at most " + (.at_most | tostring) end) + " " + .unit,
        (if .measured == null then "-" else .measured | fixed(2) end),
        (if .met == null then "not measured" elif .met then "met" else "**missed**" end)] | cells);

def threads_table:
    (["case", "contender", "threads", "million op/s", "× one thread", "× 2019"] | cells), (["---", "---", "--:", "--:", "--:", "--:"] | cells),
    (.rows[] | [.case, .contender, .threads, (1000 / .ns | fixed(2)),
        (.times_one_thread, .times_2019 | if . == null then "-" else fixed(2) end)] | cells);

def waits_table:
    (["during a flush or purge of a million areas", "operations", "p50", "p99.9", "longest wait", "longest of the empty loop"] | cells),
    (["---", "--:", "--:", "--:", "--:", "--:"] | cells),
    (.waits[] | [.contender, (.operations | grouped), (.p50_ns, ."p99.9_ns", .longest_ns, .empty_longest_ns | ns)] | cells);

def frames_table:
    (["case", "order", "used", "contender", "ns", "× buddy", "free blocks", "of", "refused"] | cells),
    (["---", "--:", "--:", "---", "--:", "--:", "--:", "--:", "--:"] | cells),
    (.rows[] | [.case, (.order // "0 to 9"), (if .used_percent == null then "" else (.used_percent | tostring) + " %" end), .contender, (.ns | ns), (.ratio | fixed(2)),
        (.huge_free, .huge_possible | if . == null then "" else grouped end), (if .refused == null then "" else (100 * .refused | fixed(3)) + " %" end)] | cells);

def crews_table:
    (["case", "threads", "contender", "million op/s", "× one thread", "CPU ns", "× one thread by CPU", "× buddy"] | cells),
    (["---", "--:", "---", "--:", "--:", "--:", "--:", "--:"] | cells),
    (.crews[] | [.case, (.threads | tostring) + (if .alone then " alone" else "" end), .contender, (1000 / .ns | fixed(2)),
        (.times_one_thread | if . == null then "-" else fixed(2) end), (.cpu_ns | ns),
        (.times_one_thread_by_cpu | if . == null then "-" else fixed(2) end), (.ratio | fixed(2))] | cells);

def markdown:
    machine_text, "",
    "![Time per operation by engine: churn over the number of live ranges, and the other workloads](benchmarks.svg)", "",
    rows_table,
    (select(any(.rows[]; .spread > spread_limit)) | "",
        "† The turns differ by more than " + (100 * spread_limit | fixed(0)) + " % of their median: the row is unreliable."),
    (select([.rows[] | select(.no_fit > 0)] != []) | "", ([.rows[] | select(.no_fit > 0)][0]
        | "In *windows*, " + (100 * .no_fit / .requests | fixed(1)) + " % of the requests correctly found no fit.")),
    (select([.rows[] | select(.skipped)] != []) | "", "Skipped at the larger sizes, where it is too slow: " + ([.rows[] | select(.skipped) | .engine] | unique | join(", ")) + "."),
    (select([.rows[] | select(.workload == "churn")] != []) | "", "The churn beside published figures, in ns per pair. Those are from another machine: compare the ratios.", "", published_table),
    (select(any(.rows[]; .workload == "policies")) | "", "Policies, `kva bench policies`, in ns per pair.", "",
        ([.rows[] | select(.workload == "policies" and (.skipped | not))] | policies_table)),
    (select(any(.rows[]; .workload == "ranges")) | "", "Ranges, `kva bench ranges`.", "",
        ([.rows[] | select(.workload == "ranges" and (.skipped | not))] | ranges_table)),
    (select(.evictions != null) | "", "Evictions, `kva bench evictions`.", "", (.evictions.rows | evictions_table)),
    (select(.evictions != null and .aims != []) | "", (.aims + .evictions.aims | aims_table)),
    (select(.longest != []) | "", "The longest single operation:", "", longest_table),
    (select(any(.longest[]; .capped)) | "",
        "\\* An O(n) engine, with fewer ranges and operations: do not compare this row with the others."),
    (select(.vmalloc != null) | "", "Memory, `kva bench vmalloc`: the aims.", "", (.vmalloc.aims | aims_table)),
    (select(.threads != null) | .threads | "", "Many threads, `kva bench threads` on the engine " + .engine + "; waits in ns.", "", threads_table, "", waits_table, "", (.aims | aims_table)),
    (select(.frames != null) | .frames | "", "Page frames, `kva bench frames`, times in ns; bookkeeping: " + ([.bookkeeping[] | .contender + " " + (.bits_per_frame | fixed(2)) + " bits per frame"] | join(", ")) + ".",
        "", frames_table, "", crews_table, "", (.aims | aims_table));

# Data for gnuplot: a heading, then a line for each point; a column for each engine, NaN where it did not run.
def value_of($rows; $engine): [$rows[] | select(.engine == $engine and (.skipped | not)) | .ns][0] // "NaN" | tostring;

def churn:
    engines as $engines
    | (["n"] + $engines + ["published"] | map("\"" + . + "\"") | join(" ")),
      ([.rows[] | select(.workload == "churn")] | group_by(.n)[] | . as $rows
        | [($rows[0].n | tostring), ($engines[] as $e | value_of($rows; $e)), (published[$rows[0].n | tostring] // "NaN" | tostring)] | join(" "));

def others:
    engines as $engines
    | (["workload"] + $engines | map("\"" + . + "\"") | join(" ")),
      (reduce (.rows[] | select(.workload != "churn" and (has_own_table | not))) as $row ([];
            if any(.[]; .label == ($row | title)) then map(if .label == ($row | title) then .rows += [$row] else . end)
            else . + [{label: ($row | title), rows: [$row]}] end)
        | .[] | . as $group | select(any($group.rows[]; .skipped | not))
        | ["\"" + $group.label + "\"", ($engines[] as $e | value_of($group.rows; $e))] | join(" "));

if $what == "markdown" then markdown elif $what == "churn" then churn else others end

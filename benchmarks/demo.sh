#!/bin/sh
# The demo of the README: a year of flights, in the order in which it became known.
set -eu
PATH="$1:$PATH"
NO_COLOR=1
export PATH NO_COLOR
folder=$(pwd)/demo

say() {
    printf '\n\033[1m%s\033[0m\n' "$*"
}
run() {
    printf '\n$ %s\n' "$*"
    "$@" 2>&1
}
quietly() {  # without the samples of rows that the warnings show
    printf '\n$ %s\n' "$*"
    "$@" 2>&1 | grep -v '^    \|^  warning: check'
}

rm -rf "$folder"
say "1. A new project: flights from New York up to 2013-06-30, as real as it gets."
run sqlflow init "$folder"
cd "$folder"

say "2. The first build makes every table. (The data has honest dirt: some checks warn.)"
quietly sqlflow build
run sqlflow show marts.carrier_ranking --limit 5
run sqlflow show marts.data_gaps

say "3. The second build does nothing: code, inputs and tables are unchanged."
run sqlflow build

say "4. A week later: a file with the flights of July 1 to 7, and 52 late rows of June."
run cp data/arriving/2013-07-week1.parquet data/flights/
printf '\n$ sqlflow build --dry-run marts.delays\n'
sqlflow build --dry-run marts.delays
quietly sqlflow build
run sqlflow build

say "5. The proof: a second database, built from scratch, is equal row for row."
printf '\n$ sqlflow build --target rebuild\n'
sqlflow build --target rebuild 2>&1 | tail -n 1
run sqlflow diff --with rebuild

say "Try next, in demo/:"
cat <<'TXT'
  sqlflow lineage marts.delays.average_delay      where a column comes from
  sqlflow list mode:incremental                   what is maintained, and how
  sqlflow state show marts.delays                 what SQLFlow remembers
  edit models/marts/delays.sql, then: sqlflow build --dry-run
  misspell a column in it, then:      sqlflow build
  sqlflow explain unknown-column                  every message has a page
TXT

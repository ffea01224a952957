#!/bin/sh
# GC content in windows along each sequence of a FASTA file, plain or gzipped.
#
# usage: gc_windows.sh FASTA WINDOW DIRECTORY
#
# Writes DIRECTORY/gc_windows.tsv with a line for each window: sequence, first and last base (from 1), and the
# fraction of G and C among its known bases (NA where there are none). Needs nothing but sh, awk and gzip.
# Says on stdout how far it is, in the form that the broker reads: ::stage, ::progress, ::message.
# Exit code 2: the file is no FASTA file.
set -eu
export LC_ALL=C

fasta=$1
window=$2
directory=$3
genome=${TMPDIR:-.}/genome.fa
table=$directory/gc_windows.tsv

echo "::stage unpack"
if ! gzip -cdf <"$fasta" >"$genome"; then
    echo "$fasta: the gzip file is damaged" >&2
    exit 2
fi

echo "::stage measure"
total=$(awk '!/^>/ { gsub(/[ \t\r]/, ""); bases += length($0) } END { printf "%d", bases }' "$genome")
echo "::message $total bases"

echo "::stage windows"
awk -v window="$window" -v total="$total" -v table="$table" '
    BEGIN {
        print "sequence\tfirst\tlast\tgc" > table
        step = total / 50
    }
    /^>/ {
        finish()
        name = substr($1, 2)
        first = 1
        sequences++
        next
    }
    sequences == 0 && NF { exit }
    {
        gsub(/[ \t\r]/, "")
        done += length($0)
        row = row toupper($0)
        while (length(row) >= window) {
            put(substr(row, 1, window))
            row = substr(row, window + 1)
        }
        if (done >= due) {
            report()
            due = done + step
        }
    }
    END {
        finish()
        report()
        if (sequences == 0) {
            print "no line begins with \">\"" > "/dev/stderr"
            exit 2
        }
        printf "::message %d windows in %d sequences\n", windows, sequences
    }
    function finish() {
        if (row != "") put(row)
        row = ""
    }
    function put(bases,    size, strong, weak) {
        size = length(bases)
        strong = gsub(/[GC]/, "", bases)
        weak = gsub(/[ATU]/, "", bases)
        printf "%s\t%d\t%d\t%s\n", name, first, first + size - 1, fraction(strong, strong + weak) > table
        first += size
        windows++
    }
    function fraction(part, whole) {
        return whole ? sprintf("%.4f", part / whole) : "NA"
    }
    function report() {
        printf "::progress %d %d\n", done, total
        fflush()
    }
' "$genome"

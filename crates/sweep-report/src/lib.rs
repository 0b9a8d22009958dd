//! Results to summaries, comparisons, verdicts, tables, plots and one HTML report.

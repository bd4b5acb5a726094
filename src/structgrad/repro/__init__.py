"""From experiments to evidence: plans, records, tables, verdicts, tracking, audit, and the command line."""

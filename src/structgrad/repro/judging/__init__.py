"""From records to a number, and what it says of the printed one."""

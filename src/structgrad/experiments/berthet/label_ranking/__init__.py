"""Label ranking: berthet Tables 1 and 2 and Figure 3."""

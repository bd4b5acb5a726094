"""What is predicted: one combinatorial object a file, each with its maximiser."""

"""The problems of lecture notes and articles: `python -m benchmarks.teaching` compares their figures with ours."""

"""What a run writes for its user: the work_dir, scores, fused scores, reports."""

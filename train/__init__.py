"""Everything offline: data sets, the training loop, calibration, evaluation, plots."""

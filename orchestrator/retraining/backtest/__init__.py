"""A backtest of a retraining: past arrivals, wrong labels in one of them, and the gate's errors."""

"""Scheduled retraining: what has arrived, what to do about it, which model is the champion, and who
may say so.
"""

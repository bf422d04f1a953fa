"""Subclass Knowledge Distillation from clinicians' votes on colonoscopy frames.

Research use only: not a medical device, not for diagnosis.
"""
